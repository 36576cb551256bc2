//! The needle heat map in the papers' layout: context length to the right, depth downwards, a score a cell from red
//! through yellow to green.

use std::collections::BTreeMap;

use super::svg::{Anchor, Names, Svg};
use crate::prediction::Prediction;
use crate::report::format;
use crate::report::order::Total;
use crate::report::summary::Mean;

/// More depths than these are gathered to tenths: needles that fall anywhere would have a row each.
pub const MOST_DEPTHS: usize = 21;

const LEFT: f64 = 68.0;
const TOP: f64 = 68.0;
const ROW: f64 = 26.0;
const NARROWEST: f64 = 46.0;
const WIDEST: f64 = 90.0;
const WIDTH: f64 = 420.0;
const LONGEST_TITLE: usize = 48;

/// Light enough for black text at both ends: a score's colour never hides its number.
const STOPS: [(f64, f64, f64); 3] = [(240.0, 116.0, 104.0), (251.0, 231.0, 122.0), (106.0, 190.0, 122.0)];

/// Mean scores by length and depth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeatMap {
    /// Context lengths, from the shortest.
    pub lengths: Vec<f64>,
    /// Depths in percent, from the context's beginning.
    pub depths: Vec<f64>,
    /// The cells by depth and length, as many as both say; none where nothing was asked.
    pub cells: Vec<Vec<Option<Mean>>>,
    /// The mean over all questions, 0 to 1; none without one.
    pub average: Option<f64>,
}

impl HeatMap {
    /// From the predictions with a `score` and with the labels `length` (tokens) and `depth` (percent, 0 the context's
    /// beginning). Where there are more than [`MOST_DEPTHS`] depths, each counts for the nearest tenth.
    pub fn of<'a>(predictions: impl IntoIterator<Item = &'a Prediction>) -> HeatMap {
        let scores: Vec<_> = predictions.into_iter().filter_map(cell_of).collect();
        let mut depths: Vec<Total> = scores.iter().map(|s| s.0).collect();
        let gather = count_distinct(&mut depths) > MOST_DEPTHS;
        let mut cells: BTreeMap<(Total, Total), (f64, usize)> = BTreeMap::new();
        for (depth, length, score) in &scores {
            let depth = if gather { Total((depth.0 / 10.0).round() * 10.0) } else { *depth };
            let (sum, count) = cells.entry((depth, *length)).or_default();
            *sum += score;
            *count += 1;
        }
        let average = (!scores.is_empty()).then(|| scores.iter().map(|s| s.2).sum::<f64>() / scores.len() as f64);
        grid(&cells, average)
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.average.is_none()
    }

    /// The map as SVG, the average in its title; `subtitle` is a line below it.
    pub fn to_svg(&self, names: &Names, subtitle: &str) -> String {
        let average = self.average.map_or("–".to_owned(), percent);
        let title = format!("{} · average {average}", format::cut(&names.title, LONGEST_TITLE));
        let column = (WIDTH / self.lengths.len().max(1) as f64).clamp(NARROWEST, WIDEST);
        let cells = LEFT + column * self.lengths.len() as f64 + 24.0;
        let texts = 32.0 + (title.chars().count() as f64 * 9.2).max(subtitle.chars().count() as f64 * 7.2);
        let height = TOP + ROW * self.depths.len() as f64 + 58.0;
        let names = Names { title, ..names.clone() };
        let mut svg = Svg::new(&names, cells.max(texts).round(), height);
        svg.text((16.0, 28.0), Anchor::Start, "title", &names.title);
        svg.text((16.0, 49.0), Anchor::Start, "small", subtitle);
        for (row, depth) in self.depths.iter().enumerate() {
            let y = TOP + ROW * row as f64;
            svg.text((LEFT - 8.0, y + 17.5), Anchor::End, "", &format::short(*depth, 3));
            for (at, cell) in self.cells[row].iter().enumerate() {
                let hint = self.hint(row, at);
                draw_cell(&mut svg, (LEFT + column * at as f64, y), column, *cell, &hint);
            }
        }
        self.draw_lengths(&mut svg, column);
        svg.finish()
    }

    fn hint(&self, row: usize, at: usize) -> String {
        let value = match self.cells[row][at] {
            Some(cell) => format!("{} over {}", percent(cell.mean), cell.count),
            None => "nothing was asked".to_owned(),
        };
        let (length, depth) = (format::tokens(self.lengths[at]), format::short(self.depths[row], 3));
        format!("length {length}, depth {depth} %: {value}")
    }

    fn draw_lengths(&self, svg: &mut Svg, column: f64) {
        let bottom = TOP + ROW * self.depths.len() as f64;
        for (at, length) in self.lengths.iter().enumerate() {
            let x = LEFT + column * (at as f64 + 0.5);
            svg.text((x, bottom + 18.0), Anchor::Middle, "", &format::tokens(*length));
        }
        let middle = LEFT + column * self.lengths.len() as f64 / 2.0;
        svg.text((middle, bottom + 42.0), Anchor::Middle, "", "context length, tokens");
        svg.text_upwards((20.0, (TOP + bottom) / 2.0), "depth, %");
    }
}

fn cell_of(p: &Prediction) -> Option<(Total, Total, f64)> {
    Some((Total(*p.labels.get("depth")?), Total(*p.labels.get("length")?), *p.values.get("score")?))
}

fn count_distinct(of: &mut Vec<Total>) -> usize {
    of.sort();
    of.dedup();
    of.len()
}

fn grid(cells: &BTreeMap<(Total, Total), (f64, usize)>, average: Option<f64>) -> HeatMap {
    let mut depths: Vec<Total> = cells.keys().map(|key| key.0).collect();
    let mut lengths: Vec<Total> = cells.keys().map(|key| key.1).collect();
    count_distinct(&mut depths);
    count_distinct(&mut lengths);
    let mean = |&(sum, count): &(f64, usize)| Mean { mean: sum / count as f64, count };
    let row = |depth: &Total| lengths.iter().map(|length| cells.get(&(*depth, *length)).map(mean)).collect();
    let cells = depths.iter().map(row).collect();
    let plain = |of: &[Total]| of.iter().map(|t| t.0).collect();
    HeatMap { lengths: plain(&lengths), depths: plain(&depths), cells, average }
}

fn draw_cell(svg: &mut Svg, place: (f64, f64), column: f64, cell: Option<Mean>, hint: &str) {
    let (x, y) = place;
    let size = (column - 2.0, ROW - 2.0);
    let middle = (x + column / 2.0 - 1.0, y + 16.5);
    match cell {
        Some(cell) => {
            svg.rect(place, size, "", &colour(cell.mean), hint);
            svg.text(middle, Anchor::Middle, "cell", &percent(cell.mean));
        }
        None => {
            svg.rect(place, size, "missing", "", hint);
            svg.text(middle, Anchor::Middle, "dash", "–");
        }
    }
}

/// A score in percent, without decimals that are zero.
fn percent(score: f64) -> String {
    let text = format::decimals(score * 100.0, 1);
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Red for 0, yellow for a half, green for 1, and between them; grey for no number.
fn colour(score: f64) -> String {
    if score.is_nan() {
        return "#b9bfc6".to_owned();
    }
    let along = score.clamp(0.0, 1.0) * 2.0;
    let from = (along as usize).min(1);
    let share = along - from as f64;
    let (low, high) = (STOPS[from], STOPS[from + 1]);
    let mix = |low: f64, high: f64| (low + (high - low) * share).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(low.0, high.0), mix(low.1, high.1), mix(low.2, high.2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::scored;

    fn needle(length: f64, depth: f64, score: f64) -> Prediction {
        let mut p = scored("needle", "int4", "a", score);
        p.labels = [("length".to_owned(), length), ("depth".to_owned(), depth)].into();
        p
    }

    fn names() -> Names {
        Names { id: "n".to_owned(), title: "<needle>".to_owned(), description: String::new() }
    }

    #[test]
    fn cells_are_at_their_length_and_depth() {
        let all = [
            needle(8192.0, 0.0, 1.0),
            needle(4096.0, 100.0, 0.0),
            needle(4096.0, 100.0, 1.0),
            needle(4096.0, 0.0, 0.0),
        ];
        let map = HeatMap::of(&all);
        assert_eq!((map.lengths.as_slice(), map.depths.as_slice()), (&[4096.0, 8192.0][..], &[0.0, 100.0][..]));
        assert_eq!(map.average, Some(0.5));
        let text = map.to_svg(&names(), "a & b");
        let svg = roxmltree::Document::parse(&text).unwrap();
        let cell = |hint: &str| {
            let found = svg
                .descendants()
                .find(|n| n.tag_name().name() == "rect" && n.descendants().any(|t| t.text() == Some(hint)));
            let cell = found.unwrap_or_else(|| panic!("{hint} in {text}"));
            let at = |name| cell.attribute(name).unwrap().to_owned();
            (at("x"), at("y"), cell.attribute("fill").map(str::to_owned))
        };
        let place = |x: &str, y: &str, fill: Option<&str>| (x.to_owned(), y.to_owned(), fill.map(str::to_owned));
        // Two columns of 90, rows of 26: the shallow ones on top, the long ones on the right.
        assert_eq!(cell("length 4k, depth 0 %: 0 over 1"), place("68.0", "68.0", Some("#f07468")));
        assert_eq!(cell("length 8k, depth 0 %: 100 over 1"), place("158.0", "68.0", Some("#6abe7a")));
        assert_eq!(cell("length 4k, depth 100 %: 50 over 2"), place("68.0", "94.0", Some("#fbe77a")));
        assert_eq!(cell("length 8k, depth 100 %: nothing was asked"), place("158.0", "94.0", None));
        assert!(text.contains("&lt;needle&gt; · average 50<"));
    }

    #[test]
    fn needles_that_fall_anywhere_are_gathered_to_tenths() {
        let all: Vec<_> = (0..100).map(|i| needle(4096.0, f64::from(i) + 0.5, 1.0)).collect();
        let map = HeatMap::of(&all);
        assert_eq!(map.depths, [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0]);
        let counted: usize = map.cells.iter().flatten().flatten().map(|cell| cell.count).sum();
        assert_eq!(counted, 100);
    }

    #[test]
    fn what_has_no_labels_or_no_score_is_no_cell() {
        let mut unscored = needle(4096.0, 0.0, 1.0);
        unscored.values.clear();
        let map = HeatMap::of(&[scored("needle", "int4", "a", 1.0), unscored]);
        assert!(map.is_empty());
        assert!(roxmltree::Document::parse(&map.to_svg(&names(), "a & b")).is_ok());
    }

    #[test]
    fn a_score_that_is_no_number_is_grey() {
        assert_eq!(colour(f64::NAN), "#b9bfc6");
        assert_eq!(colour(-3.0), colour(0.0));
        assert_eq!(colour(f64::INFINITY), colour(1.0));
        assert_eq!(percent(0.333), "33.3");
    }
}
