//! Sixteen streams of symbols as words, and back: the meaning of the layout, one bit after another.

/// Streams that are kept together.
pub const LANES: usize = 16;

/// Words of 32 bits that one lane needs.
pub fn words(bits: &[u8]) -> usize {
    bits.iter().map(|&k| usize::from(k)).sum::<usize>().div_ceil(32)
}

/// Symbols of all lanes, `[coefficients][16]`, as words, `[words][16]`; bits past the last symbol are 0.
///
/// Of each symbol the low `bits` bits of its coefficient are kept.
///
/// # Panics
///
/// If there are not sixteen symbols for each number of bits.
pub fn pack(symbols: &[u8], bits: &[u8]) -> Vec<u32> {
    assert_eq!(symbols.len(), LANES * bits.len(), "symbols of {LANES} lanes for {} coefficients", bits.len());
    let mut out = vec![0; LANES * words(bits)];
    for (i, at, bit) in places(bits) {
        for lane in 0..LANES {
            let set = u32::from(symbols[LANES * i + lane] >> bit & 1);
            out[at / 32 * LANES + lane] |= set << (at % 32);
        }
    }
    out
}

/// The symbols, `[coefficients][16]`, that words, `[words][16]`, hold; bits of words that are missing are 0.
pub fn unpack(stream: &[u32], bits: &[u8]) -> Vec<u8> {
    let mut symbols = vec![0; LANES * bits.len()];
    for (i, at, bit) in places(bits) {
        for lane in 0..LANES {
            let word = stream.get(at / 32 * LANES + lane).copied().unwrap_or(0);
            symbols[LANES * i + lane] |= ((word >> (at % 32) & 1) as u8) << bit;
        }
    }
    symbols
}

/// Every bit of a lane: its coefficient, where it stands in the stream, and which of the symbol's bits it is.
fn places(bits: &[u8]) -> impl Iterator<Item = (usize, usize, u8)> {
    let of = bits.iter().enumerate().flat_map(|(i, &k)| (0..k.min(8)).map(move |bit| (i, bit)));
    of.enumerate().map(|(at, (i, bit))| (i, at, bit))
}
