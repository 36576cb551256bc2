//! A table, and how it is written in Markdown and in HTML.

use super::escape::{markdown_cell, xml};

/// Rows that belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableGroup {
    /// What they have in common; none where the table has one group only.
    pub heading: Option<String>,
    /// The cells of each row: the first is the row's heading, the others stand under the table's columns.
    pub rows: Vec<Vec<String>>,
}

/// A table of text: the first column is on the left and heads its row, all others are numbers and on the right.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What it shows, in a line.
    pub caption: String,
    /// The columns' headings.
    pub columns: Vec<String>,
    /// The rows.
    pub groups: Vec<TableGroup>,
}

impl Table {
    /// As Markdown: the caption in bold, then the table with its columns aligned, a line feed at the end.
    pub fn to_markdown(&self) -> String {
        let rows = self.markdown_rows();
        let widths: Vec<usize> = (0..self.columns.len()).map(|at| column_width(&rows, at)).collect();
        let mut out = format!("**{}**\n\n", markdown_cell(&self.caption));
        for (at, row) in rows.iter().enumerate() {
            out += &markdown_row(row, &widths);
            if at == 0 {
                out += &markdown_rule(&widths);
            }
        }
        out
    }

    /// Headings, then each group's heading as a row of its own and its rows, all escaped.
    fn markdown_rows(&self) -> Vec<Vec<String>> {
        let escaped = |row: &Vec<String>| row.iter().map(|cell| markdown_cell(cell)).collect();
        let mut rows: Vec<Vec<String>> = vec![escaped(&self.columns)];
        for group in &self.groups {
            rows.extend(group.heading.iter().map(|heading| vec![format!("*{}*", markdown_cell(heading))]));
            rows.extend(group.rows.iter().map(escaped));
        }
        rows
    }

    /// As HTML: `<table>` with a caption, and headings with their scope.
    pub fn to_html(&self) -> String {
        let mut out = format!("<table>\n<caption>{}</caption>\n<thead><tr>", xml(&self.caption));
        for column in &self.columns {
            out += &format!("<th scope=\"col\">{}</th>", xml(column));
        }
        out += "</tr></thead>\n";
        for group in self.groups.iter().filter(|group| !group.rows.is_empty()) {
            out += &self.html_group(group);
        }
        out + "</table>\n"
    }

    fn html_group(&self, group: &TableGroup) -> String {
        let mut out = "<tbody>\n".to_owned();
        if let Some(heading) = &group.heading {
            let span = self.columns.len();
            out += &format!("<tr><th scope=\"rowgroup\" colspan=\"{span}\">{}</th></tr>\n", xml(heading));
        }
        for row in &group.rows {
            out += &html_row(row);
        }
        out + "</tbody>\n"
    }
}

fn html_row(row: &[String]) -> String {
    let Some((head, cells)) = row.split_first() else { return String::new() };
    let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", xml(cell))).collect();
    format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", xml(head))
}

fn column_width(rows: &[Vec<String>], at: usize) -> usize {
    rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
}

fn markdown_row(row: &[String], widths: &[usize]) -> String {
    let mut out = String::new();
    for (at, &width) in widths.iter().enumerate() {
        let cell = row.get(at).map_or("", String::as_str);
        out += &if at == 0 { format!("| {cell:<width$} ") } else { format!("| {cell:>width$} ") };
    }
    out + "|\n"
}

fn markdown_rule(widths: &[usize]) -> String {
    let mut out = String::new();
    for (at, width) in widths.iter().enumerate() {
        out += &if at == 0 { format!("| {} ", "-".repeat(*width)) } else { format!("| {}: ", "-".repeat(width - 1)) };
    }
    out + "|\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        Table {
            caption: "Scores".to_owned(),
            columns: row(["method", "ratio", "vt"]),
            groups: vec![
                TableGroup { heading: None, rows: vec![row(["exact", "1.00", "100.00"])] },
                TableGroup { heading: Some("asked for 4x".to_owned()), rows: vec![row(["a<b>&\"", "3.9", ""])] },
            ],
        }
    }

    #[test]
    fn markdown_is_aligned() {
        let want = "\
**Scores**

| method           | ratio |     vt |
| ---------------- | ----: | -----: |
| exact            |  1.00 | 100.00 |
| *asked for 4x*   |       |        |
| a&lt;b&gt;&amp;\" |   3.9 |        |
";
        assert_eq!(table().to_markdown(), want);
    }

    #[test]
    fn html_has_scopes_and_is_escaped() {
        let html = table().to_html();
        let parsed = roxmltree::Document::parse(&html).unwrap();
        let texts = |scope: &str| -> Vec<String> {
            let has = |n: &roxmltree::Node<'_, '_>| n.attribute("scope") == Some(scope);
            parsed.descendants().filter(has).map(|n| n.text().unwrap().to_owned()).collect()
        };
        assert_eq!(texts("col"), ["method", "ratio", "vt"]);
        assert_eq!(texts("row"), ["exact", "a<b>&\""]);
        assert_eq!(texts("rowgroup"), ["asked for 4x"]);
    }

    #[test]
    fn an_empty_table_is_still_one() {
        let empty = Table::default();
        assert!(roxmltree::Document::parse(&empty.to_html()).is_ok());
        assert_eq!(empty.to_markdown(), "****\n\n|\n|\n");
    }
}
