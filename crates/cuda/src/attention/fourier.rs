//! Decode attention over fourier caches, in the spectrum; kernels/fourier.cu.
//!
//! A middle on the device has a period that is a multiple of 256, harmonics in multiples of 256, keys in the base band,
//! and as many spectral dims in every head of a layer.

use cudarc::driver::DeviceRepr;
use half::bf16;

use super::{Heads, StateBuffers, StatesView, TokensView, scale};
use crate::kernel::{Kernel, arg, narrow};
use crate::{Buffer, CudaError, Device, Source};

/// What periods are multiples of: tokens of a tile.
pub const TILE: usize = 256;

/// Sizes of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FourierSizes {
    /// The heads.
    pub heads: Heads,
    /// Harmonics `N`.
    pub harmonics: usize,
    /// Spectral dims of a head's keys.
    pub key_tracks: usize,
    /// Spectral dims of a head's values.
    pub value_tracks: usize,
}

impl FourierSizes {
    /// Refuses what the kernels are not written for.
    ///
    /// # Errors
    /// [`CudaError::Shape`].
    pub fn check(&self) -> Result<(), CudaError> {
        self.heads.check()?;
        let shape = |what, expected, got| Err(CudaError::Shape { what, expected, got });
        if !self.harmonics.is_multiple_of(TILE) || !(TILE..=512).contains(&self.harmonics) {
            return shape("the number of harmonics", "256 or 512", self.harmonics);
        }
        for tracks in [self.key_tracks, self.value_tracks] {
            if !(1..=self.heads.head_dim).contains(&tracks) {
                return shape("the number of spectral dims", "1 to D", tracks);
            }
        }
        Ok(())
    }

    /// Numbers a token that keys and values take in rows of exact dims: those dims, to a multiple of 8.
    pub fn widths(&self) -> [usize; 2] {
        [self.key_tracks, self.value_tracks].map(|tracks| (self.heads.head_dim - tracks).next_multiple_of(8))
    }

    /// Bytes of the middle of one sequence with room for `capacity` tokens.
    pub fn bytes(&self, capacity: usize) -> usize {
        let Heads { kv_heads, head_dim, .. } = self.heads;
        let tracks = self.key_tracks + self.value_tracks;
        let exact = capacity * self.widths().iter().sum::<usize>() * size_of::<bf16>();
        let spectra = tracks * 2 * self.harmonics * size_of::<bf16>();
        kv_heads * (exact + spectra + tracks * size_of::<f32>() + 2 * head_dim * size_of::<u16>())
    }
}

/// The tables of a period, which all caches of that period share.
#[derive(Debug)]
pub struct FourierTables {
    pub(super) period: usize,
    pub(super) basis: Buffer<u16>,
    pub(super) twiddles: Buffer<f32>,
}

/// The middle of one sequence, of one layer.
#[derive(Debug)]
pub struct FourierMiddle {
    /// Exact dims of keys and of values: `[G][capacity][width]`, numbers beyond the exact dims zero.
    pub exact: [Buffer<bf16>; 2],
    /// Spectra of the spectral dims: `[G][tracks][2][N]`.
    pub spectra: [Buffer<bf16>; 2],
    /// Means of the spectral dims: `[G][tracks]`.
    pub means: [Buffer<f32>; 2],
    /// Which dims they are: `[G][D]`, the spectral ones, then the exact ones.
    pub dims: [Buffer<u16>; 2],
    /// Tokens there is room for.
    pub capacity: usize,
}

/// A middle as kernels are told of it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MiddleView {
    exact: [u64; 2],
    spectra: [u64; 2],
    means: [u64; 2],
    dims: [u64; 2],
    basis: u64,
    twiddles: u64,
    count: u32,
    period: u32,
    capacity: u64,
}

// SAFETY: plain numbers in the order and with the sizes of `Middle` in kernels/fourier.cu.
unsafe impl DeviceRepr for MiddleView {}

impl FourierMiddle {
    /// Room for `capacity` tokens; what is in it is to be written.
    ///
    /// # Errors
    /// [`CudaError::Memory`].
    pub fn new(device: &Device, sizes: &FourierSizes, capacity: usize) -> Result<Self, CudaError> {
        let Heads { kv_heads, head_dim, .. } = sizes.heads;
        let tracks = [sizes.key_tracks, sizes.value_tracks];
        let [key_width, value_width] = sizes.widths();
        let numbers = |n: usize| device.uninitialised(kv_heads * n);
        Ok(FourierMiddle {
            exact: [numbers(capacity * key_width)?, numbers(capacity * value_width)?],
            spectra: [numbers(tracks[0] * 2 * sizes.harmonics)?, numbers(tracks[1] * 2 * sizes.harmonics)?],
            means: [device.uninitialised(kv_heads * tracks[0])?, device.uninitialised(kv_heads * tracks[1])?],
            dims: [device.uninitialised(kv_heads * head_dim)?, device.uninitialised(kv_heads * head_dim)?],
            capacity,
        })
    }

    /// Makes room for `capacity` tokens, of which `count` are there.
    ///
    /// # Errors
    /// [`CudaError::Memory`]; [`CudaError::Length`] if there are fewer.
    pub fn grow(
        &mut self,
        device: &Device,
        sizes: &FourierSizes,
        count: usize,
        capacity: usize,
    ) -> Result<(), CudaError> {
        for (rows, width) in self.exact.iter_mut().zip(sizes.widths()) {
            let mut larger = device.uninitialised(sizes.heads.kv_heads * capacity * width)?;
            for head in 0..sizes.heads.kv_heads {
                let from = head * self.capacity * width;
                larger.copy_from(head * capacity * width, rows, from..from + count * width)?;
            }
            *rows = larger;
        }
        self.capacity = capacity;
        Ok(())
    }

    /// As kernels are told of it, with `count` tokens.
    ///
    /// # Errors
    /// [`CudaError::Shape`] if there is no room for as many, or the period is shorter.
    pub fn view(&self, tables: &FourierTables, count: usize) -> Result<MiddleView, CudaError> {
        if count > self.capacity.min(tables.period) {
            let expected = "at most the capacity and the period";
            return Err(CudaError::Shape { what: "the number of tokens", expected, got: count });
        }
        let [exact, spectra] = [&self.exact, &self.spectra].map(|pair| [pair[0].address(), pair[1].address()]);
        Ok(MiddleView {
            exact,
            spectra,
            means: [self.means[0].address(), self.means[1].address()],
            dims: [self.dims[0].address(), self.dims[1].address()],
            basis: tables.basis.address(),
            twiddles: tables.twiddles.address(),
            count: narrow("tokens", count)?,
            period: narrow("the period", tables.period)?,
            capacity: self.capacity as u64,
        })
    }
}

/// The kernels for one layer's sizes.
#[derive(Debug)]
pub struct FourierAttention {
    sizes: FourierSizes,
    contract: Kernel,
    attend: Kernel,
    project: Kernel,
    finish: Kernel,
}

/// Working memory for a batch.
#[derive(Debug)]
pub struct FourierWork {
    batch: usize,
    pieces: usize,
    whole_pieces: usize,
    contracted: Buffer<f32>,
    middle: [Buffer<f32>; 4],
    projected: Buffer<f32>,
    whole: StateBuffers,
}

/// The same, as kernels are told of it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct WorkView {
    contracted: u64,
    max: u64,
    sum: u64,
    harmonics: u64,
    exact: u64,
    projected: u64,
    whole: StatesView,
}

// SAFETY: addresses, as `Work` in kernels/fourier.cu.
unsafe impl DeviceRepr for WorkView {}

/// What the kernels attend with: one query token of each sequence, its middle, and the tokens it holds whole.
#[derive(Clone, Copy, Debug)]
pub struct FourierPast<'a> {
    /// `[B][H][D]`.
    pub queries: &'a Buffer<f32>,
    /// `[B]`.
    pub middles: &'a Buffer<MiddleView>,
    /// `[B]`: sink, window and current token, in any order.
    pub whole: &'a Buffer<TokensView>,
}

/// Most pieces of a middle: what `fourier_project` has room for.
const MOST_PIECES: usize = 64;
/// Numbers of a spectrum that a block contracts, and harmonics that a block projects.
const CHUNK: usize = 64;
const PART: usize = 32;

impl FourierAttention {
    /// Compiles the kernels.
    ///
    /// # Errors
    /// [`CudaError::Shape`] for sizes that they are not written for; those of the compiler.
    pub fn new(device: &Device, sizes: FourierSizes) -> Result<Self, CudaError> {
        sizes.check()?;
        let Heads { head_dim, .. } = sizes.heads;
        let tracks = [sizes.key_tracks, sizes.value_tracks];
        let module = device.module(&Source::fourier(head_dim, sizes.heads.group(), sizes.harmonics, tracks))?;
        Ok(FourierAttention {
            sizes,
            contract: Kernel::with_shared(device, &module, "fourier_contract", 128)?.overlapping(device),
            attend: Kernel::with_threads(device, &module, "fourier_attend")?.overlapping(device),
            project: Kernel::new(&module, "fourier_project", 256)?.overlapping(device),
            finish: Kernel::new(&module, "fourier_finish", head_dim)?.overlapping(device),
        })
    }

    /// Working memory for `batch` sequences with about `whole` tokens each that are held whole.
    ///
    /// # Errors
    /// [`CudaError::Memory`].
    pub fn work(&self, device: &Device, batch: usize, whole: usize) -> Result<FourierWork, CudaError> {
        let FourierSizes { heads, harmonics, value_tracks, .. } = self.sizes;
        // Their states are merged by D threads, each of which takes one.
        let most = MOST_PIECES.min(heads.head_dim);
        let pieces = (device.info().multiprocessors / (batch * heads.kv_heads).max(1)).clamp(1, most);
        let whole_pieces = whole.div_ceil(128).clamp(1, 16);
        let rows = batch * heads.heads;
        let states = rows * pieces;
        Ok(FourierWork {
            batch,
            pieces,
            whole_pieces,
            contracted: device.uninitialised(rows * 2 * harmonics)?,
            middle: [
                device.uninitialised(states)?,
                device.uninitialised(states)?,
                device.uninitialised(states * 2 * harmonics)?,
                device.uninitialised(states * self.sizes.widths()[1])?,
            ],
            projected: device.uninitialised(rows * harmonics / PART * value_tracks)?,
            whole: StateBuffers::new(device, rows * whole_pieces, heads.head_dim)?,
        })
    }

    /// `out[b][h]` = attention of the queries over middle and whole tokens of sequence `b`.
    ///
    /// # Errors
    /// [`CudaError::Length`], or what the driver says.
    pub fn attend(
        &self,
        device: &Device,
        past: FourierPast<'_>,
        work: &mut FourierWork,
        out: &mut Buffer<f32>,
    ) -> Result<(), CudaError> {
        let Heads { heads, kv_heads, head_dim } = self.sizes.heads;
        past.queries.check("the queries", work.batch * heads * head_dim)?;
        out.check("the outputs", work.batch * heads * head_dim)?;
        past.middles.check("the middles", work.batch)?;
        past.whole.check("the sequences", work.batch)?;
        let (q, middles, whole) = (past.queries.address(), past.middles.address(), past.whole.address());
        let (view, scale, out) = (work.view(), scale(head_dim), out.address());
        let (pieces, whole_pieces) = (narrow("pieces", work.pieces)?, narrow("pieces", work.whole_pieces)?);
        let (g, b, h) = (narrow("heads", kv_heads)?, narrow("the batch", work.batch)?, narrow("heads", heads)?);
        let chunks = narrow("harmonics", 2 * self.sizes.harmonics / CHUNK)?;
        let parts = narrow("harmonics", self.sizes.harmonics / PART)?;
        // SAFETY: the arguments in the kernels' order; the buffers are as long as was checked, or made for these sizes.
        unsafe {
            let args = &mut [arg(&q), arg(&middles), arg(&whole), arg(&view), arg(&scale)];
            self.contract.launch(device, (chunks + whole_pieces, g, b), args)?;
            let args = &mut [arg(&q), arg(&middles), arg(&view), arg(&scale)];
            self.attend.launch(device, (pieces, g, b), args)?;
            self.project.launch(device, (parts, g, b), &mut [arg(&middles), arg(&view), arg(&pieces)])?;
            let [q, middles, view] = [arg(&q), arg(&middles), arg(&view)];
            let args = &mut [q, middles, view, arg(&pieces), arg(&whole_pieces), arg(&scale), arg(&out)];
            self.finish.launch(device, (h, b, 1), args)
        }
    }
}

impl FourierWork {
    fn view(&self) -> WorkView {
        let [max, sum, harmonics, exact] = &self.middle;
        WorkView {
            contracted: self.contracted.address(),
            max: max.address(),
            sum: sum.address(),
            harmonics: harmonics.address(),
            exact: exact.address(),
            projected: self.projected.address(),
            whole: self.whole.view(),
        }
    }
}
