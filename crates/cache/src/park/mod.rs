//! Parking: a sequence's cache written to disk and read back bit by bit.
//!
//! A file begins with `FKVPARK\n` and its version, four bytes. Then come *sections*: a tag of four letters, the bytes of a
//! number, eight bytes that say how many numbers there are, the numbers, and a checksum. All counts are little-endian.
//!
//! - **Numbers** come in pieces of 131,072, each as byte planes, lowest bytes first; each plane as the length it is
//!   stored in, four bytes, and its bytes. A length below that of the piece means that the plane is deflated.
//! - **Checksums** are XXH3 of 64 bits, seed 0, over everything in the file before them: a section that was changed, lost,
//!   or moved is found at once.
//! - **The head**: `name` and `fing`, the model's name and fingerprint; `kind`, the cache as text; `shap`, layers, query
//!   heads, key/value heads, head dims; `toks`, the tokens of the sequence.
//! - **The cache**: sections of its own, see each cache's `park`.
//! - **The end**: an empty section `end `, and nothing after it.
//!
//! A cache of another kind is made parkable by writing what it holds in [`crate::KvCache::park`] and by reading it in the
//! same order where [`crate::CacheKind::unpark`] sends its kind. Sizes that can be computed are not written; a count that
//! is written once for all heads cannot differ between them; what is left to check is checked after reading.

mod error;
mod planes;
mod reader;
mod session;
mod writer;

pub use error::ParkError;
pub use reader::SectionReader;
pub use session::{Parked, ParkedHead, ToPark, park_file, park_to};
pub use writer::SectionWriter;

/// What a section is called.
pub type Tag = [u8; 4];

/// The version that is written, and the only one that is read.
pub const PARK_VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"FKVPARK\n";

/// Checks that a count in a section is what the sequence makes it.
pub(crate) fn check_count(section: Tag, what: &str, expected: usize, got: usize) -> Result<(), ParkError> {
    match expected == got {
        true => Ok(()),
        false => Err(ParkError::content(section, format_args!("{expected} {what}"), got)),
    }
}

/// Reads a yes or no that was written as 1 or 0.
pub(crate) fn yes(section: Tag, count: usize) -> Result<bool, ParkError> {
    match count {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(ParkError::content(section, "0 or 1", count)),
    }
}

/// Reads `count` of something, into memory for no more. `count` must come from the model or a checked section.
pub(crate) fn each<T>(count: usize, read: impl FnMut(usize) -> Result<T, ParkError>) -> Result<Vec<T>, ParkError> {
    let mut all = Vec::with_capacity(count);
    for one in (0..count).map(read) {
        all.push(one?);
    }
    Ok(all)
}

/// The tokens that are left of `tokens` when `taken` are elsewhere.
pub(crate) fn rest(section: Tag, tokens: usize, taken: usize) -> Result<usize, ParkError> {
    let expected = format_args!("{tokens} tokens at most").to_string();
    tokens.checked_sub(taken).ok_or_else(|| ParkError::content(section, expected, taken))
}

/// Checks, before anything is written, that all layers hold as many tokens.
pub(crate) fn check_even(tokens: impl Iterator<Item = usize>) -> Result<(), ParkError> {
    let mut first = None;
    for got in tokens {
        let expected = *first.get_or_insert(got);
        if got != expected {
            return Err(ParkError::Uneven { expected, got });
        }
    }
    Ok(())
}
