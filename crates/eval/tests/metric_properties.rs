//! What holds of the metrics for any text and any logits.

use fourier_kv_eval::metrics::accuracy::accuracy;
use fourier_kv_eval::metrics::aggregate::best_of_answers;
use fourier_kv_eval::metrics::classification::classification;
use fourier_kv_eval::metrics::code_sim::code_sim;
use fourier_kv_eval::metrics::count::count;
use fourier_kv_eval::metrics::divergence::{kl, negative_log_likelihood, top1, top1_agrees};
use fourier_kv_eval::metrics::first_line::first_line;
use fourier_kv_eval::metrics::needlebench;
use fourier_kv_eval::metrics::qa_f1::qa_f1;
use fourier_kv_eval::metrics::retrieval::retrieval;
use fourier_kv_eval::metrics::rouge_l::rouge_l;
use fourier_kv_eval::metrics::ruler::{clean_prediction, string_match_all, string_match_part};
use fourier_kv_eval::metrics::squad;
use proptest::prelude::*;

/// No generated text holds it.
const ABSENT: &str = "a keyword that no generated text holds";

/// Texts of few letters, which share much, or of any characters at all.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ab .\n]{0,40}", "[a-d0-2#/` ]{0,250}", "(the |a |Paragraph 1|1|é|Σ|\u{1c}|. ){0,20}", any::<String>()]
}

fn logits(tokens: usize) -> impl Strategy<Value = Vec<f32>> {
    proptest::collection::vec(-60_f32..60.0, tokens)
}

/// The divergence straight from its definition, for logits whose powers do not overflow.
fn plain_kl(exact: &[f32], other: &[f32]) -> f64 {
    let softmax = |logits: &[f32]| -> Vec<f64> {
        let powers: Vec<f64> = logits.iter().map(|&x| f64::from(x).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.iter().map(|power| power / sum).collect()
    };
    softmax(exact).iter().zip(softmax(other)).map(|(p, q)| p * (p / q).ln()).sum()
}

proptest! {
    #[test]
    fn scores_are_from_0_to_1(prediction in text(), answer in text(), other in text()) {
        let both = [answer.as_str(), other.as_str()];
        let scores = [
            qa_f1(&prediction, &answer),
            squad::f1(&prediction, &answer),
            squad::exact_match(&prediction, &answer),
            rouge_l(&prediction, &answer),
            code_sim(&prediction, &answer),
            count(&prediction, &answer),
            retrieval(&prediction, &answer),
            classification(&prediction, &answer, &both),
            accuracy(&prediction, &answer, &both),
            string_match_all(&prediction, &both),
            string_match_part(&prediction, &both),
            needlebench::v1(&prediction, &answer, &other),
            needlebench::v2(&prediction, &other),
        ];
        for (i, score) in scores.into_iter().enumerate() {
            prop_assert!((0.0..=1.0).contains(&score), "{i}: {score}");
        }
    }

    #[test]
    fn the_answer_itself_is_best(answer in text(), other in text()) {
        prop_assert_eq!(squad::exact_match(&answer, &answer), 1.0);
        prop_assert!(qa_f1(&other, &answer) <= qa_f1(&answer, &answer));
        prop_assert!(rouge_l(&other, &answer) <= rouge_l(&answer, &answer));
        prop_assert_eq!(needlebench::v1(&answer, &answer, &answer), 1.0);
        prop_assert_eq!(needlebench::v1(&other, &other, ABSENT), 0.2);
    }

    #[test]
    fn f1_and_likeness_take_both_sides_alike(one in text(), other in text()) {
        prop_assert_eq!(qa_f1(&one, &other), qa_f1(&other, &one));
        prop_assert_eq!(needlebench::v1(&one, &other, ABSENT), needlebench::v1(&other, &one, ABSENT));
    }

    #[test]
    fn the_best_is_that_of_some_answer(prediction in text(), answers in proptest::collection::vec(text(), 1..4)) {
        let best = best_of_answers(qa_f1, &prediction, &answers);
        prop_assert!(answers.iter().any(|answer| qa_f1(&prediction, answer) == best));
        prop_assert!(answers.iter().all(|answer| qa_f1(&prediction, answer) <= best));
    }

    #[test]
    fn cleaning_twice_is_cleaning_once(prediction in text()) {
        let clean = clean_prediction(&prediction);
        prop_assert_eq!(clean_prediction(&clean), clean.clone());
        prop_assert!(clean.chars().all(|c| c == '\n' || c >= ' '));
        prop_assert_eq!(first_line(first_line(&prediction)), first_line(&prediction));
    }

    #[test]
    fn any_is_at_least_all(prediction in text(), answers in proptest::collection::vec("[ab1]{0,3}", 0..4)) {
        prop_assert!(string_match_part(&prediction, &answers) >= string_match_all(&prediction, &answers));
    }

    #[test]
    fn divergence_is_what_its_definition_says(exact in logits(20), other in logits(20)) {
        let want = plain_kl(&exact, &other);
        let got = kl(&exact, &other).unwrap();
        prop_assert!(got >= 0.0);
        prop_assert!((got - want).abs() <= 1e-12 * want.abs().max(1.0), "{} {}", got, want);
        prop_assert_eq!(kl(&exact, &exact), Ok(0.0));
    }

    #[test]
    fn likelihoods_add_up_to_1(logits in logits(30)) {
        let nll = |token| negative_log_likelihood(&logits, token).unwrap();
        let sum: f64 = (0..logits.len()).map(|token| (-nll(token)).exp()).sum();
        prop_assert!((sum - 1.0).abs() < 1e-12);
        let top = top1(&logits).unwrap();
        prop_assert!((0..logits.len()).all(|token| nll(token) >= nll(top)));
        prop_assert_eq!(top1_agrees(&logits, &logits), Ok(true));
    }

    #[test]
    fn any_logits_give_an_answer_or_an_error(
        exact in proptest::collection::vec(any::<f32>(), 0..6),
        other in proptest::collection::vec(any::<f32>(), 0..6),
        token in 0_usize..8,
    ) {
        if let Ok(divergence) = kl(&exact, &other) {
            prop_assert!(divergence >= 0.0);
        }
        if let Ok(nll) = negative_log_likelihood(&exact, token) {
            prop_assert!(nll >= 0.0);
        }
    }
}
