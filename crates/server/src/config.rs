//! What a server is told when it starts.

use std::time::Duration;

use fourier_kv_engine::scheduler::SchedulerOptions;

use crate::{AccessKeys, Connections};

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The model's name in requests and answers.
    pub model: String,
    /// How jobs are scheduled.
    pub scheduler: SchedulerOptions,
    /// Who may ask; nobody is asked for a key if there is none.
    pub keys: AccessKeys,
    /// The origins whose pages may ask (`*`: all).
    pub cors: Vec<String>,
    /// What one request may cost.
    pub limits: Limits,
    /// What connections may cost.
    pub connections: Connections,
    /// How long running answers may take after the order to stop.
    pub grace: Duration,
}

/// What one request may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of its body.
    pub body_bytes: usize,
    /// Tokens of an answer, and how long one may be that does not say.
    pub answer_tokens: usize,
    /// Answers to one prompt.
    pub answers: usize,
    /// Time from its arrival to its end.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { body_bytes: 16 << 20, answer_tokens: 2048, answers: 8, time: Duration::from_secs(600) }
    }
}
