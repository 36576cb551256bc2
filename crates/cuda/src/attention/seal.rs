//! From exact keys and values to the middle of a fourier cache, and its growth; kernels/seal.cu.

use cudarc::driver::DeviceRepr;

use super::TokensView;
use super::fourier::{FourierMiddle, FourierSizes, FourierTables, TILE};
use crate::kernel::{Kernel, arg, narrow};
use crate::{Buffer, CudaError, Device, Source};

/// Pieces that sums for means are made in, as in the source.
const SUMS: usize = 64;
/// Spectral dims of a block that makes spectra, likewise.
const DIMS: usize = 16;
/// Most tokens that a spectrum grows by at once.
pub const GROWTH: usize = 64;

/// The kernels for one layer's sizes.
#[derive(Debug)]
pub struct FourierSeal {
    sizes: FourierSizes,
    rows: Kernel,
    spectra: Kernel,
    grow: Kernel,
    tables: Kernel,
    sums: Buffer<f32>,
}

/// Rows held whole that go into a middle.
#[derive(Clone, Copy, Debug)]
pub struct Leaving {
    /// Where they are.
    pub tokens: TokensView,
    /// The first of them.
    pub first: usize,
    /// How many there are.
    pub count: usize,
}

/// The same, as kernels are told of it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct RowsView {
    keys: u64,
    values: u64,
    capacity: u64,
    first: u32,
    time: u32,
    count: u32,
}

// SAFETY: plain numbers in the order and with the sizes of `Rows` in kernels/seal.cu.
unsafe impl DeviceRepr for RowsView {}

impl Leaving {
    pub(super) fn view(&self, time: usize) -> Result<RowsView, CudaError> {
        let TokensView { keys, values, count, capacity } = self.tokens;
        let (first, wanted) = (narrow("tokens", self.first)?, narrow("tokens", self.count)?);
        if first.checked_add(wanted).is_none_or(|end| end > count) {
            return Err(CudaError::Length {
                what: "the tokens",
                expected: self.first + self.count,
                got: count as usize,
            });
        }
        let time = narrow("tokens", time)?;
        Ok(RowsView { keys, values, capacity: u64::from(capacity), first, time, count: wanted })
    }
}

impl FourierSeal {
    /// Compiles the kernels.
    ///
    /// # Errors
    /// [`CudaError::Shape`] for sizes that they are not written for; those of the compiler.
    pub fn new(device: &Device, sizes: FourierSizes) -> Result<Self, CudaError> {
        sizes.check()?;
        let head_dim = sizes.heads.head_dim;
        let tracks = [sizes.key_tracks, sizes.value_tracks];
        let module = device.module(&Source::seal(head_dim, sizes.harmonics, tracks))?;
        Ok(FourierSeal {
            sizes,
            rows: Kernel::new(&module, "seal_rows", head_dim)?,
            spectra: Kernel::with_shared(device, &module, "seal_spectra", 512)?,
            grow: Kernel::new(&module, "grow_spectra", sizes.harmonics)?,
            tables: Kernel::new(&module, "fourier_tables", 256)?,
            sums: device.uninitialised(2 * sizes.heads.kv_heads * SUMS * head_dim)?,
        })
    }

    /// The tables of a period, a multiple of [`TILE`] of at least twice the harmonics.
    ///
    /// # Errors
    /// [`CudaError::Shape`], [`CudaError::Memory`].
    pub fn tables(&self, device: &Device, period: usize) -> Result<FourierTables, CudaError> {
        if !period.is_multiple_of(TILE) || period < 2 * self.sizes.harmonics {
            let expected = "a multiple of 256, at least twice the harmonics";
            return Err(CudaError::Shape { what: "the period", expected, got: period });
        }
        let tables = FourierTables {
            period,
            basis: device.uninitialised(period / 16 * 2 * self.sizes.harmonics / 16)?,
            twiddles: device.uninitialised(2 * period)?,
        };
        let blocks = narrow("the period", period / TILE)?;
        let (period, basis, twiddles) =
            (narrow("the period", period)?, tables.basis.address(), tables.twiddles.address());
        // SAFETY: the arguments in the kernel's order; the buffers are as long as it writes.
        unsafe {
            self.tables.launch(device, (blocks, 1, 1), &mut [arg(&period), arg(&basis), arg(&twiddles)])?;
        }
        Ok(tables)
    }

    /// Fills an empty middle, whose dims are chosen, with rows: means, spectra and exact dims.
    ///
    /// # Errors
    /// [`CudaError::Shape`] if they do not fit, [`CudaError::Length`] if there are fewer.
    pub fn seal(
        &self,
        device: &Device,
        middle: &mut FourierMiddle,
        tables: &FourierTables,
        leaving: Leaving,
    ) -> Result<(), CudaError> {
        let (view, rows) = (middle.view(tables, leaving.count)?, leaving.view(0)?);
        let (heads, sums) = (narrow("heads", self.sizes.heads.kv_heads)?, self.sums.address());
        let blocks = narrow("dims", (self.sizes.key_tracks + self.sizes.value_tracks).div_ceil(DIMS))?;
        let pieces = narrow("pieces", SUMS)?;
        // SAFETY: the arguments in the kernels' order; the middle was made for these sizes and has room for the rows.
        unsafe {
            self.rows.launch(device, (pieces, heads, 2), &mut [arg(&view), arg(&rows), arg(&sums)])?;
            self.spectra.launch(device, (blocks, heads, 1), &mut [arg(&view), arg(&rows), arg(&sums)])
        }
    }

    /// Adds rows to a middle that holds `held` tokens.
    ///
    /// # Errors
    /// As [`FourierSeal::seal`].
    pub fn grow(
        &self,
        device: &Device,
        middle: &mut FourierMiddle,
        tables: &FourierTables,
        held: usize,
        leaving: Leaving,
    ) -> Result<(), CudaError> {
        // Before anything is added: a middle that has taken in some of the rows would be of no use.
        middle.view(tables, held + leaving.count)?;
        leaving.view(held)?;
        let heads = narrow("heads", self.sizes.heads.kv_heads)?;
        let tracks = narrow("dims", self.sizes.key_tracks + self.sizes.value_tracks)?;
        let (pieces, sums) = (narrow("pieces", SUMS)?, self.sums.address());
        for done in (0..leaving.count).step_by(GROWTH) {
            let count = GROWTH.min(leaving.count - done);
            let view = middle.view(tables, held + done + count)?;
            let rows = Leaving { first: leaving.first + done, count, ..leaving }.view(held + done)?;
            // SAFETY: as above; the middle has room for all tokens up to these.
            unsafe {
                self.rows.launch(device, (pieces, heads, 2), &mut [arg(&view), arg(&rows), arg(&sums)])?;
                self.grow.launch(device, (tracks, heads, 1), &mut [arg(&view), arg(&rows)])?;
            }
        }
        Ok(())
    }
}
