//! Numbers as byte planes, and a plane in fewer bytes where that pays.
//!
//! A run of numbers of `w` bytes is stored as `w` planes: all their lowest bytes, then all their second, and so on. Signs
//! and exponents, which are alike in neighbouring numbers, so come together and are coded by how often each byte is seen
//! (deflate's Huffman codes, without its search for repetitions, which finds none); digits of mantissas are as random as
//! they look and stay as they are. docs/parking.md has what was measured.

use bytemuck::Pod;
use zlib_rs::{DeflateConfig, InflateConfig, ReturnCode, Strategy, compress_slice, decompress_slice};

/// Numbers that are coded at a time: as planes they stay in a core's caches, and one more table of codes is nothing
/// beside them.
pub(super) const PIECE: usize = 1 << 17;

/// No coding makes of a byte less than a bit.
pub(super) const MOST_FOLD: u64 = 8;

/// The share of a plane that must be saved for it to be coded: less is not worth the time to read it back.
const LEAST_SAVING: f64 = 1.0 / 16.0;

/// The number of the byte, lowest first, that lies at `place` in a number of `width` bytes of this machine.
fn place_of(plane: usize, width: usize) -> usize {
    if cfg!(target_endian = "big") { width - 1 - plane } else { plane }
}

/// Plane number `plane` of `numbers`.
pub(super) fn split<N: Pod>(numbers: &[N], plane: usize, out: &mut Vec<u8>) {
    let width = size_of::<N>();
    let bytes: &[u8] = bytemuck::cast_slice(numbers);
    out.clear();
    out.extend(bytes.iter().skip(place_of(plane, width)).step_by(width));
}

/// Sets plane number `plane` of `numbers`, one byte a number.
pub(super) fn join<N: Pod>(plane: usize, from: &[u8], numbers: &mut [N]) {
    let width = size_of::<N>();
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(numbers);
    let places = bytes.iter_mut().skip(place_of(plane, width)).step_by(width);
    places.zip(from).for_each(|(to, from)| *to = *from);
}

/// The plane in fewer bytes, if coding is worth it.
pub(super) fn coded<'a>(plane: &[u8], room: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let most = (plane.len() as f64 * (1.0 - LEAST_SAVING)) as usize;
    if expected_bytes(plane) > most as f64 {
        return None;
    }
    room.resize(most, 0);
    // What does not fit into the room is not worth it either.
    match compress_slice(room, plane, huffman_only()) {
        (coded, ReturnCode::Ok) => Some(coded),
        _ => None,
    }
}

/// The plane again; `false` if these are not the bytes of one as long as `plane`.
pub(super) fn decoded(coded: &[u8], plane: &mut [u8]) -> bool {
    let length = plane.len();
    let config = InflateConfig { window_bits: RAW };
    matches!(decompress_slice(plane, coded, config), (plane, ReturnCode::Ok) if plane.len() == length)
}

/// Deflate without a head and a checksum of its own.
const RAW: i32 = -15;

fn huffman_only() -> DeflateConfig {
    DeflateConfig { window_bits: RAW, strategy: Strategy::HuffmanOnly, ..DeflateConfig::new(1) }
}

/// The entropy of the bytes one by one, in bytes, and what tables take.
fn expected_bytes(plane: &[u8]) -> f64 {
    const TABLES: f64 = 64.0;
    let mut counts = [[0u32; 256]; 4];
    // Four tables: equal neighbours do not wait for one another.
    for (i, &byte) in plane.iter().enumerate() {
        counts[i % 4][usize::from(byte)] += 1;
    }
    let length = plane.len() as f64;
    let bits: f64 = (0..256)
        .map(|byte| counts.iter().map(|table| f64::from(table[byte])).sum::<f64>())
        .filter(|&count| count > 0.0)
        .map(|count| count * (length / count).log2())
        .sum();
    bits / 8.0 + TABLES
}

#[cfg(test)]
mod tests {
    use half::bf16;
    use proptest::prelude::*;

    use super::*;

    fn there_and_back<N: Pod + PartialEq + std::fmt::Debug>(numbers: &[N]) {
        let mut back = vec![N::zeroed(); numbers.len()];
        let (mut plane, mut room) = (Vec::new(), Vec::new());
        for p in 0..size_of::<N>() {
            split(numbers, p, &mut plane);
            let mut again = vec![0; plane.len()];
            match coded(&plane, &mut room) {
                Some(coded) => {
                    assert!(coded.len() < plane.len());
                    assert!(decoded(coded, &mut again));
                }
                None => again.copy_from_slice(&plane),
            }
            join(p, &again, &mut back);
        }
        assert_eq!(bytemuck::cast_slice::<N, u8>(&back), bytemuck::cast_slice::<N, u8>(numbers));
    }

    #[test]
    fn planes_are_lowest_first() {
        let mut plane = Vec::new();
        split(&[0x0102_0304u32, 0x0506_0708], 0, &mut plane);
        assert_eq!(plane, [4, 8]);
        split(&[0x0102_0304u32, 0x0506_0708], 3, &mut plane);
        assert_eq!(plane, [1, 5]);
    }

    /// Exponents of numbers of a few sizes are worth coding, their digits are not, and neither is noise.
    #[test]
    fn what_has_a_pattern_is_coded() {
        let number = |i: u32| ((i.wrapping_mul(2_654_435_761) >> 8) as f32 / f32::from(1u16 << 15)).sin();
        let numbers: Vec<bf16> = (0..50_000).map(|i| bf16::from_f32(number(i))).collect();
        let (mut plane, mut room) = (Vec::new(), Vec::new());
        split(&numbers, 0, &mut plane);
        assert!(coded(&plane, &mut room).is_none());
        split(&numbers, 1, &mut plane);
        let exponents = coded(&plane, &mut room).unwrap().len();
        assert!(exponents < plane.len() / 2, "{exponents} of {}", plane.len());
        there_and_back(&numbers);
    }

    #[test]
    fn no_coded_plane_is_less_than_a_bit_a_byte() {
        let mut room = Vec::new();
        for length in [100_000, PIECE] {
            let coded = coded(&vec![7; length], &mut room).unwrap().len();
            assert!(coded * MOST_FOLD as usize >= length, "{coded}");
        }
    }

    proptest! {
        #[test]
        fn numbers_come_back(numbers in prop::collection::vec(any::<u32>(), 0..600), spread in 0u32..32) {
            let some: Vec<u32> = numbers.iter().map(|x| x >> spread).collect();
            there_and_back(&some);
            there_and_back(&some.iter().map(|&x| x as u16).collect::<Vec<_>>());
            there_and_back(&some.iter().map(|&x| x as u8).collect::<Vec<_>>());
            there_and_back(&some.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
        }

        /// Whatever the bytes: an answer, and no more than was asked for.
        #[test]
        fn foreign_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), length in 0usize..400) {
            decoded(&bytes, &mut vec![0; length]);
        }
    }
}
