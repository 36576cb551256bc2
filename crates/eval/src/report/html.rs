//! The page: one file with everything in it, which needs no network and no script.

use super::escape::xml;
use super::figures::{Figure, FigureKind};
use super::{Report, markdown};

const STYLE: &str = include_str!("page.css");

/// A page lists no more failures and gaps than these; `metrics.json` has them all.
const MOST_LISTED: usize = 200;

const HOW_TO_READ: &str = "\
<p>A cache is judged by two numbers at once: how good the answers are and how many bytes it takes. Compare methods at \
the same <em>measured ratio</em>: the bytes that an exact bf16 cache holds when the answer begins, divided by the bytes \
that the method really holds then, its window and bookkeeping included. It may differ from what was asked for; the \
column <em>against budget</em> says by how much, and a negative figure means that the cache is larger than asked.</p>
<ul>
<li><strong>after-context</strong>: compressed before any question is known. <strong>after-prompt</strong>: compressed \
with the question in sight, which helps methods that select by attention.</li>
<li><strong>Scores</strong> and <strong>top-1 agreement</strong> are in percent, higher is better. \
<strong>KL</strong> and the <strong>perplexity ratio</strong> compare the next-token distributions with those of the \
exact cache: 0 and 1 are lossless, lower is better.</li>
<li><em>RULER</em> and <em>LongBench</em> averages are plain means over tasks. Where they are marked as a subset they \
are no figures of the benchmarks' own and compare only with each other.</li>
<li>A dash is a value that was not measured; <em>7 of 9</em> beside a value says that it is a mean of fewer items than \
the column's other values, and so no fair comparison. <em>NaN</em> and <em>inf</em> are what came out.</li>
<li>In the figures a line is a method and the dashed line is the exact cache. In a heat map the depth is where in the \
context the needle is: 0 is its beginning.</li>
</ul>
";

/// The whole page; it is well-formed XML, too.
pub fn page(report: &Report) -> String {
    let title = match report.run.model.as_str() {
        "" => "Quality against bytes".to_owned(),
        model => format!("Quality against bytes: {}", xml(model)),
    };
    let sections = sections(report);
    let links: String =
        sections.iter().map(|s| format!("<li><a href=\"#{}\">{}</a></li>\n", s.id, s.heading)).collect();
    let bodies: String = sections.iter().map(Section::html).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{notice}\
         <nav aria-label=\"Sections\"><ul>\n{links}</ul></nav>\n{bodies}</main>\n</body>\n</html>\n",
        notice = notice(report)
    )
}

struct Section {
    id: &'static str,
    heading: &'static str,
    body: String,
}

impl Section {
    fn html(&self) -> String {
        let (id, heading, body) = (self.id, self.heading, &self.body);
        format!("<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{heading}</h2>\n{body}</section>\n")
    }
}

/// The sections that have something to say.
fn sections(report: &Report) -> Vec<Section> {
    let section = |id, heading, body| Section { id, heading, body };
    let all = [
        section("run", "What was run", run(report)),
        section("reading", "How to read it", HOW_TO_READ.to_owned()),
        section("quality", "Quality against bytes", figures(report, FigureKind::Quality)),
        section("needles", "Needles", figures(report, FigureKind::HeatMap)),
        section("memory", "Memory", figures(report, FigureKind::Memory)),
        section("tables", "Tables", tables(report)),
        section("missing", "Missing", missing(report)),
        section("failed", "Failed", failed(report)),
    ];
    all.into_iter().filter(|section| !section.body.is_empty()).collect()
}

fn notice(report: &Report) -> String {
    let (failed, missing) = (report.failures.len(), report.gaps.len());
    let part = |count: usize, id: &str, what: &str| match count {
        0 => None,
        _ => Some(format!("<a href=\"#{id}\">{what}: {count}</a>")),
    };
    let parts: Vec<_> =
        [part(failed, "failed", "Failed"), part(missing, "missing", "Missing")].into_iter().flatten().collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!("<p class=\"notice\">This run is not whole. {}.</p>\n", parts.join(", ")),
    }
}

fn run(report: &Report) -> String {
    let row = |(heading, text): &(&str, String)| {
        format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", xml(heading), xml(text))
    };
    let rows: String = report.run.lines().iter().map(row).collect();
    match rows.is_empty() {
        true => String::new(),
        false => wide("What was run", &format!("<table class=\"words\">\n<tbody>\n{rows}</tbody>\n</table>\n")),
    }
}

fn figures(report: &Report, kind: FigureKind) -> String {
    let figure = |f: &Figure| {
        let file = xml(&f.stem);
        format!("<figure>\n{}<figcaption>{file}.svg</figcaption>\n</figure>\n", f.svg)
    };
    let all: String = report.figures.iter().filter(|f| f.kind == kind).map(figure).collect();
    match kind {
        FigureKind::HeatMap if !all.is_empty() => format!("<div class=\"maps\">\n{all}</div>\n"),
        _ => all,
    }
}

fn tables(report: &Report) -> String {
    if report.tables.is_empty() {
        return "<p>There are no predictions.</p>\n".to_owned();
    }
    report.tables.iter().map(|table| wide(&table.caption, &table.to_html())).collect()
}

/// A table that is scrolled by itself where it is wider than the page, with the keyboard, too.
fn wide(label: &str, table: &str) -> String {
    let label = xml(label);
    format!("<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"{label}\">\n{table}</div>\n")
}

fn missing(report: &Report) -> String {
    let item = |gap: &super::Gap| format!("<li>{}</li>\n", xml(&gap.to_string()));
    let items: String = report.gaps.iter().take(MOST_LISTED).map(item).collect();
    match items.is_empty() {
        true => String::new(),
        false => format!("<ul>\n{items}</ul>\n{}", and_more(report.gaps.len())),
    }
}

fn failed(report: &Report) -> String {
    if report.failures.is_empty() {
        return String::new();
    }
    let mut table = markdown::failures(&report.failures);
    table.groups.iter_mut().for_each(|group| group.rows.truncate(MOST_LISTED));
    let html = table.to_html().replacen("<table>", "<table class=\"words\">", 1);
    format!("{}{}", wide(&table.caption, &html), and_more(report.failures.len()))
}

fn and_more(count: usize) -> String {
    match count.saturating_sub(MOST_LISTED) {
        0 => String::new(),
        more => format!("<p>And {more} more, in metrics.json.</p>\n"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use roxmltree::{Document, ParsingOptions};

    use super::*;
    use crate::prediction::Prediction;
    use crate::report::sample::{prediction, scored};
    use crate::report::{Failure, RunInfo};

    fn check(page: &str) -> Vec<String> {
        let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
        let parsed = Document::parse_with_options(page, options).unwrap_or_else(|e| panic!("{e} in {page}"));
        let ids: Vec<&str> = parsed.descendants().filter_map(|n| n.attribute("id")).collect();
        let distinct: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), distinct.len(), "{ids:?}");
        for node in parsed.descendants() {
            let links = node.attribute("href").map(|to| to.trim_start_matches('#'));
            let labels = node.attribute("aria-labelledby").into_iter().flat_map(|ids| ids.split(' '));
            for id in links.into_iter().chain(labels) {
                assert!(distinct.contains(id), "nothing is called {id}");
            }
        }
        parsed.descendants().filter(|n| n.has_tag_name("h2")).map(|n| n.text().unwrap().to_owned()).collect()
    }

    fn needle(method: &str, depth: f64) -> Prediction {
        let mut p = scored("needle", method, &depth.to_string(), 1.0);
        p.labels = [("length".to_owned(), 4096.0), ("depth".to_owned(), depth)].into();
        p
    }

    #[test]
    fn an_empty_run_is_a_page() {
        let page = page(&Report::new(RunInfo::default(), &[], Vec::new()));
        assert_eq!(check(&page), ["How to read it", "Tables"]);
        assert!(page.contains("There are no predictions"));
    }

    #[test]
    fn every_section_is_there_and_every_name_is_escaped() {
        let evil = "<script>alert('&amp;\"')</script>\u{0}]]>";
        let run = RunInfo { model: evil.to_owned(), tasks: vec![evil.to_owned()], ..RunInfo::default() };
        let failure = Failure { task: evil.to_owned(), reason: evil.to_owned(), ..Failure::default() };
        let mut odd = prediction(evil, evil, Some(4.0), evil);
        odd.when = evil.to_owned();
        odd.values = [(evil.to_owned(), f64::NAN), ("kl".to_owned(), f64::INFINITY)].into();
        let all = [needle(evil, 0.0), needle(evil, 50.0), needle("exact", 0.0), odd];
        let page = page(&Report::new(run, &all, vec![failure]));
        let sections = check(&page);
        assert_eq!(
            sections,
            [
                "What was run",
                "How to read it",
                "Quality against bytes",
                "Needles",
                "Memory",
                "Tables",
                "Missing",
                "Failed"
            ]
        );
        assert!(!page.contains("<script"), "{page}");
    }

    #[test]
    fn a_page_loads_nothing() {
        let page = page(&Report::new(RunInfo::default(), &[needle("int4", 0.0)], Vec::new()));
        let without_namespace = page.replace("http://www.w3.org/2000/svg", "");
        for outside in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!without_namespace.contains(outside), "{outside}");
        }
    }

    #[test]
    fn long_lists_of_failures_are_cut_and_counted() {
        let failures = vec![Failure::default(); MOST_LISTED + 7];
        let page = page(&Report::new(RunInfo::default(), &[], failures));
        check(&page);
        assert!(page.contains("And 7 more") && page.contains("Failed: 207"));
    }
}
