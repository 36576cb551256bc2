//! Scores of predictions, as the official scorers compute them.
//!
//! A score is from 0 to 1; what the scorers print is made of many by [`aggregate`]. Where an official scorer does
//! something odd, so does this one, and the function says so. All are compared with the official packages' output in
//! `tests/metrics.rs`.
//!
//! | metric | for | several answers |
//! | --- | --- | --- |
//! | [`qa_f1`](qa_f1::qa_f1) | LongBench's questions and answers | the best |
//! | [`rouge_l`](rouge_l::rouge_l) | LongBench's summaries | the best |
//! | [`classification`](classification::classification) | LongBench's `trec` | the best |
//! | [`retrieval`](retrieval::retrieval) | LongBench's `passage_retrieval_en` | the best |
//! | [`count`](count::count) | LongBench's `passage_count` | the best |
//! | [`code_sim`](code_sim::code_sim) | LongBench's `lcc`, `repobench-p` | the best |
//! | [`string_match_all`](ruler::string_match_all) | RULER's needles, tracing and words | the share found |
//! | [`string_match_part`](ruler::string_match_part) | RULER's questions and answers | any |
//! | [`v1`](needlebench::v1), [`v2`](needlebench::v2) | NeedleBench's single needle | - |
//! | [`exact_match`](squad::exact_match), [`f1`](squad::f1) | SQuAD v1.1 | the best |
//! | [`accuracy`](accuracy::accuracy) | SST-2 | - |
//! | [`divergence`] | distributions of the next token | - |
//!
//! "The best" is [`best_of_answers`](aggregate::best_of_answers). For `trec`, `triviaqa` and `samsum` LongBench scores
//! the [`first_line`](first_line::first_line) only.
//!
//! Letters, digits and capitals follow the Unicode version of the Rust toolchain; the official scorers follow that of
//! the Python they run on.

pub mod accuracy;
pub mod aggregate;
pub mod classification;
pub mod code_sim;
pub mod count;
pub mod divergence;
pub mod first_line;
pub mod needlebench;
pub mod qa_f1;
pub mod retrieval;
pub mod rouge_l;
pub mod ruler;
pub mod squad;

mod edit_distance;
mod normalize;
mod python;
mod sequence_matcher;
