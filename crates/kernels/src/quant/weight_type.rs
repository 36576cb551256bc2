//! The types weights are stored in.

use std::fmt;

use super::QuantError;

/// A storage type of weights, with the names that ggml gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types)] // the names as everyone writes them
pub enum WeightType {
    /// 32-bit floats.
    F32,
    /// 16-bit IEEE floats.
    F16,
    /// 16-bit brain floats: the upper half of a 32-bit float.
    BF16,
    /// Blocks of 32: 8-bit signed, one scale.
    Q8_0,
    /// Blocks of 32: 4-bit around 8, one scale.
    Q4_0,
    /// Blocks of 32: 4-bit, one scale and one offset.
    Q4_1,
    /// Blocks of 32: 5-bit around 16, one scale.
    Q5_0,
    /// Blocks of 32: 5-bit, one scale and one offset.
    Q5_1,
    /// Blocks of 256: 4-bit, 8 groups with 6-bit scales and offsets.
    Q4_K,
    /// Blocks of 256: 5-bit, 8 groups with 6-bit scales and offsets.
    Q5_K,
    /// Blocks of 256: 6-bit around 32, 16 groups with 8-bit scales.
    Q6_K,
}

impl WeightType {
    /// All types, in the order of declaration.
    pub const ALL: [WeightType; 11] = [
        WeightType::F32,
        WeightType::F16,
        WeightType::BF16,
        WeightType::Q8_0,
        WeightType::Q4_0,
        WeightType::Q4_1,
        WeightType::Q5_0,
        WeightType::Q5_1,
        WeightType::Q4_K,
        WeightType::Q5_K,
        WeightType::Q6_K,
    ];

    /// The type with this number in a GGUF file, if it is supported.
    pub const fn from_ggml_id(id: u32) -> Option<WeightType> {
        Some(match id {
            0 => WeightType::F32,
            1 => WeightType::F16,
            2 => WeightType::Q4_0,
            3 => WeightType::Q4_1,
            6 => WeightType::Q5_0,
            7 => WeightType::Q5_1,
            8 => WeightType::Q8_0,
            12 => WeightType::Q4_K,
            13 => WeightType::Q5_K,
            14 => WeightType::Q6_K,
            30 => WeightType::BF16,
            _ => return None,
        })
    }

    /// Weights in a block; rows hold whole blocks.
    pub const fn block_len(self) -> usize {
        match self {
            WeightType::F32 | WeightType::F16 | WeightType::BF16 => 1,
            WeightType::Q8_0 | WeightType::Q4_0 | WeightType::Q4_1 | WeightType::Q5_0 | WeightType::Q5_1 => 32,
            WeightType::Q4_K | WeightType::Q5_K | WeightType::Q6_K => 256,
        }
    }

    /// Bytes in a block.
    pub const fn block_bytes(self) -> usize {
        match self {
            WeightType::F32 => 4,
            WeightType::F16 | WeightType::BF16 => 2,
            WeightType::Q8_0 => 34,
            WeightType::Q4_0 => 18,
            WeightType::Q4_1 => 20,
            WeightType::Q5_0 => 22,
            WeightType::Q5_1 => 24,
            WeightType::Q4_K => 144,
            WeightType::Q5_K => 176,
            WeightType::Q6_K => 210,
        }
    }

    /// Bytes of a row of `cols` weights; `None` if that is no whole number of blocks, or if the
    /// number does not fit.
    pub const fn row_bytes(self, cols: usize) -> Option<usize> {
        if !cols.is_multiple_of(self.block_len()) {
            return None;
        }
        (cols / self.block_len()).checked_mul(self.block_bytes())
    }

    /// That `found` bytes hold exactly `weights` weights.
    pub(super) fn check_length(self, found: usize, weights: usize) -> Result<(), QuantError> {
        let (ty, block) = (self, self.block_len());
        let expected = self.row_bytes(weights).ok_or(QuantError::RaggedRow { ty, block, cols: weights })?;
        if expected != found {
            return Err(QuantError::Length { ty, weights, expected, found });
        }
        Ok(())
    }
}

impl fmt::Display for WeightType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
