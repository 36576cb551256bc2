//! The tables of a report: methods as rows, tasks or values as columns, grouped by the budget that was asked for, the
//! measured ratio beside.

use std::collections::{BTreeMap, BTreeSet};

use super::family::{ALL, FamilyScore};
use super::format;
use super::measure::{BOOKKEEPING, Measure};
use super::order::MethodKey;
use super::summary::{Summary, ratio_of};
use super::table::{Table, TableGroup};

/// All tables: for each moment of compression the averages of RULER and LongBench, then each family of tasks
/// (`ruler:vt` and `ruler:cwe` are one): a table a value with the tasks as columns, or of a single task one table with
/// its values as columns.
pub fn tables(rows: &[Summary], families: &[FamilyScore]) -> Vec<Table> {
    let whens: BTreeSet<&str> = rows.iter().map(|r| r.when.as_str()).collect();
    let mut all = Vec::new();
    for when in whens {
        all.extend(family_tables(families, when));
        let mut by_family: BTreeMap<&str, Vec<&Summary>> = BTreeMap::new();
        for row in rows.iter().filter(|r| r.when == when) {
            by_family.entry(family_of(&row.task)).or_default().push(row);
        }
        all.extend(by_family.iter().flat_map(|(family, rows)| task_tables(family, when, rows)));
    }
    all
}

/// What comes before the colon of a task's name.
pub(super) fn family_of(task: &str) -> &str {
    task.split_once(':').map_or(task, |(family, _)| family)
}

/// A family's name as people write it.
pub(super) fn family_title(family: &str) -> &str {
    match family {
        "ruler" => "RULER",
        "longbench" => "LongBench",
        other => other,
    }
}

/// What stands in one cell.
struct Entry<'a> {
    method: MethodKey<'a>,
    column: String,
    text: String,
    /// What the value is a mean of: predictions or tasks.
    count: usize,
    bytes: u64,
    exact_bytes: u64,
}

fn task_tables(family: &str, when: &str, rows: &[&Summary]) -> Vec<Table> {
    let tasks: BTreeSet<&str> = rows.iter().map(|r| r.task.as_str()).collect();
    let names: BTreeSet<&str> = rows.iter().flat_map(|r| r.values.keys()).map(String::as_str).collect();
    let names: Vec<&str> = names.into_iter().filter(|name| !BOOKKEEPING.contains(name)).collect();
    if tasks.len() == 1 {
        let entries: Vec<Entry<'_>> = names.iter().flat_map(|name| entries(rows, name, |_| heading(name))).collect();
        return vec![table(format!("{}, {when}", rows[0].task), "predictions", &entries)];
    }
    let one = |name: &&str| {
        let entries = entries(rows, name, |row| short_task(&row.task).to_owned());
        table(format!("{}: {}, {when}", family_title(family), Measure::named(name).title()), "predictions", &entries)
    };
    names.iter().map(one).collect()
}

fn heading(name: &str) -> String {
    Measure::named(name).title()
}

fn short_task(task: &str) -> &str {
    task.split_once(':').map_or(task, |(_, name)| name)
}

fn entries<'a>(rows: &[&'a Summary], name: &str, column: impl Fn(&Summary) -> String) -> Vec<Entry<'a>> {
    let measure = Measure::named(name);
    let one = |row: &&'a Summary| {
        let value = row.values.get(name)?;
        Some(Entry {
            method: MethodKey::new(&row.method, row.budget),
            column: column(row),
            text: measure.text(value.mean),
            count: value.count,
            bytes: row.bytes,
            exact_bytes: row.exact_bytes,
        })
    };
    rows.iter().filter_map(one).collect()
}

fn family_tables(families: &[FamilyScore], when: &str) -> Vec<Table> {
    let mut tables = Vec::new();
    for family in ["ruler", "longbench"] {
        let own: Vec<&FamilyScore> = families.iter().filter(|f| f.family == family && f.when == when).collect();
        if !own.is_empty() {
            let entries: Vec<Entry<'_>> = own.iter().map(|f| family_entry(f)).collect();
            tables.push(table(family_caption(family, when, &own), "tasks", &entries));
        }
    }
    tables
}

fn family_entry(family: &FamilyScore) -> Entry<'_> {
    let column = match family.length {
        Some(length) => format!("{} tokens", format::tokens(length)),
        None => family.group.clone(),
    };
    Entry {
        method: MethodKey::new(&family.method, family.budget),
        column,
        text: Measure::named("score").text(family.score),
        count: family.tasks,
        bytes: family.bytes,
        exact_bytes: family.exact_bytes,
    }
}

fn family_caption(family: &str, when: &str, own: &[&FamilyScore]) -> String {
    let all = own.iter().filter(|f| f.group == ALL);
    let most = all.max_by_key(|f| (f.items, f.tasks)).unwrap_or(&own[0]);
    let subset = match own.iter().any(|f| f.subset) {
        false => String::new(),
        true => format!(
            ". A subset: {} of {} tasks, {} of {} items at most",
            most.tasks, most.of_tasks, most.items, most.of_items
        ),
    };
    let each = if most.length.is_some() { " of each length" } else { "" };
    format!("{}: plain mean of its tasks' scores, %, {when}{subset}{each}", family_title(family))
}

/// The table of these cells, its columns in the order in which they first come.
fn table(caption: String, counted: &str, entries: &[Entry<'_>]) -> Table {
    let mut columns: Vec<(&str, usize)> = Vec::new();
    for entry in entries {
        match columns.iter_mut().find(|(name, _)| *name == entry.column) {
            Some((_, most)) => *most = (*most).max(entry.count),
            None => columns.push((&entry.column, entry.count)),
        }
    }
    let with_budget = entries.iter().any(|entry| entry.method.budget().is_some());
    let mut by_method: BTreeMap<MethodKey<'_>, Vec<&Entry<'_>>> = BTreeMap::new();
    for entry in entries {
        by_method.entry(entry.method).or_default().push(entry);
    }
    let mut groups: Vec<(Option<f64>, TableGroup)> = Vec::new();
    for (method, entries) in by_method {
        if groups.last().is_none_or(|(budget, _)| *budget != method.budget()) {
            groups.push((method.budget(), TableGroup { heading: group_heading(method.budget()), rows: Vec::new() }));
        }
        if let Some((_, group)) = groups.last_mut() {
            group.rows.push(table_row(&method, &entries, &columns, with_budget));
        }
    }
    Table { caption, columns: headings(&columns, counted, with_budget), groups: heads_where_needed(groups) }
}

fn group_heading(budget: Option<f64>) -> Option<String> {
    Some(budget.map_or("no budget asked for".to_owned(), |b| format!("asked for {}", format::budget(b))))
}

fn heads_where_needed(groups: Vec<(Option<f64>, TableGroup)>) -> Vec<TableGroup> {
    let needed = groups.iter().any(|(budget, _)| budget.is_some());
    let head = |(_, group): (_, TableGroup)| TableGroup { heading: group.heading.filter(|_| needed), ..group };
    groups.into_iter().map(head).collect()
}

fn headings(columns: &[(&str, usize)], counted: &str, with_budget: bool) -> Vec<String> {
    let mut all = vec!["method".to_owned(), "measured ratio".to_owned()];
    all.extend(with_budget.then(|| "against budget".to_owned()));
    let same = columns.first().map(|(_, count)| count);
    match columns.iter().all(|(_, count)| Some(count) == same) {
        true => all.extend(columns.iter().map(|(name, _)| (*name).to_owned())),
        false => {
            all.extend(columns.iter().map(|(name, count)| format!("{name} ({count} {})", plural(counted, *count))))
        }
    }
    all
}

fn plural(counted: &str, count: usize) -> &str {
    if count == 1 { counted.trim_end_matches('s') } else { counted }
}

fn table_row(
    method: &MethodKey<'_>,
    entries: &[&Entry<'_>],
    columns: &[(&str, usize)],
    with_budget: bool,
) -> Vec<String> {
    let mut row = vec![method.method.to_owned(), ratio_text(entries)];
    row.extend(with_budget.then(|| miss_text(entries, method.budget())));
    for (name, most) in columns {
        row.push(match entries.iter().find(|entry| entry.column == *name) {
            None => "–".to_owned(),
            Some(entry) if entry.count < *most => format!("{} ({} of {most})", entry.text, entry.count),
            Some(entry) => entry.text.clone(),
        });
    }
    row
}

fn total_ratio(entries: &[&Entry<'_>]) -> Option<f64> {
    let sum = |part: fn(&Entry<'_>) -> u64| entries.iter().fold(0, |sum: u64, e| sum.saturating_add(part(e)));
    ratio_of(sum(|e| e.exact_bytes), sum(|e| e.bytes))
}

/// The ratio over all cells, and its range where they differ by more than a hundredth.
fn ratio_text(entries: &[&Entry<'_>]) -> String {
    let Some(total) = total_ratio(entries) else { return "–".to_owned() };
    let each = entries.iter().filter_map(|e| ratio_of(e.exact_bytes, e.bytes));
    let (least, most) = each.fold((total, total), |(least, most), r| (least.min(r), most.max(r)));
    match most > least * 1.01 {
        true => format!("{} ({} to {})", format::ratio(total), format::ratio(least), format::ratio(most)),
        false => format::ratio(total),
    }
}

/// By how much the measured ratio misses the budget: below it is short of it.
fn miss_text(entries: &[&Entry<'_>], budget: Option<f64>) -> String {
    match (total_ratio(entries), budget) {
        (Some(ratio), Some(budget)) if budget > 0.0 => {
            let text = format::decimals((ratio / budget - 1.0) * 100.0, 1);
            let sign = if text.starts_with('-') || text == "0.0" { "" } else { "+" };
            format!("{sign}{text} %")
        }
        _ => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prediction::Prediction;
    use crate::report::family::families;
    use crate::report::sample::{prediction, scored};
    use crate::report::summary::summarise;

    fn tables_of(predictions: &[Prediction]) -> Vec<Table> {
        tables(&summarise(predictions), &families(predictions))
    }

    fn budgeted(task: &str, method: &str, budget: f64, document: &str, score: f64) -> Prediction {
        Prediction { budget: Some(budget), ..scored(task, method, document, score) }
    }

    #[test]
    fn no_predictions_no_tables() {
        assert_eq!(tables_of(&[]), []);
    }

    #[test]
    fn one_task_and_one_method_by_hand() {
        let tables = tables_of(&[scored("squad", "int4", "a", 0.5)]);
        assert_eq!(tables.len(), 1);
        assert_eq!(tables[0].caption, "squad, after-context");
        assert_eq!(tables[0].columns, ["method", "measured ratio", "score, % (higher is better)"]);
        assert_eq!(
            tables[0].groups,
            [TableGroup { heading: None, rows: vec![vec!["int4".to_owned(), "4.00".to_owned(), "50.00".to_owned()]] }]
        );
    }

    #[test]
    fn tasks_are_columns_grouped_by_budget_and_misses_are_told() {
        let mut far = budgeted("t:b", "snapkv", 8.0, "a", 0.25);
        far.bytes = 800;
        let all = [
            scored("t:a", "exact", "a", 1.0),
            budgeted("t:a", "snapkv", 8.0, "a", 0.5),
            far,
            scored("t:b", "exact", "a", 1.0),
        ];
        let table = &tables_of(&all)[0];
        assert_eq!(table.columns, ["method", "measured ratio", "against budget", "a", "b"]);
        assert_eq!(table.groups[0].heading.as_deref(), Some("no budget asked for"));
        assert_eq!(table.groups[0].rows[0], ["exact", "1.00", "–", "100.00", "100.00"]);
        assert_eq!(table.groups[1].heading.as_deref(), Some("asked for 8x"));
        // 8000 / 1800 = 4.44, from 4 and 5; 4.44 / 8 - 1 = -44.4 %.
        assert_eq!(table.groups[1].rows[0], ["snapkv", "4.44 (4.00 to 5.00)", "-44.4 %", "50.00", "25.00"]);
    }

    #[test]
    fn missing_values_are_dashes_and_incomplete_ones_say_of_how_many() {
        let mut none = prediction("t:b", "int4", None, "a");
        none.values.insert("kl".to_owned(), f64::NAN);
        let all = [
            scored("t:a", "exact", "a", 1.0),
            scored("t:a", "exact", "b", 0.0),
            scored("t:b", "exact", "a", 1.0),
            scored("t:a", "int4", "a", 1.0),
            none,
        ];
        let tables = tables_of(&all);
        assert_eq!(tables[0].caption, "t: KL(exact || method) (lower is better), after-context");
        assert_eq!(tables[0].groups[0].rows, [["int4", "4.00", "NaN"]]);
        assert_eq!(tables[1].columns, ["method", "measured ratio", "a (2 predictions)", "b (1 prediction)"]);
        assert_eq!(tables[1].groups[0].rows[1], ["int4", "4.00", "100.00 (1 of 2)", "–"]);
    }

    #[test]
    fn averages_come_first_and_are_marked_as_a_subset() {
        let all = [scored("longbench:qasper", "int4", "a", 0.5), scored("longbench:lcc", "int4", "a", 1.0)];
        let tables = tables_of(&all);
        assert!(
            tables[0].caption.ends_with("A subset: 2 of 16 tasks, 2 of 3750 items at most"),
            "{}",
            tables[0].caption
        );
        assert_eq!(tables[0].columns[2..], ["all tasks (2 tasks)", "single-document QA (1 task)", "code (1 task)"]);
        assert_eq!(tables[0].groups[0].rows[0][2..], ["75.00", "50.00", "100.00"]);
    }
}
