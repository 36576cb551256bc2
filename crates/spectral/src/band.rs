//! Which bins of the spectrum of a rotary pair are kept.
//!
//! Keys are stored after rotary position encoding: pair `i` turns by `theta_i` radians a token, so what
//! varies slowly in it sits around bin `theta_i P / 2 pi`. The paper keeps the bins around zero for every
//! pair; [`PairBand::around`] keeps as many around where the content is.

/// A run of bins on the circle of `P` bins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairBand {
    /// First bin, in `0 .. P`.
    pub first: usize,
    /// Number of bins, at most `P`; the run wraps around after bin `P - 1`.
    pub count: usize,
}

/// Bins kept of a pair: `2N - 1`, or all `P` when that is fewer.
pub fn pair_bins(harmonics: usize, period: usize) -> usize {
    (2 * harmonics - 1).min(period)
}

/// The bin nearest to a rotation of `frequency` radians a sample: `round(frequency P / 2 pi)`.
pub fn carrier_bin(frequency: f64, period: usize) -> usize {
    let turns = (frequency / std::f64::consts::TAU).rem_euclid(1.0);
    (turns * period as f64).round() as usize % period
}

impl PairBand {
    /// The bins `centre - (N-1) ..= centre + (N-1)`, modulo `P`.
    pub fn around(centre: usize, harmonics: usize, period: usize) -> Self {
        let below = (harmonics - 1) % period;
        PairBand { first: (centre % period + period - below) % period, count: pair_bins(harmonics, period) }
    }

    /// The run as at most two contiguous stretches `(first bin, offset in the run, length)`.
    pub fn stretches(&self, period: usize) -> [(usize, usize, usize); 2] {
        let before = self.count.min(period - self.first);
        [(self.first, 0, before), (0, before, self.count - before)]
    }

    /// The bins in the order they are stored.
    pub fn bins(&self, period: usize) -> impl Iterator<Item = usize> + use<> {
        let first = self.first;
        (0..self.count).map(move |j| (first + j) % period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_and_bins_agree() {
        for period in [2, 6, 10, 30] {
            for harmonics in 1..=period / 2 + 1 {
                for centre in 0..period {
                    let band = PairBand::around(centre, harmonics, period);
                    let whole: Vec<usize> = band.bins(period).collect();
                    let mut joined = Vec::new();
                    for (first, offset, length) in band.stretches(period) {
                        assert!(length == 0 || offset == joined.len());
                        joined.extend(first..first + length);
                    }
                    assert_eq!(whole, joined);
                    let mut sorted = whole.clone();
                    sorted.sort_unstable();
                    sorted.dedup();
                    assert_eq!(sorted.len(), band.count, "no bin twice");
                    assert!(whole.contains(&centre));
                }
            }
        }
    }

    #[test]
    fn carrier_of_a_known_rotation() {
        let period = 1000;
        assert_eq!(carrier_bin(0.0, period), 0);
        assert_eq!(carrier_bin(std::f64::consts::PI, period), 500);
        assert_eq!(carrier_bin(0.1, period), 16);
        assert_eq!(carrier_bin(-0.1, period), 984);
        assert_eq!(carrier_bin(std::f64::consts::TAU * 0.9999, period), 0, "rounds up onto bin 0");
    }
}
