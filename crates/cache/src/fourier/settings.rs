//! Settings of the `fourier` cache.

use std::fmt;
use std::str::FromStr;

use fourier_kv_spectral::period::fast_period;
use serde::{Deserialize, Serialize};

use crate::kind::Storage;
use crate::settings::{MOST, SettingsError, number, pairs, ratio, word};

/// Settings of the `fourier` cache; [`Default`] gives the paper's sizes and band. (`carrier` holds as much in as many
/// numbers, but must keep or give up both dims of a pair together; measured, docs/method.md, that costs more than the
/// better place of the band gains.)
#[derive(Clone, Debug, PartialEq)]
pub struct FourierSettings {
    /// First tokens that stay exact, `S`.
    pub sink: usize,
    /// Last tokens that stay exact, `W`.
    pub window: usize,
    /// Harmonics `N` kept of a spectral dim.
    pub harmonics: usize,
    /// Tokens that one spectrum is planned for; `None` decides when it is made, see [`FourierSettings::period_for`].
    pub capacity: Option<usize>,
    /// A spectrum is begun with no fewer tokens than this; until then they stay exact. `None`: `2 N`, the number of
    /// tokens from which a spectrum is smaller than what it replaces.
    pub least_middle: Option<usize>,
    /// Where the bins kept of rotary pairs of keys lie.
    pub band: Band,
    /// How dims are ranked when there is no plan.
    pub rank: Rank,
    /// How many times smaller than exact tokens the prompt is to be, by the number of spectral dims, as far as the
    /// window and the spectra allow; `None`: the paper's shares. A plan goes before it.
    pub ratio: Option<f64>,
    /// The number type of tokens and dims that stay exact.
    pub exact: Storage,
    /// The number type of spectra: `bf16` or `f32` (`f16` would overflow: coefficients are sums over time).
    pub coefficients: Storage,
}

/// Where the bins kept of keys lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Band {
    /// Around zero, every dim a real signal (the paper).
    Base,
    /// Around the frequency at which each rotary pair turns, both dims one complex signal.
    Carrier,
}

/// What makes a dim worth keeping exact, when dims are chosen from the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// The error of its reconstruction alone.
    Error,
    /// That, times what the error does: the energy of queries on a key dim, of the output projection on a value dim.
    Weighted,
}

impl Band {
    /// The band's name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Band::Base => "base",
            Band::Carrier => "carrier",
        }
    }
}

impl Default for FourierSettings {
    fn default() -> Self {
        FourierSettings {
            sink: 4,
            window: 1020,
            harmonics: 512,
            capacity: None,
            least_middle: None,
            band: Band::Base,
            rank: Rank::Weighted,
            ratio: None,
            exact: Storage::Bf16,
            coefficients: Storage::Bf16,
        }
    }
}

impl FourierSettings {
    /// Tokens that have to wait before a spectrum is begun.
    pub fn least_middle(&self) -> usize {
        self.least_middle.unwrap_or_else(|| usual_least_middle(self.harmonics))
    }

    /// The period `P` of a spectrum that begins with `waiting` tokens.
    ///
    /// With a planned capacity, that, rounded up to a length that transforms fast. Without one: an eighth more than is
    /// waiting, for what will be said, and at least `8 N`, so that a full spectrum is a quarter of what it replaces.
    /// It never depends on how many tokens a request may generate.
    pub fn period_for(&self, waiting: usize) -> usize {
        let planned = self.capacity.unwrap_or_else(|| (waiting + waiting / 8).max(8 * self.harmonics));
        fast_period(planned)
    }
}

/// `2 N`, or the largest number that settings can say.
fn usual_least_middle(harmonics: usize) -> usize {
    harmonics.saturating_mul(2).min(MOST)
}

impl fmt::Display for FourierSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rank = if self.rank == Rank::Error { "error" } else { "weighted" };
        let capacity = self.capacity.map_or_else(|| "auto".to_owned(), |c| c.to_string());
        write!(
            f,
            "band={},harmonics={},sink={},window={},capacity={capacity},least-middle={},rank={rank},exact={},coefficients={}",
            self.band.name(),
            self.harmonics,
            self.sink,
            self.window,
            self.least_middle(),
            self.exact,
            self.coefficients
        )?;
        self.ratio.map_or(Ok(()), |ratio| write!(f, ",ratio={ratio}"))
    }
}

impl FromStr for FourierSettings {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let mut s = FourierSettings::default();
        for (key, value) in pairs(text) {
            match key {
                "sink" => s.sink = number("sink", value, 0)?,
                "window" => s.window = number("window", value, 1)?,
                "harmonics" => s.harmonics = number("harmonics", value, 1)?,
                "capacity" if value == "auto" => s.capacity = None,
                "capacity" => s.capacity = Some(number("capacity", value, 2)?),
                "least-middle" => s.least_middle = Some(number("least-middle", value, 1)?),
                "band" => s.band = word("band", value, &[("base", Band::Base), ("carrier", Band::Carrier)])?,
                "rank" => s.rank = word("rank", value, &[("error", Rank::Error), ("weighted", Rank::Weighted)])?,
                "ratio" => s.ratio = Some(ratio(value)?),
                "exact" => s.exact = word("exact", value, &Storage::NAMES)?,
                "coefficients" => {
                    let known = [("bf16", Storage::Bf16), ("f32", Storage::F32)];
                    s.coefficients = word("coefficients", value, &known)?;
                }
                _ => {
                    let known =
                        "band, harmonics, sink, window, capacity, least-middle, rank, ratio, exact, coefficients";
                    return Err(SettingsError::Key { kind: "fourier", known: known.into(), got: key.into() });
                }
            }
        }
        s.least_middle = s.least_middle.filter(|&m| m != usual_least_middle(s.harmonics));
        Ok(s)
    }
}
