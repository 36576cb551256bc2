//! The plain way: a full search in `f64`, and the values of symbols one after another.

use super::code::{Code, MAX_BITS, STANDARD};

/// Inputs are taken as at most this many standard deviations, so that one of them does not drown the others'
/// errors; no level is near it.
pub const LIMIT: f64 = 64.0;

/// The symbols of the least squared error, each in the `bits` of its coefficient; 0 for coefficients without bits.
///
/// Numbers that are not finite are coded as 0, those over [`LIMIT`] as that.
///
/// # Panics
///
/// If the lengths differ or a number of bits is over 8.
pub fn encode(values: &[f64], bits: &[u8]) -> Vec<u8> {
    encode_weighted(&STANDARD, values, bits, &vec![1.0; bits.len()])
}

/// [`encode`] with another code and the weight of each coefficient's squared error.
///
/// Of equal paths the one that comes from the lower state is taken.
///
/// # Panics
///
/// If the lengths differ or a number of bits is over 8.
pub fn encode_weighted(code: &Code<'_>, values: &[f64], bits: &[u8], weights: &[f64]) -> Vec<u8> {
    assert!(values.len() == bits.len() && weights.len() == bits.len(), "a value, bits and a weight each");
    assert!(bits.iter().all(|&k| usize::from(k) <= MAX_BITS), "at most {MAX_BITS} bits");
    let states = code.states();
    let mut errors = vec![f64::INFINITY; states];
    errors[0] = 0.0;
    let mut from = vec![0u8; values.len() * states];
    for (i, from) in from.chunks_exact_mut(states).enumerate().filter(|&(i, _)| bits[i] > 0) {
        let cost = costs(code, clean(values[i]), bits[i]).map(|c| c * weights[i]);
        errors = step(code, &errors, cost, from);
    }
    trace_back(code, values, bits, &errors, &from)
}

/// A value as it is coded.
fn clean(x: f64) -> f64 {
    if x.is_finite() { x.clamp(-LIMIT, LIMIT) } else { 0.0 }
}

/// The squared error of each subset's nearest level.
fn costs(code: &Code<'_>, x: f64, bits: u8) -> [f64; 4] {
    std::array::from_fn(|subset| {
        let level = code.levels[usize::from(bits)][4 * code.nearest(x, subset, bits) + subset];
        (x - f64::from(level)).powi(2)
    })
}

/// The least error with which each state is reached, and whether from the upper of its two predecessors.
fn step(code: &Code<'_>, errors: &[f64], cost: [f64; 4], from: &mut [u8]) -> Vec<f64> {
    let half = code.states() / 2;
    let reach = |state: usize, b: usize| errors[state] + cost[usize::from(code.subset[state][b])];
    let of = |next: usize| {
        let (lower, upper) = (reach(next / 2, next % 2), reach(next / 2 + half, next % 2));
        if upper < lower { (upper, 1) } else { (lower, 0) }
    };
    let reached: Vec<_> = (0..code.states()).map(of).collect();
    for (from, &(_, upper)) in from.iter_mut().zip(&reached) {
        *from = upper;
    }
    reached.into_iter().map(|(error, _)| error).collect()
}

fn trace_back(code: &Code<'_>, values: &[f64], bits: &[u8], errors: &[f64], from: &[u8]) -> Vec<u8> {
    let states = code.states();
    let mut next = (0..states).fold(0, |best, s| if errors[s] < errors[best] { s } else { best });
    let mut symbols = vec![0; values.len()];
    for i in (0..values.len()).rev().filter(|&i| bits[i] > 0) {
        let state = next / 2 + usize::from(from[i * states + next]) * states / 2;
        let b = next % 2;
        let level = code.nearest(clean(values[i]), usize::from(code.subset[state][b]), bits[i]);
        symbols[i] = (level << 1 | b) as u8;
        next = state;
    }
    symbols
}

/// The values of symbols, 0 for coefficients without bits.
///
/// # Panics
///
/// If the lengths differ or a number of bits is over 8.
pub fn decode(symbols: &[u8], bits: &[u8]) -> Vec<f64> {
    decode_with(&STANDARD, symbols, bits)
}

/// [`decode`] with another code.
///
/// # Panics
///
/// If the lengths differ or a number of bits is over 8.
pub fn decode_with(code: &Code<'_>, symbols: &[u8], bits: &[u8]) -> Vec<f64> {
    assert_eq!(symbols.len(), bits.len(), "bits for each symbol");
    let mut state = 0;
    let value = |(&symbol, &bits): (&u8, &u8)| {
        if bits == 0 {
            return 0.0;
        }
        let value = code.value(state, symbol, bits);
        state = code.next(state, usize::from(symbol & 1));
        f64::from(value)
    };
    symbols.iter().zip(bits).map(value).collect()
}
