//! Decode attention over spectral caches; kernels/spectral.cu.
//!
//! A coded past on the device has blocks of 16 tokens, keys that are transformed in tiles of 32 dims of a head, and values
//! that are transformed over whole heads, so many that at most eight query heads ask for them.

use cudarc::driver::DeviceRepr;
use fourier_kv_spectral::dct::Dct;
use fourier_kv_spectral::trellis::{LANES, LEVELS, MAX_BITS};
use half::f16;

pub use super::spectral_tables::{Back, CodedView, Codes, Coefficients, SpectralTables};
use super::{Heads, StateBuffers, StatesView, TokensView, scale};
use crate::kernel::{Kernel, arg, narrow};
use crate::{Buffer, CudaError, Device, Source};

/// Tokens of a block.
pub const BLOCK: usize = 16;
/// Tokens of a superblock.
pub const SUPERBLOCK: usize = BLOCK * LANES;
/// Dims of a tile of keys.
pub const KEY_TILE: usize = 32;
/// Columns that heads take in sums, as in the source.
const COLUMNS: usize = 8;
/// Levels of all rates, `2^(k + 1)` of `k` bits from there on.
const LEVEL_TABLE: usize = 2 << (MAX_BITS + 1);

/// Sizes of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpectralSizes {
    /// The heads.
    pub heads: Heads,
    /// Key/value heads whose values are transformed together.
    pub value_heads: usize,
}

impl SpectralSizes {
    /// Refuses what the kernels are not written for.
    ///
    /// # Errors
    /// [`CudaError::Shape`].
    pub fn check(&self) -> Result<(), CudaError> {
        self.heads.check()?;
        let asked = self.value_heads * self.heads.group();
        if self.value_heads == 0 || !self.heads.kv_heads.is_multiple_of(self.value_heads) {
            let expected = "a divisor of that of key/value heads";
            return Err(CudaError::Shape { what: "the number of heads of a tile", expected, got: self.value_heads });
        }
        if asked > COLUMNS {
            return Err(CudaError::Shape {
                what: "the number of query heads of a tile",
                expected: "at most 8",
                got: asked,
            });
        }
        Ok(())
    }

    /// Tiles of values.
    pub fn value_tiles(&self) -> usize {
        self.heads.kv_heads / self.value_heads
    }

    /// Channels of a tile of values.
    pub fn channels(&self) -> usize {
        self.value_heads * self.heads.head_dim
    }
}

/// What is the same for all sequences, as kernels are told of it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct ConstantsView {
    levels: u64,
    cosines: u64,
    turns: u64,
}

// SAFETY: three addresses, as `Constants` in kernels/spectral.cu.
unsafe impl DeviceRepr for ConstantsView {}

/// The kernels for one layer's sizes.
#[derive(Debug)]
pub struct SpectralAttention {
    sizes: SpectralSizes,
    scores: Kernel,
    sums: Kernel,
    finish: Kernel,
    levels: Buffer<f16>,
    cosines: Buffer<f32>,
    turns: Buffer<f64>,
}

/// Working memory for a batch.
#[derive(Debug)]
pub struct SpectralWork {
    batch: usize,
    superblocks: usize,
    pieces: usize,
    whole_pieces: usize,
    scores: Buffer<f32>,
    largest: Buffer<f32>,
    sums: Buffer<f32>,
    totals: Buffer<f32>,
    whole: StateBuffers,
}

/// The same, as kernels are told of it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct WorkView {
    scores: u64,
    largest: u64,
    superblocks: u32,
    sums: u64,
    totals: u64,
    whole: StatesView,
}

// SAFETY: plain numbers in the order and with the sizes of `Work` in kernels/spectral.cu.
unsafe impl DeviceRepr for WorkView {}

/// What the kernels attend with.
#[derive(Clone, Copy, Debug)]
pub struct SpectralPast<'a> {
    /// `[B][H][D]`, with RoPE.
    pub queries: &'a Buffer<f32>,
    /// `[B]`.
    pub coded: &'a Buffer<CodedView>,
    /// `[B]`: sink, window and current token, keys with RoPE, in any order.
    pub whole: &'a Buffer<TokensView>,
}

impl SpectralAttention {
    /// Compiles the kernels. `frequencies`: radians a token of each rotary pair, `[D / 2]`.
    ///
    /// # Errors
    /// [`CudaError::Shape`], [`CudaError::Length`]; those of the compiler.
    pub fn new(device: &Device, sizes: SpectralSizes, frequencies: &[f64]) -> Result<Self, CudaError> {
        sizes.check()?;
        let head_dim = sizes.heads.head_dim;
        if frequencies.len() != head_dim / 2 {
            let (expected, got) = (head_dim / 2, frequencies.len());
            return Err(CudaError::Length { what: "the frequencies", expected, got });
        }
        let mut levels = vec![f16::ZERO; LEVEL_TABLE];
        for (k, of_rate) in LEVELS.iter().enumerate().skip(1) {
            let table = &mut levels[2 << k..][..of_rate.len()];
            table.iter_mut().zip(*of_rate).for_each(|(to, &level)| *to = f16::from_f32(level));
        }
        let dct = Dct::new(BLOCK).expect("16 is a length that there is a transform of");
        let cosines: Vec<f32> = dct.matrix().iter().map(|&c| c as f32).collect();
        let turns: Vec<f64> = frequencies.iter().map(|f| f / std::f64::consts::TAU).collect();
        let module = device.module(&Source::spectral(head_dim, sizes.heads.group(), sizes.value_heads))?;
        Ok(SpectralAttention {
            sizes,
            scores: Kernel::with_shared(device, &module, "spectral_scores", 256)?.overlapping(device),
            sums: Kernel::with_shared(device, &module, "spectral_sums", 512)?.overlapping(device),
            finish: Kernel::new(&module, "spectral_finish", head_dim)?.overlapping(device),
            levels: device.upload(&levels)?,
            cosines: device.upload(&cosines)?,
            turns: device.upload(&turns)?,
        })
    }

    /// Working memory for `batch` sequences of up to `tokens` coded tokens and about `whole` that are held whole.
    ///
    /// # Errors
    /// [`CudaError::Memory`].
    pub fn work(&self, device: &Device, batch: usize, tokens: usize, whole: usize) -> Result<SpectralWork, CudaError> {
        let heads = self.sizes.heads;
        let (tiles, rows) = (self.sizes.value_tiles(), batch * heads.heads);
        let superblocks = tokens.div_ceil(SUPERBLOCK).max(1);
        let pieces = (device.info().multiprocessors / (batch * tiles).max(1)).clamp(1, superblocks);
        let whole_pieces = whole.div_ceil(128).clamp(1, 16);
        let places = batch * tiles * pieces * COLUMNS;
        Ok(SpectralWork {
            batch,
            superblocks,
            pieces,
            whole_pieces,
            scores: device.uninitialised(rows * superblocks * SUPERBLOCK)?,
            largest: device.uninitialised(rows * superblocks)?,
            sums: device.uninitialised(places * self.sizes.channels())?,
            totals: device.uninitialised(places)?,
            whole: StateBuffers::new(device, rows * whole_pieces, heads.head_dim)?,
        })
    }

    /// `out[b][h]` = attention of the queries over coded and whole tokens of sequence `b`, none of which has more coded
    /// tokens than the working memory was made for.
    ///
    /// # Errors
    /// [`CudaError::Length`], or what the driver says.
    pub fn attend(
        &self,
        device: &Device,
        past: SpectralPast<'_>,
        work: &mut SpectralWork,
        out: &mut Buffer<f32>,
    ) -> Result<(), CudaError> {
        let Heads { heads, kv_heads, head_dim } = self.sizes.heads;
        past.queries.check("the queries", work.batch * heads * head_dim)?;
        out.check("the outputs", work.batch * heads * head_dim)?;
        past.coded.check("the coded pasts", work.batch)?;
        past.whole.check("the sequences", work.batch)?;
        let (q, coded, whole) = (past.queries.address(), past.coded.address(), past.whole.address());
        let (view, scale, out) = (work.view()?, scale(head_dim), out.address());
        let constants = ConstantsView {
            levels: self.levels.address(),
            cosines: self.cosines.address(),
            turns: self.turns.address(),
        };
        let (pieces, whole_pieces) = (narrow("pieces", work.pieces)?, narrow("pieces", work.whole_pieces)?);
        let (g, b, h) = (narrow("heads", kv_heads)?, narrow("the batch", work.batch)?, narrow("heads", heads)?);
        let tiles = narrow("tiles", self.sizes.value_tiles())?;
        // SAFETY: the arguments in the kernels' order; the buffers are as long as was checked, or made for these sizes.
        unsafe {
            let args = &mut [arg(&q), arg(&coded), arg(&whole), arg(&constants), arg(&view), arg(&scale)];
            self.scores.launch(device, (view.superblocks + whole_pieces, g, b), args)?;
            self.sums.launch(device, (pieces, tiles, b), &mut [arg(&coded), arg(&constants), arg(&view)])?;
            let args = &mut [arg(&coded), arg(&view), arg(&pieces), arg(&whole_pieces), arg(&out)];
            self.finish.launch(device, (h, b, 1), args)
        }
    }
}

impl SpectralWork {
    fn view(&self) -> Result<WorkView, CudaError> {
        Ok(WorkView {
            scores: self.scores.address(),
            largest: self.largest.address(),
            superblocks: narrow("superblocks", self.superblocks)?,
            sums: self.sums.address(),
            totals: self.totals.address(),
            whole: self.whole.view(),
        })
    }
}
