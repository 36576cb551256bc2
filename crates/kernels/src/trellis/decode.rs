//! The way back from words to values.

use super::tables::{Rate, TrellisTables};
use super::{Position, SUBSETS, by_bits, total};
use crate::isa::{Isa, Operation};
use crate::simd::{Lanes, Simd, WIDTH};

impl TrellisTables {
    /// The values of sixteen streams, `[n][16]`: those of their symbols in words, `[W][16]`, times `scales`, `[n]`.
    /// Coefficients without bits are 0.
    ///
    /// # Panics
    ///
    /// If lengths do not fit, `W` being the bits of a lane over 32, rounded up, or bits are over 8.
    pub fn decode(&self, isa: Isa, words: &[[u32; WIDTH]], bits: &[u8], scales: &[f32], out: &mut [[f32; WIDTH]]) {
        assert!(scales.len() == bits.len() && out.len() == bits.len(), "bits, scale and values of each coefficient");
        assert_eq!(words.len(), total(bits).div_ceil(32), "words of a lane");
        isa.run(Decode { tables: self, words, bits, scales, out });
    }
}

struct Decode<'a> {
    tables: &'a TrellisTables,
    words: &'a [[u32; WIDTH]],
    bits: &'a [u8],
    scales: &'a [f32],
    out: &'a mut [[f32; WIDTH]],
}

/// Where a stream is read, and the states there.
struct Reader<'a, V: Simd> {
    words: &'a [[u32; WIDTH]],
    position: Position,
    state: V::Integers,
}

impl Operation for Decode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let mut reader = Reader::<V> { words: self.words, position: Position(0), state: V::integers(0) };
        let mut at = 0;
        for run in self.bits.chunk_by(|a, b| a == b) {
            let to = at + run.len();
            let out = &mut self.out[at..to];
            if run[0] == 0 {
                out.fill([0.0; WIDTH]);
            }
            by_bits!(run[0], values::<V>(self.tables, &mut reader, &self.scales[at..to], out));
            at = to;
        }
    }
}

/// Values of coefficients of `K` bits.
#[inline(always)]
fn values<V: Simd, const K: usize>(
    tables: &TrellisTables,
    reader: &mut Reader<'_, V>,
    scales: &[f32],
    out: &mut [[f32; WIDTH]],
) {
    let rate = tables.rate(K);
    for (&scale, out) in scales.iter().zip(out) {
        let symbols = reader.symbols(K);
        let register = V::or(V::shift_left::<1>(reader.state), V::and(symbols, V::integers(1)));
        reader.state = V::and(register, V::integers(7));
        level::<V, K>(rate, symbols, register).mul(V::Floats::splat(scale)).store(out);
    }
}

impl<V: Simd> Reader<'_, V> {
    /// The next symbols, of `bits` bits.
    #[inline(always)]
    fn symbols(&mut self, bits: usize) -> V::Integers {
        let (at, shift) = (self.position.word(), self.position.shift());
        let low = V::load_integers(bytemuck::cast_ref(&self.words[at]));
        let mut symbols = V::shift_right_each(low, V::integers(shift as i32));
        if shift + bits > 32 {
            let high = V::load_integers(bytemuck::cast_ref(&self.words[at + 1]));
            symbols = V::or(symbols, V::shift_left_each(high, V::integers(32 - shift as i32)));
        }
        self.position = Position(self.position.0 + bits);
        V::and(symbols, V::integers((1 << bits) - 1))
    }
}

/// The levels of symbols of `K` bits, given the registers `(state << 1) | b`.
#[inline(always)]
fn level<V: Simd, const K: usize>(rate: &Rate, symbols: V::Integers, register: V::Integers) -> V::Floats {
    if K == 1 {
        return V::lookup(V::Floats::load(&rate.by_register), register);
    }
    let subset = V::and(V::shift_right_each(V::integers(SUBSETS), V::shift_left::<1>(register)), V::integers(3));
    let index = V::or(V::shift_left::<2>(V::shift_right::<1>(symbols)), subset);
    if K <= 3 {
        return V::lookup(V::Floats::load(rate.levels.first_chunk().expect("512 levels")), index);
    }
    V::gather(&rate.levels, index)
}
