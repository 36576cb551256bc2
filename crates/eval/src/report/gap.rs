//! What is missing, by name: a table with a hole in it must say why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::measure::{AGAINST_EXACT, BOOKKEEPING};
use super::order::{EXACT, MethodKey};
use super::summary::Summary;

/// Something that was to be measured and was not, or not everywhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// The task.
    pub task: String,
    /// The method; empty where it is missing with all.
    pub method: String,
    /// The ratio that was asked for, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<f64>,
    /// `after-context`, `after-prompt`; empty where it is missing at any moment.
    pub when: String,
    /// The value that is missing; empty where whole predictions are.
    pub value: String,
    /// Predictions that have it.
    pub have: usize,
    /// Predictions that should, as other methods' do.
    pub of: usize,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.method.as_str() {
            "" => "any method".to_owned(),
            method => MethodKey::new(method, self.budget).title(),
        };
        write!(f, "{}, {method}", self.task)?;
        if !self.when.is_empty() {
            write!(f, ", {}", self.when)?;
        }
        match (self.value.as_str(), self.of) {
            ("", 0) => write!(f, ": no prediction"),
            ("", of) => write!(f, ": {} of {of} predictions", self.have),
            (value, of) => write!(f, ": {value} in {} of {of} predictions", self.have),
        }
    }
}

/// The gaps among the rows, and which of the tasks and methods that were asked for have no row at all. A method lacks
/// what others of the same task and moment have; `exact` need not be compared with itself.
pub fn gaps(rows: &[Summary], tasks: &[String], methods: &[String]) -> Vec<Gap> {
    let mut found = never_seen(rows, tasks, methods);
    let whens: BTreeSet<&str> = rows.iter().map(|r| r.when.as_str()).collect();
    for when in whens {
        let of_when: Vec<&Summary> = rows.iter().filter(|r| r.when == when).collect();
        found.extend(gaps_of_moment(&of_when));
    }
    found
}

fn never_seen(rows: &[Summary], tasks: &[String], methods: &[String]) -> Vec<Gap> {
    let empty = Gap {
        task: String::new(),
        method: String::new(),
        budget: None,
        when: String::new(),
        value: String::new(),
        have: 0,
        of: 0,
    };
    let tasks = tasks.iter().filter(|task| !rows.iter().any(|r| r.task == **task));
    let methods = methods.iter().filter(|method| !rows.iter().any(|r| r.method == **method));
    let of_tasks = tasks.map(|task| Gap { task: task.clone(), ..empty.clone() });
    let of_methods = methods.map(|m| Gap { task: "any task".to_owned(), method: m.clone(), ..empty.clone() });
    of_tasks.chain(of_methods).collect()
}

fn gaps_of_moment(rows: &[&Summary]) -> Vec<Gap> {
    let methods: BTreeSet<_> = rows.iter().map(|r| MethodKey::new(&r.method, r.budget)).collect();
    let mut by_task: BTreeMap<&str, Vec<&Summary>> = BTreeMap::new();
    for row in rows {
        by_task.entry(&row.task).or_default().push(row);
    }
    let one = |(task, rows): (&str, Vec<&Summary>)| gaps_of_task(task, &rows, &methods);
    by_task.into_iter().flat_map(one).collect()
}

fn gaps_of_task(task: &str, rows: &[&Summary], methods: &BTreeSet<MethodKey<'_>>) -> Vec<Gap> {
    let of = rows.iter().map(|r| r.count).max().unwrap_or(0);
    let values: BTreeSet<&str> = rows.iter().flat_map(|r| r.values.keys()).map(String::as_str).collect();
    let mut found = Vec::new();
    for method in methods {
        let gap = |value: &str, have: usize, of: usize| Gap {
            task: task.to_owned(),
            method: method.method.to_owned(),
            budget: method.budget(),
            when: rows[0].when.clone(),
            value: value.to_owned(),
            have,
            of,
        };
        let Some(row) = rows.iter().find(|r| MethodKey::new(&r.method, r.budget) == *method) else {
            found.push(gap("", 0, of));
            continue;
        };
        if row.count < of {
            found.push(gap("", row.count, of));
        }
        for value in values.iter().filter(|value| is_due(value, method.method)) {
            let have = row.values.get(*value).map_or(0, |v| v.count);
            if have < row.count {
                found.push(gap(value, have, row.count));
            }
        }
    }
    found
}

fn is_due(value: &str, method: &str) -> bool {
    let with_itself = method == EXACT && AGAINST_EXACT.contains(&value);
    !with_itself && !BOOKKEEPING.contains(&value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{prediction, scored};
    use crate::report::summary::summarise;

    fn said(gaps: &[Gap]) -> Vec<String> {
        gaps.iter().map(Gap::to_string).collect()
    }

    #[test]
    fn nothing_missing_says_nothing() {
        let rows = summarise(&[scored("vt", "int4", "a", 1.0), scored("vt", "exact", "a", 1.0)]);
        assert_eq!(gaps(&rows, &["vt".to_owned()], &["int4".to_owned()]), []);
        assert_eq!(gaps(&[], &[], &[]), []);
    }

    #[test]
    fn missing_values_items_and_tasks_are_named() {
        let mut all = vec![scored("vt", "exact", "a", 1.0), scored("vt", "exact", "b", 1.0)];
        all.push(scored("vt", "int4", "a", 1.0));
        all.push(prediction("vt", "snapkv", Some(4.0), "a"));
        all.push(prediction("vt", "snapkv", Some(4.0), "b"));
        all.push(scored("cwe", "exact", "a", 1.0));
        all.push(scored("cwe", "int4", "a", 1.0));
        assert_eq!(
            said(&gaps(&summarise(&all), &[], &[])),
            [
                "cwe, snapkv at 4x, after-context: 0 of 1 predictions",
                "vt, int4, after-context: 1 of 2 predictions",
                "vt, snapkv at 4x, after-context: score in 0 of 2 predictions",
            ]
        );
    }

    #[test]
    fn what_was_asked_for_and_never_came_is_named() {
        let rows = summarise(&[scored("vt", "exact", "a", 1.0)]);
        let asked = ["vt".to_owned(), "longbench:qasper".to_owned()];
        let methods = ["exact".to_owned(), "int2".to_owned()];
        assert_eq!(
            said(&gaps(&rows, &asked, &methods)),
            ["longbench:qasper, any method: no prediction", "any task, int2: no prediction"]
        );
    }

    #[test]
    fn exact_is_not_compared_with_itself() {
        let mut int4 = prediction("ppl", "int4", None, "a");
        int4.values.insert("kl".to_owned(), 0.1);
        let rows = summarise(&[int4, prediction("ppl", "exact", None, "a")]);
        assert_eq!(gaps(&rows, &[], &[]), []);
    }
}
