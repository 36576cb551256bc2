//! Every operation of every instruction set against `Portable`.

use half::{bf16, f16};

use super::*;
use crate::isa::{Isa, Operation};

/// What the operations give for two vectors and some integers, written down one after another.
struct All {
    a: [f32; WIDTH],
    b: [f32; WIDTH],
    bytes: [u8; WIDTH],
    pairs: [i32; WIDTH],
}

impl Operation for All {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<V: Simd>(self) -> Vec<f64> {
        let (a, b) = (V::Floats::load(&self.a), V::Floats::load(&self.b));
        let bytes = V::load_bytes(&self.bytes);
        let signed = V::load_signed(&self.bytes.map(|b| b as i8));
        let pairs = V::load_integers(&self.pairs);
        let table: [f32; 64] = std::array::from_fn(|i| self.a[i % WIDTH] * (i / WIDTH) as f32);
        let halves: [i16; 256] = std::array::from_fn(|i| (i as i16).wrapping_mul(12_347));
        let (some, more): (&[i16; 32], &[i16; 64]) = (halves.first_chunk().unwrap(), halves.last_chunk().unwrap());
        let below_32 = V::and(bytes, V::integers(31));
        let vectors = [
            a.add(b),
            a.sub(b),
            a.mul(b),
            a.max(b),
            a.exp(),
            sums_of(a, b),
            V::load_f16(&self.a.map(f16::from_f32)),
            V::load_bf16(&self.a.map(bf16::from_f32)),
            V::Floats::load_stored(&self.b),
            V::Floats::load_stored(&self.b.map(bf16::from_f32)),
            V::to_floats(bytes),
            V::to_floats(signed),
            V::to_floats(V::and(bytes, V::integers(0x5A))),
            V::to_floats(V::or(bytes, V::integers(0x101))),
            V::to_floats(V::shift_left::<7>(bytes)),
            V::to_floats(V::shift_right::<3>(bytes)),
            V::to_floats(V::shift_right::<30>(signed)),
            V::to_floats(V::shift_left_each(pairs, below_32)),
            V::to_floats(V::shift_right_each(pairs, below_32)),
            V::to_floats(V::mark_greater(bytes, signed, a, b)),
            V::to_floats(V::mark_greater(bytes, signed, a, a.max(b))),
            V::select_greater(a, b, a.mul(b), a.sub(b)),
            V::gather(&table, bytes),
            V::gather(&table, pairs),
            V::lookup(a, bytes),
            V::to_floats(V::add_integers(bytes, signed)),
            V::to_floats(V::mul_integers(bytes, signed)),
            V::to_floats(V::dot_pairs(signed, &self.pairs, (16_383 << 16) | 0x8765)),
            V::to_floats(V::dot_vectors(signed, &self.pairs, &self.pairs.map(|x| x.rotate_left(9)))),
            V::to_floats(V::to_integers(a.mul(V::Floats::splat(37.5)))),
            V::to_floats(V::shift_halves_left(pairs, 5)),
            V::to_floats(V::shift_halves_right_signed(pairs, 6)),
            V::half_floats(V::and(pairs, V::integers(0x1234_5BFF))),
            V::to_floats(V::shift_halves_left(pairs, 16)),
            V::to_floats(V::shift_halves_right(pairs, 7)),
            V::to_floats(V::shift_halves_right(pairs, 16)),
            V::to_floats(V::lookup_halves(some, pairs)),
            V::to_floats(V::lookup_halves(more, pairs)),
            V::to_floats(V::lookup_halves(&halves, pairs)),
            V::to_floats(V::scale_halves(pairs, (-32_767 << 16) | 1_234)),
        ];
        let mut all = Vec::new();
        for v in vectors {
            let mut out = [0.0; WIDTH];
            v.store(&mut out);
            all.extend(out.map(f64::from));
        }
        let mut stored = [0; WIDTH];
        V::store_integers(V::or(bytes, V::integers(1 << 20)), &mut stored);
        all.extend(stored.map(f64::from));
        all.extend([a.sum(), a.largest(), b.largest(), V::half(f16::from_f32(self.a[3]))].map(f64::from));
        all
    }
}

/// The sums of sixteen different vectors.
#[inline(always)]
fn sums_of<L: Lanes<f32>>(a: L, b: L) -> L {
    L::sums(std::array::from_fn(|i| a.mul(L::splat(i as f32 - 7.5)).add(b)))
}

struct Fused([f32; WIDTH]);

impl Operation for Fused {
    type Output = [f32; WIDTH];

    #[inline(always)]
    fn run<V: Simd>(self) -> [f32; WIDTH] {
        let x = V::Floats::load(&self.0);
        let mut out = [0.0; WIDTH];
        x.mul_add(x, V::Floats::splat(-0.25)).store(&mut out);
        assert_eq!(out[5], V::mul_add(self.0[5], self.0[5], -0.25));
        let mut negated = [0.0; WIDTH];
        x.neg_mul_add(x, V::Floats::splat(0.25)).store(&mut negated);
        assert_eq!(negated, out.map(|v| -v));
        out
    }
}

#[test]
fn instruction_sets_agree_with_the_plain_loops() {
    for case in 0..200u32 {
        let noise = |i: usize, by: u32| (i as u32 + 1 + 97 * case).wrapping_mul(by) >> 7;
        let a = std::array::from_fn(|i| (noise(i, 2_654_435_761) % 20_000) as f32 / 100.0 - 100.0);
        let b = std::array::from_fn(|i| (noise(i, 40_503) % 20_000) as f32 / 100.0 - 100.0);
        let bytes = std::array::from_fn(|i| noise(i, 2_246_822_519) as u8);
        let pairs = std::array::from_fn(|i| {
            let half = |j: usize| (noise(2 * i + j, 3_266_489_917) % 8_129) as i32 - 4_064;
            (half(0) & 0xFFFF) | half(1) << 16
        });
        let all = || All { a, b, bytes, pairs };
        let expected = Isa::portable().run(all());
        for isa in Isa::available() {
            for (i, (x, y)) in isa.run_integers(all()).iter().zip(&expected).enumerate() {
                let near = (x - y).abs() <= 3e-7 * y.abs() && (x == y || i / WIDTH == 4);
                assert!(near, "case {case}, number {i} on {isa}: {x} for {y}");
            }
            let fused = isa.run(Fused(a));
            for (x, &v) in fused.iter().zip(&a) {
                let exact = f64::from(v) * f64::from(v) - 0.25;
                assert!((f64::from(*x) - exact).abs() <= 1e-6 * exact.abs().max(1.0), "{isa}");
            }
        }
    }
}

#[test]
fn exponentials_at_the_ends() {
    struct Exp([f32; WIDTH]);
    impl Operation for Exp {
        type Output = [f32; WIDTH];
        #[inline(always)]
        fn run<V: Simd>(self) -> [f32; WIDTH] {
            let mut out = [0.0; WIDTH];
            V::Floats::load(&self.0).exp().store(&mut out);
            out
        }
    }
    let mut x = [0.0; WIDTH];
    x[..6].copy_from_slice(&[f32::NEG_INFINITY, -1e6, -87.1, -87.0, 1e6, 1.0]);
    for isa in Isa::available() {
        let y = isa.run(Exp(x));
        assert_eq!(y[..3], [0.0; 3], "{isa}");
        assert!(y[3] > 0.0 && y[4].is_finite() && y[6] == 1.0, "{isa}: {y:?}");
        assert!((y[5] - std::f32::consts::E).abs() < 3e-7, "{isa}");
    }
}

#[test]
fn transposed_rows_are_columns() {
    struct Transpose([[i32; WIDTH]; WIDTH]);
    impl Operation for Transpose {
        type Output = [[i32; WIDTH]; WIDTH];
        #[inline(always)]
        fn run<V: Simd>(self) -> Self::Output {
            V::transpose(&self.0)
        }
    }
    let rows = std::array::from_fn(|r| std::array::from_fn(|c| (100 * r + c) as i32));
    for isa in Isa::available() {
        for (c, column) in isa.run(Transpose(rows)).iter().enumerate() {
            for (r, &x) in column.iter().enumerate() {
                assert_eq!(x, (100 * r + c) as i32, "row {r}, column {c} on {isa}");
            }
        }
    }
}

#[test]
fn words_of_rows_are_columns_of_words() {
    struct Words([[u8; WIDTH]; WIDTH]);
    impl Operation for Words {
        type Output = [[i32; WIDTH]; 4];
        #[inline(always)]
        fn run<V: Simd>(self) -> Self::Output {
            let (words, mut out) = (V::words_of_rows(std::array::from_fn(|i| &self.0[i])), [[0; WIDTH]; 4]);
            words.into_iter().zip(&mut out).for_each(|(words, out)| V::store_integers(words, out));
            out
        }
    }
    let rows: [[u8; WIDTH]; WIDTH] = std::array::from_fn(|r| std::array::from_fn(|c| (16 * r + c) as u8));
    for isa in Isa::available() {
        for (w, words) in isa.run(Words(rows)).into_iter().enumerate() {
            for (r, word) in words.into_iter().enumerate() {
                let byte = (16 * r + 4 * w) as i32;
                assert_eq!(
                    word,
                    byte | (byte + 1) << 8 | (byte + 2) << 16 | (byte + 3) << 24,
                    "row {r}, word {w} on {isa}"
                );
            }
        }
    }
}
