//! What codes of a spectral cache mean, on the device: bits, sizes, places, and the way back to keys and values.

use cudarc::driver::DeviceRepr;
use fourier_kv_spectral::trellis::MAX_BITS;
use half::f16;

use super::Heads;
use super::spectral::{BLOCK, KEY_TILE, SUPERBLOCK, SpectralSizes};
use super::spectral_rows::Rows;
use super::spectral_units::{Arrangement, Place};
use crate::buffer::Loader;
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

/// Warps that decode keys: `SCORE_WARPS` in the source.
const DECODERS: usize = 8;

/// What is the same for all coded blocks of a layer, on the device.
#[derive(Debug)]
pub struct SpectralTables {
    codings: [Coding; 2],
    key_back: Buffer<f16>,
    key_means: Buffer<f32>,
    value_back: Buffer<f32>,
    value_means: Buffer<f32>,
    words: [usize; 2],
    sources: Buffer<u32>,
}

/// How one side's codes are read, on the device: `Coding` or `ValueCoding` in the source.
#[derive(Debug)]
struct Coding([Buffer<u32>; 4]);

impl Coding {
    fn of_keys(loader: &Loader, arrangement: &Arrangement) -> Result<Self, CudaError> {
        let Arrangement { units, pairs, seconds, parts, .. } = arrangement;
        Self::upload(loader, [units.as_flattened(), pairs.as_flattened(), seconds, parts.as_flattened()])
    }

    fn of_values(loader: &Loader, rows: &Rows) -> Result<Self, CudaError> {
        let Rows { units, lanes, words, parts, .. } = rows;
        Self::upload(loader, [units, lanes.as_flattened(), words.as_flattened(), parts.as_flattened()])
    }

    fn upload(loader: &Loader, [a, b, c, d]: [&[u32]; 4]) -> Result<Self, CudaError> {
        Ok(Coding([loader.upload(a)?, loader.upload(b)?, loader.upload(c)?, loader.upload(d)?]))
    }

    fn view(&self) -> [u64; 4] {
        [0, 1, 2, 3].map(|i| self.0[i].address())
    }
}

/// A coded past as kernels are told of it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CodedView {
    codes: u64,
    stride: u32,
    count: u32,
    first: u32,
    padding: u32,
    keys: [u64; 4],
    values: [u64; 4],
    key_back: u64,
    key_means: u64,
    value_back: u64,
    value_means: u64,
}

// SAFETY: plain numbers in the order and with the sizes of `Coded` in kernels/spectral.cu.
unsafe impl DeviceRepr for CodedView {}

/// The codes of one sequence, as [`arrange`](super::spectral::SpectralAttention::arrange) makes them.
#[derive(Debug)]
pub struct Codes {
    /// `[superblocks][stride]`.
    pub words: Buffer<u32>,
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
        Self::load(&Loader::in_order(device), sizes, keys, values, back)
    }

    /// The same, as a loader does it.
    pub(crate) fn load(
        loader: &Loader,
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
        let dense = BLOCK * head_dim;
        check(&keys, dense)?;
        check(&values, dense * sizes.value_heads)?;
        let words = [keys.bits, values.bits].map(fourier_kv_spectral::trellis::words);
        let places = parts_and_places(&keys, 1, dense, placed_key);
        let keys = Arrangement::new(&keys, &places, kv_heads, units[0], (0, 0), DECODERS);
        let places = parts_and_places(&values, sizes.value_heads, dense, |place| place);
        let after = (keys.sources.len(), words[0] * u32::BITS as usize);
        if !places.is_sorted_by_key(|place| place.part) {
            let expected = "in the order of directions, those of each 128 or so together";
            return Err(CudaError::Shape { what: "the stream of values", expected, got: values.bits.len() });
        }
        let values = Rows::new(&values, &places, (kv_heads, head_dim), units[1], after);
        let key_back: Vec<f16> = back.keys.iter().map(|x| f16::from_f32(x * units[0])).collect();
        let value_back = value_back(sizes, back.values, &values.directions, units[1]);
        Ok(SpectralTables {
            codings: [Coding::of_keys(loader, &keys)?, Coding::of_values(loader, &values)?],
            key_back: loader.upload(&key_back)?,
            key_means: loader.upload(back.key_means)?,
            value_back: loader.upload(&value_back)?,
            value_means: loader.upload(back.value_means)?,
            words,
            sources: loader.upload([keys.sources, values.sources].concat().as_flattened())?,
        })
    }

    /// Words a block of keys and of values, as a cache holds them: those of keys come first.
    pub fn words(&self) -> [usize; 2] {
        self.words
    }

    /// Words a superblock on the device.
    pub fn stride(&self) -> usize {
        self.sources.len() / 2
    }

    /// Which bits of a block's stream the halves of a superblock's words are.
    pub(super) fn sources(&self) -> &Buffer<u32> {
        &self.sources
    }

    /// Codes as kernels are told of them.
    ///
    /// # Errors
    /// [`CudaError::Length`] if there are fewer words than tokens need.
    pub fn view(&self, codes: &Codes) -> Result<CodedView, CudaError> {
        codes.words.check("the codes", codes.count.div_ceil(SUPERBLOCK) * self.stride())?;
        Ok(CodedView {
            codes: codes.words.address(),
            stride: narrow("words", self.stride())?,
            count: narrow("tokens", codes.count)?,
            first: narrow("tokens", codes.first)?,
            padding: 0,
            keys: self.codings[0].view(),
            values: self.codings[1].view(),
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

/// The way back of values from rows in the order of `directions`, of each part, times `unit`.
fn value_back(sizes: &SpectralSizes, back: &[f32], directions: &[Vec<usize>], unit: f32) -> Vec<f32> {
    let Heads { kv_heads, head_dim, .. } = sizes.heads;
    let head = |g: usize| {
        let tile = g / sizes.value_heads * sizes.value_heads;
        (0..sizes.channels()).flat_map(move |row| {
            let direction = row / head_dim * head_dim + directions[tile + row / head_dim][row % head_dim];
            &back[(g * sizes.channels() + direction) * head_dim..][..head_dim]
        })
    };
    (0..kv_heads).flat_map(head).map(|x| x * unit).collect()
}

/// Refuses coefficients that are none of a tile of `dense` places.
fn check(side: &Coefficients<'_>, dense: usize) -> Result<(), CudaError> {
    let count = side.bits.len();
    let ends = side.starts.last().map_or(0, |&end| end as usize);
    for (what, got) in [("sizes", side.sizes.len()), ("places", side.places.len()), ("starts", ends)] {
        if got != count {
            return Err(CudaError::Length { what, expected: count, got });
        }
    }
    let ascending = side.starts.is_sorted();
    let known = side.bits.iter().all(|&k| (1..=MAX_BITS).contains(&usize::from(k)));
    if !ascending || !known || side.places.iter().any(|&place| usize::from(place) >= dense) {
        let expected = "ascending starts, 1 to 8 bits, and places of the tile";
        return Err(CudaError::Shape { what: "coefficients", expected, got: count });
    }
    Ok(())
}

/// Where coefficients stand: tiles have `heads` parts of `dense` places, in which `placed` says where.
fn parts_and_places(side: &Coefficients<'_>, heads: usize, dense: usize, placed: fn(u32) -> u32) -> Vec<Place> {
    let tiles = side.starts.windows(2).enumerate();
    let tiles = tiles.flat_map(|(tile, ends)| std::iter::repeat_n(tile, (ends[1] - ends[0]) as usize));
    let place = |(tile, &place): (usize, &u16)| {
        let (part, at) = (usize::from(place) / dense, usize::from(place) % dense);
        Place { part: tile * heads + part, at: placed(at as u32) }
    };
    let skipped = side.starts.first().map_or(0, |&first| first as usize);
    tiles.zip(&side.places[skipped..]).map(place).collect()
}
