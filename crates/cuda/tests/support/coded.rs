//! A coded past: tables, and what codes mean, in `f64`.

use fourier_kv_cuda::attention::Heads;
use fourier_kv_cuda::attention::spectral::{BLOCK, Back, Coefficients, KEY_TILE, SUPERBLOCK, SpectralSizes};
use fourier_kv_spectral::dct::Dct;
use fourier_kv_spectral::trellis::{LANES, decode, unpack};

use super::Numbers;

/// Coefficients of one side, in the order of its stream.
#[derive(Default)]
pub(crate) struct Side {
    pub(crate) bits: Vec<u8>,
    pub(crate) sizes: Vec<f32>,
    pub(crate) places: Vec<u16>,
    pub(crate) starts: Vec<u32>,
}

impl Side {
    /// `parts` times `count` coefficients at all places, with bits by place and random sizes; those that get bits.
    pub(crate) fn random(
        numbers: &mut Numbers,
        parts: usize,
        count: usize,
        bits: impl Fn(&mut Numbers, usize) -> u8,
    ) -> Self {
        let mut side = Side { starts: vec![0], ..Side::default() };
        for _ in 0..parts {
            for i in 0..count {
                let bits = bits(numbers, i);
                if bits > 0 {
                    side.bits.push(bits);
                    side.sizes.push((numbers.normal() * 0.7).exp() as f32);
                    side.places.push(i as u16);
                }
            }
            side.starts.push(side.bits.len() as u32);
        }
        side
    }

    pub(crate) fn view(&self) -> Coefficients<'_> {
        Coefficients { bits: &self.bits, sizes: &self.sizes, places: &self.places, starts: &self.starts }
    }

    /// Dense coefficients of a part of each of a superblock's lanes: `[16][places]`.
    pub(crate) fn dense(&self, words: &[u32], part: usize, places: usize) -> Vec<Vec<f64>> {
        let symbols = unpack(words, &self.bits);
        let own = self.starts[part] as usize..self.starts[part + 1] as usize;
        let lane = |lane: usize| {
            let symbols: Vec<u8> = symbols.iter().skip(lane).step_by(LANES).copied().collect();
            let values = decode(&symbols, &self.bits);
            let mut dense = vec![0.0; places];
            for i in own.clone() {
                dense[usize::from(self.places[i])] = values[i] * f64::from(self.sizes[i]);
            }
            dense
        };
        (0..LANES).map(lane).collect()
    }
}

/// A coded past on the host: tables and codes.
pub(crate) struct Coded {
    pub(crate) sizes: SpectralSizes,
    pub(crate) frequencies: Vec<f64>,
    pub(crate) sides: [Side; 2],
    pub(crate) key_back: Vec<f32>,
    pub(crate) key_means: Vec<f32>,
    pub(crate) value_back: Vec<f32>,
    pub(crate) value_means: Vec<f32>,
}

impl Coded {
    pub(crate) fn random(
        numbers: &mut Numbers,
        sizes: SpectralSizes,
        bits: impl Fn(&mut Numbers, usize) -> u8,
    ) -> Self {
        let Heads { kv_heads, head_dim, .. } = sizes.heads;
        let keys = Side::random(numbers, kv_heads, head_dim * BLOCK, &bits);
        let values = Side::random(numbers, sizes.value_tiles(), sizes.channels() * BLOCK, &bits);
        let mut random = |count: usize, deviation: f64| numbers.f32(count, deviation);
        Coded {
            frequencies: (0..head_dim / 2).map(|i| 1e4f64.powf(-2.0 * i as f64 / head_dim as f64)).collect(),
            sides: [keys, values],
            key_back: random(kv_heads * head_dim * KEY_TILE, 0.2),
            key_means: random(kv_heads * head_dim, 1.0),
            value_back: random(kv_heads * sizes.channels() * head_dim, 0.1),
            value_means: random(kv_heads * head_dim, 0.02),
            sizes,
        }
    }

    pub(crate) fn back(&self) -> Back<'_> {
        Back {
            keys: &self.key_back,
            key_means: &self.key_means,
            values: &self.value_back,
            value_means: &self.value_means,
        }
    }

    /// Dim of a head that channel `i` of a tile of keys is.
    pub(crate) fn dim_of(&self, tile: usize, i: usize) -> usize {
        let half = self.sizes.heads.head_dim / 2;
        let pair = tile * KEY_TILE / 2 + i % (KEY_TILE / 2);
        if i < KEY_TILE / 2 { pair } else { half + pair }
    }

    /// Keys `[16 BLOCK][D]` of head `g` of a superblock, with RoPE from position `first` on.
    pub(crate) fn keys(&self, words: &[u32], g: usize, first: usize) -> Vec<f64> {
        let dim = self.sizes.heads.head_dim;
        let mut rows = vec![0.0; SUPERBLOCK * dim];
        for (lane, dense) in self.sides[0].dense(words, g, dim * BLOCK).iter().enumerate() {
            for tile in 0..dim / KEY_TILE {
                let own = g * dim / KEY_TILE + tile;
                for i in 0..KEY_TILE {
                    let back = |r: usize| f64::from(self.key_back[(own * KEY_TILE + r) * KEY_TILE + i]);
                    let at = |f: usize, r: usize| dense[(tile * BLOCK + f) * KEY_TILE + r];
                    let harmonics: Vec<f64> =
                        (0..BLOCK).map(|f| (0..KEY_TILE).map(|r| at(f, r) * back(r)).sum()).collect();
                    for (t, x) in Dct::new(BLOCK).unwrap().inverse(&harmonics).iter().enumerate() {
                        let mean = f64::from(self.key_means[own * KEY_TILE + i]);
                        rows[(lane * BLOCK + t) * dim + self.dim_of(tile, i)] = x + mean;
                    }
                }
            }
        }
        for (t, row) in rows.chunks_exact_mut(dim).enumerate() {
            for (i, frequency) in self.frequencies.iter().enumerate() {
                let (sin, cos) = (frequency * (first + t) as f64).sin_cos();
                let (x, y) = (row[i], row[dim / 2 + i]);
                (row[i], row[dim / 2 + i]) = (x * cos - y * sin, x * sin + y * cos);
            }
        }
        rows
    }

    /// Values `[16 BLOCK][D]` of head `g` of a superblock.
    pub(crate) fn values(&self, words: &[u32], g: usize) -> Vec<f64> {
        let (dim, channels) = (self.sizes.heads.head_dim, self.sizes.channels());
        let mut rows = vec![0.0; SUPERBLOCK * dim];
        let dct = Dct::new(BLOCK).unwrap();
        for (lane, dense) in self.sides[1].dense(words, g / self.sizes.value_heads, channels * BLOCK).iter().enumerate()
        {
            let times: Vec<Vec<f64>> = dense.chunks_exact(BLOCK).map(|row| dct.inverse(row)).collect();
            for t in 0..BLOCK {
                for d in 0..dim {
                    let back = |r: usize| f64::from(self.value_back[(g * channels + r) * dim + d]);
                    let sum: f64 = (0..channels).map(|r| times[r][t] * back(r)).sum();
                    rows[(lane * BLOCK + t) * dim + d] = sum + f64::from(self.value_means[g * dim + d]);
                }
            }
        }
        rows
    }
}
