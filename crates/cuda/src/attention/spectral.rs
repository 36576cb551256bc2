//! Decode attention over spectral caches; kernels/spectral.cu.
//!
//! A coded past on the device has blocks of 16 tokens, keys that are transformed in tiles of 32 dims of a head, and values
//! that are transformed over whole heads, so many that at most eight query heads ask for them.

use cudarc::driver::DeviceRepr;
use fourier_kv_spectral::dct::Dct;
use fourier_kv_spectral::trellis::LANES;
use half::f16;

use super::spectral_levels;
pub use super::spectral_tables::{Back, CodedView, Codes, Coefficients, SpectralTables};
use super::spectral_turns::{Turns, fragments};
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
/// Dims of a block of `spectral_finish`, `FINISH_DIMS` in the source.
const FINISH_DIMS: usize = 32;
/// Its threads.
const FINISH_THREADS: usize = 256;
/// Blocks of scores that a multiprocessor has at a time, and of sums.
const RESIDENT: [usize; 2] = [2, 1];
/// The most pieces that `spectral_finish` merges, `MOST_PIECES` in the source.
const MOST_PIECES: usize = 1024;

/// Sizes of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpectralSizes {
    /// The heads.
    pub heads: Heads,
    /// Key/value heads whose values are transformed together.
    pub value_heads: usize,
}

impl SpectralSizes {
    /// Turns a token of each rotary pair, from radians, `[D / 2]`.
    pub(super) fn turns(&self, frequencies: &[f64]) -> Result<Vec<f64>, CudaError> {
        let (expected, got) = (self.heads.head_dim / 2, frequencies.len());
        if got != expected {
            return Err(CudaError::Length { what: "the frequencies", expected, got });
        }
        Ok(frequencies.iter().map(|f| f / std::f64::consts::TAU).collect())
    }

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
    rows: u64,
    all_levels: u64,
    inverse: u64,
    forward: u64,
    turns: u64,
    inside: u64,
    between: u64,
    steps: u64,
}

// SAFETY: addresses in the order of `Constants` in kernels/spectral.cu.
unsafe impl DeviceRepr for ConstantsView {}

/// The kernels for one layer's sizes.
#[derive(Debug)]
pub struct SpectralAttention {
    sizes: SpectralSizes,
    scores: Kernel,
    sums: Kernel,
    finish: Kernel,
    arrange: Kernel,
    levels: Buffer<u32>,
    rows: Buffer<u32>,
    all_levels: Buffer<f16>,
    inverse: Buffer<u32>,
    forward: Buffer<u32>,
    turns: Buffer<f64>,
    inside: Buffer<u32>,
    between: Buffer<u32>,
    steps: Buffer<f32>,
}

/// Working memory for a batch.
#[derive(Debug)]
pub struct SpectralWork {
    batch: usize,
    superblocks: usize,
    /// Blocks of scores and of sums that share out the superblocks of a head.
    pieces: [usize; 2],
    whole_pieces: usize,
    weights: Buffer<u32>,
    halves: Buffer<f32>,
    sums: Buffer<f32>,
    largest: Buffer<f32>,
    whole: StateBuffers,
}

/// The same, as kernels are told of it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct WorkView {
    weights: u64,
    halves: u64,
    superblocks: u32,
    sums: u64,
    largest: u64,
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
        let turns = sizes.turns(frequencies)?;
        let head_dim = sizes.heads.head_dim;
        let dct = Dct::new(BLOCK).expect("16 is a length that there is a transform of");
        let [inverse, forward] = fragments(dct.matrix());
        let tables = Turns::new(frequencies);
        let module = device.module(&Source::spectral(head_dim, sizes.heads.group(), sizes.value_heads))?;
        Ok(SpectralAttention {
            sizes,
            scores: Kernel::with_threads(device, &module, "spectral_scores")?.overlapping(device),
            sums: Kernel::with_threads(device, &module, "spectral_sums")?.overlapping(device),
            finish: Kernel::new(&module, "spectral_finish", FINISH_THREADS)?.overlapping(device),
            arrange: Kernel::new(&module, "spectral_arrange", 256)?,
            levels: device.upload(&spectral_levels::words())?,
            rows: device.upload(&spectral_levels::rows())?,
            all_levels: device.upload(&spectral_levels::all())?,
            inverse: device.upload(&inverse)?,
            forward: device.upload(&forward)?,
            turns: device.upload(&turns)?,
            inside: device.upload(&tables.inside)?,
            between: device.upload(&tables.between)?,
            steps: device.upload(&tables.steps)?,
        })
    }

    /// Working memory for `batch` sequences of up to `tokens` coded tokens and about `whole` that are held whole.
    ///
    /// # Errors
    /// [`CudaError::Memory`].
    pub fn work(&self, device: &Device, batch: usize, tokens: usize, whole: usize) -> Result<SpectralWork, CudaError> {
        let heads = self.sizes.heads;
        let rows = batch * heads.heads;
        let superblocks = tokens.div_ceil(SUPERBLOCK).max(1);
        let whole_pieces = whole.div_ceil(128).clamp(1, 16);
        let most = |blocks: usize| {
            let most = blocks * device.info().multiprocessors / (batch * heads.kv_heads).max(1);
            most.clamp(1, MOST_PIECES)
        };
        let pieces = [even(superblocks + whole_pieces, most(RESIDENT[0])), even(superblocks, most(RESIDENT[1]))];
        let places = batch * heads.kv_heads * pieces[1] * COLUMNS;
        Ok(SpectralWork {
            batch,
            superblocks,
            pieces,
            whole_pieces,
            weights: device.uninitialised(rows * superblocks * SUPERBLOCK / 2)?,
            halves: device.uninitialised(rows * superblocks * 4)?,
            sums: device.uninitialised(places * heads.head_dim)?,
            largest: device.uninitialised(places)?,
            whole: StateBuffers::new(device, rows * whole_pieces, heads.head_dim)?,
        })
    }

    /// `out[b][h]` = attention of the queries over coded and whole tokens of sequence `b`, none of which has more coded
    /// tokens than the working memory was made for. Codes and tables are read while the launch before this ends, which
    /// must not be what writes them.
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
            rows: self.rows.address(),
            all_levels: self.all_levels.address(),
            inverse: self.inverse.address(),
            forward: self.forward.address(),
            turns: self.turns.address(),
            inside: self.inside.address(),
            between: self.between.address(),
            steps: self.steps.address(),
        };
        let (score_pieces, pieces) = (narrow("pieces", work.pieces[0])?, narrow("pieces", work.pieces[1])?);
        let whole_pieces = narrow("pieces", work.whole_pieces)?;
        let (g, b, h) = (narrow("heads", kv_heads)?, narrow("the batch", work.batch)?, narrow("heads", heads)?);
        let parts = narrow("parts of a head", head_dim / FINISH_DIMS)?;
        // SAFETY: the arguments in the kernels' order; the buffers are as long as was checked, or made for these sizes.
        unsafe {
            let args =
                &mut [arg(&q), arg(&coded), arg(&whole), arg(&constants), arg(&view), arg(&whole_pieces), arg(&scale)];
            self.scores.launch(device, (score_pieces, g, b), args)?;
            self.sums.launch(device, (pieces, g, b), &mut [arg(&coded), arg(&constants), arg(&view)])?;
            let args = &mut [arg(&coded), arg(&view), arg(&pieces), arg(&whole_pieces), arg(&out)];
            self.finish.launch(device, (h, parts, b), args)
        }
    }

    /// Codes of `superblocks` superblocks as they are attended to, `[superblocks][stride]`, from those of a cache,
    /// `[superblocks][room][16]`: of each block the words of keys and then those of values (`tables.words()`).
    ///
    /// # Errors
    /// [`CudaError::Length`] if there are too few words; [`CudaError::Memory`]; what the driver says.
    pub fn arrange(
        &self,
        device: &Device,
        tables: &SpectralTables,
        (words, room): (&Buffer<u32>, usize),
        superblocks: usize,
    ) -> Result<Buffer<u32>, CudaError> {
        let needed: usize = tables.words().iter().sum();
        if room < needed {
            return Err(CudaError::Length { what: "a superblock's room", expected: needed, got: room });
        }
        words.check("the codes", superblocks * room * LANES)?;
        let arranged = device.uninitialised(superblocks * tables.stride())?;
        if superblocks == 0 {
            return Ok(arranged);
        }
        let (from, sources, to) = (words.address(), tables.sources().address(), arranged.address());
        let (room, stride) = (narrow("words", room)?, narrow("words", tables.stride())?);
        let (blocks, nothing) = (narrow("superblocks", superblocks)?, 0u32);
        // SAFETY: as above.
        unsafe {
            let args = &mut [arg(&from), arg(&room), arg(&sources), arg(&stride), arg(&to)];
            self.arrange.launch(device, (blocks, 1, 1), args)?;
            // `attend` reads codes while the launch before it ends: that is one that writes nothing.
            let args = &mut [arg(&from), arg(&room), arg(&sources), arg(&nothing), arg(&to)];
            self.arrange.launch(device, (1, 1, 1), args)?;
        }
        Ok(arranged)
    }
}

/// The fewest pieces, at most `most`, of which none has more of `count` than with `most`.
fn even(count: usize, most: usize) -> usize {
    count.div_ceil(count.div_ceil(most))
}

impl SpectralWork {
    fn view(&self) -> Result<WorkView, CudaError> {
        Ok(WorkView {
            weights: self.weights.address(),
            halves: self.halves.address(),
            superblocks: narrow("superblocks", self.superblocks)?,
            sums: self.sums.address(),
            largest: self.largest.address(),
            whole: self.whole.view(),
        })
    }
}
