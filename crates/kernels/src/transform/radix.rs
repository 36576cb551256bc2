//! Transforms of two to eight complex numbers, the steps of [`super::lane_fft`].
//!
//! `X_k = sum_n x_n exp(2 pi i n k / r)`, or with the other sign where `BACK`. No scale factor.

use super::complex::Complex;
use crate::number::Number;
use crate::simd::Lanes;

type C<T, L> = Complex<T, L>;

/// `sqrt(3) / 2`.
const SIN_THIRD: f64 = 0.866_025_403_784_438_6;
/// `cos` and `sin` of one and of two fifths of a turn.
const COS_FIFTH: [f64; 2] = [0.309_016_994_374_947_45, -0.809_016_994_374_947_5];
const SIN_FIFTH: [f64; 2] = [0.951_056_516_295_153_5, 0.587_785_252_292_473_1];

/// A transform of `R` numbers.
pub(super) trait Butterfly<T, L, const R: usize> {
    /// Transforms.
    fn turn<const BACK: bool>(x: [C<T, L>; R]) -> [C<T, L>; R];
}

/// All of them.
pub(super) struct Radix;

macro_rules! butterflies {
    ($($radix:literal $function:ident),*) => {
        $(impl<T: Number, L: Lanes<T>> Butterfly<T, L, $radix> for Radix {
            #[inline(always)]
            fn turn<const BACK: bool>(x: [C<T, L>; $radix]) -> [C<T, L>; $radix] {
                $function::<T, L, BACK>(x)
            }
        })*
    };
}

butterflies!(2 pair, 3 three, 4 four, 5 five, 6 six, 8 eight);

#[inline(always)]
fn pair<T: Number, L: Lanes<T>, const BACK: bool>(x: [C<T, L>; 2]) -> [C<T, L>; 2] {
    two(x)
}

#[inline(always)]
fn two<T: Number, L: Lanes<T>>([a, b]: [C<T, L>; 2]) -> [C<T, L>; 2] {
    [a.add(b), a.sub(b)]
}

#[inline(always)]
fn three<T: Number, L: Lanes<T>, const BACK: bool>([a, b, c]: [C<T, L>; 3]) -> [C<T, L>; 3] {
    let (sum, difference) = (b.add(c), b.sub(c));
    let middle = a.sub_scaled(sum, L::splat(T::of(0.5)));
    let side = difference.scale(L::splat(T::of(SIN_THIRD)));
    [a.add(sum), middle.add_turned::<BACK>(side), sub_turned::<T, L, BACK>(middle, side)]
}

#[inline(always)]
fn four<T: Number, L: Lanes<T>, const BACK: bool>([a, b, c, d]: [C<T, L>; 4]) -> [C<T, L>; 4] {
    let ([p, q], [r, s]) = (two([a, c]), two([b, d]));
    [p.add(r), q.add_turned::<BACK>(s), p.sub(r), sub_turned::<T, L, BACK>(q, s)]
}

#[inline(always)]
fn five<T: Number, L: Lanes<T>, const BACK: bool>([a, b, c, d, e]: [C<T, L>; 5]) -> [C<T, L>; 5] {
    let (cos1, cos2) = (L::splat(T::of(COS_FIFTH[0])), L::splat(T::of(COS_FIFTH[1])));
    let (sin1, sin2) = (L::splat(T::of(SIN_FIFTH[0])), L::splat(T::of(SIN_FIFTH[1])));
    let (outer, inner) = (two([b, e]), two([c, d]));
    let near = a.add_scaled(outer[0], cos1).add_scaled(inner[0], cos2);
    let far = a.add_scaled(outer[0], cos2).add_scaled(inner[0], cos1);
    let near_side = outer[1].scale(sin1).add_scaled(inner[1], sin2);
    let far_side = outer[1].scale(sin2).sub_scaled(inner[1], sin1);
    [
        a.add(outer[0]).add(inner[0]),
        near.add_turned::<BACK>(near_side),
        far.add_turned::<BACK>(far_side),
        sub_turned::<T, L, BACK>(far, far_side),
        sub_turned::<T, L, BACK>(near, near_side),
    ]
}

/// Two and three have no common factor: between them no rotation is needed.
#[inline(always)]
fn six<T: Number, L: Lanes<T>, const BACK: bool>(x: [C<T, L>; 6]) -> [C<T, L>; 6] {
    let even = three::<T, L, BACK>([x[0], x[2], x[4]]);
    let odd = three::<T, L, BACK>([x[3], x[5], x[1]]);
    let (p, q, r) = (two([even[0], odd[0]]), two([even[1], odd[1]]), two([even[2], odd[2]]));
    [p[0], q[1], r[0], p[1], q[0], r[1]]
}

#[inline(always)]
fn eight<T: Number, L: Lanes<T>, const BACK: bool>(x: [C<T, L>; 8]) -> [C<T, L>; 8] {
    let root = L::splat(T::of(std::f64::consts::FRAC_1_SQRT_2));
    let even = four::<T, L, BACK>([x[0], x[2], x[4], x[6]]);
    let odd = four::<T, L, BACK>([x[1], x[3], x[5], x[7]]);
    // Turned by an eighth and by three eighths, each times the root of two.
    let first = odd[1].add_turned::<BACK>(odd[1]);
    let third = sub_turned::<T, L, BACK>(odd[3], odd[3]);
    [
        even[0].add(odd[0]),
        even[1].add_scaled(first, root),
        even[2].add_turned::<BACK>(odd[2]),
        even[3].sub_scaled(third, root),
        even[0].sub(odd[0]),
        even[1].sub_scaled(first, root),
        sub_turned::<T, L, BACK>(even[2], odd[2]),
        even[3].add_scaled(third, root),
    ]
}

/// `a - i b`, or `a + i b` where `BACK`.
#[inline(always)]
fn sub_turned<T: Number, L: Lanes<T>, const BACK: bool>(a: C<T, L>, b: C<T, L>) -> C<T, L> {
    match BACK {
        false => a.add_turned::<true>(b),
        true => a.add_turned::<false>(b),
    }
}
