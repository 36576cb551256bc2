//! How far a distribution of the next token is from the exact one.
//!
//! Logits come as the model gives them, one 32-bit float a token of the vocabulary; all else is computed in 64 bits.
//! Logarithms are natural. A logit of minus infinity is a token that cannot come.

use thiserror::Error;

/// Logits that make no distribution, or that do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum DivergenceError {
    /// Two vocabularies.
    #[error("expected two distributions over the same tokens, got {exact} and {other} logits")]
    Lengths {
        /// Logits of the exact distribution.
        exact: usize,
        /// Logits of the other one.
        other: usize,
    },
    /// Not a number, or plus infinity.
    #[error("expected logits that are finite or minus infinity, got {value} for token {token}")]
    Value {
        /// Which token.
        token: usize,
        /// Its logit.
        value: f32,
    },
    /// No logits, or none but minus infinity.
    #[error("expected a token that can come, got none among {tokens} logits")]
    NoToken {
        /// How many logits there are.
        tokens: usize,
    },
    /// A token that has no logit.
    #[error("expected a token below {tokens}, got {token}")]
    Token {
        /// The token asked for.
        token: usize,
        /// How many logits there are.
        tokens: usize,
    },
}

/// KL(exact || other) in nats: how much likelihood is lost by believing `logits` where `exact_logits` are true.
///
/// At least 0, and infinite where a token that can come is thought impossible.
///
/// # Errors
/// If the lengths differ, or either makes no distribution.
pub fn kl(exact_logits: &[f32], logits: &[f32]) -> Result<f64, DivergenceError> {
    same_length(exact_logits, logits)?;
    let (exact, other) = (LogSoftmax::new(exact_logits)?, LogSoftmax::new(logits)?);
    let term = |(&p, &q): (&f32, &f32)| {
        let log_p = exact.of(p);
        // What cannot come adds nothing, though 0 times the logarithm of 0 is not a number.
        if log_p == f64::NEG_INFINITY { 0.0 } else { log_p.exp() * (log_p - other.of(q)) }
    };
    let sum: f64 = exact_logits.iter().zip(logits).map(term).sum();
    // Rounding can take the sum of two equal distributions a hair below.
    Ok(sum.max(0.0))
}

/// Minus the logarithm of a token's probability, in nats; infinite for a token that cannot come.
///
/// # Errors
/// If the logits make no distribution, or the token has none.
pub fn negative_log_likelihood(logits: &[f32], token: usize) -> Result<f64, DivergenceError> {
    let softmax = LogSoftmax::new(logits)?;
    let logit = logits.get(token).ok_or(DivergenceError::Token { token, tokens: logits.len() })?;
    Ok(-softmax.of(*logit))
}

/// The likeliest token; the first of equally likely ones.
///
/// # Errors
/// If the logits make no distribution.
pub fn top1(logits: &[f32]) -> Result<usize, DivergenceError> {
    let largest = largest(logits)?;
    Ok(logits.iter().position(|&logit| logit == largest).unwrap_or_default())
}

/// Whether both think the same token likeliest.
///
/// # Errors
/// If the lengths differ, or either makes no distribution.
pub fn top1_agrees(exact_logits: &[f32], logits: &[f32]) -> Result<bool, DivergenceError> {
    same_length(exact_logits, logits)?;
    Ok(top1(exact_logits)? == top1(logits)?)
}

/// What turns a logit into the logarithm of its probability: less the largest, less the logarithm of the sum of
/// exponentials of such differences, which then neither overflows nor vanishes.
struct LogSoftmax {
    largest: f64,
    log_sum: f64,
}

impl LogSoftmax {
    fn new(logits: &[f32]) -> Result<Self, DivergenceError> {
        let largest = f64::from(largest(logits)?);
        let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
        Ok(Self { largest, log_sum: sum.ln() })
    }

    fn of(&self, logit: f32) -> f64 {
        f64::from(logit) - self.largest - self.log_sum
    }
}

/// The largest logit, which is finite.
fn largest(logits: &[f32]) -> Result<f32, DivergenceError> {
    let mut largest = f32::NEG_INFINITY;
    for (token, &value) in logits.iter().enumerate() {
        if value.is_nan() || value == f32::INFINITY {
            return Err(DivergenceError::Value { token, value });
        }
        largest = largest.max(value);
    }
    if largest == f32::NEG_INFINITY { Err(DivergenceError::NoToken { tokens: logits.len() }) } else { Ok(largest) }
}

fn same_length(exact: &[f32], other: &[f32]) -> Result<(), DivergenceError> {
    let (exact, other) = (exact.len(), other.len());
    if exact == other { Ok(()) } else { Err(DivergenceError::Lengths { exact, other }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: f32 = f32::NEG_INFINITY;

    #[test]
    fn logits_that_make_no_distribution_are_named() {
        assert_eq!(kl(&[1.0], &[1.0, 2.0]), Err(DivergenceError::Lengths { exact: 1, other: 2 }));
        assert_eq!(top1_agrees(&[1.0], &[]), Err(DivergenceError::Lengths { exact: 1, other: 0 }));
        assert_eq!(kl(&[], &[]), Err(DivergenceError::NoToken { tokens: 0 }));
        assert_eq!(top1(&[NEVER, NEVER]), Err(DivergenceError::NoToken { tokens: 2 }));
        let infinite = DivergenceError::Value { token: 1, value: f32::INFINITY };
        assert_eq!(kl(&[0.0, 0.0], &[0.0, f32::INFINITY]), Err(infinite));
        assert!(matches!(top1(&[f32::NAN]), Err(DivergenceError::Value { token: 0, .. })));
        assert_eq!(negative_log_likelihood(&[0.0], 1), Err(DivergenceError::Token { token: 1, tokens: 1 }));
    }

    #[test]
    fn what_cannot_come_adds_nothing_and_what_can_must() {
        assert_eq!(kl(&[0.0, NEVER], &[0.0, NEVER]), Ok(0.0));
        assert!((kl(&[0.0, NEVER], &[0.0, 0.0]).unwrap() - 2_f64.ln()).abs() < 1e-15);
        assert_eq!(kl(&[0.0, 0.0], &[0.0, NEVER]), Ok(f64::INFINITY));
        assert_eq!(negative_log_likelihood(&[0.0, NEVER], 1), Ok(f64::INFINITY));
        assert_eq!(negative_log_likelihood(&[0.0, NEVER], 0), Ok(0.0));
    }

    #[test]
    fn the_largest_floats_neither_overflow_nor_vanish() {
        assert_eq!(kl(&[f32::MAX, f32::MIN], &[f32::MAX, f32::MIN]), Ok(0.0));
        assert_eq!(negative_log_likelihood(&[f32::MIN, f32::MIN], 0), Ok(2_f64.ln()));
    }

    #[test]
    fn the_first_of_the_likeliest_is_the_top() {
        assert_eq!(top1(&[1.0, 3.0, 3.0]), Ok(1));
        assert_eq!(top1(&[-0.0, 0.0]), Ok(0));
        assert_eq!(top1_agrees(&[1.0, 3.0], &[0.0, 0.1]), Ok(true));
        assert_eq!(top1_agrees(&[1.0, 3.0], &[0.1, 0.0]), Ok(false));
    }
}
