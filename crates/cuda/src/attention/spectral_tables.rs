//! What codes of a spectral cache mean, on the device: bits, sizes, places, and the way back to keys and values.

use cudarc::driver::DeviceRepr;
use fourier_kv_spectral::trellis::{LANES, MAX_BITS};
use half::f16;

use super::Heads;
use super::spectral::{BLOCK, KEY_TILE, SUPERBLOCK, SpectralSizes};
use crate::kernel::narrow;
use crate::{Buffer, CudaError, Device};

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
