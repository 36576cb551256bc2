//! Coefficients two at a time, as attention reads them: a layout of the same symbols, and the way back from it to integers.
//!
//! Two coefficients of as many bits are a **pair**; one is the lower 16 bits of each lane, the other the upper ones, so
//! that a vector does the work of two. A side's words for a superblock, `[words][16]`, one block a lane, are in two parts:
//!
//! - the *trellis bits* of all coefficients, in the order of the stream: bit `i % 32` of word `i / 32`. The states of a
//!   trellis of eight states are its last three bits, so a pair is read without those before it;
//! - the *rests*, what is left of symbols: `bits - 1` bits of each coefficient, those of first ones in the lower halves of
//!   words, those of second ones in the upper halves, from bit 2 on, across the borders of halves.
//!
//! A value is `level scale / 2^15` as an integer of 16 bits, where `level` is in steps of 6 / 32,767 and `scale` in parts of
//! the largest size that values are summed up with: of a direction's harmonics, or of a harmonic's directions. Integers
//! give the same on all instruction sets.

use fourier_kv_spectral::trellis::{LEVELS, MAX_BITS, SUBSET};

use crate::isa::{Isa, Operation};
use crate::simd::{Aligned, Lanes, Simd, WIDTH};

/// Bits that stand before the first rest: levels are numbered by a rest over two bits of a subset.
const BEFORE: usize = 2;
/// Bits up to which all rates share one table.
const FEW_BITS: u32 = 4;
/// The largest integer of a level or a scale.
const LARGEST: f32 = 32_767.0;
/// The largest level, above all of [`LEVELS`].
const LARGEST_LEVEL: f32 = 6.0;
/// What the integers of levels are in.
const LEVEL_STEP: f32 = LARGEST_LEVEL / LARGEST;
/// What the integers of values are in, times the size that scales are relative to: the largest scale is a little less
/// than 1.
pub const STEP: f32 = LEVEL_STEP * (32_768.0 / LARGEST);
/// Trellis bits that a vector is looked through for before the next is read.
const PAIRS_A_WINDOW: usize = 8;

/// How a pair is read.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Words of rests where its own begin, and the one after.
    words: [u32; 2],
    /// How far halves of the two are shifted for its rest to stand over two bits.
    right: u32,
    left: u32,
    /// Where its rest stands then, in both halves.
    mask: i32,
    /// Where the levels of its rate begin, in both halves.
    base: i32,
    /// A scale in each half.
    scales: i32,
    bits: u16,
    /// Which one it is, to the caller.
    pub place: u16,
}

/// Makes pairs, one after another, as they stand in a side's words.
#[derive(Clone, Copy, Debug, Default)]
pub struct PairLayout {
    pairs: usize,
    rest: usize,
}

impl PairLayout {
    /// The next pair, of 1 to 8 bits, with sizes relative to the largest there is; `None` stands for a coefficient that is not
    /// there and is worth 0.
    pub fn push(&mut self, bits: u8, sizes: [f32; 2], place: u16) -> Pair {
        debug_assert!((1..=MAX_BITS as u8).contains(&bits), "{bits} bits");
        let both = |x: usize| (x << 16 | x) as i32;
        let (word, right) = (self.rest / 16, self.rest % 16);
        let end = self.rest + BEFORE + usize::from(bits) - 1;
        // To the nearest; a rounding function would be called.
        let scale = |size: f32| (size.clamp(0.0, 1.0) * LARGEST + 0.5) as i32;
        let base = if u32::from(bits) <= FEW_BITS { 2 << bits } else { 0 };
        let pair = Pair {
            // Nothing is read beyond the last bit of a rest.
            words: [word as u32, ((end - 1) / 16) as u32],
            right: right as u32,
            left: 16 - right as u32,
            mask: both(((1 << (bits - 1)) - 1) << BEFORE),
            base: both(base),
            scales: scale(sizes[1]) << 16 | scale(sizes[0]),
            bits: u16::from(bits),
            place,
        };
        self.pairs += 1;
        self.rest += usize::from(bits) - 1;
        pair
    }

    /// Words of trellis bits, and of rests.
    pub fn words(&self) -> [usize; 2] {
        pair_words(self.pairs, self.rest)
    }
}

/// Words of trellis bits and of rests of pairs whose coefficients have so many bits of rest each, one of each pair.
pub fn pair_words(pairs: usize, rest: usize) -> [usize; 2] {
    [(2 * pairs).div_ceil(32), if pairs == 0 { 0 } else { (rest + BEFORE).div_ceil(16) }]
}

/// The words of the pairs' layout, from those of the stream of their coefficients, of `bits[i]` bits each.
///
/// # Panics
/// If lengths do not fit, or the coefficients of a pair have not as many bits.
pub fn split(stream: &[[u32; WIDTH]], bits: &[u8], out: &mut [[u32; WIDTH]]) {
    assert!(bits.len().is_multiple_of(2), "pairs");
    let all: usize = bits.iter().map(|&k| usize::from(k)).sum();
    let [trellis, rests] = pair_words(bits.len() / 2, (all - bits.len()) / 2);
    assert!(stream.len() == all.div_ceil(32) && out.len() == trellis + rests, "words of {all} bits");
    out.fill([0; WIDTH]);
    let (trellis, rests) = out.split_at_mut(trellis);
    let (mut from, mut rest) = (0, BEFORE);
    for (i, &k) in bits.iter().enumerate() {
        assert!(k > 0 && k == bits[i ^ 1], "a pair of as many bits");
        for bit in 0..usize::from(k) {
            let (at, shift) = ((from + bit) / 32, (from + bit) % 32);
            let (word, to) = match bit {
                0 => (&mut trellis[i / 32], i % 32),
                _ => (&mut rests[(rest + bit - 1) / 16], (rest + bit - 1) % 16 + 16 * (i % 2)),
            };
            word.iter_mut().zip(&stream[at]).for_each(|(word, x)| *word |= (x >> shift & 1) << to);
        }
        from += usize::from(k);
        rest += if i % 2 == 1 { usize::from(k) - 1 } else { 0 };
    }
}

/// Levels as integers, in the order in which pairs look them up; about 2 kB.
#[derive(Clone, Debug)]
pub struct PairLevels {
    /// Subsets by the last four trellis bits, the oldest lowest, whatever the fifth bit.
    subsets: Aligned<[i16; 32]>,
    /// Those of `k` up to 4 bits from `2^(k + 1)` on.
    few: Aligned<[i16; 64]>,
    five: Aligned<[i16; 64]>,
    six: Aligned<[i16; 128]>,
    seven: Aligned<[i16; 256]>,
    eight: Aligned<[i16; 512]>,
}

impl PairLevels {
    pub(super) fn new() -> Self {
        let integer = |x: &f32| (x / LEVEL_STEP).round() as i16;
        let subset = |bits: usize| {
            // The register of the code has the newest bit lowest.
            let register = (bits & 1) << 3 | (bits & 2) << 1 | (bits & 4) >> 1 | (bits & 8) >> 3;
            i16::from(SUBSET[register / 2][register % 2])
        };
        let mut few = [0; 64];
        for k in 1..=FEW_BITS as usize {
            LEVELS[k].iter().zip(&mut few[2 << k..]).for_each(|(x, to)| *to = integer(x));
        }
        PairLevels {
            subsets: Aligned(std::array::from_fn(subset)),
            few: Aligned(few),
            five: Aligned(std::array::from_fn(|i| integer(&LEVELS[5][i]))),
            six: Aligned(std::array::from_fn(|i| integer(&LEVELS[6][i]))),
            seven: Aligned(std::array::from_fn(|i| integer(&LEVELS[7][i]))),
            eight: Aligned(std::array::from_fn(|i| integer(&LEVELS[8][i]))),
        }
    }

    #[inline(always)]
    fn lookup<V: Simd>(&self, bits: u16, index: V::Integers) -> V::Integers {
        match bits {
            0..=4 => V::lookup_halves(&self.few.0, index),
            5 => V::lookup_halves(&self.five.0, index),
            6 => V::lookup_halves(&self.six.0, index),
            7 => V::lookup_halves(&self.seven.0, index),
            _ => V::lookup_halves(&self.eight.0, index),
        }
    }
}

/// The words of one side of a superblock, and where its rests begin.
#[derive(Clone, Copy, Debug)]
pub struct PairWords<'a> {
    trellis: &'a [[u32; WIDTH]],
    rests: &'a [[u32; WIDTH]],
}

impl<'a> PairWords<'a> {
    /// Words whose first `trellis` are those of trellis bits.
    pub fn new(words: &'a [[u32; WIDTH]], trellis: usize) -> Self {
        let (trellis, rests) = words.split_at(trellis);
        PairWords { trellis, rests }
    }
}

/// Reads pairs of superblocks, all of the same layout, one pair after another.
pub(crate) struct PairReader<'a, V: Simd, const S: usize> {
    words: [PairWords<'a>; S],
    levels: &'a PairLevels,
    next: usize,
    /// Trellis bits, from three before the pair's on.
    windows: [V::Integers; S],
}

impl<'a, V: Simd, const S: usize> PairReader<'a, V, S> {
    /// From pair number `first` on.
    #[inline(always)]
    pub(crate) fn new(words: [PairWords<'a>; S], levels: &'a PairLevels, first: usize) -> Self {
        let mut reader = PairReader { words, levels, next: first, windows: [V::integers(0); S] };
        reader.look(first);
        reader
    }

    /// Looks at the trellis bits from three before those of a pair on.
    #[inline(always)]
    fn look(&mut self, pair: usize) {
        let (at, shift) = (2 * pair / 32, 2 * pair % 32);
        for (window, words) in self.windows.iter_mut().zip(&self.words) {
            let Some(word) = words.trellis.get(at) else { return };
            let word = V::load_integers(bytemuck::cast_ref(word));
            *window = if shift >= 3 {
                V::shift_right_each(word, V::integers(shift as i32 - 3))
            } else {
                let before = match at {
                    0 => V::integers(0),
                    _ => V::load_integers(bytemuck::cast_ref(&words.trellis[at - 1])),
                };
                let (up, down) = (V::integers(3 - shift as i32), V::integers(29 + shift as i32));
                V::or(V::shift_left_each(word, up), V::shift_right_each(before, down))
            };
        }
    }

    /// The next pair of all superblocks, as two integers of 16 bits a lane.
    #[inline(always)]
    pub(crate) fn read(&mut self, pair: &Pair) -> [V::Integers; S] {
        if self.next.is_multiple_of(PAIRS_A_WINDOW) {
            self.look(self.next);
        }
        self.next += 1;
        let mut out = [V::integers(0); S];
        for s in 0..S {
            let window = self.windows[s];
            self.windows[s] = V::shift_right::<2>(window);
            out[s] = self.value(s, pair, window);
        }
        out
    }

    /// The next pairs, one after another.
    #[inline(always)]
    pub(crate) fn read_all(&mut self, pairs: &[Pair], out: &mut [[[i32; WIDTH]; S]]) {
        for (pair, out) in pairs.iter().zip(out) {
            let all = self.read(pair);
            for s in 0..S {
                V::store_integers(all[s], &mut out[s]);
            }
        }
    }

    #[inline(always)]
    fn value(&self, s: usize, pair: &Pair, window: V::Integers) -> V::Integers {
        let upper = V::and(V::shift_left::<15>(window), V::integers(!0xFFFF));
        let both = V::or(V::and(window, V::integers(0xFFFF)), upper);
        let subsets = V::lookup_halves(&self.levels.subsets.0, both);
        let [low, high] = pair.words.map(|at| V::load_integers(bytemuck::cast_ref(&self.words[s].rests[at as usize])));
        let rest = V::or(V::shift_halves_right(low, pair.right), V::shift_halves_left(high, pair.left));
        let rest = V::and(rest, V::integers(pair.mask));
        let index = V::or(V::or(subsets, V::integers(pair.base)), rest);
        V::scale_halves(self.levels.lookup::<V>(pair.bits, index), pair.scales)
    }
}

/// The values of all coefficients of a superblock, `[2 pairs][16]`, in steps of [`STEP`] times the size that scales are
/// relative to.
///
/// # Panics
/// If lengths do not fit.
pub fn pair_values(isa: Isa, words: PairWords<'_>, levels: &PairLevels, pairs: &[Pair], out: &mut [[f32; WIDTH]]) {
    assert_eq!(out.len(), 2 * pairs.len(), "two coefficients a pair");
    isa.run(Values { words, levels, pairs, out });
}

struct Values<'a> {
    words: PairWords<'a>,
    levels: &'a PairLevels,
    pairs: &'a [Pair],
    out: &'a mut [[f32; WIDTH]],
}

impl Operation for Values<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let mut reader = PairReader::<V, 1>::new([self.words], self.levels, 0);
        for (pair, out) in self.pairs.iter().zip(self.out.as_chunks_mut::<2>().0) {
            let [value] = reader.read(pair);
            let mut both = [0; WIDTH];
            V::store_integers(value, &mut both);
            let halves = [both.map(|x| i32::from(x as i16)), both.map(|x| x >> 16)];
            for (out, half) in out.iter_mut().zip(&halves) {
                V::to_floats(V::load_integers(half)).store(out);
            }
        }
    }
}
