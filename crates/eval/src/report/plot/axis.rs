//! An axis: which range of values it shows, and where its ticks are.

use crate::report::format;

/// Larger values are not drawn: quotients of what an axis shows stay finite.
pub const LARGEST: f64 = 1e100;
/// On a logarithmic axis the same towards zero.
pub const SMALLEST: f64 = 1e-100;

/// Fewer ticks do not show how an axis is divided.
const FEWEST_TICKS: usize = 3;

/// How values become places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences are equally long.
    Linear,
    /// Equal quotients are equally long; ticks at 1, 2, 5 and the like times powers of ten.
    Decimal,
    /// Equal quotients are equally long; ticks at powers of two and between.
    Binary,
}

impl Scale {
    /// Whether the axis has a place for the value.
    pub fn shows(self, value: f64) -> bool {
        match self {
            Scale::Linear => value.abs() <= LARGEST,
            Scale::Decimal | Scale::Binary => (SMALLEST..=LARGEST).contains(&value),
        }
    }
}

/// A range with ticks, which begins and ends at one.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Where the values are.
    pub scale: Scale,
    /// From the least to the largest, at least two; the axis begins and ends there.
    pub ticks: Vec<f64>,
}

impl Axis {
    /// The axis that covers all values that its scale can show, with `at_most` (4 or more) ticks. A single value gets
    /// some room, and no value at all an axis around one.
    pub fn covering(scale: Scale, values: impl IntoIterator<Item = f64>, at_most: usize) -> Axis {
        let (low, high) = range(scale, values);
        let at_most = at_most.max(4);
        let ticks = match scale {
            Scale::Linear => linear_ticks(low, high, at_most),
            Scale::Decimal => log_ticks(
                low,
                high,
                at_most,
                10.0,
                &[&[1.0, 2.0, 3.0, 5.0, 7.0], &[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]],
            ),
            Scale::Binary => log_ticks(low, high, at_most, 2.0, &[&[1.0, 1.25, 1.5, 1.75], &[1.0, 1.5], &[1.0]]),
        };
        Axis { scale, ticks }
    }

    /// Powers of two only, as bytes and tokens are counted.
    pub fn powers_of_two(values: impl IntoIterator<Item = f64>, at_most: usize) -> Axis {
        let (low, high) = range(Scale::Binary, values);
        Axis { scale: Scale::Binary, ticks: strided(low, high, at_most.max(4), 2.0) }
    }

    /// The least value shown.
    pub fn low(&self) -> f64 {
        self.ticks[0]
    }

    /// The largest value shown.
    pub fn high(&self) -> f64 {
        self.ticks[self.ticks.len() - 1]
    }

    /// Where a value is: 0 at the axis' beginning, 1 at its end.
    pub fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low()) / (self.high() - self.low()),
            Scale::Decimal | Scale::Binary => (value / self.low()).ln() / (self.high() / self.low()).ln(),
        }
    }

    /// A tick's text: with as many digits as tell it from its neighbours.
    pub fn label(&self, tick: f64) -> String {
        let away = self.ticks.iter().map(|other| (other - tick).abs()).filter(|away| *away > 0.0);
        let step = away.fold(f64::INFINITY, f64::min);
        if tick.abs() < step * 1e-6 {
            return "0".to_owned();
        }
        let digits = (tick.abs().max(step).log10().floor() - step.log10().floor()) as usize;
        // One more than tells them apart: half a step is a tick, too.
        format::short(tick, digits.min(13) + 2)
    }
}

/// From the least to the largest value that the scale shows, never empty.
fn range(scale: Scale, values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let shown = values.into_iter().filter(|value| scale.shows(*value));
    let widest = shown.fold(None, |range: Option<(f64, f64)>, value| {
        Some(range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
    });
    with_room(scale, widest.unwrap_or((1.0, 1.0)))
}

fn with_room(scale: Scale, (low, high): (f64, f64)) -> (f64, f64) {
    match scale {
        Scale::Linear if high - low <= high.abs().max(low.abs()) * 1e-9 => {
            let room = if high == 0.0 { 1.0 } else { high.abs() * 0.1 };
            (low - room, high + room)
        }
        Scale::Decimal | Scale::Binary if high <= low * (1.0 + 1e-9) => (low / 1.3, high * 1.3),
        _ => (low, high),
    }
}

/// Multiples of 1, 2 or 5 times a power of ten, the least step with which there are not too many.
fn linear_ticks(low: f64, high: f64, at_most: usize) -> Vec<f64> {
    let rough = 10_f64.powf(((high - low) / at_most as f64).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0].map(|times| times * rough);
    let ends = |step: f64| ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
    let fits = |step: &&f64| {
        let (first, last) = ends(**step);
        last - first < at_most as f64
    };
    let step = steps.iter().find(fits).copied().unwrap_or(steps[5] * 2.0);
    let (first, last) = ends(step);
    (0..=(last - first) as usize).map(|at| (first + at as f64) * step).collect()
}

/// The densest of the sets of mantissas with which there are not too many; where even the densest gives too few, the
/// range is narrow enough for ticks at equal differences.
fn log_ticks(low: f64, high: f64, at_most: usize, base: f64, sets: &[&[f64]]) -> Vec<f64> {
    let of_sets = sets.iter().map(|mantissas| mantissa_ticks(low, high, base, mantissas));
    let ticks = of_sets.into_iter().find(|ticks| ticks.len() <= at_most).unwrap_or_default();
    match ticks.len() {
        0 => strided(low, high, at_most, base),
        FEWEST_TICKS.. => ticks,
        _ => Some(linear_ticks(low, high, at_most)).filter(|linear| linear[0] > 0.0).unwrap_or(ticks),
    }
}

/// All ticks from the last at or below `low` to the first at or above `high`.
fn mantissa_ticks(low: f64, high: f64, base: f64, mantissas: &[f64]) -> Vec<f64> {
    let (first, last) = exponents(low, high, base);
    let all = (first..=last).flat_map(|e| mantissas.iter().map(move |m| times_power(*m, base, e)));
    let all: Vec<f64> = all.collect();
    let begin = all.iter().rposition(|tick| *tick <= low * (1.0 + 1e-9)).unwrap_or(0);
    let end = all.iter().position(|tick| *tick >= high * (1.0 - 1e-9)).unwrap_or(all.len() - 1);
    all[begin..=end].to_vec()
}

/// Powers of the base, every so many that there are not too many.
fn strided(low: f64, high: f64, at_most: usize, base: f64) -> Vec<f64> {
    let (first, last) = exponents(low, high, base);
    let last = if power(base, last - 1) >= high * (1.0 - 1e-9) { last - 1 } else { last }.max(first + 1);
    let stride = ((last - first) as usize).div_ceil(at_most - 1).max(1);
    let count = ((last - first) as usize).div_ceil(stride);
    (0..=count).map(|at| power(base, first + (at * stride) as i32)).collect()
}

/// The powers of the base at or below `low` and above `high`.
fn exponents(low: f64, high: f64, base: f64) -> (i32, i32) {
    let of = |value: f64| value.ln() / base.ln();
    ((of(low) + 1e-9).floor() as i32, (of(high) + 1e-9).floor() as i32 + 1)
}

fn power(base: f64, exponent: i32) -> f64 {
    times_power(1.0, base, exponent)
}

/// Dividing keeps 0.3 the nearest number to three tenths, which multiplying by a rounded tenth does not.
fn times_power(mantissa: f64, base: f64, exponent: i32) -> f64 {
    if exponent < 0 { mantissa / base.powi(-exponent) } else { mantissa * base.powi(exponent) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scale: Scale, values: &[f64], at_most: usize) -> Axis {
        let axis = Axis::covering(scale, values.iter().copied(), at_most);
        assert!(axis.ticks.len() >= 2 && axis.ticks.len() <= at_most, "{scale:?} {values:?}: {:?}", axis.ticks);
        assert!(axis.ticks.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", axis.ticks);
        for value in values.iter().filter(|value| scale.shows(**value)) {
            let place = axis.place(*value);
            assert!((-1e-6..=1.0 + 1e-6).contains(&place), "{scale:?} {values:?}: {value} is at {place}");
        }
        let labels: std::collections::BTreeSet<_> = axis.ticks.iter().map(|tick| axis.label(*tick)).collect();
        assert_eq!(labels.len(), axis.ticks.len(), "{labels:?} name {:?}", axis.ticks);
        axis
    }

    #[test]
    fn linear_ticks_by_hand() {
        assert_eq!(check(Scale::Linear, &[0.0, 100.0], 6).ticks, [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(check(Scale::Linear, &[31.5, 39.5], 6).ticks, [30.0, 32.0, 34.0, 36.0, 38.0, 40.0]);
        let axis = check(Scale::Linear, &[-0.3, 0.3], 8);
        assert_eq!(
            axis.ticks.iter().map(|t| axis.label(*t)).collect::<Vec<_>>(),
            ["-0.3", "-0.2", "-0.1", "0", "0.1", "0.2", "0.3"]
        );
    }

    #[test]
    fn logarithmic_ticks_by_hand() {
        assert_eq!(check(Scale::Decimal, &[0.004, 0.7], 8).ticks, [0.003, 0.01, 0.03, 0.1, 0.3, 1.0]);
        assert_eq!(check(Scale::Binary, &[1.9, 8.3], 8).ticks, [1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0]);
        assert_eq!(check(Scale::Decimal, &[1e-12, 1.0], 5).ticks, [1e-12, 1e-9, 1e-6, 1e-3, 1.0]);
    }

    #[test]
    fn a_narrow_logarithmic_range_is_divided_evenly() {
        let axis = check(Scale::Decimal, &[1.002, 1.013], 7);
        assert_eq!(
            axis.ticks.iter().map(|t| axis.label(*t)).collect::<Vec<_>>(),
            ["1.002", "1.004", "1.006", "1.008", "1.01", "1.012", "1.014"]
        );
    }

    #[test]
    fn powers_of_two_have_nothing_between() {
        let axis = Axis::powers_of_two([3000.0, 20_000.0], 8);
        assert_eq!(axis.ticks, [2048.0, 4096.0, 8192.0, 16384.0, 32768.0]);
        assert_eq!(Axis::powers_of_two([1024.0, 4096.0], 8).ticks, [1024.0, 2048.0, 4096.0]);
        let wide = Axis::powers_of_two([1.0, 1e12], 8).ticks;
        assert!(wide.len() <= 8 && wide[0] <= 1.0 && wide[wide.len() - 1] >= 1e12, "{wide:?}");
    }

    #[test]
    fn any_data_is_covered() {
        let ends = [1e-100, 3e-17, 0.001, 0.0999, 0.5, 1.0, 1.000_001, 7.3, 10.0, 99.9, 1e6, 1e15 + 1.0, 1e100];
        for low in ends {
            for high in ends.iter().filter(|high| **high >= low) {
                for at_most in 4..12 {
                    for scale in [Scale::Linear, Scale::Decimal, Scale::Binary] {
                        check(scale, &[low, *high, (low * high).sqrt()], at_most);
                    }
                    check(Scale::Linear, &[-low, *high], at_most);
                    check(Scale::Linear, &[-high, -low], at_most);
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_drawn_does_not_move_the_axis() {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 2.0, 4.0];
        let axis = Axis::covering(Scale::Decimal, odd, 8);
        assert!(axis.low() > 0.5 && axis.high() < 8.0, "{:?}", axis.ticks);
        check(Scale::Linear, &[f64::NAN], 6);
        check(Scale::Binary, &[], 6);
        check(Scale::Linear, &[0.0], 6);
    }
}
