//! A whole file: what it says of its sequence, then the cache.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use super::{ParkError, SectionReader, SectionWriter, Tag};
use crate::beside::write_beside;
use crate::{CacheContext, CacheKind, CacheShape, KvCache};

const NAME: Tag = *b"name";
const FINGERPRINT: Tag = *b"fing";
const KIND: Tag = *b"kind";
const SHAPE: Tag = *b"shap";
const TOKENS: Tag = *b"toks";
const END: Tag = *b"end ";

/// Texts of the head are no longer.
const MOST_TEXT: usize = 1 << 12;
/// Bytes that go to and come from the system at a time.
const BUFFER: usize = 1 << 18;

/// A sequence that is to be parked.
#[derive(Clone, Copy)]
pub struct ToPark<'a> {
    /// The model's name, for people.
    pub model: &'a str,
    /// What identifies the model.
    pub fingerprint: &'a str,
    /// The tokens that the cache has seen.
    pub tokens: &'a [u32],
    /// The cache.
    pub cache: &'a dyn KvCache,
}

impl std::fmt::Debug for ToPark<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToPark").field("model", &self.model).field("cache", &self.cache.describe()).finish()
    }
}

/// What a parked session says of itself before its cache.
#[derive(Clone, Debug, PartialEq)]
pub struct ParkedHead {
    /// The model's name, for people.
    pub model: String,
    /// What identifies the model: the same for every quantisation of one set of weights.
    pub fingerprint: String,
    /// How its past is kept.
    pub kind: CacheKind,
    /// The sizes of its model, without frequencies.
    pub shape: CacheShape,
    /// All tokens of the sequence.
    pub tokens: Vec<u32>,
}

/// A parked session whose head has been read, so that it can be refused before its cache is.
#[derive(Debug)]
pub struct Parked<'r> {
    head: ParkedHead,
    cache: SectionReader<'r>,
}

/// Writes a session to a stream.
///
/// # Errors
/// If the cache cannot be parked, or the stream cannot be written.
pub fn park_to(out: &mut dyn Write, session: ToPark<'_>) -> Result<(), ParkError> {
    let ToPark { model, fingerprint, tokens, cache } = session;
    let kind = cache.describe();
    if kind.parse::<CacheKind>().is_err() {
        return Err(ParkError::Unsupported { kind });
    }
    if cache.len() != tokens.len() {
        return Err(ParkError::Uneven { expected: tokens.len(), got: cache.len() });
    }
    let shape = cache.shape();
    let mut sections = SectionWriter::new(out)?;
    sections.text(NAME, cut(model))?;
    sections.text(FINGERPRINT, cut(fingerprint))?;
    sections.text(KIND, &kind)?;
    sections.counts(SHAPE, &[shape.layers, shape.heads, shape.kv_heads, shape.head_dim])?;
    sections.numbers(TOKENS, tokens)?;
    cache.park(&mut sections)?;
    sections.numbers::<u8>(END, &[])
}

/// Writes a session beside `path` and renames it, and returns how many bytes it takes: the file is whole, or as it was
/// before.
///
/// # Errors
/// If the cache cannot be parked, or the file cannot be written; nothing is left behind then.
pub fn park_file(path: &Path, session: ToPark<'_>) -> Result<u64, ParkError> {
    let mut bytes = 0;
    let written = write_beside(path, |file| -> Result<(), ParkError> {
        let mut out = BufWriter::with_capacity(BUFFER, file);
        park_to(&mut out, session)?;
        out.flush()?;
        bytes = out.get_ref().metadata()?.len();
        Ok(())
    });
    written.map(|()| bytes).map_err(|error| error.at("write", path))
}

impl Parked<'static> {
    /// Opens a file and reads its head.
    ///
    /// # Errors
    /// If it cannot be read, is no parked session of this version, or its head is damaged.
    pub fn open(path: &Path) -> Result<Self, ParkError> {
        let open = || -> Result<Self, ParkError> {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Parked::read(BufReader::with_capacity(BUFFER, file), length)
        };
        open().map_err(|error| error.at("read", path))
    }
}

impl<'r> Parked<'r> {
    /// Reads the head of a parked session of `length` bytes.
    ///
    /// # Errors
    /// If it is no parked session of this version, or its head is damaged.
    pub fn read(input: impl Read + Send + 'r, length: u64) -> Result<Self, ParkError> {
        let mut sections = SectionReader::new(input, length)?;
        let model = sections.text(NAME, MOST_TEXT)?;
        let fingerprint = sections.text(FINGERPRINT, MOST_TEXT)?;
        let kind: CacheKind = sections.text(KIND, MOST_TEXT)?.parse()?;
        let [layers, heads, kv_heads, head_dim] = sections.counts(SHAPE)?;
        let shape = CacheShape { layers, heads, kv_heads, head_dim, rope_frequencies: Vec::new() };
        let tokens: Vec<u32> = sections.some_numbers(TOKENS, usize::MAX)?;
        sections.tokens = tokens.len();
        Ok(Parked { head: ParkedHead { model, fingerprint, kind, shape, tokens }, cache: sections })
    }

    /// What it says of itself.
    pub fn head(&self) -> &ParkedHead {
        &self.head
    }

    /// Whether it was made with the model of this fingerprint.
    ///
    /// # Errors
    /// [`ParkError::OtherModel`] if not.
    pub fn check_model(&self, fingerprint: &str, name: &str) -> Result<(), ParkError> {
        match self.head.fingerprint == cut(fingerprint) {
            true => Ok(()),
            false => Err(ParkError::OtherModel { made_with: self.head.model.clone(), model: name.to_owned() }),
        }
    }

    /// Reads the cache, to its last byte, and returns it with the tokens that it has seen.
    ///
    /// # Errors
    /// If it was made for other sizes, is damaged, or holds what no cache of its kind holds.
    pub fn unpark(mut self, context: &CacheContext) -> Result<(Box<dyn KvCache>, Vec<u32>), ParkError> {
        let ParkedHead { kind, shape, tokens, .. } = self.head;
        let expected = CacheShape { rope_frequencies: Vec::new(), ..context.shape.as_ref().clone() };
        if shape != expected {
            return Err(ParkError::Shape { expected: Box::new(expected), got: Box::new(shape) });
        }
        let cache = kind.unpark(context, &mut self.cache)?;
        self.cache.numbers::<u8>(END, 0)?;
        self.cache.end()?;
        check_len(cache.as_ref(), tokens.len())?;
        Ok((cache, tokens))
    }
}

/// Caches check their counts themselves; this is for those to come.
fn check_len(cache: &dyn KvCache, expected: usize) -> Result<(), ParkError> {
    match cache.len() == expected {
        true => Ok(()),
        false => Err(ParkError::content(END, format_args!("a cache of {expected} tokens"), cache.len())),
    }
}

/// As much of a text as is read back.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MOST_TEXT)]
}
