//! Quality against bytes, one line a method.

use std::collections::BTreeMap;

use super::axis::{Axis, Scale};
use super::line_chart::{LabelledAxis, LineChart, Point, Series};
use super::looks::Looks;
use super::svg::Names;
use crate::report::format;
use crate::report::measure::Measure;
use crate::report::order::{EXACT, MethodKey};

/// What `exact` spends on an element, in bits.
const EXACT_BITS: f64 = 16.0;

/// One method's value at its measured size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured<'a> {
    /// The cache with its settings.
    pub method: &'a str,
    /// The ratio that was asked for, where one was.
    pub budget: Option<f64>,
    /// The ratio as measured; nothing is drawn without one.
    pub ratio: Option<f64>,
    /// The value.
    pub value: f64,
}

/// The chart of a value against the measured ratio (and bits an element, below), with `exact` as a dashed line where
/// its value has a place on the axis. None if there is nothing but `exact`.
pub fn quality(names: Names, measure: &Measure, measured: &[Measured<'_>], looks: &Looks) -> Option<LineChart> {
    let others: Vec<&Measured<'_>> = measured.iter().filter(|m| m.method != EXACT && m.ratio.is_some()).collect();
    if others.is_empty() {
        return None;
    }
    let scale = if measure.log { Scale::Decimal } else { Scale::Linear };
    let exact = measured.iter().find(|m| m.method == EXACT && scale.shows(measure.drawn(m.value)));
    let values = others.iter().copied().chain(exact).map(|m| measure.drawn(m.value));
    Some(LineChart {
        names,
        x: ratio_axis(others.iter().filter_map(|m| m.ratio)),
        y: LabelledAxis::new(measure.title(), Axis::covering(scale, values, 8)),
        series: series(measure, &others, looks),
        reference: exact.map(|m| Series { name: EXACT.to_owned(), look: 0, points: vec![point(measure, m)] }),
    })
}

fn ratio_axis(ratios: impl Iterator<Item = f64>) -> LabelledAxis {
    let axis = Axis::covering(Scale::Binary, ratios, 9);
    let below = axis.ticks.iter().map(|ratio| format!("{} bit", format::short(EXACT_BITS / ratio, 3))).collect();
    let title = "times smaller than exact, as measured (below: bits an element)".to_owned();
    let labels = axis.ticks.iter().map(|ratio| format::budget(*ratio)).collect();
    LabelledAxis { title, axis, labels, below }
}

fn series(measure: &Measure, measured: &[&Measured<'_>], looks: &Looks) -> Vec<Series> {
    let mut lines: BTreeMap<String, Vec<&Measured<'_>>> = BTreeMap::new();
    for m in measured {
        lines.entry(line_name(m.method, m.budget)).or_default().push(m);
    }
    let line = |(name, mut of): (String, Vec<&Measured<'_>>)| {
        of.sort_by(|a, b| a.ratio.unwrap_or(0.0).total_cmp(&b.ratio.unwrap_or(0.0)));
        Series { look: looks.number(&name), name, points: of.iter().map(|m| point(measure, m)).collect() }
    };
    lines.into_iter().map(line).collect()
}

fn point(measure: &Measure, m: &Measured<'_>) -> Point {
    let ratio = m.ratio.unwrap_or(1.0);
    let title = MethodKey::new(m.method, m.budget).title();
    let hint =
        format!("{title}: {} {}, {} times smaller", measure.heading, measure.text(m.value), format::ratio(ratio));
    Point { x: ratio, y: measure.drawn(m.value), hint }
}

/// The line that a point is on: the method, at whatever size. A ratio that was asked for tells sizes apart, not methods.
/// Where none was, a method's size is among its settings, so those that are numbers do not part one line from another:
/// `spectral:1` and `spectral:2` are points of `spectral`.
pub(super) fn line_name(method: &str, budget: Option<f64>) -> String {
    let Some((name, settings)) = method.split_once(':') else { return method.to_owned() };
    let is_number = |setting: &str| setting.rsplit('=').next().is_some_and(|value| value.parse::<f64>().is_ok());
    let is_size = |setting: &&str| match budget {
        Some(_) => setting.starts_with("ratio="),
        None => is_number(setting),
    };
    let words: Vec<&str> = settings.split(',').filter(|setting| !is_size(setting)).collect();
    if words.is_empty() { name.to_owned() } else { format!("{name}:{}", words.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(method: &str, budget: Option<f64>, ratio: f64, value: f64) -> Measured<'_> {
        Measured { method, budget, ratio: Some(ratio), value }
    }

    fn names() -> Names {
        Names { id: "q".to_owned(), title: "Quality".to_owned(), description: "d".to_owned() }
    }

    #[test]
    fn lines_are_methods_and_points_are_sizes() {
        let all = [
            at("spectral:2", None, 8.0, 0.01),
            at("spectral:1", None, 15.0, 0.1),
            at("fourier:band=base,keep=0.2", None, 4.0, 0.5),
            at("fourier:band=carrier,keep=0.2", None, 4.0, 0.4),
            at("snapkv:window=32,ratio=4", Some(4.0), 3.9, 1.0),
            at("snapkv:window=32,ratio=2", Some(2.0), 1.9, 0.5),
            at("exact", None, 1.0, 0.0),
        ];
        let chart = quality(names(), &Measure::named("kl"), &all, &Looks::default()).unwrap();
        let lines: Vec<_> = chart.series.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(lines, ["fourier:band=base", "fourier:band=carrier", "snapkv:window=32", "spectral"]);
        let snapkv: Vec<_> = chart.series[2].points.iter().map(|p| (p.x, p.y)).collect();
        assert_eq!(snapkv, [(1.9, 0.5), (3.9, 1.0)]);
        // No place for a KL of zero on a logarithmic axis.
        assert_eq!(chart.reference, None);
        assert!(chart.y.axis.low() <= 0.01 && chart.y.axis.high() >= 1.0);
        assert_eq!(
            chart.series[2].points[0].hint,
            "snapkv:window=32,ratio=2 at 2x: KL(exact || method) 0.500, 1.90 times smaller"
        );
    }

    #[test]
    fn exact_is_the_reference_of_scores() {
        let all = [at("exact", None, 1.0, 0.4), at("int4", None, 3.6, 0.39)];
        let chart = quality(names(), &Measure::named("score"), &all, &Looks::default()).unwrap();
        assert_eq!(chart.reference.unwrap().points[0].y, 40.0);
        assert_eq!(chart.x.labels.len(), chart.x.below.len());
        assert!(chart.x.axis.low() > 2.0, "exact's own size does not widen the axis");
    }

    #[test]
    fn no_figure_of_exact_alone() {
        assert_eq!(quality(names(), &Measure::named("score"), &[at("exact", None, 1.0, 0.4)], &Looks::default()), None);
        assert_eq!(quality(names(), &Measure::named("score"), &[], &Looks::default()), None);
        assert_eq!(
            quality(
                names(),
                &Measure::named("score"),
                &[Measured { ratio: None, ..at("int4", None, 1.0, 0.4) }],
                &Looks::default()
            ),
            None
        );
    }
}
