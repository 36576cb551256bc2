//! The search: path metrics of eight states in vectors forward, then the best path backward into words.

use fourier_kv_spectral::trellis::{LIMIT, STATES, SUBSET};

use super::tables::{Rate, TrellisTables};
use super::{Position, SUBSETS, by_bits, total};
use crate::isa::{Isa, Operation};
use crate::simd::{Lanes, Simd, WIDTH};

/// Steps between two times that the best metric is taken off all of them, so that sums stay small and exact.
const LEVELLED_EVERY: usize = 16;
/// The metric of states that nothing has reached; far below what weights can come to between two levellings.
const UNREACHED: f32 = -1e30;
/// The largest weight.
const HEAVIEST: f32 = 1e20;

/// Sixteen streams to be coded, one a lane.
#[derive(Clone, Copy, Debug)]
pub struct Coefficients<'a> {
    /// `[n][16]`, each divided by its scale. Those that are not finite are coded as 0, those over
    /// [`LIMIT`] as that.
    pub values: &'a [[f32; WIDTH]],
    /// `[n]`, at most 8; coefficients with 0 are left out.
    pub bits: &'a [u8],
    /// `[n]`: what a squared error of a value costs, the square of its scale where errors count as they are. Taken as
    /// 0 to 1e20; only their ratios matter.
    pub weights: &'a [f32],
}

/// What of a step the way back needs.
#[derive(Clone, Copy, Debug, Default)]
struct Survivors {
    /// The nearest level of each subset, eight bits each from the lowest up; of no meaning at one bit.
    choices: [i32; WIDTH],
    /// Bit `s`: whether state `s` is reached from the upper of its predecessors.
    upper: [i32; WIDTH],
}

/// Memory for [`TrellisTables::encode`], 128 bytes a coefficient, to be used again.
#[derive(Clone, Debug, Default)]
pub struct EncodeScratch {
    survivors: Vec<Survivors>,
}

impl TrellisTables {
    /// Codes sixteen streams as words, `[W][16]`: the symbols of the least weighted error, as
    /// [`fourier_kv_spectral::trellis::encode_weighted`] finds them. Bits past the last symbol are 0.
    ///
    /// Nanoseconds for sixteen lanes of a coefficient of 1, 2, 3, 4 bits on a busy Zen 5 core (the example
    /// `trellis_speed`): 15, 19, 26, 31 with AVX-512; 32, 36, 47, 54 with AVX2.
    ///
    /// # Panics
    ///
    /// If lengths do not fit, `W` being the bits of a lane over 32, rounded up, or bits are over 8.
    pub fn encode(&self, isa: Isa, x: Coefficients<'_>, words: &mut [[u32; WIDTH]], scratch: &mut EncodeScratch) {
        assert!(x.values.len() == x.bits.len() && x.weights.len() == x.bits.len(), "values, bits and weights of each");
        assert_eq!(words.len(), total(x.bits).div_ceil(32), "words of a lane");
        let survivors = &mut scratch.survivors;
        survivors.resize(survivors.len().max(x.bits.len()), Survivors::default());
        isa.run(Encode { tables: self, x, words, survivors: &mut survivors[..x.bits.len()] });
    }
}

struct Encode<'a> {
    tables: &'a TrellisTables,
    x: Coefficients<'a>,
    words: &'a mut [[u32; WIDTH]],
    survivors: &'a mut [Survivors],
}

impl Operation for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let mut metrics = [V::Floats::splat(UNREACHED); STATES];
        metrics[0] = V::Floats::splat(0.0);
        let mut at = 0;
        for run in self.x.bits.chunk_by(|a, b| a == b) {
            let to = at + run.len();
            let part = Coefficients { values: &self.x.values[at..to], bits: run, weights: &self.x.weights[at..to] };
            by_bits!(run[0], forward::<V>(self.tables, part, &mut metrics, &mut self.survivors[at..to]));
            at = to;
        }
        let mut back = Backward::<V> {
            state: best_state::<V>(&metrics),
            position: Position(total(self.x.bits)),
            word: V::integers(0),
            open: self.words.len(),
            words: self.words,
        };
        for run in self.x.bits.chunk_by(|a, b| a == b).rev() {
            let from = at - run.len();
            by_bits!(run[0], backward::<V>(&mut back, &self.survivors[from..at]));
            at = from;
        }
        back.close();
    }
}

/// Steps over coefficients of `K` bits.
#[inline(always)]
fn forward<V: Simd, const K: usize>(
    tables: &TrellisTables,
    x: Coefficients<'_>,
    metrics: &mut [V::Floats; STATES],
    survivors: &mut [Survivors],
) {
    let rate = tables.rate(K);
    let mut reached = *metrics;
    for (i, ((values, &weight), survivors)) in x.values.iter().zip(x.weights).zip(survivors).enumerate() {
        if i % LEVELLED_EVERY == 0 {
            level::<V>(&mut reached);
        }
        let weight = V::Floats::splat(if weight > 0.0 { weight.min(HEAVIEST) } else { 0.0 });
        let errors = errors::<V, K>(rate, clean::<V>(V::Floats::load(values)), weight, survivors);
        reached = step::<V>(&reached, &errors, survivors);
    }
    *metrics = reached;
}

/// Values as they are coded.
#[inline(always)]
fn clean<V: Simd>(x: V::Floats) -> V::Floats {
    let (limit, zero) = (V::Floats::splat(LIMIT as f32), V::Floats::splat(0.0));
    // What is not finite, less itself, is not a number, and greater than nothing.
    let finite = V::select_greater(x.sub(x), V::Floats::splat(-1.0), x, zero);
    let below = V::select_greater(finite, limit, limit, finite);
    below.max(V::Floats::splat(-LIMIT as f32))
}

/// The weighted squared errors of each subset's nearest level.
#[inline(always)]
fn errors<V: Simd, const K: usize>(
    rate: &Rate,
    x: V::Floats,
    weight: V::Floats,
    survivors: &mut Survivors,
) -> [V::Floats; 4] {
    let mut choices = V::integers(0);
    let mut errors = [weight; 4];
    // From the last down, each moving those before it up by eight bits. A loop and no closure: the compiler need not
    // inline a closure, and outside the kernel it has none of its instruction set.
    for subset in (0..4).rev() {
        let (index, level) = rate.subsets[subset].nearest::<V, K>(x);
        let miss = x.sub(level);
        errors[subset] = miss.mul(miss).mul(weight);
        choices = V::or(V::shift_left::<8>(choices), index);
    }
    if K > 1 {
        V::store_integers(choices, &mut survivors.choices);
    }
    errors
}

/// The best way into each state: add, compare, select. Of equal ways that from the lower state is taken.
#[inline(always)]
fn step<V: Simd>(
    metrics: &[V::Floats; STATES],
    errors: &[V::Floats; 4],
    survivors: &mut Survivors,
) -> [V::Floats; STATES] {
    let mut uppers = V::integers(0);
    let mut reached = *metrics;
    for next in 0..STATES {
        let (lower, upper, b) = (next / 2, next / 2 + STATES / 2, next % 2);
        let from_lower = metrics[lower].sub(errors[usize::from(SUBSET[lower][b])]);
        let from_upper = metrics[upper].sub(errors[usize::from(SUBSET[upper][b])]);
        uppers = V::mark_greater(uppers, V::integers(1 << next), from_upper, from_lower);
        reached[next] = from_lower.max(from_upper);
    }
    V::store_integers(uppers, &mut survivors.upper);
    reached
}

/// Takes the best metric off all.
#[inline(always)]
fn level<V: Simd>(metrics: &mut [V::Floats; STATES]) {
    let mut best = metrics[0];
    for metric in &metrics[1..] {
        best = best.max(*metric);
    }
    for metric in metrics {
        *metric = metric.sub(best);
    }
}

/// The state of the best metric, the lowest of equal ones.
#[inline(always)]
fn best_state<V: Simd>(metrics: &[V::Floats; STATES]) -> V::Integers {
    let mut all = [[0.0; WIDTH]; STATES];
    for (to, metric) in all.iter_mut().zip(metrics) {
        metric.store(to);
    }
    let mut best = [0; WIDTH];
    for (lane, best) in best.iter_mut().enumerate() {
        for state in 1..STATES {
            if all[state][lane] > all[*best as usize][lane] {
                *best = state as i32;
            }
        }
    }
    V::load_integers(&best)
}

/// The way back: words are filled from the last to the first, each from its highest bits down.
struct Backward<'a, V: Simd> {
    state: V::Integers,
    /// Where the coefficients still to come end.
    position: Position,
    /// The word `open`, as far as it is filled.
    word: V::Integers,
    open: usize,
    words: &'a mut [[u32; WIDTH]],
}

impl<V: Simd> Backward<'_, V> {
    /// Puts symbols of `bits` bits before those that are there.
    #[inline(always)]
    fn put(&mut self, symbols: V::Integers, bits: usize) {
        let end = Position(self.position.0 - 1);
        self.position = Position(self.position.0 - bits);
        if end.word() < self.open {
            self.close();
            self.open = end.word();
        }
        let shift = self.position.shift() as i32;
        if self.position.word() < self.open {
            self.word = V::or(self.word, V::shift_right_each(symbols, V::integers(32 - shift)));
            self.close();
            self.open = self.position.word();
        }
        self.word = V::or(self.word, V::shift_left_each(symbols, V::integers(shift)));
    }

    /// Writes the open word, if there is one.
    #[inline(always)]
    fn close(&mut self) {
        if let Some(to) = self.words.get_mut(self.open) {
            V::store_integers(self.word, bytemuck::cast_mut(to));
        }
        self.word = V::integers(0);
    }
}

/// Steps back over coefficients of `K` bits.
#[inline(always)]
fn backward<V: Simd, const K: usize>(back: &mut Backward<'_, V>, survivors: &[Survivors]) {
    let one = V::integers(1);
    for survivors in survivors.iter().rev() {
        let next = back.state;
        let b = V::and(next, one);
        let upper = V::and(V::shift_right_each(V::load_integers(&survivors.upper), next), one);
        let register = V::or(V::shift_left::<3>(upper), next);
        back.state = V::shift_right::<1>(register);
        if K == 1 {
            back.put(b, 1);
            continue;
        }
        let subset = V::and(V::shift_right_each(V::integers(SUBSETS), V::shift_left::<1>(register)), V::integers(3));
        let choices = V::shift_right_each(V::load_integers(&survivors.choices), V::shift_left::<3>(subset));
        let choice = V::and(choices, V::integers(0x7F));
        back.put(V::or(V::shift_left::<1>(choice), b), K);
    }
}
