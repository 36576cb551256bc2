//! A prediction's scores, by the metric that its task names.

use std::collections::BTreeMap;

use crate::item::Question;
use crate::metrics::accuracy::accuracy;
use crate::metrics::aggregate::best_of_answers;
use crate::metrics::classification::classification;
use crate::metrics::code_sim::code_sim;
use crate::metrics::count::count;
use crate::metrics::first_line::first_line;
use crate::metrics::qa_f1::qa_f1;
use crate::metrics::retrieval::retrieval;
use crate::metrics::rouge_l::rouge_l;
use crate::metrics::ruler::{string_match_all, string_match_part};
use crate::metrics::{needlebench, squad};
use crate::tasks::Metric;

/// The values of a prediction: `score` from 0 to 1, and others that the metric has.
pub fn score(metric: Metric, first_line_only: bool, prediction: &str, question: &Question) -> BTreeMap<String, f64> {
    let said = if first_line_only { first_line(prediction) } else { prediction };
    let (answers, classes) = (&question.answers, &question.classes);
    let best = |metric: &dyn Fn(&str, &str) -> f64| best_of_answers(metric, said, answers);
    let first = answers.first().map(String::as_str).unwrap_or_default();
    let needle = answers.get(1).map(String::as_str).unwrap_or_default();
    let score = match metric {
        Metric::QaF1 => best(&qa_f1),
        Metric::Rouge => best(&rouge_l),
        Metric::Classification => best(&|p, a| classification(p, a, classes)),
        Metric::Retrieval => best(&retrieval),
        Metric::Count => best(&count),
        Metric::CodeSim => best(&code_sim),
        Metric::MatchAll => string_match_all(said, answers),
        Metric::MatchPart => string_match_part(said, answers),
        Metric::NeedleV1 => needlebench::v1(said, needle, first),
        Metric::NeedleV2 => needlebench::v2(said, first),
        Metric::ExactMatch => best(&|p, a| f64::from(u8::from(p.trim() == a.trim()))),
        Metric::Squad => best(&squad::f1),
        Metric::Accuracy => best(&|p, a| accuracy(p, a, classes)),
    };
    let mut values = BTreeMap::from([("score".to_owned(), score)]);
    if metric == Metric::Squad {
        values.insert("exact_match".to_owned(), best(&squad::exact_match));
    }
    values
}
