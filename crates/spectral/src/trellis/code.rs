//! What a trellis code is: which subset of the levels a step may choose from, and the levels.

use super::levels::LEVELS;

/// States of [`STANDARD`].
pub const STATES: usize = 8;

/// The largest number of bits of a coefficient.
pub const MAX_BITS: usize = 8;

/// `SUBSET[state][b]`: the subset of the step that leaves `state` with the trellis bit `b`.
///
/// A feed-forward convolutional code of rate 1/2 with three bits of memory: of the register
/// `r = (state << 1) | b`, bit 1 of the subset is the parity of `r & 0b1011` and bit 0 that of `r & 0b0100`, in
/// octal (13, 04) with the newest input at the lowest bit: Ungerboeck's 8-state code. The example
/// `trellis_levels` tries all pairs of parities and says how near each comes.
pub const SUBSET: [[u8; 2]; STATES] = subsets(0b1011, 0b0100);

/// The table of a convolutional code from the register bits whose parities are bit 1 and bit 0 of the subset.
pub const fn subsets<const S: usize>(high: usize, low: usize) -> [[u8; 2]; S] {
    let mut table = [[0; 2]; S];
    let mut register = 0;
    while register < 2 * S {
        let bits = [(register & low).count_ones() % 2, (register & high).count_ones() % 2];
        table[register / 2][register % 2] = (bits[0] + 2 * bits[1]) as u8;
        register += 1;
    }
    table
}

/// The code that streams are written in.
pub const STANDARD: Code<'static> = Code { subset: &SUBSET, levels: LEVELS };

/// A trellis code with the levels of every rate.
#[derive(Clone, Copy, Debug)]
pub struct Code<'a> {
    /// As [`SUBSET`], of a power of two of states.
    pub subset: &'a [[u8; 2]],
    /// By bits: nothing for 0, then `2^(bits + 1)` levels, ascending.
    pub levels: [&'a [f32]; MAX_BITS + 1],
}

impl Code<'_> {
    /// The number of states.
    pub fn states(&self) -> usize {
        self.subset.len()
    }

    /// The state after a step from `state` with the trellis bit `b`.
    pub fn next(&self, state: usize, b: usize) -> usize {
        ((state << 1) | b) & (self.states() - 1)
    }

    /// The value of a symbol of `bits` bits (1 to 8) in `state`.
    pub fn value(&self, state: usize, symbol: u8, bits: u8) -> f32 {
        let subset = self.subset[state][usize::from(symbol & 1)];
        let levels = self.levels[usize::from(bits)];
        levels[(usize::from(symbol >> 1) << 2 | usize::from(subset)) & (levels.len() - 1)]
    }

    /// Which level of a subset is nearest to `x`, counted inside the subset; the lower of two that are as near.
    pub fn nearest(&self, x: f64, subset: usize, bits: u8) -> usize {
        let levels = self.levels[usize::from(bits)];
        let at = |j: usize| f64::from(levels[4 * j + subset]);
        let (mut low, mut high) = (0, levels.len() / 4 - 1);
        while low < high {
            let middle = (low + high) / 2;
            if x > (at(middle) + at(middle + 1)) / 2.0 {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}
