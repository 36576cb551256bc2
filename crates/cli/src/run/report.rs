//! What an answer took: one line for people, one object for programs.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use fourier_kv_engine::cache::fourier::FourierSettings;
use fourier_kv_engine::cache::{CacheBytes, CacheKind};
use fourier_kv_engine::{self as engine, Engine, Finish};
use serde::Serialize;

use crate::computer::{Computer, Held, Place};
use crate::output::{Output, megabytes};
use crate::pull::Pulled;
use crate::requests::{Choice, RunRequest};
use crate::resident::peak_resident_bytes;
use crate::session::Ending;

/// Bytes a number of the exact cache that others are compared with: bf16.
const EXACT_WIDTH: usize = 2;

/// What was asked, of what.
pub(super) struct Run<'a> {
    /// The request.
    pub(super) request: &'a RunRequest,
    /// The model's files.
    pub(super) pulled: &'a Pulled,
    /// The model.
    pub(super) engine: &'a Engine,
    /// Where it is computed.
    pub(super) computer: &'a Computer<'a>,
    /// Length of the prompt, template included.
    pub(super) prompt_tokens: usize,
}

/// The report of one answer, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    model: String,
    model_name: String,
    model_path: PathBuf,
    device: String,
    instructions: String,
    threads: usize,
    prompt_tokens: usize,
    generated_tokens: usize,
    text: String,
    finish: &'static str,
    stop: Option<String>,
    sampling: SamplingReport,
    cache: CacheReport,
    saved_session: Option<Saved>,
    weights_bytes: usize,
    prefill_seconds: f64,
    decode_seconds: f64,
    prefill_tokens_per_second: Option<f64>,
    decode_tokens_per_second: Option<f64>,
    peak_rss_bytes: Option<u64>,
    #[serde(skip)]
    why_it_ended: Option<String>,
    #[serde(skip)]
    interrupted: bool,
}

/// A session that was written.
#[derive(Debug, Serialize)]
pub(super) struct Saved {
    /// The file.
    pub(super) path: PathBuf,
    /// Its size.
    pub(super) bytes: u64,
}

/// How tokens were chosen.
#[derive(Debug, Serialize)]
struct SamplingReport {
    temperature: f32,
    top_p: Option<f32>,
    top_k: Option<usize>,
    seed: Option<u64>,
}

/// What the past took.
#[derive(Debug, Serialize)]
struct CacheReport {
    kind: String,
    plan: Option<PathBuf>,
    /// Tokens held: all but the last one chosen, which was never computed with.
    tokens: usize,
    bytes: usize,
    bytes_by_kind: CacheBytes,
    exact_bytes: usize,
    ratio: f64,
    #[serde(skip)]
    remark: Option<String>,
}

impl Report {
    /// Of an answer that has ended.
    pub(super) fn new(
        run: &Run<'_>,
        place: &Place<'_>,
        answer: &engine::Generation,
        saved_session: Option<Saved>,
    ) -> Self {
        let (finish, why_it_ended) = ending(&answer.finish, run);
        Report {
            model: run.request.model.clone(),
            model_name: run.engine.model().config().name.clone(),
            model_path: run.pulled.path.clone(),
            device: run.computer.device().to_owned(),
            instructions: run.engine.workspace().isa().to_string(),
            threads: run.engine.threads(),
            prompt_tokens: run.prompt_tokens,
            generated_tokens: answer.tokens.len(),
            text: answer.text.clone(),
            finish,
            stop: match &answer.finish {
                Finish::Stop(text) => Some(text.clone()),
                _ => None,
            },
            sampling: SamplingReport::new(run.request.generation.choice),
            cache: CacheReport::new(run, &place.held()),
            saved_session,
            weights_bytes: run.computer.weight_bytes(),
            prefill_seconds: answer.prefill.as_secs_f64(),
            decode_seconds: answer.decode.as_secs_f64(),
            prefill_tokens_per_second: rate(run.prompt_tokens, answer.prefill),
            decode_tokens_per_second: rate(answer.decode_passes, answer.decode),
            peak_rss_bytes: peak_resident_bytes(),
            why_it_ended,
            interrupted: answer.finish == Finish::Interrupted,
        }
    }

    /// Prints it: the object, or, the text being there already, the line.
    pub(super) fn show(&self, output: Output) -> io::Result<()> {
        if output.json {
            return output.result("", self);
        }
        output.remark(&format!("\n{}", self.line()));
        Ok(())
    }

    /// How the command ended.
    pub(super) fn ending(&self) -> Ending {
        if self.interrupted { Ending::Interrupted } else { Ending::Done }
    }

    /// `cache 5.1 MB instead of 41.9 MB (8.2x smaller) · prefill 410 tok/s · decode 38 tok/s`
    fn line(&self) -> String {
        let cache = &self.cache;
        let mut parts = vec![format!("cache {}", compared(cache.bytes, cache.exact_bytes))];
        for (what, rate) in [("prefill", self.prefill_tokens_per_second), ("decode", self.decode_tokens_per_second)] {
            parts.extend(rate.map(|rate| format!("{what} {rate:.0} tok/s")));
        }
        parts.extend(cache.remark.clone());
        parts.extend(self.why_it_ended.clone());
        parts.extend(self.saved_session.as_ref().map(Saved::remark));
        parts.join(" · ")
    }
}

impl Saved {
    fn remark(&self) -> String {
        format!("session saved in {} ({})", self.path.display(), megabytes(self.bytes))
    }
}

impl SamplingReport {
    fn new(choice: Choice) -> Self {
        match choice {
            Choice::Greedy => SamplingReport { temperature: 0.0, top_p: None, top_k: None, seed: None },
            Choice::Sampled { temperature, top_p, top_k, seed } => {
                SamplingReport { temperature, top_p: Some(top_p), top_k, seed: Some(seed) }
            }
        }
    }
}

impl CacheReport {
    fn new(run: &Run<'_>, held: &Held) -> Self {
        let by_kind = held.bytes;
        let exact_bytes = run.engine.model().cache_shape().exact_bytes(held.tokens, EXACT_WIDTH);
        CacheReport {
            remark: held
                .kind
                .parse()
                .ok()
                .and_then(|kind| chosen(&kind, run.request.cache.memory).or_else(|| uncompressed(&kind, by_kind))),
            kind: held.kind.clone(),
            plan: run.request.cache.plan.clone(),
            tokens: held.tokens,
            bytes: by_kind.total(),
            bytes_by_kind: by_kind,
            exact_bytes,
            ratio: exact_bytes as f64 / by_kind.total().max(1) as f64,
        }
    }
}

/// The rate that a budget of memory chose.
fn chosen(kind: &CacheKind, memory: Option<usize>) -> Option<String> {
    let (CacheKind::Spectral(settings), Some(memory)) = (kind, memory) else { return None };
    Some(format!("{} bits a number, to fit {}", settings.rate, megabytes(memory as u64)))
}

/// Why a cache that compresses has not.
fn uncompressed(kind: &CacheKind, bytes: CacheBytes) -> Option<String> {
    let CacheKind::Fourier(settings) = kind else { return None };
    let least = least_prompt(settings);
    (bytes.coefficients == 0).then(|| format!("all exact: these settings compress from {least} tokens on"))
}

/// The shortest prompt that is compressed.
fn least_prompt(settings: &FourierSettings) -> usize {
    settings.sink + settings.window + settings.least_middle().max(1)
}

/// The finish's name, and, where the answer was cut, why.
fn ending(finish: &Finish, run: &Run<'_>) -> (&'static str, Option<String>) {
    let most = run.request.generation.max_tokens;
    let context = run.engine.model().config().context_length;
    match finish {
        Finish::End => ("end", None),
        Finish::Stop(_) => ("stop", None),
        Finish::Length => ("length", Some(format!("cut at --max-tokens {most}"))),
        Finish::Context => ("context", Some(format!("cut: the model's context of {context} tokens is full"))),
        Finish::Interrupted => ("interrupted", Some("interrupted".to_owned())),
    }
}

/// What was held, against what exact keys and values of as many tokens take.
fn compared(bytes: usize, exact: usize) -> String {
    let (held, whole) = (megabytes(bytes as u64), megabytes(exact as u64));
    let ratio = exact as f64 / bytes.max(1) as f64;
    match format!("{ratio:.1}") {
        text if ratio > 1.0 && text != "1.0" => format!("{held} instead of {whole} ({text}x smaller)"),
        text => format!("{held} for {whole} of keys and values ({text}x)"),
    }
}

/// Tokens a second; `None` where there was nothing to measure.
fn rate(tokens: usize, time: Duration) -> Option<f64> {
    (tokens > 0 && !time.is_zero()).then(|| tokens as f64 / time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_compared_honestly() {
        assert_eq!(compared(5_100_000, 41_900_000), "5.1 MB instead of 41.9 MB (8.2x smaller)");
        assert_eq!(compared(42_000_000, 41_900_000), "42.0 MB for 41.9 MB of keys and values (1.0x)");
        assert_eq!(compared(50_000_000, 41_900_000), "50.0 MB for 41.9 MB of keys and values (0.8x)");
    }

    #[test]
    fn nothing_has_no_rate() {
        assert_eq!(rate(0, Duration::from_secs(1)), None);
        assert_eq!(rate(10, Duration::ZERO), None);
        assert_eq!(rate(10, Duration::from_secs(2)), Some(5.0));
    }

    #[test]
    fn a_rate_that_was_chosen_is_told() {
        let kind: CacheKind = "spectral:2.375,window=9".parse().unwrap();
        assert_eq!(chosen(&kind, Some(40_000_000)).unwrap(), "2.375 bits a number, to fit 40.0 MB");
        assert_eq!(chosen(&kind, None), None);
    }

    #[test]
    fn prompts_too_short_to_compress_are_told() {
        let fourier: CacheKind = "fourier".parse().unwrap();
        let none = CacheBytes { tokens: 9, ..CacheBytes::default() };
        assert_eq!(uncompressed(&fourier, none).unwrap(), "all exact: these settings compress from 2048 tokens on");
        assert_eq!(uncompressed(&fourier, CacheBytes { coefficients: 1, ..none }), None);
        assert_eq!(uncompressed(&"exact".parse().unwrap(), none), None);
    }
}
