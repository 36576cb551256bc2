//! The formats `q8_0` and `q4_0`: runs of 32 dims of one token as multiples of a scale.
//!
//! Bytes and roundings are those of ggml's files and of llama.cpp's caches: an `f16` scale, then 32 signed bytes, or 16
//! bytes that hold number `i` in their low and number `i + 16` in their high four bits. The scale makes the number of
//! largest magnitude -8 (`q4_0`: its sign counts, and a number as large of the other sign is cut from 8 to 7 steps) or
//! +-127. Codes are made with the scale before it is rounded to `f16`. A last run of fewer than 32 dims, which those
//! files do not have, is a smaller block of the same kind.

use fourier_kv_kernels::element::Element;
use half::f16;

use super::settings::BlockFormat;

/// Numbers of a block.
const BLOCK: usize = 32;
/// Bytes of a scale.
const SCALE: usize = 2;

/// Bytes of a token of `dim` dims.
pub(super) fn token_bytes(format: BlockFormat, dim: usize) -> usize {
    let rest = dim % BLOCK;
    let last = if rest > 0 { block_bytes(format, rest) } else { 0 };
    dim / BLOCK * block_bytes(format, BLOCK) + last
}

const fn block_bytes(format: BlockFormat, numbers: usize) -> usize {
    match format {
        BlockFormat::Q4_0 => SCALE + numbers.div_ceil(2),
        BlockFormat::Q8_0 => SCALE + numbers,
    }
}

/// Codes one token, `[D]`.
pub(super) fn encode(format: BlockFormat, row: &[f32], out: &mut [u8]) {
    for (numbers, out) in row.chunks(BLOCK).zip(out.chunks_mut(block_bytes(format, BLOCK))) {
        let (head, codes) = out.split_at_mut(SCALE);
        let scale = match format {
            BlockFormat::Q4_0 => encode_4(numbers, codes),
            BlockFormat::Q8_0 => encode_8(numbers, codes),
        };
        head.copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    }
}

/// The number of largest magnitude, with its sign.
fn largest(numbers: &[f32]) -> f32 {
    numbers.iter().fold(0.0, |most: f32, &x| if x.abs() > most.abs() { x } else { most })
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

fn encode_4(numbers: &[f32], codes: &mut [u8]) -> f32 {
    let scale = largest(numbers) / -8.0;
    let inverse = inverse(scale);
    let code = |x: f32| ((x * inverse + 8.5) as u8).min(15);
    let half = codes.len();
    for (i, byte) in codes.iter_mut().enumerate() {
        let high = numbers.get(i + half).map_or(0, |&x| code(x));
        *byte = code(numbers[i]) | high << 4;
    }
    scale
}

fn encode_8(numbers: &[f32], codes: &mut [u8]) -> f32 {
    let scale = largest(numbers).abs() / 127.0;
    let inverse = inverse(scale);
    for (byte, &x) in codes.iter_mut().zip(numbers) {
        *byte = ((x * inverse).round() as i8).cast_unsigned();
    }
    scale
}

/// Decodes one token into `row`, `[D]`.
#[inline(always)]
pub(super) fn decode(format: BlockFormat, bytes: &[u8], row: &mut [f32]) {
    for (out, bytes) in row.chunks_mut(BLOCK).zip(bytes.chunks(block_bytes(format, BLOCK))) {
        let (head, codes) = bytes.split_at(SCALE);
        let scale: f32 = Element::load(f16::from_le_bytes([head[0], head[1]]));
        match format {
            BlockFormat::Q4_0 => {
                let (low, high) = out.split_at_mut(codes.len());
                low.iter_mut().zip(codes).for_each(|(x, &c)| *x = (i32::from(c & 15) - 8) as f32 * scale);
                high.iter_mut().zip(codes).for_each(|(x, &c)| *x = (i32::from(c >> 4) - 8) as f32 * scale);
            }
            BlockFormat::Q8_0 => {
                out.iter_mut().zip(codes).for_each(|(x, &c)| *x = f32::from(c.cast_signed()) * scale);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use fourier_kv_kernels::isa::Isa;
    use fourier_kv_kernels::quant::{WeightType, dequantise};
    use proptest::prelude::*;

    use super::*;

    fn coded(format: BlockFormat, row: &[f32]) -> (Vec<u8>, Vec<f32>) {
        let (mut bytes, mut back) = (vec![0; token_bytes(format, row.len())], vec![f32::NAN; row.len()]);
        encode(format, row, &mut bytes);
        decode(format, &bytes, &mut back);
        (bytes, back)
    }

    proptest! {
        /// Half a step in `f64`; of `q4_0` a whole one near the end that has seven steps. The scale's rounding to `f16`
        /// shifts a number by its own 2048th part, or of the tiniest scales by 3e-8 a step.
        #[test]
        fn errors_are_bounded_by_the_step(
            row in prop::collection::vec(-1.0f32..1.0, 2..130),
            size in -6i32..8,
        ) {
            let row: Vec<f32> = row.iter().map(|x| x * 2f32.powi(size)).collect();
            for (format, steps) in [(BlockFormat::Q4_0, 8.0), (BlockFormat::Q8_0, 127.0)] {
                let (_, back) = coded(format, &row);
                for (row, back) in row.chunks(BLOCK).zip(back.chunks(BLOCK)) {
                    let end = f64::from(largest(row));
                    for (&x, &back) in row.iter().zip(back) {
                        let (x, step) = (f64::from(x), end.abs() / steps);
                        let cut = format == BlockFormat::Q4_0 && x * end.signum() < -7.5 * step;
                        let most = if cut { step } else { step / 2.0 };
                        let rounding = (x.abs() + step) / 2000.0 + 127.0 * 3e-8;
                        prop_assert!((f64::from(back) - x).abs() <= most + rounding, "{:?} {} -> {}", format, x, back);
                    }
                }
            }
        }
    }

    /// The bytes are those that weights of these types have in a model's file.
    #[test]
    fn files_readers_read_them_alike() {
        let row: Vec<f32> = (0..128).map(|i| ((i * i) as f32 * 0.37).sin() * (1.0 + i as f32)).collect();
        for (format, ty) in [(BlockFormat::Q4_0, WeightType::Q4_0), (BlockFormat::Q8_0, WeightType::Q8_0)] {
            let (bytes, back) = coded(format, &row);
            let mut read = vec![0.0; row.len()];
            dequantise(Isa::portable(), ty, &bytes, &mut read).unwrap();
            assert_eq!(read, back, "{format:?}");
        }
    }

    /// One block by hand.
    #[test]
    fn roundings_are_the_formats() {
        let mut row = [0.0f32; 32];
        row[..6].copy_from_slice(&[4.0, -4.0, 0.25, -0.25, 0.2, 3.6]);
        // The largest, 4, becomes -8 steps of -0.5; halves go up, that is away from the end of the largest.
        let (bytes, back) = coded(BlockFormat::Q4_0, &row);
        assert_eq!(back[..6], [4.0, -3.5, 0.0, -0.5, 0.0, 3.5]);
        assert_eq!((bytes.len(), bytes[2..4].to_vec()), (18, vec![0x80, 0x8F]));
        let (bytes, back) = coded(BlockFormat::Q8_0, &row.map(|x| x * 127.0 / 4.0));
        // 7.9375, -7.9375, 6.35 and 114.3 steps of one.
        assert_eq!(back[..6], [127.0, -127.0, 8.0, -8.0, 6.0, 114.0]);
        assert_eq!(bytes.len(), 34);
    }
}
