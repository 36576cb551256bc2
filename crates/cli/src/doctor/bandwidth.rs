//! How fast memory is read and copied: what decoding, which reads every weight once a token, is
//! bound by.
//!
//! Method: a buffer larger than the caches of most machines, cut into one piece a thread; each
//! thread sums its piece (read), then copies it into another buffer (copy: the bytes read and the
//! bytes written are counted). The fastest pass stands (see [`super::fastest`]).

use std::hint::black_box;

use fourier_kv_engine::kernels::parts::Chunks;
use fourier_kv_engine::kernels::team::Team;
use serde::Serialize;

use super::fastest::fastest;
use super::memory::Memory;

/// Bytes of the buffer, unless memory is short.
const BUFFER_BYTES: u64 = 256 << 20;
/// At most this part of the memory that can be had.
const MEMORY_SHARE: u64 = 8;
/// Words summed side by side, so that adding does not wait for adding.
const LANES: usize = 16;

/// Memory bandwidth.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Bandwidth {
    /// Bytes read a second.
    pub(crate) read_bytes_per_second: f64,
    /// Bytes read and written a second while copying.
    pub(crate) copy_bytes_per_second: f64,
    /// Bytes of the buffer.
    pub(crate) buffer_bytes: u64,
    /// Threads that read it.
    pub(crate) threads: usize,
    /// How it was measured, in words.
    pub(crate) method: &'static str,
}

/// Measures with all threads of `team`.
pub(super) fn measure(team: &Team, memory: Option<&Memory>) -> Bandwidth {
    let available = memory.map_or(u64::MAX, |memory| memory.available_bytes);
    let words = (BUFFER_BYTES.min(available / MEMORY_SHARE) / 8).max(1) as usize;
    let threads = team.threads();
    let piece = words.div_ceil(threads);
    let source: Vec<u64> = (0..words as u64).collect();
    let mut target = vec![0_u64; words];
    let bytes = (words * 8) as f64;
    let read_seconds = fastest(|| {
        team.run(words.div_ceil(piece), &|i| {
            black_box(sum(&source[i * piece..words.min((i + 1) * piece)]));
        });
    });
    let copy_seconds = fastest(|| {
        let pieces = Chunks::new(&mut target, piece);
        team.for_parts(pieces, |i, to| to.copy_from_slice(&source[i * piece..][..to.len()]));
        black_box(&mut target);
    });
    Bandwidth {
        read_bytes_per_second: bytes / read_seconds,
        copy_bytes_per_second: 2.0 * bytes / copy_seconds,
        buffer_bytes: words as u64 * 8,
        threads,
        method: "fastest of up to 5 passes; all threads sum, then copy, a piece of the buffer each; \
                 copying counts the bytes read and those written",
    }
}

fn sum(words: &[u64]) -> u64 {
    let (groups, rest) = words.as_chunks::<LANES>();
    let mut lanes = [0_u64; LANES];
    for group in groups {
        for (lane, word) in lanes.iter_mut().zip(group) {
            *lane = lane.wrapping_add(*word);
        }
    }
    lanes.iter().chain(rest).fold(0, |total, word| total.wrapping_add(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read() {
        for words in [0_u64, 1, 15, 16, 1000] {
            let buffer: Vec<u64> = (0..words).collect();
            assert_eq!(sum(&buffer), words * words.saturating_sub(1) / 2);
        }
    }
}
