//! One order for everything that is listed: it depends on what was measured, never on when it came.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::prediction::Prediction;

/// The method that all others are compared with.
pub const EXACT: &str = "exact";

/// A number that can be a key: by [`f64::total_cmp`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Total(pub(super) f64);

impl Ord for Total {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Total {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Total {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Total {}

/// A method at a budget: no budget first, `exact` before all others, then by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MethodKey<'a> {
    budget: Option<Total>,
    is_other: bool,
    /// The method as it was asked for.
    pub(super) method: &'a str,
}

impl<'a> MethodKey<'a> {
    pub(super) fn new(method: &'a str, budget: Option<f64>) -> Self {
        MethodKey { budget: budget.map(Total), is_other: method != EXACT, method }
    }

    pub(super) fn budget(&self) -> Option<f64> {
        self.budget.map(|b| b.0)
    }

    /// For captions and titles: `int4`, `snapkv at 4x`.
    pub(super) fn title(&self) -> String {
        match self.budget() {
            Some(budget) => format!("{} at {}", self.method, super::format::budget(budget)),
            None => self.method.to_owned(),
        }
    }
}

/// What one row of a summary is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowKey<'a> {
    pub(super) task: &'a str,
    pub(super) when: &'a str,
    pub(super) method: MethodKey<'a>,
}

impl<'a> RowKey<'a> {
    pub(super) fn of(prediction: &'a Prediction) -> Self {
        let method = MethodKey::new(&prediction.method, prediction.budget);
        RowKey { task: &prediction.task, when: &prediction.when, method }
    }
}

/// The predictions of a row by document and question. Of two for the same question the later one counts.
pub(super) type Items<'a> = BTreeMap<(&'a str, &'a str), &'a Prediction>;

/// The predictions by row.
pub(super) fn by_row<'a>(predictions: impl IntoIterator<Item = &'a Prediction>) -> BTreeMap<RowKey<'a>, Items<'a>> {
    let mut rows: BTreeMap<RowKey<'a>, Items<'a>> = BTreeMap::new();
    for prediction in predictions {
        let item = (prediction.document.as_str(), prediction.question.as_str());
        rows.entry(RowKey::of(prediction)).or_default().insert(item, prediction);
    }
    rows
}
