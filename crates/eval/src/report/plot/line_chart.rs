//! A chart of lines with a legend: the values are given, the places are found here.

use std::collections::BTreeSet;

use super::axis::Axis;
use super::marker;
use super::svg::{Anchor, Names, Svg};
use crate::report::format;

/// A measured point.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Along the horizontal axis.
    pub x: f64,
    /// Along the vertical axis.
    pub y: f64,
    /// What is read on pointing at it, and said of it where it cannot be drawn.
    pub hint: String,
}

/// A line of points, drawn in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// The number of its colour, dashes and marker.
    pub look: usize,
    /// Its points.
    pub points: Vec<Point>,
}

/// An axis and its texts.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledAxis {
    /// What it is of, with unit and direction.
    pub title: String,
    /// Range and ticks.
    pub axis: Axis,
    /// A text a tick.
    pub labels: Vec<String>,
    /// A second text a tick, or none at all; only below a horizontal axis.
    pub below: Vec<String>,
}

/// All of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct LineChart {
    /// Id, title, description.
    pub names: Names,
    /// The horizontal axis.
    pub x: LabelledAxis,
    /// The vertical axis.
    pub y: LabelledAxis,
    /// The lines.
    pub series: Vec<Series>,
    /// What all lines are compared with, drawn dashed: a single point goes all the way across.
    pub reference: Option<Series>,
}

const LEFT: f64 = 92.0;
const TOP: f64 = 52.0;
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 340.0;
const LEGEND: f64 = LEFT + WIDTH + 26.0;
const LEGEND_ROW: f64 = 23.0;
const LEGEND_NAME: usize = 36;
const CHARACTER: f64 = 7.6;
/// A line of more points does not have a marker each: they would cover it.
const MOST_MARKERS: usize = 12;
const MARKERS_OF_MANY: usize = 6;
const MOST_NOTES: usize = 4;

impl LabelledAxis {
    /// With the axis' own labels.
    pub fn new(title: String, axis: Axis) -> LabelledAxis {
        let labels = axis.ticks.iter().map(|tick| axis.label(*tick)).collect();
        LabelledAxis { title, axis, labels, below: Vec::new() }
    }

    /// With labels made by a function.
    pub fn labelled(title: String, axis: Axis, label: impl Fn(f64) -> String) -> LabelledAxis {
        let labels = axis.ticks.iter().map(|tick| label(*tick)).collect();
        LabelledAxis { title, axis, labels, below: Vec::new() }
    }
}

impl LineChart {
    /// The chart as SVG.
    pub fn to_svg(&self) -> String {
        let notes = self.notes();
        let (width, height) = self.size(notes.len());
        let mut svg = Svg::new(&self.names, width, height);
        let title = format::cut(&self.names.title, (width / 9.2) as usize);
        svg.text((LEFT, 28.0), Anchor::Start, "title", &title);
        self.draw_x(&mut svg);
        self.draw_y(&mut svg);
        svg.rect((LEFT, TOP), (WIDTH, HEIGHT), "frame", "", "");
        self.draw_reference(&mut svg);
        for line in 0..self.series.len() {
            self.draw_line(&mut svg, line);
        }
        // Markers after all lines: no line crosses one.
        for line in 0..self.series.len() {
            self.draw_markers(&mut svg, line);
        }
        self.draw_legend(&mut svg);
        for (at, note) in notes.iter().enumerate() {
            svg.text((LEFT, self.below_axis() + 18.0 * (at + 1) as f64), Anchor::Start, "small", note);
        }
        svg.finish()
    }

    fn size(&self, notes: usize) -> (f64, f64) {
        let names = self.series.iter().chain(&self.reference).map(|series| legend_name(&series.name).chars().count());
        let legend = names.clone().max().unwrap_or(0) as f64 * CHARACTER + 52.0;
        let legend_height = TOP + names.count() as f64 * LEGEND_ROW + 16.0;
        (LEGEND + legend, legend_height.max(self.below_axis() + 18.0 * notes as f64 + 16.0))
    }

    fn below_axis(&self) -> f64 {
        TOP + HEIGHT + if self.x.below.is_empty() { 48.0 } else { 66.0 }
    }

    /// Where a point is on the sheet; none if an axis has no place for it.
    fn place(&self, point: &Point) -> Option<(f64, f64)> {
        let shown = self.x.axis.scale.shows(point.x) && self.y.axis.scale.shows(point.y);
        shown.then(|| (LEFT + WIDTH * self.x.axis.place(point.x), TOP + HEIGHT * (1.0 - self.y.axis.place(point.y))))
    }

    fn draw_x(&self, svg: &mut Svg) {
        for (at, tick) in self.x.axis.ticks.iter().enumerate() {
            let x = LEFT + WIDTH * self.x.axis.place(*tick);
            svg.line((x, TOP), (x, TOP + HEIGHT), "grid");
            let text = |labels: &[String]| labels.get(at).cloned().unwrap_or_default();
            svg.text((x, TOP + HEIGHT + 19.0), Anchor::Middle, "", &text(&self.x.labels));
            if !self.x.below.is_empty() {
                svg.text((x, TOP + HEIGHT + 36.0), Anchor::Middle, "small", &text(&self.x.below));
            }
        }
        svg.text((LEFT + WIDTH / 2.0, self.below_axis() - 6.0), Anchor::Middle, "", &self.x.title);
    }

    fn draw_y(&self, svg: &mut Svg) {
        for (at, tick) in self.y.axis.ticks.iter().enumerate() {
            let y = TOP + HEIGHT * (1.0 - self.y.axis.place(*tick));
            svg.line((LEFT, y), (LEFT + WIDTH, y), "grid");
            let label = self.y.labels.get(at).map_or("", String::as_str);
            svg.text((LEFT - 8.0, y + 4.5), Anchor::End, "", label);
        }
        svg.text_upwards((20.0, TOP + HEIGHT / 2.0), &self.y.title);
    }

    fn draw_reference(&self, svg: &mut Svg) {
        let Some(reference) = &self.reference else { return };
        let points: Vec<_> = reference.points.iter().filter_map(|point| self.place(point)).collect();
        match points.as_slice() {
            [] => {}
            [(_, y)] => svg.line((LEFT, *y), (LEFT + WIDTH, *y), "reference"),
            _ => svg.polyline(&points, "reference", ""),
        }
    }

    fn draw_line(&self, svg: &mut Svg, line: usize) {
        let points: Vec<_> = self.series[line].points.iter().filter_map(|point| self.place(point)).collect();
        if points.len() > 1 {
            svg.polyline(&points, "line", &marker::stroke(self.series[line].look));
        }
    }

    fn draw_markers(&self, svg: &mut Svg, line: usize) {
        let look = self.series[line].look;
        for (place, point) in self.marked(line) {
            svg.shape(&marker::marker(look, place), marker::colour(look), &point.hint);
        }
    }

    /// The points of a line that get a marker, with their places: all, or of many a few that are evenly apart, shifted
    /// from line to line so that lines on top of each other can be told.
    fn marked(&self, line: usize) -> Vec<((f64, f64), &Point)> {
        let points: Vec<_> = self.series[line].points.iter().filter_map(|p| Some((self.place(p)?, p))).collect();
        if points.len() <= MOST_MARKERS {
            return points;
        }
        let (first, last) = (points[0].0.0, points[points.len() - 1].0.0);
        let shift = (line as f64 + 0.5) / self.series.len() as f64;
        let nearest = |at: usize| {
            let x = first + (last - first) * (at as f64 + shift) / MARKERS_OF_MANY as f64;
            let away = |index: &usize| (points[*index].0.0 - x).abs();
            (0..points.len()).min_by(|a, b| away(a).total_cmp(&away(b)))
        };
        let chosen: BTreeSet<usize> = (0..MARKERS_OF_MANY).filter_map(nearest).collect();
        chosen.into_iter().map(|index| points[index]).collect()
    }

    fn draw_legend(&self, svg: &mut Svg) {
        let mut y = TOP + 12.0;
        if let Some(reference) = &self.reference {
            svg.line((LEGEND, y), (LEGEND + 30.0, y), "reference");
            svg.text((LEGEND + 38.0, y + 4.5), Anchor::Start, "", &legend_name(&reference.name));
            y += LEGEND_ROW;
        }
        for series in &self.series {
            svg.polyline(&[(LEGEND, y), (LEGEND + 30.0, y)], "line", &marker::stroke(series.look));
            svg.shape(&marker::marker(series.look, (LEGEND + 15.0, y)), marker::colour(series.look), &series.name);
            svg.text((LEGEND + 38.0, y + 4.5), Anchor::Start, "", &legend_name(&series.name));
            y += LEGEND_ROW;
        }
    }

    /// A line of text for each point that has no place, the last of them counting the rest.
    fn notes(&self) -> Vec<String> {
        let points = self.series.iter().flat_map(|series| &series.points);
        let lost: Vec<&Point> = points.filter(|point| self.place(point).is_none()).collect();
        let note = |point: &&Point| format!("Not drawn: {}", format::cut(&point.hint, 90));
        match lost.len() {
            0..=MOST_NOTES => lost.iter().map(note).collect(),
            all => {
                let rest = format!("Not drawn: {} more, see the table", all - (MOST_NOTES - 1));
                lost[..MOST_NOTES - 1].iter().map(note).chain([rest]).collect()
            }
        }
    }
}

fn legend_name(name: &str) -> String {
    format::cut(name, LEGEND_NAME)
}

#[cfg(test)]
mod tests {
    use super::super::axis::Scale;
    use super::*;

    fn chart(points: &[(f64, f64)]) -> LineChart {
        let points = points.iter().map(|(x, y)| Point { x: *x, y: *y, hint: format!("<{x}&{y}>") }).collect();
        LineChart {
            names: Names { id: "c".to_owned(), title: "a<b".to_owned(), description: String::new() },
            x: LabelledAxis::new("x".to_owned(), Axis::covering(Scale::Linear, [0.0, 10.0], 6)),
            y: LabelledAxis::new("y".to_owned(), Axis::covering(Scale::Decimal, [1.0, 100.0], 6)),
            series: vec![Series { name: "one & two".to_owned(), look: 0, points }],
            reference: None,
        }
    }

    fn all<'a, 'i>(
        svg: &'a roxmltree::Document<'i>,
        name: &'static str,
        class: &'static str,
    ) -> Vec<roxmltree::Node<'a, 'i>> {
        let has = |n: &roxmltree::Node<'_, '_>| {
            n.has_tag_name(("http://www.w3.org/2000/svg", name)) && n.attribute("class") == Some(class)
        };
        svg.descendants().filter(has).collect()
    }

    #[test]
    fn points_are_where_the_axes_say() {
        let text = chart(&[(0.0, 1.0), (10.0, 100.0), (5.0, 10.0)]).to_svg();
        let svg = roxmltree::Document::parse(&text).unwrap();
        let line = all(&svg, "polyline", "line")[0].attribute("points").unwrap();
        assert_eq!(line, "92.0,392.0 652.0,52.0 372.0,222.0");
        // Three points, and the one of the legend.
        assert_eq!(all(&svg, "path", "marker").len(), 4);
    }

    #[test]
    fn what_has_no_place_is_named_below() {
        let text = chart(&[(0.0, 0.0), (1.0, f64::NAN), (2.0, 10.0)]).to_svg();
        let svg = roxmltree::Document::parse(&text).unwrap();
        let notes: Vec<_> = all(&svg, "text", "small").iter().map(|n| n.text().unwrap().to_owned()).collect();
        assert_eq!(notes, ["Not drawn: <0&0>", "Not drawn: <1&NaN>"]);
        let many = chart(&[(0.0, 0.0); 9]).to_svg();
        assert!(many.contains("6 more"));
    }

    #[test]
    fn a_reference_of_one_point_goes_across() {
        let mut chart = chart(&[(5.0, 10.0)]);
        chart.reference = Some(Series {
            name: "exact".to_owned(),
            look: 0,
            points: vec![Point { x: 1.0, y: 10.0, hint: String::new() }],
        });
        let text = chart.to_svg();
        assert!(text.contains("class=\"reference\" x1=\"92.0\" y1=\"222.0\" x2=\"652.0\" y2=\"222.0\""), "{text}");
    }

    #[test]
    fn of_many_points_a_few_have_markers_and_no_two_lines_the_same() {
        let points: Vec<_> = (0..100).map(|at| (f64::from(at) / 10.0, 10.0)).collect();
        let mut chart = chart(&points);
        chart.series.push(Series { name: "other".to_owned(), look: 1, ..chart.series[0].clone() });
        let text = chart.to_svg();
        let svg = roxmltree::Document::parse(&text).unwrap();
        let markers = all(&svg, "path", "marker");
        let marked = |fill: &str| -> Vec<String> {
            let own = markers.iter().filter(|n| n.attribute("fill") == Some(fill));
            own.map(|n| n.first_element_child().unwrap().text().unwrap().to_owned()).collect()
        };
        let (one, other) = (marked(marker::colour(0)), marked(marker::colour(1)));
        assert!(one.len() > 3 && one.len() < 9, "{one:?}");
        assert!(one.iter().all(|hint| !other.contains(hint)), "{one:?} {other:?}");
    }

    #[test]
    fn an_empty_chart_is_well_formed() {
        let mut chart = chart(&[]);
        chart.series.clear();
        assert!(roxmltree::Document::parse(&chart.to_svg()).is_ok());
    }
}
