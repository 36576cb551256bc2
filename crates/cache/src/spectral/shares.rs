//! How a mean rate is shared out to the keys and values of all layers.

use serde::{Deserialize, Serialize};

use super::rates::{Share, share_out};

/// Mean rates that shares are worked out for; between them they are interpolated.
const RATES: [f64; 10] = [0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0];
/// No side gets less: something of everything is kept, since the next text may need it.
const LEAST: f64 = 0.05;

/// Bits a number that the keys and the values of each layer get, at several mean rates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shares {
    /// Mean rates, ascending.
    pub rates: Vec<f64>,
    /// `[rates][L]`: bits of a key's number and of a value's.
    pub bits: Vec<Vec<[f64; 2]>>,
}

/// What calibration knows of the keys, or the values, of one layer.
#[derive(Clone, Debug)]
pub struct SideStatistics {
    pub(super) share: Share,
    /// Numbers in a block.
    pub(super) numbers: usize,
    /// The weighted squared error of a number that its codes are expected to have.
    pub(super) error: f64,
}

impl SideStatistics {
    /// The mean weighted squared error of a number that this cache's codes are expected to have.
    pub fn error(&self) -> f64 {
        self.error
    }
}

impl Shares {
    /// The shares of the least total harm, when an error of a side does `harm[layer][side]` for each unit of
    /// [`SideStatistics::error`]: one water level for all coefficients of the model.
    ///
    /// # Panics
    /// If there is not one harm for each statistic.
    pub fn of_least_harm(statistics: &[[SideStatistics; 2]], harm: &[[f64; 2]]) -> Self {
        assert_eq!(statistics.len(), harm.len(), "harms of layers");
        let all: Vec<&SideStatistics> = statistics.iter().flatten().collect();
        let shares: Vec<Share> = all
            .iter()
            .zip(harm.iter().flatten())
            // Coefficients' errors add up to a block's, of which a number has its part.
            .map(|(s, harm)| Share { weight: harm / s.numbers as f64, ..s.share.clone() })
            .collect();
        let shares: Vec<&Share> = shares.iter().collect();
        let numbers: usize = all.iter().map(|s| s.numbers).sum();
        let at = |rate: &f64| -> Vec<[f64; 2]> {
            let thresholds = share_out(&shares, (rate * numbers as f64) as usize);
            let bits = |i: usize| shares[i].total(&thresholds[i]) as f64 / all[i].numbers as f64;
            let bits: Vec<[f64; 2]> = (0..harm.len()).map(|l| [bits(2 * l), bits(2 * l + 1)]).collect();
            scaled(bits, *rate)
        };
        Shares { rates: RATES.to_vec(), bits: RATES.iter().map(at).collect() }
    }

    /// Whether the numbers are those of a model of so many layers.
    pub fn check(&self, layers: usize) -> Result<(), String> {
        let ascending = self.rates.windows(2).all(|pair| pair[0] < pair[1]);
        let sane = |x: &f64| x.is_finite() && (0.0..=64.0).contains(x);
        match () {
            () if self.rates.is_empty() || !ascending || !self.rates.iter().all(sane) => {
                Err("rates are not ascending".to_owned())
            }
            () if self.bits.len() != self.rates.len() => Err(format!("shares for {} rates", self.bits.len())),
            () if self.bits.iter().any(|b| b.len() != layers) => Err(format!("shares not of {layers} layers")),
            () if !self.bits.iter().flatten().flatten().all(sane) => Err("shares that are no numbers of bits".to_owned()),
            () => Ok(()),
        }
    }

    /// The shares of one layer at a mean rate.
    pub(super) fn at(&self, rate: f64, layer: usize) -> [f64; 2] {
        let above = self.rates.iter().position(|r| *r >= rate).unwrap_or(self.rates.len() - 1).max(1);
        let above = above.min(self.rates.len() - 1);
        let below = above.saturating_sub(1);
        let (low, high) = (self.rates[below], self.rates[above]);
        let part = if high > low { ((rate - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
        std::array::from_fn(|s| {
            let between = self.bits[below][layer][s] * (1.0 - part) + self.bits[above][layer][s] * part;
            // Outside the range shares keep their proportion.
            between * (rate / rate.clamp(self.rates[0], self.rates[self.rates.len() - 1]))
        })
    }
}

/// At least [`LEAST`] each, and of the mean that was asked for.
fn scaled(mut bits: Vec<[f64; 2]>, rate: f64) -> Vec<[f64; 2]> {
    bits.iter_mut().flatten().for_each(|b| *b = b.max(LEAST.min(rate)));
    let mean = bits.iter().flatten().sum::<f64>() / (2 * bits.len()) as f64;
    bits.iter_mut().flatten().for_each(|b| *b *= rate / mean);
    bits
}
