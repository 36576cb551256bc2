//! Decode attention over spectral caches; kernels/spectral.cu.
//!
//! A coded past on the device has blocks of 16 tokens, keys that are transformed in tiles of 32 dims of a head, and values
//! that are transformed over whole heads, so many that at most eight query heads ask for them.

use cudarc::driver::DeviceRepr;
use fourier_kv_spectral::dct::Dct;
use fourier_kv_spectral::trellis::{LANES, LEVELS, MAX_BITS};
use half::f16;

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

/// The coefficients of one side that have bits, in the order of its stream.
#[derive(Clone, Copy, Debug)]
pub struct Coefficients<'a> {
    /// Bits of each, 1 to 8.
    pub bits: &'a [u8],
    /// Its size.
    pub sizes: &'a [f32],
    /// Its place: of keys, `[D / 32][16 harmonics][32 directions]` of a head; of values, `[directions][16 harmonics]` of
    /// a tile.
    pub places: &'a [u16],
    /// The first coefficient of each head's keys, or each tile's values, and the end of the last.
    pub starts: &'a [u32],
}

/// From coefficients back to keys and values.
#[derive(Clone, Copy, Debug)]
pub struct Back<'a> {
    /// `[G][D / 32][32 directions][32 dims]`: dims of 16 rotary pairs, all first halves before all second ones.
    pub keys: &'a [f32],
    /// `[G][D / 32][32 dims]`: means.
    pub key_means: &'a [f32],
    /// `[G][directions of its tile][D]`.
    pub values: &'a [f32],
    /// `[G][D]`: means.
    pub value_means: &'a [f32],
}

/// What is the same for all coded blocks of a layer, on the device.
#[derive(Debug)]
pub struct SpectralTables {
    entries: [Buffer<u32>; 2],
    starts: [Buffer<u32>; 2],
    key_back: Buffer<f16>,
    key_means: Buffer<f32>,
    value_back: Buffer<f32>,
    value_means: Buffer<f32>,
    words: [usize; 2],
}

/// A coded past as kernels are told of it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CodedView {
    codes: u64,
    room: u32,
    key_words: u32,
    count: u32,
    first: u32,
    keys: [u64; 2],
    values: [u64; 2],
    key_back: u64,
    key_means: u64,
    value_back: u64,
    value_means: u64,
}

// SAFETY: plain numbers in the order and with the sizes of `Coded` in kernels/spectral.cu.
unsafe impl DeviceRepr for CodedView {}

/// The codes of one sequence, `[superblocks][room][16]` words: those of keys, then those of values.
#[derive(Debug)]
pub struct Codes {
    /// The words, with room for a further row at the end, which may be read and means nothing.
    pub words: Buffer<u32>,
    /// Words a block that there is room for.
    pub room: usize,
    /// Coded tokens.
    pub count: usize,
    /// The position of the first of them.
    pub first: usize,
}

impl SpectralTables {
    /// Takes a layer's tables to the device.
    ///
    /// # Errors
    /// [`CudaError::Length`] for tables of other sizes, [`CudaError::Memory`].
    pub fn new(
        device: &Device,
        sizes: &SpectralSizes,
        keys: Coefficients<'_>,
        values: Coefficients<'_>,
        back: Back<'_>,
    ) -> Result<Self, CudaError> {
        let Heads { kv_heads, head_dim, .. } = sizes.heads;
        let all = [
            ("the starts of keys", keys.starts.len(), kv_heads + 1),
            ("the starts of values", values.starts.len(), sizes.value_tiles() + 1),
            ("the way back of keys", back.keys.len(), kv_heads * head_dim * KEY_TILE),
            ("the means of keys", back.key_means.len(), kv_heads * head_dim),
            ("the way back of values", back.values.len(), kv_heads * sizes.channels() * head_dim),
            ("the means of values", back.value_means.len(), kv_heads * head_dim),
        ];
        for (what, got, expected) in all {
            if got != expected {
                return Err(CudaError::Length { what, expected, got });
            }
        }
        // Coefficients are halves: sizes of at most one keep them in range, and the way back makes up for it.
        let units = [&keys, &values].map(largest);
        let places = [BLOCK * head_dim, BLOCK * sizes.channels()];
        let key_back: Vec<f16> = back.keys.iter().map(|x| f16::from_f32(x * units[0])).collect();
        let value_back: Vec<f32> = back.values.iter().map(|x| x * units[1]).collect();
        Ok(SpectralTables {
            entries: [
                device.upload(&entries(&keys, units[0], places[0], placed_key)?)?,
                device.upload(&entries(&values, units[1], places[1], placed_value)?)?,
            ],
            starts: [device.upload(keys.starts)?, device.upload(values.starts)?],
            key_back: device.upload(&key_back)?,
            key_means: device.upload(back.key_means)?,
            value_back: device.upload(&value_back)?,
            value_means: device.upload(back.value_means)?,
            words: [keys.bits, values.bits].map(fourier_kv_spectral::trellis::words),
        })
    }

    /// Words a block of keys and of values.
    pub fn words(&self) -> [usize; 2] {
        self.words
    }

    /// Codes as kernels are told of them.
    ///
    /// # Errors
    /// [`CudaError::Length`] if there are fewer words than tokens need.
    pub fn view(&self, codes: &Codes) -> Result<CodedView, CudaError> {
        let needed = self.words[0] + self.words[1];
        if codes.room < needed {
            return Err(CudaError::Length { what: "a superblock's room", expected: needed, got: codes.room });
        }
        codes.words.check("the codes", (codes.count.div_ceil(SUPERBLOCK) * codes.room + 1) * LANES)?;
        Ok(CodedView {
            codes: codes.words.address(),
            room: narrow("words", codes.room)?,
            key_words: narrow("words", self.words[0])?,
            count: narrow("tokens", codes.count)?,
            first: narrow("tokens", codes.first)?,
            keys: [self.entries[0].address(), self.starts[0].address()],
            values: [self.entries[1].address(), self.starts[1].address()],
            key_back: self.key_back.address(),
            key_means: self.key_means.address(),
            value_back: self.value_back.address(),
            value_means: self.value_means.address(),
        })
    }
}

/// The largest size, 1 if there is none.
fn largest(side: &Coefficients<'_>) -> f32 {
    let largest = side.sizes.iter().copied().filter(|x| x.is_finite()).fold(0.0, f32::max);
    if largest > 0.0 { largest } else { 1.0 }
}

/// Where a place of keys is in shared memory: pieces of 8 directions change places, so that eight rows of 32 lie in
/// different banks.
fn placed_key(place: u32) -> u32 {
    place ^ ((place / 64 % 4) << 3)
}

/// The same of values, in rows of 16 harmonics.
fn placed_value(place: u32) -> u32 {
    place ^ ((place / 64 % 2) << 3)
}

/// Entries beyond the last that kernels may read, and make nothing of.
const SPARE: usize = 8;

/// Entries as the kernels read them.
fn entries(side: &Coefficients<'_>, unit: f32, places: usize, placed: fn(u32) -> u32) -> Result<Vec<u32>, CudaError> {
    let count = side.bits.len();
    let ends = side.starts.last().map_or(0, |&end| end as usize);
    for (what, got) in [("sizes", side.sizes.len()), ("places", side.places.len()), ("starts", ends)] {
        if got != count {
            return Err(CudaError::Length { what, expected: count, got });
        }
    }
    let ascending = side.starts.is_sorted();
    let known = side.bits.iter().all(|&k| (1..=MAX_BITS).contains(&usize::from(k)));
    if !ascending || !known || side.places.iter().any(|&place| usize::from(place) >= places) {
        let expected = "ascending starts, 1 to 8 bits, and places of the tile";
        return Err(CudaError::Shape { what: "coefficients", expected, got: count });
    }
    let mut position = 0u32;
    let mut entries = Vec::with_capacity(4 * (count + SPARE));
    for ((&bits, &size), &place) in side.bits.iter().zip(side.sizes).zip(side.places) {
        let size = f16::from_f32(if size.is_finite() { size / unit } else { 0.0 });
        let row = position / u32::BITS * (LANES * size_of::<u32>()) as u32;
        let levels = ((2u32 << bits) << 16) | ((1 << bits) - 1);
        entries.extend([row + position % u32::BITS, levels, 2 * placed(u32::from(place)), u32::from(size.to_bits())]);
        position += u32::from(bits);
    }
    let end = position / u32::BITS * (LANES * size_of::<u32>()) as u32;
    (0..SPARE).for_each(|_| entries.extend([end, 0, 0, 0]));
    Ok(entries)
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
