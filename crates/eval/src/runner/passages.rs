//! Texts to be continued: every method is told the true next token, a few at a time, beside exact attention.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use fourier_kv_engine::Session;
use fourier_kv_engine::kernels::parts::Chunks;
use fourier_kv_engine::kernels::team::Team;
use fourier_kv_engine::model::decoder::{LogitRows, Logits};

use super::RunError;
use super::prefill::Held;
use crate::metrics::divergence::{kl, negative_log_likelihood, top1_agrees};

/// Tokens a pass: so many rows of logits are held.
const STEP: usize = 32;

/// Sums over the tokens of a continuation.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    tokens: usize,
    nll: f64,
    kl: f64,
    agreed: usize,
}

/// What is measured of one token.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    nll: f64,
    kl: f64,
    agreed: bool,
}

impl Measured {
    fn new(exact: &[f32], logits: &[f32], token: u32) -> Result<Self, RunError> {
        Ok(Measured {
            nll: negative_log_likelihood(logits, token as usize)?,
            kl: kl(exact, logits)?,
            agreed: top1_agrees(exact, logits)?,
        })
    }
}

impl Sums {
    /// Adds the tokens `truth`. A vocabulary is long: rows are shared out over the threads.
    fn add(&mut self, exact: &Logits, logits: &Logits, truth: &[u32], team: &Team) -> Result<(), RunError> {
        let mut measured: Vec<Option<Result<Measured, RunError>>> = truth.iter().map(|_| None).collect();
        team.for_parts(Chunks::new(&mut measured, 1), |i, slot| {
            slot[0] = Some(Measured::new(exact.row(i), logits.row(i), truth[i]));
        });
        for measured in measured.into_iter().flatten() {
            let Measured { nll, kl, agreed } = measured?;
            self.tokens += 1;
            self.nll += nll;
            self.kl += kl;
            self.agreed += usize::from(agreed);
        }
        Ok(())
    }

    fn values(self) -> BTreeMap<String, f64> {
        let n = self.tokens as f64;
        let values = [
            ("nll", self.nll / n),
            ("ppl", (self.nll / n).exp()),
            ("kl", self.kl / n),
            ("top1", self.agreed as f64 / n),
            ("continuation", n),
        ];
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// What each of `held` makes of `continuation`: mean negative log-likelihood, perplexity, divergence from the first of
/// them and agreement with it on the likeliest token. The last token of the context is not compressed but read first.
pub(super) fn continue_all(
    team: &Team,
    held: Vec<Held<'_>>,
    last: u32,
    continuation: &[u32],
    watch: &mut (dyn FnMut() -> ControlFlow<()> + Send),
) -> Result<Vec<BTreeMap<String, f64>>, RunError> {
    let mut sessions: Vec<Session<'_>> = held.into_iter().map(|h| h.session).collect();
    let mut sums = vec![Sums::default(); sessions.len()];
    let fed: Vec<u32> = std::iter::once(last).chain(continuation.iter().copied()).collect();
    for (fed, truth) in fed[..continuation.len()].chunks(STEP).zip(continuation.chunks(STEP)) {
        let (exact, others) = sessions.split_first_mut().ok_or(RunError::EmptyAnswer)?;
        let exact = exact.feed(fed, LogitRows::From(0))?;
        sums[0].add(exact, exact, truth, team)?;
        for (session, sums) in others.iter_mut().zip(&mut sums[1..]) {
            sums.add(exact, session.feed(fed, LogitRows::From(0))?, truth, team)?;
            if watch().is_break() {
                return Err(RunError::Interrupted);
            }
        }
    }
    Ok(sums.into_iter().map(Sums::values).collect())
}
