//! How many bits each coefficient gets: reverse water-filling.
//!
//! Given the variance of every coefficient, the weight of its error, and the error `D(k)` that `k` bits leave of
//! unit variance, choose `k` = 0 to 8 for each such that `sum weight variance D(k)` is least for a total of bits.
//! Since `D` is convex, the best choice takes the bits one after another, always the one that saves the most:
//! all those that save more than some level, and of those that save just as much as it the first.
//!
//! The level is found exactly, by bisection over sorted variances: a sort of all of them, once, is what it costs.
//! Ten million coefficients need 40 MB and about a second.

use std::fmt;

use crate::trellis::MAX_BITS;

/// Coefficients whose errors weigh the same.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// The variance of each; those that are negative or not numbers count as 0.
    pub variances: &'a [f32],
    /// What a squared error of 1 costs; as a variance, 0 if it is no positive number.
    pub weight: f32,
}

impl Group<'_> {
    /// The weighted variances: zero or more, and finite.
    fn weighted(&self) -> impl Iterator<Item = f32> {
        self.variances.iter().map(|&v| (positive(v) * positive(self.weight)).min(f32::MAX))
    }
}

/// A number over 0 as it is, but finite; else 0.
fn positive(x: f32) -> f32 {
    if x > 0.0 { x.min(f32::MAX) } else { 0.0 }
}

/// Errors of which rates cannot be made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NotConvex {
    /// The bits at which the saving is not positive, or is larger than the one before.
    pub bits: usize,
}

impl fmt::Display for NotConvex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected errors that fall by less with each bit, got another fall at bit {}", self.bits)
    }
}

impl std::error::Error for NotConvex {}

/// What each bit saves of unit variance: `D(k - 1) - D(k)`.
#[derive(Clone, Copy, Debug)]
pub struct Savings([f64; MAX_BITS]);

impl Savings {
    /// From the errors `D(0) .. D(8)`, which must fall, and by less with each bit.
    pub fn new(distortion: &[f64; MAX_BITS + 1]) -> Result<Savings, NotConvex> {
        let savings = std::array::from_fn(|k| distortion[k] - distortion[k + 1]);
        let falls = |k: usize| savings[k] > 0.0 && savings[k].is_finite() && (k == 0 || savings[k] <= savings[k - 1]);
        match (0..MAX_BITS).find(|&k| !falls(k)) {
            Some(k) => Err(NotConvex { bits: k + 1 }),
            None => Ok(Savings(savings)),
        }
    }

    /// The water level at which all groups together get `budget` bits, or all they can use.
    pub fn level<'a>(&self, groups: impl IntoIterator<Item = Group<'a>>, budget: u64) -> WaterLevel {
        let mut keys: Vec<u32> = Vec::new();
        for group in groups {
            // The bits of positive floats are in their order.
            keys.extend(group.weighted().filter(|&u| u > 0.0).map(f32::to_bits));
        }
        keys.sort_unstable();
        let level = self.least_level(&keys, budget);
        let given = self.bits_over(&keys, level);
        WaterLevel { savings: *self, level, left: budget.saturating_sub(given) }
    }

    /// The least level over which the savings number at most `budget`.
    fn least_level(&self, keys: &[u32], budget: u64) -> f64 {
        let fits = |level: u64| self.bits_over(keys, f64::from_bits(level)) <= budget;
        let (mut low, mut high) = (0, f64::MAX.to_bits());
        while low < high {
            let middle = low + (high - low) / 2;
            if fits(middle) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        f64::from_bits(low)
    }

    /// How many bits save more than `level`.
    fn bits_over(&self, keys: &[u32], level: f64) -> u64 {
        let over = |saving: &f64| keys.partition_point(|&u| f64::from(f32::from_bits(u)) * saving <= level);
        self.0.iter().map(|saving| (keys.len() - over(saving)) as u64).sum()
    }
}

/// A level that bits are shared out by.
#[derive(Clone, Copy, Debug)]
pub struct WaterLevel {
    savings: Savings,
    level: f64,
    /// Bits for savings that are just the level.
    left: u64,
}

impl WaterLevel {
    /// What the last bit saves: every bit given saves as much or more, every one not given as much or less.
    pub fn level(&self) -> f64 {
        self.level
    }

    /// Bits for each of a group's coefficients.
    ///
    /// All groups that the level was found for, each once, use the whole budget; whichever comes first gets the bits
    /// that save just as much as others.
    ///
    /// # Panics
    ///
    /// If there is not a number of bits for each variance.
    pub fn assign(&mut self, group: Group<'_>, bits: &mut [u8]) {
        assert_eq!(bits.len(), group.variances.len(), "bits for each variance");
        let cuts = self.savings.0.map(|saving| above(self.level, saving));
        for (bits, u) in bits.iter_mut().zip(group.weighted()) {
            *bits = cuts.iter().map(|&cut| u8::from(u >= cut)).sum();
            if self.left > 0 {
                *bits += self.more(u, *bits);
            }
        }
    }

    /// The bits that save just the level, while there are any left.
    fn more(&mut self, u: f32, bits: u8) -> u8 {
        let rest = &self.savings.0[usize::from(bits)..];
        let ties = rest.iter().take_while(|&&saving| u > 0.0 && f64::from(u) * saving >= self.level).count();
        let more = (ties as u64).min(self.left);
        self.left -= more;
        more as u8
    }
}

/// The least `u` over zero with `u saving > level`; infinite if there is none.
fn above(level: f64, saving: f64) -> f32 {
    let (mut low, mut high) = (1, f32::INFINITY.to_bits());
    while low < high {
        let middle = low + (high - low) / 2;
        if f64::from(f32::from_bits(middle)) * saving > level {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    f32::from_bits(low)
}

/// Bits for every coefficient of all groups, `budget` in all or as many as can be used.
pub fn allocate(savings: &Savings, groups: &[Group<'_>], budget: u64) -> Vec<Vec<u8>> {
    let mut level = savings.level(groups.iter().copied(), budget);
    let assign = |group: &Group<'_>| {
        let mut bits = vec![0; group.variances.len()];
        level.assign(*group, &mut bits);
        bits
    };
    groups.iter().map(assign).collect()
}
