//! How many bits each coefficient gets: reverse water-filling over all coefficients that share a budget.
//!
//! Sizes of coefficients are kept as codes of a byte, sixteen an octave, and bits follow from them: a coefficient gets
//! its `k`-th bit if that saves more than the water level, `weight size^2 (D[k - 1] - D[k]) > level`. So no table of
//! bits is kept.

use fourier_kv_spectral::trellis::{DISTORTION, MAX_BITS};

/// Codes an octave of size.
const STEPS: f32 = 16.0;

/// Sizes of coefficients as codes: `largest 2^((code - 255) / 16)`; code 0 is no size at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sizes {
    pub(super) largest: f32,
}

impl Sizes {
    /// The code of a size, to the nearest.
    pub(super) fn code(self, size: f32) -> u8 {
        if !(size > 0.0 && self.largest > 0.0) {
            return 0;
        }
        (255.0 + (size / self.largest).log2() * STEPS).round().clamp(0.0, 255.0) as u8
    }

    /// The size of a code.
    pub(super) fn size(self, code: u8) -> f32 {
        if code == 0 { 0.0 } else { self.largest * ((f32::from(code) - 255.0) / STEPS).exp2() }
    }

    /// The sizes of all codes: those of an octave, and halves of them.
    pub(super) fn all(self) -> [f32; 256] {
        const OCTAVE: usize = STEPS as usize;
        let octave: [f32; OCTAVE] = std::array::from_fn(|i| ((i as f32 - (STEPS - 1.0)) / STEPS).exp2());
        let (mut sizes, mut half) = ([0.0; 256], 1.0);
        for sizes in sizes.as_chunks_mut::<OCTAVE>().0.iter_mut().rev() {
            sizes.iter_mut().zip(octave).for_each(|(size, part)| *size = self.largest * (part * half));
            half *= 0.5;
        }
        sizes[0] = 0.0;
        sizes
    }
}

/// The least code that has at least `k + 1` bits, for each `k`; 256 if none has.
pub(super) type Thresholds = [u16; MAX_BITS];

/// Bits of a coefficient with this code.
pub(super) fn bits(thresholds: &Thresholds, code: u8) -> u8 {
    thresholds.iter().filter(|least| u16::from(code) >= **least).count() as u8
}

/// Coefficients that a budget is shared out to.
#[derive(Clone, Debug)]
pub(super) struct Share {
    /// What their codes mean.
    pub(super) sizes: Sizes,
    /// How many have each code.
    pub(super) counts: Vec<usize>,
    /// What their squared errors count.
    pub(super) weight: f64,
}

impl Share {
    /// Of the codes of coefficients.
    pub(super) fn new(sizes: Sizes, codes: &[u8], weight: f64) -> Self {
        let mut counts = vec![0; 256];
        codes.iter().for_each(|&code| counts[usize::from(code)] += 1);
        Share { sizes, counts, weight }
    }

    fn thresholds(&self, level: f64) -> Thresholds {
        std::array::from_fn(|k| {
            let saved = self.weight * (DISTORTION[k] - DISTORTION[k + 1]);
            let pays = |code: &u16| saved * f64::from(self.sizes.size(*code as u8)).powi(2) > level;
            // Sizes ascend with their codes.
            let codes: Vec<u16> = (1..256).collect();
            codes.partition_point(|code| !pays(code)) as u16 + 1
        })
    }

    /// Bits of all its coefficients.
    pub(super) fn total(&self, thresholds: &Thresholds) -> usize {
        self.counts.iter().enumerate().map(|(code, n)| n * usize::from(bits(thresholds, code as u8))).sum()
    }
}

/// Thresholds for each share that leave as little as possible of a budget of bits, and never exceed it.
pub(super) fn share_out(shares: &[&Share], budget: usize) -> Vec<Thresholds> {
    let at = |level: f64| -> Vec<Thresholds> { shares.iter().map(|share| share.thresholds(level)).collect() };
    let fits = |level: f64| {
        shares.iter().zip(at(level)).map(|(share, thresholds)| share.total(&thresholds)).sum::<usize>() <= budget
    };
    let most = shares.iter().map(|s| s.weight * f64::from(s.sizes.largest).powi(2)).fold(0.0, f64::max);
    // Above the largest saving nothing gets a bit; levels are told apart to a part in a million.
    let (mut low, mut high) = (most * 1e-18, most.max(f64::MIN_POSITIVE));
    if fits(low) {
        return at(low);
    }
    while high / low > 1.0 + 1e-6 {
        let middle = (low * high).sqrt();
        if fits(middle) { high = middle } else { low = middle }
    }
    at(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sizes_to_a_thirty_second_of_an_octave() {
        let sizes = Sizes { largest: 37.0 };
        for i in 0..200 {
            let size = 37.0 * (-f32::from(i as u8) * 0.07).exp2();
            let back = sizes.size(sizes.code(size));
            assert!((back / size).log2().abs() <= 1.0 / 32.0 + 1e-5, "{size} {back}");
        }
        assert_eq!((sizes.code(0.0), sizes.code(f32::NAN), sizes.code(1e-30), sizes.size(0)), (0, 0, 0, 0.0));
        assert_eq!(Sizes { largest: 0.0 }.code(1.0), 0);
    }

    /// Against a search that gives one bit after another to whoever gains most.
    #[test]
    fn bits_go_where_they_save_most() {
        let codes: Vec<u8> = (0..600u32).map(|i| (i * i * 7 % 256) as u8).collect();
        let shares = [(Sizes { largest: 3.0 }, 1.0), (Sizes { largest: 900.0 }, 1e-4)]
            .map(|(sizes, weight)| Share::new(sizes, &codes, weight));
        for budget in [0, 10, 300, 1500, 4000, 100_000] {
            let found = share_out(&[&shares[0], &shares[1]], budget);
            let spent: usize = shares.iter().zip(&found).map(|(s, t)| s.total(t)).sum();
            assert!(spent <= budget);
            let error = |share: &Share, bits: &dyn Fn(u8) -> u8| -> f64 {
                let one = |&code: &u8| f64::from(share.sizes.size(code)).powi(2) * DISTORTION[usize::from(bits(code))];
                share.weight * codes.iter().map(one).sum::<f64>()
            };
            let ours: f64 = shares.iter().zip(&found).map(|(s, t)| error(s, &|code| bits(t, code))).sum();
            let greedy = greedy(&shares, &codes, spent);
            assert!(ours <= greedy * (1.0 + 1e-9), "{budget}: {ours} {greedy}");
            // What is left is less than the coefficients of two codes, one a share, would take.
            let most: usize = shares.iter().map(|s| s.counts.iter().max().unwrap()).sum();
            assert!(spent + most > budget || budget > 9000, "{budget}: {spent}");
        }
    }

    fn greedy(shares: &[Share], codes: &[u8], bits: usize) -> f64 {
        let mut all: Vec<(f64, usize)> = shares
            .iter()
            .flat_map(|s| codes.iter().map(|&c| (s.weight * f64::from(s.sizes.size(c)).powi(2), 0)))
            .collect();
        let gain = |(energy, k): &(f64, usize)| {
            if *k < MAX_BITS { energy * (DISTORTION[*k] - DISTORTION[k + 1]) } else { 0.0 }
        };
        for _ in 0..bits {
            let best = (0..all.len()).max_by(|&a, &b| gain(&all[a]).total_cmp(&gain(&all[b]))).unwrap();
            all[best].1 += 1;
        }
        all.iter().map(|(energy, k)| energy * DISTORTION[*k]).sum()
    }
}
