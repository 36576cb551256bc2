//! The levels as vectors look them up, and the thresholds that a search among them compares with.

use fourier_kv_spectral::trellis::{LEVELS, MAX_BITS, SUBSET};

use super::pairs::PairLevels;
use crate::simd::{Lanes, Simd, WIDTH};

/// Depths of a search whose thresholds fit into a vector.
const SHALLOW: usize = 5;

/// The levels of one subset at one rate.
///
/// A search halves them at each depth; depth `d` has `2^d` thresholds, the midpoints between two neighbours, and the
/// path so far, as a number of `d` bits, says which.
#[derive(Clone, Debug)]
pub(super) struct Subset {
    shallow: [[f32; WIDTH]; SHALLOW],
    deep: [[f32; 64]; 2],
    levels: [f32; 128],
}

impl Subset {
    fn new(levels: &[f32]) -> Subset {
        let mut subset = Subset { shallow: [[0.0; WIDTH]; SHALLOW], deep: [[0.0; 64]; 2], levels: [0.0; 128] };
        subset.levels[..levels.len()].copy_from_slice(levels);
        for depth in 0..levels.len().ilog2() as usize {
            let span = levels.len() >> depth;
            for (i, levels) in levels.chunks_exact(span).enumerate() {
                let threshold = (levels[span / 2 - 1] + levels[span / 2]) / 2.0;
                match depth.checked_sub(SHALLOW) {
                    None => subset.shallow[depth][i] = threshold,
                    Some(deep) => subset.deep[deep][i] = threshold,
                }
            }
        }
        subset
    }

    /// The nearest of `2^(K - 1)` levels: its number and its value.
    #[inline(always)]
    pub(super) fn nearest<V: Simd, const K: usize>(&self, x: V::Floats) -> (V::Integers, V::Floats) {
        let one = V::integers(1);
        let mut index = V::integers(0);
        for depth in 0..K - 1 {
            let threshold = match depth {
                0 => V::Floats::splat(self.shallow[0][0]),
                1..SHALLOW => V::lookup(V::Floats::load(&self.shallow[depth]), index),
                _ => V::gather(&self.deep[depth - SHALLOW], index),
            };
            index = V::mark_greater(V::shift_left::<1>(index), one, x, threshold);
        }
        let level = match K {
            1 => V::Floats::splat(self.levels[0]),
            2 => V::select_greater(
                x,
                V::Floats::splat(self.shallow[0][0]),
                V::Floats::splat(self.levels[1]),
                V::Floats::splat(self.levels[0]),
            ),
            3..=5 => V::lookup(V::Floats::load(self.levels.first_chunk().expect("128 levels")), index),
            _ => V::gather(&self.levels, index),
        };
        (index, level)
    }
}

/// The levels of one rate.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    /// By subset.
    pub(super) subsets: [Subset; 4],
    /// All of them, ascending.
    pub(super) levels: [f32; 512],
    /// At one bit, that of each register `(state << 1) | b`.
    pub(super) by_register: [f32; WIDTH],
}

impl Rate {
    fn new(levels: &[f32]) -> Rate {
        let mut all = [0.0; 512];
        all[..levels.len()].copy_from_slice(levels);
        let subset = |s: usize| Subset::new(&levels.iter().skip(s).step_by(4).copied().collect::<Vec<_>>());
        Rate {
            subsets: std::array::from_fn(subset),
            levels: all,
            by_register: std::array::from_fn(|r| levels[usize::from(SUBSET[r / 2][r % 2])]),
        }
    }
}

/// The levels of all rates, laid out for the search and for the way back; about 60 kB.
#[derive(Clone, Debug)]
pub struct TrellisTables {
    /// By bits, from 1.
    rates: Vec<Rate>,
    pairs: PairLevels,
}

impl Default for TrellisTables {
    fn default() -> TrellisTables {
        TrellisTables::new()
    }
}

impl TrellisTables {
    /// The levels of [`fourier_kv_spectral::trellis::LEVELS`].
    pub fn new() -> TrellisTables {
        let rates = LEVELS[1..=MAX_BITS].iter().map(|levels| Rate::new(levels)).collect();
        TrellisTables { rates, pairs: PairLevels::new() }
    }

    /// Levels as integers, for pairs.
    pub fn pairs(&self) -> &PairLevels {
        &self.pairs
    }

    #[inline(always)]
    pub(super) fn rate(&self, bits: usize) -> &Rate {
        &self.rates[bits - 1]
    }
}
