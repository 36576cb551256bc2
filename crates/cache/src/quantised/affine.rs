//! Codes between the least and the largest number of a group: `x = least + step * code`.
//!
//! `least` and `step` are kept as `f16`, rounded outward: the least number is not below `least` and the largest not
//! above `least + step * levels`. So no number is clipped, and none is off by more than half a step, by the step that is
//! stored.

use fourier_kv_kernels::element::Element;
use half::f16;

use super::settings::Bits;

/// Bytes of an [`Affine`] as it is stored.
pub(super) const AFFINE_BYTES: usize = 4;

/// What a group's codes mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Affine {
    pub(super) least: f32,
    pub(super) step: f32,
}

impl Affine {
    /// The code of a group of numbers; numbers beyond those of `f16` count as its largest.
    pub(super) fn of(bits: Bits, numbers: impl Iterator<Item = f32>) -> Self {
        let (least, most) =
            numbers.map(storable).fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
        if least > most {
            return Affine { least: 0.0, step: 0.0 };
        }
        let least = -at_least(-least);
        Affine { least, step: at_least((most - least) / f32::from(bits.levels())) }
    }

    /// The nearest code.
    pub(super) fn code(self, bits: Bits, x: f32) -> u8 {
        let inverse = if self.step > 0.0 { 1.0 / self.step } else { 0.0 };
        // A cast saturates, and makes zero of what is no number.
        (((storable(x) - self.least) * inverse).round() as u8).min(bits.levels())
    }

    pub(super) fn store(self, out: &mut [u8]) {
        out[..2].copy_from_slice(&f16::from_f32(self.least).to_le_bytes());
        out[2..AFFINE_BYTES].copy_from_slice(&f16::from_f32(self.step).to_le_bytes());
    }

    #[inline(always)]
    pub(super) fn load(bytes: &[u8]) -> Self {
        let number = |i: usize| Element::load(f16::from_le_bytes([bytes[i], bytes[i + 1]]));
        Affine { least: number(0), step: number(2) }
    }
}

/// What an `f16` can say of a number at all.
fn storable(x: f32) -> f32 {
    let most = f16::MAX.to_f32();
    x.clamp(-most, most)
}

/// The least `f16` that is not below `x`, of numbers up to the largest.
fn at_least(x: f32) -> f32 {
    let nearest = f16::from_f32(x);
    if nearest.to_f32() >= x || nearest == f16::MAX {
        return nearest.to_f32();
    }
    // Bits count magnitudes upward: one more is larger, or if the sign is set one less.
    let bits = nearest.to_bits();
    let above = match bits {
        0x8000 => 1,
        0x8001.. => bits - 1,
        _ => bits + 1,
    };
    f16::from_bits(above).to_f32()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rounding_up_is_the_next_number_or_itself() {
        for bits in (0..=f16::MAX.to_bits()).chain(0x8000..=0xFBFF) {
            let x = f16::from_bits(bits).to_f32();
            assert_eq!(at_least(x), x);
            let between = if x == 0.0 { 1e-9 } else { x + x.abs() * 1e-5 };
            let above = at_least(between);
            assert!(above >= between || above == f16::MAX.to_f32(), "{between} -> {above}");
            assert!(above <= x + x.abs() / 1024.0 + 6e-8, "{between} -> {above}");
        }
    }

    proptest! {
        /// The bound in `f64`: half a step, by the numbers that are stored, and what `f32` rounds.
        #[test]
        fn no_number_is_off_by_more_than_half_a_step(
            numbers in prop::collection::vec(-1.0f32..1.0, 1..64),
            (size, offset) in (-12i32..12, -500.0f32..500.0),
            bits in prop_oneof![Just(Bits::Two), Just(Bits::Three), Just(Bits::Four), Just(Bits::Eight)],
        ) {
            let numbers: Vec<f32> = numbers.iter().map(|x| x * 2f32.powi(size) + offset).collect();
            let affine = Affine::of(bits, numbers.iter().copied());
            let mut bytes = [0; AFFINE_BYTES];
            affine.store(&mut bytes);
            prop_assert_eq!(Affine::load(&bytes), affine, "what is stored is what was used");
            let (least, step) = (f64::from(affine.least), f64::from(affine.step));
            for &x in &numbers {
                let back = least + step * f64::from(affine.code(bits, x));
                let rounding = 3e-7 * f64::from(x.abs()) + 3e-7 * step * f64::from(bits.levels());
                prop_assert!((back - f64::from(x)).abs() <= step / 2.0 + rounding, "{} -> {}", x, back);
            }
            // And the step is no larger than the range asks for, up to f16.
            let (low, high) = numbers.iter().fold((f64::MAX, f64::MIN), |(a, b), &x| (a.min(x.into()), b.max(x.into())));
            let most = (high - low + low.abs() / 1024.0 + 6e-8) / f64::from(bits.levels());
            prop_assert!(step <= most * (1.0 + 1.0 / 1024.0) + 6e-8, "{} {}", step, most);
        }
    }

    #[test]
    fn what_is_no_number_or_too_large_does_no_harm() {
        for bits in [Bits::Two, Bits::Eight] {
            let numbers = [1.0, f32::NAN, f32::INFINITY, -3e38];
            let affine = Affine::of(bits, numbers.into_iter());
            assert!(affine.least.is_finite() && affine.step.is_finite());
            assert_eq!((affine.code(bits, f32::INFINITY), affine.code(bits, -3e38)), (bits.levels(), 0));
            assert_eq!(affine.code(bits, f32::NAN), 0);
            assert_eq!(Affine::of(bits, [0.5; 3].into_iter()), Affine { least: 0.5, step: 0.0 });
            assert_eq!(Affine::of(bits, std::iter::empty()), Affine { least: 0.0, step: 0.0 });
        }
    }
}
