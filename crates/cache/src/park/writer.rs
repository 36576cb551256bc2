//! Writing sections.

use std::io::Write;

use bytemuck::Pod;
use twox_hash::XxHash3_64;

use super::planes::{PIECE, coded, split};
use super::{MAGIC, PARK_VERSION, ParkError, Tag};

/// Writes a parked session, section by section. What a cache writes in [`crate::KvCache::park`], it reads in the same
/// order from a [`super::SectionReader`].
pub struct SectionWriter<'w> {
    out: &'w mut dyn Write,
    hash: XxHash3_64,
    plane: Vec<u8>,
    room: Vec<u8>,
}

impl std::fmt::Debug for SectionWriter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SectionWriter").finish_non_exhaustive()
    }
}

impl<'w> SectionWriter<'w> {
    /// Begins a file: what it is, and its version.
    pub(super) fn new(out: &'w mut dyn Write) -> Result<Self, ParkError> {
        let hash = XxHash3_64::with_seed(0);
        let mut writer = SectionWriter { out, hash, plane: Vec::new(), room: Vec::new() };
        writer.raw(MAGIC)?;
        writer.raw(&PARK_VERSION.to_le_bytes())?;
        Ok(writer)
    }

    /// Writes numbers of any plain type, in fewer bytes where that pays.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn numbers<N: Pod>(&mut self, tag: Tag, numbers: &[N]) -> Result<(), ParkError> {
        self.raw(&tag)?;
        self.raw(&[size_of::<N>() as u8])?;
        self.raw(&(numbers.len() as u64).to_le_bytes())?;
        for piece in numbers.chunks(PIECE) {
            for plane in 0..size_of::<N>() {
                self.plane(piece, plane)?;
            }
        }
        self.checksum()
    }

    /// Writes numbers of things: tokens, sizes, yes or no as 1 or 0.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn counts(&mut self, tag: Tag, counts: &[usize]) -> Result<(), ParkError> {
        self.numbers(tag, &counts.iter().map(|&count| count as u64).collect::<Vec<u64>>())
    }

    /// Writes a text.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn text(&mut self, tag: Tag, text: &str) -> Result<(), ParkError> {
        self.numbers(tag, text.as_bytes())
    }

    /// One plane of a piece: its length as stored, which is the piece's if it is as it is, and its bytes.
    fn plane<N: Pod>(&mut self, piece: &[N], plane: usize) -> Result<(), ParkError> {
        let (mut bytes, mut room) = (std::mem::take(&mut self.plane), std::mem::take(&mut self.room));
        split(piece, plane, &mut bytes);
        // Numbers of one byte are codes: what little could be gained of them, all of them would pay for in time.
        let coded = if size_of::<N>() > 1 { coded(&bytes, &mut room) } else { None };
        let stored = coded.unwrap_or(&bytes);
        let written = self.raw(&(stored.len() as u32).to_le_bytes()).and_then(|()| self.raw(stored));
        (self.plane, self.room) = (bytes, room);
        written
    }

    /// The checksum of everything so far.
    fn checksum(&mut self) -> Result<(), ParkError> {
        let sum = std::hash::Hasher::finish(&self.hash);
        self.raw(&sum.to_le_bytes())
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<(), ParkError> {
        std::hash::Hasher::write(&mut self.hash, bytes);
        Ok(self.out.write_all(bytes)?)
    }
}
