//! What the dequantiser and the dot product ask of a block layout.

use bytemuck::Pod;

use crate::simd::Simd;

/// Weights in a group: the unit both kernels work in, enough to fill the vector registers.
pub(super) const GROUP: usize = 32;

/// One quantised block as it lies in the file (bytes only, so it has no alignment).
pub(super) trait Block: Pod {
    /// Groups of 32 weights in a block.
    const GROUPS: usize;
    /// The block's scales and offsets, unpacked once a block.
    type Scales: Copy;

    /// Unpacks the scales and offsets.
    fn scales(&self) -> Self::Scales;

    /// The weights of group `g < GROUPS`.
    fn group<V: Simd>(&self, scales: &Self::Scales, g: usize) -> [f32; GROUP];
}

/// One number of a row of plain floats.
pub(super) trait Element: Pod {
    /// Its value.
    fn value(self) -> f32;
}

/// The value of a little-endian IEEE half float. All of it is selection and integer arithmetic, so
/// that loops over it vectorise on any machine.
#[inline(always)]
pub(super) fn half_value(bytes: [u8; 2]) -> f32 {
    /// Difference of the two formats' exponent biases, in f32's exponent field.
    const REBIAS: u32 = (127 - 15) << 23;
    /// 2^-14, the least normal half.
    const LEAST_NORMAL: u32 = (127 - 14) << 23;
    let half = u32::from(u16::from_le_bytes(bytes));
    let magnitude = (half & 0x7fff) << 13;
    let exponent = half & 0x7c00;
    let normal = f32::from_bits(magnitude + REBIAS);
    let subnormal = f32::from_bits(magnitude + LEAST_NORMAL) - f32::from_bits(LEAST_NORMAL);
    // infinities and NaNs: all exponent bits set in both formats
    let special = f32::from_bits(magnitude | 0x7f80_0000);
    let finite = if exponent == 0 { subnormal } else { normal };
    let value = if exponent == 0x7c00 { special } else { finite };
    f32::from_bits(value.to_bits() | ((half & 0x8000) << 16))
}

#[cfg(test)]
mod tests {
    use super::half_value;

    #[test]
    fn every_half_float_has_the_value_that_the_half_crate_gives() {
        for bits in 0..=u16::MAX {
            let expected = half::f16::from_bits(bits).to_f32();
            let found = half_value(bits.to_le_bytes());
            assert_eq!(expected.is_nan(), found.is_nan(), "{bits:#06x}");
            if !expected.is_nan() {
                assert_eq!(expected.to_bits(), found.to_bits(), "{bits:#06x}");
            }
        }
    }
}
