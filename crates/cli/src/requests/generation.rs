//! How the answer is chosen, and where it ends.

use super::RequestError;
use crate::args::GenerationArgs;

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Choice {
    /// The likeliest one.
    Greedy,
    /// Drawn at random.
    Sampled {
        /// Divides the logits; above 0.
        temperature: f32,
        /// Probability that the tokens drawn among have together; in (0, 1], 1 for all.
        top_p: f32,
        /// How many tokens are drawn among, if limited; at least 1.
        top_k: Option<usize>,
        /// Seed of the random numbers.
        seed: u64,
    },
}

/// How the answer is chosen, and where it ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Generation {
    /// How each token is chosen.
    pub(crate) choice: Choice,
    /// Longest answer, in tokens; at least 1.
    pub(crate) max_tokens: usize,
    /// Texts that end the answer; none of them empty.
    pub(crate) stop: Vec<String>,
    /// Whether it may go on past the context that the model was trained for.
    pub(crate) past_context: bool,
}

impl Generation {
    /// Understands the generation options together.
    pub(super) fn new(args: &GenerationArgs) -> Result<Self, RequestError> {
        if args.max_tokens == 0 {
            return Err(out_of_range("--max-tokens", "1 or more", 0));
        }
        if args.stop.iter().any(String::is_empty) {
            return Err(out_of_range("--stop", "some text", "nothing"));
        }
        Ok(Self {
            choice: choice(args)?,
            max_tokens: args.max_tokens,
            stop: args.stop.clone(),
            past_context: args.past_context,
        })
    }
}

fn choice(args: &GenerationArgs) -> Result<Choice, RequestError> {
    check_ranges(args)?;
    let GenerationArgs { temperature, top_p, top_k, seed, .. } = *args;
    if temperature > 0.0 {
        return match args.greedy {
            true => Err(no_effect("--temperature", "with --greedy")),
            false => Ok(Choice::Sampled { temperature, top_p: top_p.unwrap_or(1.0), top_k, seed }),
        };
    }
    match (top_p, top_k) {
        (Some(_), _) => Err(no_effect("--top-p", "at temperature 0")),
        (_, Some(_)) => Err(no_effect("--top-k", "at temperature 0")),
        (None, None) => Ok(Choice::Greedy),
    }
}

fn check_ranges(args: &GenerationArgs) -> Result<(), RequestError> {
    let temperature = args.temperature;
    if !(temperature.is_finite() && temperature >= 0.0) {
        return Err(out_of_range("--temperature", "a number from 0 up", temperature));
    }
    if let Some(top_p) = args.top_p.filter(|&p| !(p > 0.0 && p <= 1.0)) {
        return Err(out_of_range("--top-p", "a number above 0, up to 1", top_p));
    }
    match args.top_k {
        Some(0) => Err(out_of_range("--top-k", "1 or more", 0)),
        _ => Ok(()),
    }
}

fn out_of_range(option: &'static str, expected: &'static str, got: impl ToString) -> RequestError {
    RequestError::OutOfRange { option, expected, got: got.to_string() }
}

fn no_effect(option: &'static str, without: &'static str) -> RequestError {
    RequestError::NoEffect { option, without }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        args: GenerationArgs,
    }

    fn read(words: &str) -> Result<Generation, RequestError> {
        let words = std::iter::once("test").chain(words.split_whitespace());
        Generation::new(&Typed::try_parse_from(words).unwrap().args)
    }

    #[test]
    fn greedy_unless_a_temperature_is_given() {
        assert_eq!(read("").unwrap().choice, Choice::Greedy);
        assert_eq!(read("--seed 7 --greedy").unwrap().choice, Choice::Greedy);
        let sampled = Choice::Sampled { temperature: 0.5, top_p: 1.0, top_k: Some(9), seed: 7 };
        assert_eq!(read("--temperature 0.5 --top-k 9 --seed 7").unwrap().choice, sampled);
    }

    #[test]
    fn options_without_effect_are_refused() {
        for words in ["--top-p 0.9", "--top-k 3", "--greedy --temperature 1"] {
            assert!(matches!(read(words), Err(RequestError::NoEffect { .. })), "{words}");
        }
    }

    #[test]
    fn numbers_outside_their_range_are_refused() {
        let wrong = [
            "--max-tokens 0",
            "--temperature=-1",
            "--temperature NaN",
            "--temperature inf",
            "--temperature 1 --top-p 0",
            "--temperature 1 --top-p 1.5",
            "--temperature 1 --top-k 0",
            "--stop=",
        ];
        for words in wrong {
            assert!(matches!(read(words), Err(RequestError::OutOfRange { .. })), "{words}");
        }
    }
}
