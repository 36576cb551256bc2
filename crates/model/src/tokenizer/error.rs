//! What can be wrong with a tokenizer's description, or with a text given to it.

use thiserror::Error;

/// Why a tokenizer could not be built, or a text not be encoded.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The kind of tokenizer is one that this crate does not build.
    #[error("tokenizer kind `{found}` is not supported; expected {expected}")]
    UnknownKind {
        /// The kind that the file names.
        found: String,
        /// The kinds that can be built.
        expected: &'static str,
    },
    /// The pre-tokenisation rule is not known, so the text could only be split wrongly.
    #[error("pre-tokeniser `{found}` is not known; known are {}", known.join(", "))]
    UnknownPreTokenizer {
        /// The rule that the file names (empty where it names none).
        found: String,
        /// The rules that are known.
        known: Vec<&'static str>,
    },
    /// `tokenizer.json` does not parse, or uses a part that is not supported.
    #[error("tokenizer.json: {0}")]
    Json(String),
    /// A part of the description has a value that is not supported.
    #[error("tokenizer {part}: {found} is not supported; expected {expected}")]
    Unsupported {
        /// Which part.
        part: &'static str,
        /// What the file says.
        found: String,
        /// What could be built.
        expected: &'static str,
    },
    /// A list that goes by token id has another length than the vocabulary.
    #[error("tokenizer {list}: expected {expected} entries, one a token, found {found}")]
    Length {
        /// Which list.
        list: &'static str,
        /// Number of tokens.
        expected: usize,
        /// Number of entries.
        found: usize,
    },
    /// Something is larger than any real tokenizer has.
    #[error("tokenizer {what} is {found}, more than the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The size found.
        found: usize,
        /// The largest size accepted.
        limit: usize,
    },
    /// The vocabulary holds no token.
    #[error("the tokenizer's vocabulary is empty")]
    Empty,
    /// Two tokens claim one id.
    #[error("tokens `{first}` and `{second}` share id {id}")]
    SharedId {
        /// The id.
        id: u32,
        /// The token that has it.
        first: String,
        /// The token that claims it as well.
        second: String,
    },
    /// A special token's id lies outside the vocabulary.
    #[error("{what} token id {id} is outside the vocabulary of {size} tokens")]
    IdOutOfRange {
        /// Which special token.
        what: &'static str,
        /// Its id.
        id: u32,
        /// Number of ids.
        size: usize,
    },
    /// A merge is not two tokens.
    #[error("merge {rank} is `{merge}`; expected two tokens with a space between")]
    BadMerge {
        /// Place in the list of merges.
        rank: usize,
        /// The entry.
        merge: String,
    },
    /// A merge names or makes a token that the vocabulary lacks.
    #[error("merge {rank} (`{left}` `{right}`) needs token `{missing}`, not in the vocabulary")]
    MergeWithoutToken {
        /// Place in the list of merges.
        rank: usize,
        /// Left part.
        left: String,
        /// Right part.
        right: String,
        /// The part, or the result, that is missing.
        missing: String,
    },
    /// A token's score is not a number.
    #[error("token {id} has score {score}; expected a finite number")]
    BadScore {
        /// The token.
        id: usize,
        /// Its score.
        score: f32,
    },
    /// A splitting pattern does not compile, or would cost too much.
    #[error("tokenizer split pattern `{pattern}`: {reason}")]
    Pattern {
        /// The pattern, shortened.
        pattern: String,
        /// Why it is refused.
        reason: String,
    },
    /// A beginning-of-sequence token was asked for, and the tokenizer has none.
    #[error("the tokenizer has no beginning-of-sequence token to put before the text")]
    NoBos,
    /// The underlying library refused.
    #[error("tokenizer: {0}")]
    Library(String),
}
