//! Reading sections, which may come from anybody.

use std::hash::Hasher;
use std::io::{ErrorKind, Read};

use bytemuck::Pod;
use twox_hash::XxHash3_64;

use super::planes::{MOST_FOLD, PIECE, decoded, join};
use super::{MAGIC, PARK_VERSION, ParkError, Tag};

/// The head of a file, before its first section.
const HEAD: Tag = *b"head";

/// Reads a parked session, section by section, in the order in which a [`super::SectionWriter`] wrote them.
///
/// Nothing is believed: a section must be the one that is expected, of as many numbers as are expected, with the right
/// checksum; memory is asked for only as far as the bytes that are left of the file can fill it. What the numbers say is
/// for the cache to check.
pub struct SectionReader<'r> {
    input: Box<dyn Read + Send + 'r>,
    /// Bytes of the file that have not been read.
    left: u64,
    /// Tokens of the sequence.
    pub(super) tokens: usize,
    hash: XxHash3_64,
    stored: Vec<u8>,
    plane: Vec<u8>,
}

impl std::fmt::Debug for SectionReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SectionReader").field("left", &self.left).finish_non_exhaustive()
    }
}

impl<'r> SectionReader<'r> {
    /// Begins to read a file of `length` bytes.
    pub(super) fn new(input: impl Read + Send + 'r, length: u64) -> Result<Self, ParkError> {
        let hash = XxHash3_64::with_seed(0);
        let (input, stored, plane) = (Box::new(input), Vec::new(), Vec::new());
        let mut reader = SectionReader { input, left: length, tokens: 0, hash, stored, plane };
        match reader.raw::<8>(HEAD) {
            Ok(magic) if magic == *MAGIC => {}
            Ok(_) | Err(ParkError::Truncated { .. }) => return Err(ParkError::NotParked),
            Err(error) => return Err(error),
        }
        match u32::from_le_bytes(reader.raw(HEAD)?) {
            PARK_VERSION => Ok(reader),
            got => Err(ParkError::Version { got }),
        }
    }

    /// Tokens of the sequence: what every layer must hold or have seen.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Reads exactly `count` numbers, into memory for no more than these.
    ///
    /// # Errors
    /// If this is not the next section, or it is not whole.
    pub fn numbers<N: Pod>(&mut self, tag: Tag, count: usize) -> Result<Vec<N>, ParkError> {
        let got = self.head::<N>(tag)?;
        match got == count as u64 {
            true => self.content(tag, count),
            false => Err(ParkError::content(tag, format_args!("{count} numbers"), got)),
        }
    }

    /// Reads at most `most` numbers.
    ///
    /// # Errors
    /// As [`SectionReader::numbers`].
    pub fn some_numbers<N: Pod>(&mut self, tag: Tag, most: usize) -> Result<Vec<N>, ParkError> {
        let got = self.head::<N>(tag)?;
        match usize::try_from(got) {
            Ok(count) if count <= most => self.content(tag, count),
            _ => Err(ParkError::content(tag, format_args!("{most} numbers at most"), got)),
        }
    }

    /// Reads as many counts as are asked for.
    ///
    /// # Errors
    /// As [`SectionReader::numbers`], and if one is larger than this machine can count.
    pub fn counts<const N: usize>(&mut self, tag: Tag) -> Result<[usize; N], ParkError> {
        let mut counts = [0; N];
        let numbers: Vec<u64> = self.numbers(tag, N)?;
        for (count, number) in counts.iter_mut().zip(numbers) {
            *count = usize::try_from(number).map_err(|_| ParkError::content(tag, "a smaller number", number))?;
        }
        Ok(counts)
    }

    /// Reads a text of at most `most` bytes.
    ///
    /// # Errors
    /// As [`SectionReader::numbers`], and if it is not UTF-8.
    pub fn text(&mut self, tag: Tag, most: usize) -> Result<String, ParkError> {
        let bytes = self.some_numbers(tag, most)?;
        String::from_utf8(bytes).map_err(|_| ParkError::content(tag, "UTF-8 text", "other bytes"))
    }

    /// That nothing follows.
    pub(super) fn end(&mut self) -> Result<(), ParkError> {
        let mut one = [0];
        loop {
            match self.input.read(&mut one) {
                Ok(0) => return Ok(()),
                Ok(_) => return Err(ParkError::GoesOn),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The head of a section: how many numbers follow.
    fn head<N: Pod>(&mut self, tag: Tag) -> Result<u64, ParkError> {
        let got: Tag = self.raw(tag)?;
        if got != tag {
            let [expected, got] = [tag, got].map(|tag| format!("the section `{}`", super::error::name(tag)));
            return Err(ParkError::content(tag, expected, got));
        }
        let [width] = self.raw(tag)?;
        if usize::from(width) != size_of::<N>() {
            return Err(ParkError::content(tag, format_args!("numbers of {} bytes", size_of::<N>()), width));
        }
        Ok(u64::from_le_bytes(self.raw(tag)?))
    }

    /// The numbers of a section, and its checksum.
    fn content<N: Pod>(&mut self, tag: Tag, count: usize) -> Result<Vec<N>, ParkError> {
        let bytes = (count as u64).saturating_mul(size_of::<N>() as u64);
        if bytes > self.left.saturating_mul(MOST_FOLD) {
            return Err(ParkError::Truncated { section: tag });
        }
        let mut numbers = Vec::new();
        numbers.reserve_exact(count);
        numbers.resize(count, N::zeroed());
        for piece in numbers.chunks_mut(PIECE) {
            for plane in 0..size_of::<N>() {
                self.plane(tag, plane, piece)?;
            }
        }
        let sum = self.hash.finish();
        match u64::from_le_bytes(self.raw(tag)?) == sum {
            true => Ok(numbers),
            false => Err(ParkError::Checksum { section: tag }),
        }
    }

    fn plane<N: Pod>(&mut self, tag: Tag, plane: usize, piece: &mut [N]) -> Result<(), ParkError> {
        let length = u32::from_le_bytes(self.raw(tag)?) as usize;
        if length > piece.len() {
            let expected = format_args!("a plane of {} bytes at most", piece.len()).to_string();
            return Err(ParkError::content(tag, expected, length));
        }
        let mut stored = std::mem::take(&mut self.stored);
        stored.resize(length, 0);
        let read = self.fill(tag, &mut stored);
        self.stored = stored;
        read?;
        if length == piece.len() {
            join(plane, &self.stored, piece);
            return Ok(());
        }
        self.plane.resize(piece.len(), 0);
        if !decoded(&self.stored, &mut self.plane) {
            return Err(ParkError::Checksum { section: tag });
        }
        join(plane, &self.plane, piece);
        Ok(())
    }

    fn raw<const N: usize>(&mut self, tag: Tag) -> Result<[u8; N], ParkError> {
        let mut bytes = [0; N];
        self.fill(tag, &mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, tag: Tag, bytes: &mut [u8]) -> Result<(), ParkError> {
        if bytes.len() as u64 > self.left {
            return Err(ParkError::Truncated { section: tag });
        }
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => ParkError::Truncated { section: tag },
            _ => error.into(),
        })?;
        self.left -= bytes.len() as u64;
        self.hash.write(bytes);
        Ok(())
    }
}
