//! The fields of a request that say how answers are made.

use std::collections::HashMap;

use fourier_kv_engine::scheduler::AnswerOptions;
use fourier_kv_engine::{Engine, Penalties, Sampling};
use serde::Deserialize;

use crate::config::Limits;
use crate::error::ApiError;
use crate::identity::random_seed;

/// Most texts that end an answer, and their longest length in bytes.
const MOST_STOPS: usize = 16;
const LONGEST_STOP: usize = 1024;
/// Most tokens that may be spoken for or against.
const MOST_BIASES: usize = 1024;

/// The fields, as OpenAI names them; `top_k`, `min_p` and `repetition_penalty` are known from other servers.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct GenerationFields {
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    n: Option<usize>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<i64>,
    min_p: Option<f32>,
    seed: Option<i64>,
    stop: Option<Stop>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    repetition_penalty: Option<f32>,
    logit_bias: Option<HashMap<String, f32>>,
}

/// One text or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Many(Vec<String>),
}

impl GenerationFields {
    /// Answers to the prompt.
    pub(super) fn answers(&self, limits: &Limits) -> Result<usize, ApiError> {
        match self.n.unwrap_or(1) {
            n if (1..=limits.answers).contains(&n) => Ok(n),
            n => Err(ApiError::invalid("n", format!("expected 1 to {} answers, got {n}", limits.answers))),
        }
    }

    /// Whether the length of an answer is said.
    pub(super) fn says_length(&self) -> bool {
        self.max_tokens.is_some() || self.max_completion_tokens.is_some()
    }

    /// How each is made.
    pub(super) fn options(&self, engine: &Engine, limits: &Limits) -> Result<AnswerOptions, ApiError> {
        Ok(AnswerOptions {
            max_tokens: self.max_tokens(limits)?,
            sampling: self.sampling()?,
            penalties: self.penalties(engine)?,
            stop: self.stops()?,
            ..AnswerOptions::default()
        })
    }

    fn max_tokens(&self, limits: &Limits) -> Result<usize, ApiError> {
        let most = limits.answer_tokens;
        match self.max_completion_tokens.or(self.max_tokens).unwrap_or(most) {
            0 => Err(ApiError::invalid("max_tokens", "expected 1 or more, got 0")),
            // Whoever asks for more than there may be gets what there may be, as from other servers.
            tokens => Ok(tokens.min(most)),
        }
    }

    fn sampling(&self) -> Result<Sampling, ApiError> {
        let temperature = in_range("temperature", self.temperature, 0.0..=2.0, 1.0)?;
        let top_p = in_range("top_p", self.top_p, 0.0..=1.0, 1.0)?;
        let min_p = in_range("min_p", self.min_p, 0.0..=1.0, 0.0)?;
        let top_k = match self.top_k.unwrap_or(0) {
            k if k >= -1 => usize::try_from(k).unwrap_or(0),
            k => return Err(ApiError::invalid("top_k", format!("expected 0 (all) or more, got {k}"))),
        };
        // So cold, or so narrow, that only the likeliest token is left.
        if temperature < 1e-3 || top_p < 1e-6 {
            return Ok(Sampling::Greedy);
        }
        let seed = self.seed.map_or_else(random_seed, i64::cast_unsigned);
        Ok(Sampling::Random { temperature, top_k, top_p, min_p, seed })
    }

    fn penalties(&self, engine: &Engine) -> Result<Penalties, ApiError> {
        let bias = self.logit_bias.iter().flatten();
        let bias = bias.map(|(token, &bias)| biased(engine, token, bias)).collect::<Result<Vec<_>, _>>()?;
        if bias.len() > MOST_BIASES {
            return Err(ApiError::invalid("logit_bias", format!("expected at most {MOST_BIASES} tokens")));
        }
        Ok(Penalties {
            presence: in_range("presence_penalty", self.presence_penalty, -2.0..=2.0, 0.0)?,
            frequency: in_range("frequency_penalty", self.frequency_penalty, -2.0..=2.0, 0.0)?,
            repetition: in_range("repetition_penalty", self.repetition_penalty, 0.1..=10.0, 1.0)?,
            bias,
        })
    }

    fn stops(&self) -> Result<Vec<String>, ApiError> {
        let stops = match &self.stop {
            None => Vec::new(),
            Some(Stop::One(stop)) => vec![stop.clone()],
            Some(Stop::Many(stops)) => stops.clone(),
        };
        if stops.len() > MOST_STOPS || stops.iter().any(|stop| stop.len() > LONGEST_STOP) {
            let message = format!("expected at most {MOST_STOPS} texts of at most {LONGEST_STOP} bytes");
            return Err(ApiError::invalid("stop", message));
        }
        Ok(stops)
    }
}

fn biased(engine: &Engine, token: &str, bias: f32) -> Result<(u32, f32), ApiError> {
    let known = token.parse::<u32>().ok().filter(|&id| (id as usize) < engine.model().config().vocabulary);
    let id = known.ok_or_else(|| ApiError::invalid("logit_bias", format!("there is no token '{token}'")))?;
    match (-100.0..=100.0).contains(&bias) {
        true => Ok((id, bias)),
        false => Err(ApiError::invalid("logit_bias", format!("expected -100 to 100, got {bias}"))),
    }
}

/// A number within its range, which NaN is not.
fn in_range(
    param: &'static str,
    value: Option<f32>,
    range: std::ops::RangeInclusive<f32>,
    default: f32,
) -> Result<f32, ApiError> {
    match value.unwrap_or(default) {
        value if range.contains(&value) => Ok(value),
        value => Err(ApiError::invalid(param, format!("expected {} to {}, got {value}", range.start(), range.end()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn fields(value: Value) -> GenerationFields {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_not_said_is_as_openai_has_it() {
        let fields = fields(json!({"temperature": null, "seed": 7}));
        let expected = Sampling::Random { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed: 7 };
        assert_eq!(fields.sampling().unwrap(), expected);
        assert_eq!(fields.answers(&Limits::default()).unwrap(), 1);
        assert_eq!(fields.max_tokens(&Limits::default()).unwrap(), Limits::default().answer_tokens);
        assert!(fields.stops().unwrap().is_empty());
    }

    #[test]
    fn fields_mean_what_they_say() {
        assert_eq!(fields(json!({"temperature": 0})).sampling().unwrap(), Sampling::Greedy);
        assert_eq!(fields(json!({"stop": "a"})).stops().unwrap(), ["a"]);
        assert_eq!(fields(json!({"stop": ["a", "b"]})).stops().unwrap(), ["a", "b"]);
        let both = fields(json!({"max_tokens": 5, "max_completion_tokens": 9}));
        assert_eq!(both.max_tokens(&Limits::default()).unwrap(), 9);
        let seeded = fields(json!({"seed": -1, "top_k": -1, "temperature": 2})).sampling().unwrap();
        let expected = Sampling::Random { temperature: 2.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed: u64::MAX };
        assert_eq!(seeded, expected);
    }

    #[test]
    fn numbers_outside_their_range_are_refused() {
        for wrong in
            [json!({"temperature": -0.1}), json!({"temperature": 2.5}), json!({"top_p": 1.1}), json!({"top_k": -2})]
        {
            assert!(fields(wrong.clone()).sampling().is_err(), "{wrong}");
        }
        for wrong in [0, 9, 100_000] {
            assert!(fields(json!({"n": wrong})).answers(&Limits::default()).is_err(), "{wrong}");
        }
        assert!(fields(json!({"max_tokens": 0})).max_tokens(&Limits::default()).is_err());
        assert!(fields(json!({"stop": vec!["x"; 17]})).stops().is_err());
    }
}
