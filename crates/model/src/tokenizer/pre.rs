//! Splitting text into the pieces that merges stay within.
//!
//! GGUF files name the rule (`tokenizer.ggml.pre`); what each name stands for is what the models'
//! published `tokenizer.json` files hold.

use super::error::TokenizerError;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;

/// Words, single digits, punctuation with the line ends after it, white space (Qwen 2).
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// As [`QWEN2`], with digits in groups of up to three (Llama 3).
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The names that [`PreRule::by_name`] knows.
const KNOWN: [&str; 12] = [
    "gpt-2",
    "default",
    "phi-2",
    "smollm",
    "starcoder",
    "refact",
    "llama-bpe",
    "llama3",
    "llama-v3",
    "dbrx",
    "qwen2",
    "deepseek-r1-qwen",
];

/// What a name in `tokenizer.ggml.pre` stands for.
pub(super) struct PreRule {
    pub(super) steps: Vec<PreTokenizerWrapper>,
    /// Text is brought to Unicode normal form C first.
    pub(super) nfc: bool,
    /// A piece that is a token by itself is taken whole, whatever the merges say.
    pub(super) ignore_merges: bool,
    /// Texts start with the beginning-of-sequence token unless the file says otherwise.
    pub(super) adds_bos: bool,
}

impl PreRule {
    /// The rule of that name, or an error that lists the known ones.
    pub(super) fn by_name(name: &str) -> Result<PreRule, TokenizerError> {
        let rule = |steps| PreRule { steps, nfc: false, ignore_merges: false, adds_bos: false };
        match name {
            "gpt-2" | "default" | "phi-2" => Ok(rule(vec![byte_level(false, true)])),
            "smollm" | "starcoder" | "refact" => Ok(rule(vec![digits(true), byte_level(false, true)])),
            "llama-bpe" | "llama3" | "llama-v3" => {
                let rule = rule(isolated(LLAMA3)?);
                Ok(PreRule { ignore_merges: true, adds_bos: true, ..rule })
            }
            "dbrx" => Ok(rule(isolated(LLAMA3)?)),
            "qwen2" => Ok(PreRule { nfc: true, ..rule(isolated(QWEN2)?) }),
            "deepseek-r1-qwen" => Ok(rule(isolated(QWEN2)?)),
            _ => Err(TokenizerError::UnknownPreTokenizer { found: name.to_owned(), known: KNOWN.to_vec() }),
        }
    }
}

/// Each match of the pattern is a piece of its own, spelled in GPT-2's byte alphabet.
fn isolated(pattern: &str) -> Result<Vec<PreTokenizerWrapper>, TokenizerError> {
    let pattern = SplitPattern::Regex(pattern.to_owned());
    let split = split(pattern, SplitDelimiterBehavior::Isolated, false)?;
    Ok(vec![split, byte_level(false, false)])
}

/// GPT-2's byte alphabet, with its own splitting pattern where `use_regex`.
pub(super) fn byte_level(add_prefix_space: bool, use_regex: bool) -> PreTokenizerWrapper {
    PreTokenizerWrapper::ByteLevel(ByteLevel::new(add_prefix_space, true, use_regex))
}

/// Splits numbers off, into single digits where `individual`.
pub(super) fn digits(individual: bool) -> PreTokenizerWrapper {
    PreTokenizerWrapper::Digits(Digits::new(individual))
}

/// Splits at a pattern that may come from a file, and is refused where it could cost too much.
pub(super) fn split(
    pattern: SplitPattern,
    behavior: SplitDelimiterBehavior,
    invert: bool,
) -> Result<PreTokenizerWrapper, TokenizerError> {
    let (SplitPattern::Regex(text) | SplitPattern::String(text)) = &pattern;
    let refused = |reason: String| TokenizerError::Pattern { pattern: text.chars().take(80).collect(), reason };
    if let SplitPattern::Regex(text) = &pattern {
        check_regex(text).map_err(refused)?;
    }
    let split = Split::new(pattern.clone(), behavior, invert);
    let split = split.map_err(|e| refused(e.to_string()))?;
    Ok(PreTokenizerWrapper::Split(split))
}

/// Bounds on what a pattern can expand to: its length, and the product of its counted repetitions
/// (`{3}` inside `{1,4}` counts as 12, and so do two that stand side by side: patterns in use have
/// one or two).
fn check_regex(pattern: &str) -> Result<(), String> {
    const MAX_BYTES: usize = 8192;
    const MAX_REPEATS: u64 = 1000;
    if pattern.len() > MAX_BYTES {
        return Err(format!("longer than {MAX_BYTES} bytes"));
    }
    let counted = pattern.split('{').skip(1).filter_map(|rest| {
        let numbers = rest.split('}').next()?.split(',');
        numbers.filter_map(|n| n.trim().parse::<u64>().ok()).max()
    });
    let product = counted.fold(1u64, |product, n| product.saturating_mul(n.max(1)));
    match product > MAX_REPEATS {
        true => Err(format!("counted repetitions multiply to more than {MAX_REPEATS}")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_has_a_rule() {
        for name in KNOWN {
            assert!(PreRule::by_name(name).is_ok(), "{name}");
        }
        let error = PreRule::by_name("tea-leaves").err().unwrap().to_string();
        assert!(error.contains("tea-leaves") && error.contains("smollm"), "{error}");
    }

    #[test]
    fn costly_patterns_are_refused() {
        for pattern in ["(a{40}){40}", "(?=(?:a(?=b)){99999999999999999999})x{1001}", "(", "a**("] {
            let regex = SplitPattern::Regex(pattern.into());
            let split = split(regex, SplitDelimiterBehavior::Isolated, false);
            assert!(split.is_err(), "{pattern}");
        }
        assert!(check_regex(LLAMA3).is_ok());
        assert!(check_regex(&"a".repeat(10_000)).is_err());
    }
}
