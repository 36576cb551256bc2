//! Which figures a report has.

use std::collections::{BTreeMap, BTreeSet};

use super::comparison::{family_of, family_title};
use super::escape::file_stem;
use super::family::{ALL, FamilyScore};
use super::format;
use super::measure::Measure;
use super::order::{Total, by_row};
use super::plot::heat_map::HeatMap;
use super::plot::looks::Looks;
use super::plot::memory::memory;
use super::plot::quality::{Measured, quality};
use super::plot::svg::Names;
use super::summary::Summary;
use crate::prediction::Prediction;

/// What a figure shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FigureKind {
    /// Quality against bytes.
    Quality,
    /// Needles by length and depth.
    HeatMap,
    /// Bytes against the length of the past.
    Memory,
}

/// A figure, ready to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it shows.
    pub kind: FigureKind,
    /// The name of its file without `.svg`, unique among a report's figures.
    pub stem: String,
    /// Its title.
    pub title: String,
    /// The figure.
    pub svg: String,
}

/// The values that have a figure, in its order.
const DRAWN: [&str; 5] = ["score", "kl", "ppl_ratio", "top1", "log_probability"];

/// The families that have a figure of their averages instead of one a task.
const AVERAGED: [&str; 2] = ["ruler", "longbench"];

/// The tasks with heat maps: others have lengths and depths, too, but hide no needles.
const NEEDLE: &str = "needle";

/// All figures, by kind: quality against bytes for the averages of RULER (by length) and LongBench and for each value
/// of each other task; a heat map a method for the needle tasks; and memory, a figure a budget.
pub fn figures(predictions: &[Prediction], rows: &[Summary], families: &[FamilyScore]) -> Vec<Figure> {
    let mut album = Album { looks: Looks::of(rows), ..Album::default() };
    let whens: BTreeSet<&str> = rows.iter().map(|r| r.when.as_str()).collect();
    for when in &whens {
        family_figures(&mut album, families, when);
        task_figures(&mut album, rows, when);
    }
    heat_maps(&mut album, predictions);
    for when in &whens {
        memory_figures(&mut album, predictions, when);
    }
    album.figures
}

/// Figures so far, the stems that they have, and how their lines look.
#[derive(Default)]
struct Album {
    looks: Looks,
    figures: Vec<Figure>,
    stems: BTreeSet<String>,
}

impl Album {
    /// Names of a figure that no other has.
    fn names(&mut self, file: &str, title: String, description: String) -> Names {
        let stem = file_stem(file);
        let numbered = (2..).map(|n| format!("{stem}-{n}"));
        let free = std::iter::once(stem.clone()).chain(numbered).find(|name| !self.stems.contains(name));
        let id = free.unwrap_or(stem);
        self.stems.insert(id.clone());
        Names { id, title, description }
    }

    fn add(&mut self, kind: FigureKind, names: Names, svg: String) {
        self.figures.push(Figure { kind, stem: names.id, title: names.title, svg });
    }

    fn add_quality(&mut self, subject: &str, when: &str, value: &str, measured: &[Measured<'_>]) {
        let measure = Measure::named(value);
        let title = format!("{subject}: {} against bytes, {when}", measure.heading);
        let description = format!(
            "{} of {subject} against how many times smaller than the exact cache each method's cache is as measured, \
             compressed {when}, a line a method. The tables hold the numbers.",
            measure.title()
        );
        let names = self.names(&format!("quality-{subject}-{value}-{when}"), title, description);
        if let Some(chart) = quality(names.clone(), &measure, measured, &self.looks) {
            self.add(FigureKind::Quality, names, chart.to_svg());
        }
    }
}

fn family_figures(album: &mut Album, families: &[FamilyScore], when: &str) {
    let mut subjects: BTreeMap<(&str, Option<Total>), Vec<Measured<'_>>> = BTreeMap::new();
    for f in families.iter().filter(|f| f.when == when && f.group == ALL) {
        let measured = Measured { method: &f.method, budget: f.budget, ratio: f.ratio, value: f.score };
        subjects.entry((&f.family, f.length.map(Total))).or_default().push(measured);
    }
    for ((family, length), measured) in subjects {
        let at = length.map_or(String::new(), |length| format!(" at {} tokens", format::tokens(length.0)));
        album.add_quality(&format!("{} average{at}", family_title(family)), when, "score", &measured);
    }
}

fn task_figures(album: &mut Album, rows: &[Summary], when: &str) {
    let mut tasks: BTreeMap<&str, Vec<&Summary>> = BTreeMap::new();
    for row in rows.iter().filter(|r| r.when == when && !AVERAGED.contains(&family_of(&r.task))) {
        tasks.entry(&row.task).or_default().push(row);
    }
    for (task, rows) in tasks {
        for value in DRAWN {
            let measured: Vec<_> = rows.iter().filter_map(|row| measured(row, value)).collect();
            if !measured.is_empty() {
                album.add_quality(task, when, value, &measured);
            }
        }
    }
}

fn measured<'a>(row: &'a Summary, value: &str) -> Option<Measured<'a>> {
    let value = row.values.get(value)?.mean;
    Some(Measured { method: &row.method, budget: row.budget, ratio: row.ratio, value })
}

fn heat_maps(album: &mut Album, predictions: &[Prediction]) {
    for (row, items) in by_row(predictions) {
        if family_of(row.task) != NEEDLE {
            continue;
        }
        let map = HeatMap::of(items.into_values());
        if !map.is_empty() {
            let title = row.method.title();
            let file = format!("needles-{}-{title}-{}", row.task, row.when);
            let description = format!(
                "Scores of {} with {title}, compressed {}, by context length and depth of the needle, in percent.",
                row.task, row.when
            );
            let names = album.names(&file, title, description);
            let svg = map.to_svg(&names, &format!("{}, {}", row.task, row.when));
            album.add(FigureKind::HeatMap, names, svg);
        }
    }
}

fn memory_figures(album: &mut Album, predictions: &[Prediction], when: &str) {
    let mut by_budget: BTreeMap<Option<Total>, Vec<&Prediction>> = BTreeMap::new();
    for p in predictions.iter().filter(|p| p.when == when) {
        by_budget.entry(p.budget.map(Total)).or_default().push(p);
    }
    for (budget, predictions) in by_budget {
        let asked = budget.map_or(String::new(), |budget| format!(", asked for {}", format::budget(budget.0)));
        let title = format!("Memory of the cache against context length{asked}, {when}");
        let description = format!(
            "Bytes that each method's cache holds by tokens of the past{asked}, compressed {when}, and what exact holds. \
             Both axes are logarithmic."
        );
        let names = album.names(&format!("memory{asked}-{when}"), title, description);
        if let Some(chart) = memory(names.clone(), &predictions, &album.looks) {
            album.add(FigureKind::Memory, names, chart.to_svg());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::family::families;
    use crate::report::sample::{prediction, scored};
    use crate::report::summary::summarise;

    fn of(predictions: &[Prediction]) -> Vec<Figure> {
        figures(predictions, &summarise(predictions), &families(predictions))
    }

    fn stems(figures: &[Figure]) -> Vec<&str> {
        figures.iter().map(|f| f.stem.as_str()).collect()
    }

    #[test]
    fn no_predictions_no_figures() {
        assert_eq!(of(&[]), []);
    }

    #[test]
    fn averages_have_one_figure_and_other_tasks_one_a_value() {
        let mut kl = scored("ppl", "int4", "a", 0.5);
        kl.values.insert("kl".to_owned(), 0.1);
        let all = [kl, scored("longbench:qasper", "int4", "a", 0.5), scored("longbench:lcc", "int4", "a", 0.5)];
        assert_eq!(
            stems(&of(&all)),
            [
                "quality-longbench-average-score-after-context",
                "quality-ppl-score-after-context",
                "quality-ppl-kl-after-context",
                "memory-after-context",
            ]
        );
    }

    #[test]
    fn methods_whose_names_look_alike_have_files_of_their_own() {
        let all: Vec<_> = ["<&>", "\">'"]
            .iter()
            .map(|method| {
                let mut p = scored("needle", method, "a", 1.0);
                p.labels = [("length".to_owned(), 4096.0), ("depth".to_owned(), 50.0)].into();
                p
            })
            .collect();
        let figures = of(&all);
        let maps: Vec<_> = figures.iter().filter(|f| f.kind == FigureKind::HeatMap).map(|f| f.stem.as_str()).collect();
        assert_eq!(maps, ["needles-needle-after-context", "needles-needle-after-context-2"]);
        for figure in &figures {
            assert!(roxmltree::Document::parse(&figure.svg).is_ok(), "{}", figure.svg);
        }
    }

    #[test]
    fn memory_has_a_figure_a_budget() {
        let all = [prediction("t", "snapkv", Some(4.0), "a"), prediction("t", "int4", None, "a")];
        assert_eq!(stems(&of(&all)), ["memory-after-context", "memory-asked-for-4x-after-context"]);
    }
}
