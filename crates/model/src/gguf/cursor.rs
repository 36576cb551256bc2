//! Reading forwards through bytes that may end anywhere.

use super::GgufError;

/// A position in a file's bytes. Every read says what it reads, for the error when it cannot.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// The next `len` bytes.
    pub(super) fn take(&mut self, len: u64, what: &str) -> Result<&'a [u8], GgufError> {
        let rest = &self.bytes[self.position..];
        let taken = usize::try_from(len).ok().and_then(|len| rest.get(..len));
        let taken = taken.ok_or_else(|| GgufError::Truncated {
            what: what.to_owned(),
            at: self.position,
            needed: len,
            left: self.left(),
        })?;
        self.position += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], GgufError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N as u64, what)?);
        Ok(out)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, GgufError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, GgufError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A count of things of at least `least_bytes` bytes each, all of which must still follow.
    pub(super) fn count(&mut self, what: &str, least_bytes: u64) -> Result<u64, GgufError> {
        let count = self.u64(what)?;
        self.check_count(count, what, least_bytes)?;
        Ok(count)
    }

    /// That `count` things of at least `least_bytes` bytes each can follow.
    pub(super) fn check_count(&self, count: u64, what: &str, least_bytes: u64) -> Result<(), GgufError> {
        if count.checked_mul(least_bytes).is_none_or(|bytes| bytes > self.left() as u64) {
            let (at, left) = (self.position, self.left());
            return Err(GgufError::Count { what: what.to_owned(), count, at, left });
        }
        Ok(())
    }

    /// The bytes of a text: a length (u64), then as many bytes.
    pub(super) fn text_bytes(&mut self, what: &str) -> Result<&'a [u8], GgufError> {
        let len = self.u64(what)?;
        self.take(len, what)
    }

    /// A text, checked to be UTF-8.
    pub(super) fn text(&mut self, what: &str) -> Result<&'a str, GgufError> {
        let bytes = self.text_bytes(what)?;
        std::str::from_utf8(bytes).map_err(|_| GgufError::Text { what: what.to_owned() })
    }
}
