//! RULER's and LongBench's averages: plain means over the scores of their tasks.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::order::{MethodKey, Total};
use super::summary::{Summary, ratio_of, summarise_each};
use crate::number;
use crate::prediction::Prediction;
use crate::tasks::{Category, LongBenchTask};

/// The name of the group of all tasks of a family.
pub const ALL: &str = "all tasks";

/// One method's average over a group of tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FamilyScore {
    /// `ruler` or `longbench`.
    pub family: String,
    /// [`ALL`], or a category of the family.
    pub group: String,
    /// The context's length that RULER's items were made for, where they say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<f64>,
    /// The cache with its settings.
    pub method: String,
    /// The ratio that was asked for, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<f64>,
    /// `after-context` or `after-prompt`.
    pub when: String,
    /// The plain mean over the tasks' mean scores, 0 to 1.
    #[serde(with = "number")]
    pub score: f64,
    /// Tasks that it is the mean of.
    pub tasks: usize,
    /// Tasks that the benchmark has in this group.
    pub of_tasks: usize,
    /// Scored items over all these tasks.
    pub items: usize,
    /// Items that the benchmark has in this group.
    pub of_items: usize,
    /// Whether tasks or items are missing: then it is no figure of the benchmark's own.
    pub subset: bool,
    /// Bytes held, over all these items.
    pub bytes: u64,
    /// Bytes that `exact` holds, over all these items.
    pub exact_bytes: u64,
    /// How much smaller, as measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

/// A task by its name in its family, and how many items the benchmark has of it.
type Task = (&'static str, usize);

struct Group {
    name: &'static str,
    tasks: Vec<Task>,
}

/// RULER's thirteen tasks, with the samples of each length that its paper takes.
const RULER: [Task; 13] = [
    ("niah_single_1", 500),
    ("niah_single_2", 500),
    ("niah_single_3", 500),
    ("niah_multikey_1", 500),
    ("niah_multikey_2", 500),
    ("niah_multikey_3", 500),
    ("niah_multivalue", 500),
    ("niah_multiquery", 500),
    ("vt", 500),
    ("cwe", 500),
    ("fwe", 500),
    ("qa_1", 500),
    ("qa_2", 500),
];

/// The averages of RULER by length (over all its items where some have no label `length`), and of LongBench over all
/// tasks and by category. Tasks without a score and tasks that the benchmark does not have are left out.
pub fn families(predictions: &[Prediction]) -> Vec<FamilyScore> {
    let mut all = ruler(predictions);
    let longbench = summarise_each(of_family(predictions, "longbench"));
    all.extend(averages("longbench", &longbench_groups(), None, &longbench));
    all
}

fn ruler(predictions: &[Prediction]) -> Vec<FamilyScore> {
    let mut by_length: BTreeMap<Option<Total>, Vec<&Prediction>> = BTreeMap::new();
    let labelled = of_family(predictions, "ruler").all(|p| p.labels.contains_key("length"));
    for p in of_family(predictions, "ruler") {
        let length = p.labels.get("length").filter(|_| labelled).map(|length| Total(*length));
        by_length.entry(length).or_default().push(p);
    }
    let groups = [Group { name: ALL, tasks: RULER.to_vec() }];
    let one = |(length, items): (Option<Total>, Vec<&Prediction>)| {
        averages("ruler", &groups, length.map(|l| l.0), &summarise_each(items))
    };
    by_length.into_iter().flat_map(one).collect()
}

fn of_family<'a>(predictions: &'a [Prediction], family: &'a str) -> impl Iterator<Item = &'a Prediction> {
    predictions.iter().filter(move |p| p.task.split_once(':').is_some_and(|(of, _)| of == family))
}

/// LongBench's tasks, all and by category.
fn longbench_groups() -> Vec<Group> {
    let tasks = |belongs: &dyn Fn(LongBenchTask) -> bool| {
        LongBenchTask::ALL.into_iter().filter(|&task| belongs(task)).map(|task| (task.name(), task.rows())).collect()
    };
    let all = Group { name: ALL, tasks: tasks(&|_| true) };
    let categories = Category::ALL.map(|own| Group { name: own.name(), tasks: tasks(&|task| task.category() == own) });
    std::iter::once(all).chain(categories).collect()
}

fn averages(family: &str, groups: &[Group], length: Option<f64>, rows: &[Summary]) -> Vec<FamilyScore> {
    let methods: BTreeSet<_> = rows.iter().map(|r| (&r.when, MethodKey::new(&r.method, r.budget))).collect();
    let mut all = Vec::new();
    for group in groups {
        for (when, method) in &methods {
            let own = |r: &&Summary| r.when == **when && MethodKey::new(&r.method, r.budget) == *method;
            let own: Vec<&Summary> = rows.iter().filter(own).filter(|r| group.has(&r.task)).collect();
            all.extend(average(family, group, length, &own));
        }
    }
    all
}

/// The average of one method's rows; none where none of them has a score.
fn average(family: &str, group: &Group, length: Option<f64>, rows: &[&Summary]) -> Option<FamilyScore> {
    let scored: Vec<_> = rows.iter().filter_map(|r| Some((*r, r.values.get("score")?))).collect();
    let (first, _) = scored.first()?;
    let sum = |part: fn(&Summary) -> u64| scored.iter().fold(0, |sum: u64, (r, _)| sum.saturating_add(part(r)));
    let (bytes, exact_bytes) = (sum(|r| r.bytes), sum(|r| r.exact_bytes));
    let whole =
        |task: &Task| scored.iter().any(|(r, s)| r.task.ends_with(&format!(":{}", task.0)) && s.count >= task.1);
    Some(FamilyScore {
        family: family.to_owned(),
        group: group.name.to_owned(),
        length,
        method: first.method.clone(),
        budget: first.budget,
        when: first.when.clone(),
        score: scored.iter().map(|(_, s)| s.mean).sum::<f64>() / scored.len() as f64,
        tasks: scored.len(),
        of_tasks: group.tasks.len(),
        items: scored.iter().map(|(_, s)| s.count).sum(),
        of_items: group.tasks.iter().map(|task| task.1).sum(),
        subset: !group.tasks.iter().all(whole),
        bytes,
        exact_bytes,
        ratio: ratio_of(exact_bytes, bytes),
    })
}

impl Group {
    fn has(&self, task: &str) -> bool {
        task.split_once(':').is_some_and(|(_, name)| self.tasks.iter().any(|(known, _)| *known == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::scored;

    fn find<'a>(all: &'a [FamilyScore], family: &str, group: &str) -> &'a FamilyScore {
        all.iter().find(|f| f.family == family && f.group == group).unwrap()
    }

    #[test]
    fn longbench_is_a_plain_mean_over_tasks_and_by_category() {
        // qasper 0.5 over two rows, musique 1.0 over one, lcc 0.0 over one: a plain mean over tasks is 0.5.
        let all = [
            scored("longbench:qasper", "int4", "a", 1.0),
            scored("longbench:qasper", "int4", "b", 0.0),
            scored("longbench:musique", "int4", "a", 1.0),
            scored("longbench:lcc", "int4", "a", 0.0),
            scored("longbench:unheard_of", "int4", "a", 1.0),
        ];
        let all = families(&all);
        let average = find(&all, "longbench", ALL);
        assert_eq!((average.score, average.tasks, average.of_tasks), (0.5, 3, 16));
        assert_eq!((average.items, average.of_items, average.subset), (4, 3750, true));
        assert_eq!(find(&all, "longbench", "multi-document QA").score, 1.0);
        assert_eq!(find(&all, "longbench", "single-document QA").items, 2);
        assert!(all.iter().all(|f| f.group != "few-shot"), "no task, no row");
    }

    #[test]
    fn ruler_is_averaged_by_length() {
        let at = |task: &str, length: f64, score: f64| {
            let mut p = scored(task, "int4", &format!("{length}"), score);
            p.labels.insert("length".to_owned(), length);
            p
        };
        let all = [at("ruler:vt", 4096.0, 1.0), at("ruler:cwe", 4096.0, 0.0), at("ruler:vt", 8192.0, 0.25)];
        let all = families(&all);
        let got: Vec<_> = all.iter().map(|f| (f.length, f.score, f.tasks, f.of_tasks)).collect();
        assert_eq!(got, [(Some(4096.0), 0.5, 2, 13), (Some(8192.0), 0.25, 1, 13)]);
    }

    #[test]
    fn a_whole_category_is_no_subset() {
        let task = |name: &str, count: usize| -> Vec<Prediction> {
            (0..count).map(|i| scored(&format!("longbench:{name}"), "exact", &i.to_string(), 1.0)).collect()
        };
        let mut all = task("passage_count", 200);
        all.extend(task("passage_retrieval_en", 199));
        assert!(find(&families(&all), "longbench", "synthetic").subset);
        all.extend(task("passage_retrieval_en", 200));
        assert!(!find(&families(&all), "longbench", "synthetic").subset);
    }

    #[test]
    fn tasks_without_a_score_give_no_average() {
        let mut p = scored("ruler:vt", "int4", "a", 1.0);
        p.values.clear();
        assert_eq!(families(&[p]), []);
        assert_eq!(families(&[]), []);
    }
}
