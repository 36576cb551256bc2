//! Memory against the length of the past, one line a method.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::line_chart::{LabelledAxis, LineChart, Point, Series};
use super::looks::Looks;
use super::svg::Names;
use crate::prediction::Prediction;
use crate::report::format;
use crate::report::order::EXACT;

/// Bytes by tokens: sum and count.
type Sizes = BTreeMap<usize, (f64, usize)>;

/// The chart of the bytes of these predictions, of one budget, by method, against what `exact` in bf16 holds; both axes logarithmic, so that
/// a ratio is the same distance everywhere. None if there is no method but `exact`.
pub fn memory(names: Names, predictions: &[&Prediction], looks: &Looks) -> Option<LineChart> {
    let mut exact = Sizes::new();
    let mut methods: BTreeMap<&str, Sizes> = BTreeMap::new();
    for p in predictions.iter().filter(|p| p.tokens > 0 && p.exact_bytes > 0) {
        add(&mut exact, p.tokens, p.exact_bytes);
        // The reference is drawn anyway; `exact` gets a line only where it holds something else.
        if p.method != EXACT || p.bytes != p.exact_bytes {
            add(methods.entry(&p.method).or_default(), p.tokens, p.bytes);
        }
    }
    if methods.is_empty() {
        return None;
    }
    let series: Vec<Series> = methods.iter().map(|(method, sizes)| line(method, looks.number(method), sizes)).collect();
    let reference = line(&format!("{EXACT} (bf16)"), 0, &exact);
    let all: Vec<&Point> = series.iter().chain([&reference]).flat_map(|s| &s.points).collect();
    let tokens = Axis::powers_of_two(all.iter().map(|p| p.x), 9);
    let bytes = Axis::powers_of_two(all.iter().map(|p| p.y), 9);
    Some(LineChart {
        names,
        x: LabelledAxis::labelled("tokens of the past (1k = 1024)".to_owned(), tokens, format::tokens),
        y: LabelledAxis::labelled("bytes of the cache".to_owned(), bytes, format::bytes),
        series,
        reference: Some(reference),
    })
}

fn add(sizes: &mut Sizes, tokens: usize, bytes: usize) {
    let (sum, count) = sizes.entry(tokens).or_default();
    *sum += bytes as f64;
    *count += 1;
}

fn line(name: &str, look: usize, sizes: &Sizes) -> Series {
    let point = |(tokens, (sum, count)): (&usize, &(f64, usize))| {
        let bytes = sum / *count as f64;
        Point { x: *tokens as f64, y: bytes, hint: format!("{name}: {} at {tokens} tokens", format::bytes(bytes)) }
    };
    let points = sizes.iter().map(point).collect();
    Series { name: name.to_owned(), look, points }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::prediction;

    fn of(method: &str, tokens: usize, bytes: usize) -> Prediction {
        Prediction { tokens, bytes, exact_bytes: tokens * 100, ..prediction("needle", method, None, "a") }
    }

    #[test]
    fn bytes_by_tokens_are_means_and_exact_is_the_reference() {
        let all =
            [of("int4", 2000, 50_000), of("int4", 1000, 20_000), of("int4", 1000, 30_000), of("exact", 1000, 100_000)];
        let chart = memory(Names::default(), &all.iter().collect::<Vec<_>>(), &Looks::default()).unwrap();
        assert_eq!(chart.series.len(), 1);
        let points: Vec<_> = chart.series[0].points.iter().map(|p| (p.x, p.y)).collect();
        assert_eq!(points, [(1000.0, 25_000.0), (2000.0, 50_000.0)]);
        let exact: Vec<_> = chart.reference.unwrap().points.iter().map(|p| (p.x, p.y)).collect();
        assert_eq!(exact, [(1000.0, 100_000.0), (2000.0, 200_000.0)]);
        assert!(chart.y.axis.low() <= 25_000.0 && chart.y.axis.high() >= 200_000.0);
    }

    #[test]
    fn an_exact_that_holds_more_is_drawn() {
        let chart = memory(Names::default(), &[&of("exact", 1000, 200_000)], &Looks::default()).unwrap();
        assert_eq!(chart.series[0].name, "exact");
        assert_eq!(memory(Names::default(), &[&of("exact", 1000, 100_000)], &Looks::default()), None);
        assert_eq!(memory(Names::default(), &[&of("int4", 0, 0)], &Looks::default()), None);
    }
}
