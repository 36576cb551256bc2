//! The GGUF file format, versions 2 and 3, little-endian.
//!
//! A file is: `GGUF`, version (u32), number of tensors (u64), number of metadata pairs (u64); the
//! pairs; the tensors' names, shapes, types and offsets; padding to the alignment; the tensors'
//! bytes. The format is described in the ggml repository, `docs/gguf.md`.
//!
//! Nothing in the file is trusted: counts and lengths are compared with the bytes that are left
//! before anything is read or allocated for them, and values stay where they are in the file until
//! someone asks for them.

mod cursor;
mod error;
mod tensors;
mod value;

use std::collections::BTreeMap;

pub use error::GgufError;
pub use tensors::TensorInfo;
pub use value::{Array, Metadata, Value, ValueKind};

use cursor::Cursor;

/// Alignment of the tensors' bytes where the file does not say otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;
/// The largest alignment accepted: beyond a huge page nobody has a use for it.
const MAX_ALIGNMENT: u64 = 1 << 21;

/// A parsed GGUF file, borrowing its texts and arrays from the file's bytes.
#[derive(Debug)]
pub struct Gguf<'a> {
    /// The format's version: 2 or 3.
    pub version: u32,
    /// The metadata pairs.
    pub metadata: Metadata<'a>,
    /// The tensors by name.
    pub tensors: BTreeMap<String, TensorInfo>,
}

impl<'a> Gguf<'a> {
    /// Parses a file's bytes.
    ///
    /// # Errors
    ///
    /// If the bytes are not a whole, consistent GGUF file. Tensor types are not judged here: those
    /// not supported matter only to who reads such a tensor.
    pub fn parse(bytes: &'a [u8]) -> Result<Gguf<'a>, GgufError> {
        let mut cursor = Cursor::new(bytes);
        let version = read_version(&mut cursor)?;
        let tensor_count = cursor.count("tensors", tensors::LEAST_BYTES)?;
        let pair_count = cursor.count("metadata pairs", value::LEAST_PAIR_BYTES)?;
        let metadata = Metadata::read(&mut cursor, pair_count)?;
        let entries = tensors::read_infos(&mut cursor, tensor_count)?;
        let alignment = read_alignment(&metadata)?;
        // a file without tensors may end without padding
        let data_start = (cursor.position() as u64).next_multiple_of(alignment);
        let tensors = tensors::locate(entries, data_start, alignment, bytes.len() as u64)?;
        Ok(Gguf { version, metadata, tensors })
    }
}

fn read_version(cursor: &mut Cursor<'_>) -> Result<u32, GgufError> {
    if cursor.take(4, "the magic")? != b"GGUF" {
        return Err(GgufError::Magic);
    }
    match cursor.u32("the version")? {
        version @ (2 | 3) => Ok(version),
        swapped if swapped.swap_bytes() <= 0xff && swapped > 0xff => Err(GgufError::BigEndian),
        version => Err(GgufError::Version(version)),
    }
}

fn read_alignment(metadata: &Metadata<'_>) -> Result<u64, GgufError> {
    let found = match metadata.get("general.alignment") {
        None => return Ok(DEFAULT_ALIGNMENT),
        Some(value) => value.as_u64(),
    };
    match found {
        Some(a) if a.is_power_of_two() && (8..=MAX_ALIGNMENT).contains(&a) => Ok(a),
        _ => Err(GgufError::Alignment { limit: MAX_ALIGNMENT }),
    }
}
