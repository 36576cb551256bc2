//! How test models store their matrices.

use half::{bf16, f16};

/// How matrices are stored; vectors are always F32, as converters write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// 32-bit floats: exact.
    F32,
    /// 16-bit IEEE floats.
    F16,
    /// 16-bit brain floats: exact, the weights being such.
    BF16,
    /// Blocks of 32 weights of 8 bits; matrices whose rows are no whole number of blocks stay F32.
    Q8_0,
}

impl Encoding {
    /// What is used for rows of `cols` weights.
    pub fn for_rows(self, cols: usize) -> Encoding {
        match self {
            Encoding::Q8_0 if !cols.is_multiple_of(32) => Encoding::F32,
            other => other,
        }
    }

    /// The type's number in a GGUF file.
    pub fn ggml_id(self) -> u32 {
        match self {
            Encoding::F32 => 0,
            Encoding::F16 => 1,
            Encoding::BF16 => 30,
            Encoding::Q8_0 => 8,
        }
    }

    /// The stored bytes of these values.
    pub fn encode(self, values: &[bf16]) -> Vec<u8> {
        match self {
            Encoding::F32 => values.iter().flat_map(|v| v.to_f32().to_le_bytes()).collect(),
            Encoding::F16 => values.iter().flat_map(|v| f16::from_f32(v.to_f32()).to_le_bytes()).collect(),
            Encoding::BF16 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Encoding::Q8_0 => values.chunks(32).flat_map(q8_0_block).collect(),
        }
    }
}

/// A half float scale, then 32 signed bytes: the largest magnitude becomes 127.
fn q8_0_block(values: &[bf16]) -> Vec<u8> {
    let largest = values.iter().fold(0.0f32, |a, v| a.max(v.to_f32().abs()));
    let scale = f16::from_f32(largest / 127.0);
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    let mut block = scale.to_le_bytes().to_vec();
    block.extend(values.iter().map(|v| (v.to_f32() * inverse).round() as i8 as u8));
    block
}
