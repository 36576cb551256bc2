//! The list of tensors: names, shapes, types, places.

use std::collections::BTreeMap;
use std::ops::Range;

use fourier_kv_kernels::quant::WeightType;

use super::GgufError;
use super::cursor::Cursor;

/// The least bytes of a tensor's entry: an empty name, one dimension, type, offset.
pub(super) const LEAST_BYTES: u64 = 8 + 4 + 8 + 4 + 8;
const MAX_DIMENSIONS: u32 = 4;

/// Where a tensor is and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Dimensions, slowest first: `[rows, cols]` for a matrix (GGUF itself lists them reversed).
    pub shape: Vec<usize>,
    /// The number of its type; [`WeightType::from_ggml_id`] says which it is, if supported.
    pub type_id: u32,
    /// Its bytes in the file; empty, at its start, where the type is not supported.
    pub range: Range<usize>,
}

/// A tensor's entry as read, its offset not yet checked against the file.
pub(super) struct Entry {
    shape: Vec<usize>,
    type_id: u32,
    offset: u64,
}

/// Reads `count` entries.
pub(super) fn read_infos(cursor: &mut Cursor<'_>, count: u64) -> Result<BTreeMap<String, Entry>, GgufError> {
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        let name = cursor.text("a tensor's name")?;
        let shape = read_shape(cursor, name)?;
        let type_id = cursor.u32(name)?;
        let offset = cursor.u64(name)?;
        if entries.insert(name.to_owned(), Entry { shape, type_id, offset }).is_some() {
            return Err(GgufError::DuplicateTensor { name: name.to_owned() });
        }
    }
    Ok(entries)
}

fn read_shape(cursor: &mut Cursor<'_>, name: &str) -> Result<Vec<usize>, GgufError> {
    let count = cursor.u32(name)?;
    let mut dims = Vec::new();
    for _ in 0..count.min(MAX_DIMENSIONS) {
        dims.push(cursor.u64(name)?);
    }
    let fits = dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim));
    let shape: Option<Vec<usize>> = dims.iter().rev().map(|&d| usize::try_from(d).ok()).collect();
    match (fits, shape) {
        (Some(1..), Some(shape)) if (1..=MAX_DIMENSIONS).contains(&count) => Ok(shape),
        _ => Err(GgufError::Dimensions { name: name.to_owned(), dims }),
    }
}

/// Places the entries in a file of `file_len` bytes whose tensors start at `data_start`.
pub(super) fn locate(
    entries: BTreeMap<String, Entry>,
    data_start: u64,
    alignment: u64,
    file_len: u64,
) -> Result<BTreeMap<String, TensorInfo>, GgufError> {
    let available = file_len.saturating_sub(data_start);
    let place = |(name, entry): (String, Entry)| {
        let size = size_of(&entry).ok_or_else(|| GgufError::Dimensions {
            name: name.clone(),
            dims: entry.shape.iter().rev().map(|&d| d as u64).collect(),
        })?;
        let end = entry.offset.checked_add(size).filter(|&end| end <= available);
        let (Some(end), 0) = (end, entry.offset % alignment) else {
            let Entry { offset, .. } = entry;
            return Err(GgufError::Placement { name, offset, size, alignment, available });
        };
        // fits: all of it lies within the file, whose length is a usize
        let range = (data_start + entry.offset) as usize..(data_start + end) as usize;
        Ok((name, TensorInfo { shape: entry.shape, type_id: entry.type_id, range }))
    };
    entries.into_iter().map(place).collect()
}

/// The tensor's bytes; 0 where the type is not known, `None` where they do not fit 64 bits.
fn size_of(entry: &Entry) -> Option<u64> {
    let Some(ty) = WeightType::from_ggml_id(entry.type_id) else {
        return Some(0);
    };
    let (cols, rest) = entry.shape.split_last()?;
    let row_bytes = ty.row_bytes(*cols)? as u64;
    rest.iter().try_fold(row_bytes, |bytes, &dim| bytes.checked_mul(dim as u64))
}
