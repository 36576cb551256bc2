//! Codes of a few bits, one behind the other in bytes.
//!
//! Code `i` of `b` bits lies in the bits `i b ..` of the bytes, low bits first: eight codes take `b` bytes whatever `b`
//! is, so 32 codes of 3 bits take 12. A run of codes begins at a byte.

use super::settings::Bits;

/// Codes that fill whole bytes.
const EIGHT: usize = 8;

/// Bytes that `count` codes take.
pub(super) const fn packed_bytes(bits: Bits, count: usize) -> usize {
    (count * bits.count()).div_ceil(8)
}

/// Packs codes, of which only the low bits are set, into [`packed_bytes`] bytes.
pub(super) fn pack(bits: Bits, codes: &[u8], out: &mut [u8]) {
    for (codes, out) in codes.chunks(EIGHT).zip(out.chunks_mut(bits.count())) {
        let word = codes.iter().enumerate().fold(0u64, |word, (i, &code)| word | u64::from(code) << (i * bits.count()));
        out.copy_from_slice(&word.to_le_bytes()[..out.len()]);
    }
}

/// Reads as many codes as `out` has room for, as floats.
#[inline(always)]
pub(super) fn unpack(bits: Bits, bytes: &[u8], out: &mut [f32]) {
    // One copy for each width: shifts by constants vectorise.
    match bits {
        Bits::Two => unpack_narrow::<2>(bytes, out),
        Bits::Three => unpack_narrow::<3>(bytes, out),
        Bits::Four => unpack_narrow::<4>(bytes, out),
        Bits::Eight => out.iter_mut().zip(bytes).for_each(|(out, &byte)| *out = f32::from(byte)),
    }
}

/// Codes of at most four bits: eight fit into 32 bits.
#[inline(always)]
fn unpack_narrow<const B: usize>(bytes: &[u8], out: &mut [f32]) {
    for (out, bytes) in out.chunks_mut(EIGHT).zip(bytes.chunks(B)) {
        let mut word = [0; 4];
        word[..bytes.len()].copy_from_slice(bytes);
        let word = u32::from_le_bytes(word);
        let codes: [f32; EIGHT] = std::array::from_fn(|i| ((word >> (i * B)) & ((1 << B) - 1)) as f32);
        match <&mut [f32; EIGHT]>::try_from(&mut *out) {
            Ok(out) => *out = codes,
            Err(_) => out.copy_from_slice(&codes[..out.len()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bits() -> impl Strategy<Value = Bits> {
        prop_oneof![Just(Bits::Two), Just(Bits::Three), Just(Bits::Four), Just(Bits::Eight)]
    }

    proptest! {
        #[test]
        fn what_is_packed_is_read_back(bits in bits(), mut codes in prop::collection::vec(any::<u8>(), 0..100)) {
            codes.iter_mut().for_each(|code| *code &= bits.levels());
            let mut bytes = vec![0xFF; packed_bytes(bits, codes.len())];
            pack(bits, &codes, &mut bytes);
            let mut back = vec![f32::NAN; codes.len()];
            unpack(bits, &bytes, &mut back);
            prop_assert!(back.iter().zip(&codes).all(|(&a, &b)| a == f32::from(b)), "{back:?} {codes:?}");
            // Bit by bit, as the head of this file says.
            for (i, &code) in codes.iter().enumerate() {
                for bit in 0..bits.count() {
                    let at = i * bits.count() + bit;
                    prop_assert_eq!((bytes[at / 8] >> (at % 8)) & 1, (code >> bit) & 1);
                }
            }
        }
    }

    #[test]
    fn bytes_are_as_few_as_bits_allow() {
        let taken = [Bits::Two, Bits::Three, Bits::Four, Bits::Eight].map(|bits| packed_bytes(bits, 32));
        assert_eq!(taken, [8, 12, 16, 32]);
        assert_eq!((packed_bytes(Bits::Three, 1), packed_bytes(Bits::Three, 3), packed_bytes(Bits::Two, 0)), (1, 2, 0));
    }
}
