//! Tables of the turns of rotary pairs, in the order in which the lanes of a warp hold them (kernels/key_tile.cuh).

use half::f16;

use super::spectral::{BLOCK, KEY_TILE, SUPERBLOCK};

/// Blocks of a superblock.
const BLOCKS: usize = SUPERBLOCK / BLOCK;

/// The tables of one model's pairs.
#[derive(Debug)]
pub(super) struct Turns {
    /// `[tiles][2 halves of the pairs][2][8 tokens][4][cosines, sines]` inside a block, two pairs a word.
    pub(super) inside: Vec<u32>,
    /// `[16 blocks][tiles][4][2 halves of the pairs][cosines, sines]` inside a superblock, two pairs a word.
    pub(super) between: Vec<u32>,
    /// `[pairs][cosine, sine]` of a superblock.
    pub(super) steps: Vec<f32>,
}

impl Turns {
    /// Of pairs that turn by `frequencies` radians a token.
    pub(super) fn new(frequencies: &[f64]) -> Self {
        let pairs = KEY_TILE / 2;
        let tiles = frequencies.len() / pairs;
        // Cosines, and sines, of a pair and the next.
        let point = |pair: usize, tokens: usize| {
            let angle = |i: usize| frequencies[pair + i] * tokens as f64;
            [two(angle(0).cos(), angle(1).cos()), two(angle(0).sin(), angle(1).sin())]
        };
        let (mut inside, mut between) = (Vec::new(), Vec::new());
        for at in 0..tiles * 4 * 32 {
            let (quarter, lane) = (at / 32, at % 32);
            let token = quarter % 2 * 8 + lane / 4;
            inside.extend(point(quarter / 4 * pairs + quarter / 2 % 2 * 8 + lane % 4 * 2, token));
        }
        for at in 0..BLOCKS * tiles * 4 {
            let (block, tile) = (at / (4 * tiles), at / 4 % tiles);
            for half in 0..2 {
                between.extend(point(tile * pairs + half * 8 + at % 4 * 2, block * BLOCK));
            }
        }
        let step = |f: &f64| [(f * SUPERBLOCK as f64).cos() as f32, (f * SUPERBLOCK as f64).sin() as f32];
        Turns { inside, between, steps: frequencies.iter().flat_map(step).collect() }
    }
}

/// A cosine transform `[16 harmonics][16 tokens]` as fragments of the 32 lanes: A of `[tokens][harmonics]`, then B.
pub(super) fn fragments(cosines: &[f64]) -> [Vec<u32>; 2] {
    let at = |harmonic: usize, token: usize| cosines[harmonic * BLOCK + token];
    let a = |lane: usize, i: usize| {
        let (harmonic, token) = (lane % 4 * 2 + i / 2 * 8, lane / 4 + i % 2 * 8);
        two(at(harmonic, token), at(harmonic + 1, token))
    };
    let b = |lane: usize, i: usize| {
        let (harmonic, token) = (i / 2 * 8 + lane / 4, i % 2 * 8 + lane % 4 * 2);
        two(at(harmonic, token), at(harmonic, token + 1))
    };
    let all = |of: &dyn Fn(usize, usize) -> u32| (0..4 * 32).map(|i| of(i / 4, i % 4)).collect();
    [all(&a), all(&b)]
}

fn two(a: f64, b: f64) -> u32 {
    u32::from(f16::from_f64(a).to_bits()) | u32::from(f16::from_f64(b).to_bits()) << 16
}
