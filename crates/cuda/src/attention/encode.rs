//! From exact keys and values to the codes of a spectral cache; kernels/encode.cu.

use cudarc::driver::DeviceRepr;
use fourier_kv_spectral::dct::Dct;
use fourier_kv_spectral::trellis::{LANES, LEVELS, MAX_BITS};
use half::bf16;

use super::Heads;
use super::code::LayerCode;
pub use super::encode_tables::EncoderTables;
use super::encode_tables::{PART, SideTables};
use super::seal::Leaving;
use super::spectral::{BLOCK, KEY_TILE, SUPERBLOCK, SpectralSizes};
use crate::buffer::Loader;
use crate::kernel::{Kernel, arg, narrow};
use crate::{Buffer, CudaError, Device, Source};

/// Threads of a block of the search, and parts that they have.
const CODE_THREADS: usize = 128;
const CODE_WARPS: usize = CODE_THREADS / 32;
/// Directions of a block of values.
const VALUE_DIRECTIONS: usize = 64;
/// The most superblocks that are coded together: 32k tokens. Working memory is for as many.
const MOST_SUPERBLOCKS: usize = 128;

/// The kernels for one layer's sizes.
#[derive(Debug)]
pub struct SpectralEncoder {
    sizes: SpectralSizes,
    gather: Kernel,
    keys: Kernel,
    values: Kernel,
    paths: Kernel,
    ends: Kernel,
    symbols: Kernel,
    thresholds: Buffer<f32>,
    levels: Buffer<f32>,
    cosines: Buffer<f32>,
    turns: Buffer<f64>,
}

/// `Levels` in the source.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct LevelsView {
    thresholds: u64,
    levels: u64,
}

// SAFETY: addresses, as `Levels` in kernels/encode.cu.
unsafe impl DeviceRepr for LevelsView {}

/// Working memory, as large as it has been needed.
#[derive(Debug, Default)]
pub struct EncoderWork {
    /// With the lanes and the coefficients of a lane that it is for.
    held: Option<(usize, usize, Work)>,
}

/// Working memory for up to so many superblocks at a time.
#[derive(Debug)]
struct Work {
    values: Buffer<f32>,
    survivors: Buffer<u8>,
    origins: Buffer<u32>,
    best: Buffer<u32>,
    ends: Buffer<u8>,
}

impl SpectralEncoder {
    /// Compiles the kernels. `frequencies`: radians a token of each rotary pair, `[D / 2]`.
    ///
    /// # Errors
    /// [`CudaError::Shape`], [`CudaError::Length`]; those of the compiler.
    pub fn new(device: &Device, sizes: SpectralSizes, frequencies: &[f64]) -> Result<Self, CudaError> {
        sizes.check()?;
        let turns = sizes.turns(frequencies)?;
        let module = device.module(&Source::encode(sizes.heads.head_dim, sizes.value_heads))?;
        let kernel = |name, threads| Kernel::new(&module, name, threads);
        let [thresholds, levels] = search_tables();
        let dct = Dct::new(BLOCK).expect("16 is a length that there is a transform of");
        let cosines: Vec<f32> = dct.matrix().iter().map(|&x| x as f32).collect();
        Ok(SpectralEncoder {
            sizes,
            gather: kernel("gather_runs", 128)?,
            keys: kernel("key_coefficients", SUPERBLOCK)?,
            values: kernel("value_coefficients", 128)?,
            paths: kernel("code_paths", CODE_THREADS)?,
            ends: kernel("code_ends", 128)?,
            symbols: kernel("code_symbols", CODE_THREADS)?,
            thresholds: device.upload(&thresholds)?,
            levels: device.upload(&levels)?,
            cosines: device.upload(&cosines)?,
            turns: device.upload(&turns)?,
        })
    }

    /// Takes what a layer is coded with to the device.
    ///
    /// # Errors
    /// [`CudaError::Length`], [`CudaError::Shape`] for tables of other sizes; [`CudaError::Memory`].
    pub fn tables(&self, device: &Device, code: &LayerCode) -> Result<EncoderTables, CudaError> {
        EncoderTables::new(&Loader::in_order(device), &self.sizes, code)
    }

    /// Codes whole superblocks of rows, the first of which has position `position`, as words of a cache,
    /// `[superblocks][words][16]`: of each block those of keys and then those of values.
    ///
    /// # Errors
    /// [`CudaError::Shape`] for other than whole superblocks, [`CudaError::Length`] for fewer rows; [`CudaError::Memory`].
    pub fn encode(
        &self,
        device: &Device,
        tables: &EncoderTables,
        leaving: Leaving,
        position: usize,
        work: &mut EncoderWork,
    ) -> Result<Buffer<u32>, CudaError> {
        if !leaving.count.is_multiple_of(SUPERBLOCK) {
            let expected = "a multiple of 256";
            return Err(CudaError::Shape { what: "the number of tokens", expected, got: leaving.count });
        }
        leaving.view(position)?;
        let superblocks = leaving.count / SUPERBLOCK;
        let room: usize = tables.sides.iter().map(|side| side.words).sum();
        let mut words = device.uninitialised(superblocks * room * LANES)?;
        words.zero()?;
        let most = tables.sides.iter().map(|side| side.count).max().unwrap_or(0);
        let work = work.of(device, superblocks.min(MOST_SUPERBLOCKS) * LANES, most)?;
        for first in (0..superblocks).step_by(MOST_SUPERBLOCKS) {
            let count = MOST_SUPERBLOCKS.min(superblocks - first);
            let own = Leaving { first: leaving.first + first * SUPERBLOCK, count: count * SUPERBLOCK, ..leaving };
            for (number, side) in tables.sides.iter().enumerate().filter(|(_, side)| side.count > 0) {
                self.coefficients(device, (number, side), own, position + first * SUPERBLOCK, work)?;
                let first_word = if number == 0 { 0 } else { tables.sides[0].words };
                let to = (&words, first * room * LANES, room, first_word);
                self.code(device, side, count, work, to)?;
            }
        }
        Ok(words)
    }

    /// Keys, `[G][runs * 16][D]`, and then values of `runs` runs of 16 rows, evenly spaced among the blocks of some rows; and
    /// where runs begin, in rows from the first.
    ///
    /// # Errors
    /// [`CudaError::Length`], [`CudaError::Memory`].
    pub fn sample(
        &self,
        device: &Device,
        leaving: Leaving,
        most: usize,
    ) -> Result<(Buffer<bf16>, Vec<usize>), CudaError> {
        let Heads { kv_heads, head_dim, .. } = self.sizes.heads;
        let blocks = leaving.count / BLOCK;
        let runs = blocks.min((most / BLOCK).max(1));
        let sample = device.uninitialised(2 * kv_heads * runs * BLOCK * head_dim)?;
        let (rows, to, all) = (leaving.view(0)?, sample.address(), narrow("blocks", blocks)?);
        let grid = (narrow("runs", runs)?, narrow("heads", kv_heads)?, 2);
        // SAFETY: the arguments in the kernel's order; the sample was made for these sizes.
        unsafe { self.gather.launch(device, grid, &mut [arg(&rows), arg(&all), arg(&to)])? };
        Ok((sample, (0..runs).map(|run| run * blocks / runs * BLOCK).collect()))
    }

    /// Coefficients of one side, `[superblocks][n][16]`.
    fn coefficients(
        &self,
        device: &Device,
        (number, side): (usize, &SideTables),
        leaving: Leaving,
        position: usize,
        work: &Work,
    ) -> Result<(), CudaError> {
        let Heads { kv_heads, head_dim, .. } = self.sizes.heads;
        let superblocks = narrow("superblocks", leaving.count / SUPERBLOCK)?;
        let (rows, view, forward) = (leaving.view(position)?, side.view(), side.forward());
        let (turns, cosines, values) = (self.turns.address(), self.cosines.address(), work.values.address());
        // SAFETY: the arguments in the kernels' order; tables were made for these sizes, working memory for as many.
        unsafe {
            if number == 0 {
                let blocks = (superblocks, narrow("tiles", kv_heads * head_dim / KEY_TILE)?, 1);
                let args = &mut [arg(&rows), arg(&view), arg(&forward), arg(&turns), arg(&cosines), arg(&values)];
                return self.keys.launch(device, blocks, args);
            }
            let parts = self.sizes.channels().div_ceil(VALUE_DIRECTIONS);
            let blocks = (superblocks, narrow("tiles", self.sizes.value_tiles())?, narrow("directions", parts)?);
            self.values.launch(
                device,
                blocks,
                &mut [arg(&rows), arg(&view), arg(&forward), arg(&cosines), arg(&values)],
            )
        }
    }

    /// From coefficients to words.
    fn code(
        &self,
        device: &Device,
        side: &SideTables,
        superblocks: usize,
        work: &Work,
        (words, first, room, first_word): (&Buffer<u32>, usize, usize, usize),
    ) -> Result<(), CudaError> {
        words.check("the words", first + superblocks * room * LANES)?;
        let (streams, parts) = (superblocks * LANES, side.count.div_ceil(PART));
        let grid = (narrow("blocks", streams.div_ceil(32))?, narrow("parts", parts.div_ceil(CODE_WARPS))?, 1);
        let levels = LevelsView { thresholds: self.thresholds.address(), levels: self.levels.address() };
        let (view, values, survivors) = (side.view(), work.values.address(), work.survivors.address());
        let [origins, best] = [&work.origins, &work.best].map(Buffer::address);
        let (ends, starts) = (work.ends.address(), side.starts.address());
        let to = words.address() + (first * size_of::<u32>()) as u64;
        let [streams, parts, superblocks] = [streams, parts, superblocks].map(|x| narrow("streams", x));
        let (streams, parts, superblocks) = (streams?, parts?, superblocks?);
        let (room, first_word) = (narrow("words", room)?, narrow("words", first_word)?);
        // SAFETY: as above; the words were checked.
        unsafe {
            let [a, b, c, d] = [arg(&view), arg(&levels), arg(&superblocks), arg(&parts)];
            let args = &mut [a, b, c, d, arg(&values), arg(&survivors), arg(&origins), arg(&best)];
            self.paths.launch(device, grid, args)?;
            let args = &mut [arg(&streams), arg(&parts), arg(&origins), arg(&best), arg(&ends)];
            self.ends.launch(device, (streams.div_ceil(128), 1, 1), args)?;
            let [a, b, c, d] = [arg(&view), arg(&levels), arg(&superblocks), arg(&parts)];
            let [e, f, g, h] = [arg(&values), arg(&survivors), arg(&ends), arg(&starts)];
            let args = &mut [a, b, c, d, e, f, g, h, arg(&room), arg(&first_word), arg(&to)];
            self.symbols.launch(device, grid, args)
        }
    }
}

impl EncoderWork {
    /// Memory for so many lanes, of so many coefficients each.
    fn of(&mut self, device: &Device, lanes: usize, most: usize) -> Result<&Work, CudaError> {
        let held = self.held.take().filter(|held| held.0 >= lanes && held.1 >= most);
        let held = match held {
            Some(held) => held,
            None => (lanes, most, Work::new(device, lanes, most)?),
        };
        Ok(&self.held.insert(held).2)
    }
}

impl Work {
    fn new(device: &Device, lanes: usize, most: usize) -> Result<Self, CudaError> {
        let parts = most.div_ceil(PART);
        Ok(Work {
            values: device.uninitialised(lanes * most)?,
            survivors: device.uninitialised(lanes * most)?,
            origins: device.uninitialised(lanes * parts)?,
            best: device.uninitialised(lanes)?,
            ends: device.uninitialised(lanes * parts)?,
        })
    }
}

/// By bits from 1 on, four subsets side by side: the thresholds of a search, in the order of a heap, and the levels.
fn search_tables() -> [Vec<f32>; 2] {
    let [mut thresholds, mut all] = [Vec::new(), Vec::new()];
    for levels in &LEVELS[1..=MAX_BITS] {
        let half = levels.len() / 4;
        let at = |subset: usize, number: usize| levels[4 * number + subset];
        for heap in 0..half {
            // Of a span of levels, halved at each depth, the middle between the two in its middle.
            let depth = (heap.max(1)).ilog2();
            let span = half >> depth;
            let first = (heap.max(1) - (1 << depth)) * span;
            let middle = |subset| (at(subset, first + span / 2 - 1) + at(subset, first + span / 2)) / 2.0;
            thresholds.extend((0..4).map(|subset| if heap == 0 { 0.0 } else { middle(subset) }));
        }
        all.extend((0..half).flat_map(|number| (0..4).map(move |subset| at(subset, number))));
    }
    [thresholds, all]
}

#[cfg(test)]
mod tests {
    use super::*;
    use fourier_kv_spectral::trellis::STANDARD;

    /// Against the oracle's search.
    #[test]
    fn a_search_finds_the_nearest_level_of_each_subset() {
        let [thresholds, levels] = search_tables();
        assert_eq!((thresholds.len(), levels.len()), (1020, 1020));
        for bits in 1..=MAX_BITS {
            let (half, base) = (1 << (bits - 1), 4 * ((1 << (bits - 1)) - 1));
            for i in 0..400 {
                let (x, subset) = ((i as f32 * 0.37).sin() * 5.0, i % 4);
                let mut heap = 1;
                for _ in 1..bits {
                    heap = 2 * heap + usize::from(x > thresholds[base + 4 * heap + subset]);
                }
                let expected = STANDARD.nearest(f64::from(x), subset, bits as u8);
                assert_eq!(heap - half, expected, "{bits} bits, subset {subset}, {x}");
                assert_eq!(levels[base + 4 * expected + subset], LEVELS[bits][4 * expected + subset]);
            }
        }
    }
}
