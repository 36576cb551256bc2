//! How a layer is coded, as plain numbers: for coders that are not this crate's, such as a GPU's.
//!
//! The same statistics, tables and rates as [`super::SpectralCache`]'s, made of a sample of a layer's rows. What rows are
//! weighed with is in the ways forth and back.

use std::sync::Arc;

use fourier_kv_kernels::element::load_all;
use fourier_kv_kernels::parts::Chunks;
use half::bf16;

use super::coded::{KEYS, ORDERS, VALUES};
use super::encode::dual;
use super::fit_sides::fit_sides;
use super::layer::Shared;
use super::side::Side;
use super::size::Room;
use super::stream::for_pairs;
use super::weighting::{QueryEnergy, to_tile_order, weigh_keys};
use super::{Rate, Shares, Span, SpectralSettings};
use crate::product::product_alone;
use crate::rotary::Way;
use crate::{CacheContext, Workspace};

/// Finds out how layers of one model are to be coded.
#[derive(Debug)]
pub struct Fitter {
    shared: Shared,
    spans: [Span; 2],
}

/// A sample of the tokens of a layer that are to be coded.
#[derive(Clone, Copy, Debug)]
pub struct LayerSample<'a> {
    /// The layer.
    pub layer: usize,
    /// Tokens that are to be coded at first.
    pub tokens: usize,
    /// The positions at which blocks begin, whose tokens the sample has.
    pub starts: &'a [usize],
    /// `[G][blocks B][D]`, with RoPE.
    pub keys: &'a [bf16],
    /// `[G][blocks B][D]`.
    pub values: &'a [bf16],
    /// `[G][D]`: sums of squared queries of the group.
    pub query_energy: &'a [f64],
    /// Query tokens that were summed up.
    pub queries: usize,
}

/// One coefficient of a block's stream; two that follow one another, from an even number on, have as many bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficient {
    /// The tile.
    pub tile: usize,
    /// Its direction; one more than there are for a coefficient that only fills a pair, whose size is 0.
    pub direction: usize,
    /// Its harmonic.
    pub harmonic: usize,
    /// Its bits, 1 to 8.
    pub bits: u8,
    /// Its size; the square is what its errors weigh.
    pub size: f32,
}

/// How one side, keys or values, is coded.
#[derive(Clone, Debug)]
pub struct SideFit {
    /// The channels of each tile, `g D + d`.
    pub channels: Vec<Vec<u16>>,
    /// From channels, of keys before RoPE, to directions: `[directions][channels]` a tile.
    pub forward: Vec<Vec<f32>>,
    /// What is taken off directions then: `[directions]` a tile.
    pub shift: Vec<Vec<f32>>,
    /// From directions to channels: `[directions][channels]` a tile.
    pub back: Vec<Vec<f32>>,
    /// Means of channels: `[channels]` a tile.
    pub means: Vec<Vec<f32>>,
    /// The coefficients that have bits, in the order of the stream: those of keys tile by tile and harmonic by harmonic,
    /// those of values tile by tile and direction by direction.
    pub coefficients: Vec<Coefficient>,
}

impl Fitter {
    /// For a model; `shares` says how rates are shared out over the layers. Channels are transformed together as the
    /// settings say, however short the past is.
    ///
    /// # Panics
    /// If the shares are not those of so many layers.
    pub fn new(settings: SpectralSettings, context: CacheContext, shares: Option<Arc<Shares>>) -> Self {
        if let Some(Err(wrong)) = shares.as_ref().map(|shares| shares.check(context.shape.layers)) {
            panic!("{wrong}");
        }
        let settings = SpectralSettings { rate: Rate::Bits(settings.rate.bits()), ..settings };
        // Made once for all layers, and not when the first of them waits for them.
        context.output_roots();
        let spans = [settings.keys, settings.values];
        Fitter { shared: Shared::new(settings, context, shares), spans }
    }

    /// How a layer is coded whose keys and values, in this order, are like the sample.
    ///
    /// # Panics
    /// If the sample's lengths do not fit, or values are not transformed over whole heads.
    pub fn fit(&self, sample: &LayerSample<'_>, workspace: &Workspace) -> [SideFit; 2] {
        let (settings, shape) = (&self.shared.settings, self.shared.shape());
        let numbers = shape.kv_heads * sample.starts.len() * settings.block * shape.head_dim;
        assert!(
            sample.keys.len() == numbers && sample.values.len() == numbers,
            "rows of {} blocks",
            sample.starts.len()
        );
        let room = Room::with_spans(settings, shape, self.shared.shares.as_deref(), sample.tokens, self.spans);
        let energy = QueryEnergy::of(sample.query_energy, sample.queries, shape.head_dim);
        let weights = energy.key_weights(shape, settings.without.weights);
        let sides = fit_sides(&self.shared, &room, sample.layer, workspace, |side, tiles| {
            let mut rows = self.weighted(sample, side, &weights, workspace);
            to_tile_order(tiles, &mut rows);
            rows
        });
        [KEYS, VALUES].map(|side| self.side((sample.layer, side), &sides[side], &weights, workspace))
    }

    /// Weighted rows of the sample, `[n][C]` in the order of channels.
    fn weighted(&self, sample: &LayerSample<'_>, side: usize, weights: &[f32], workspace: &Workspace) -> Vec<f32> {
        let (settings, shape) = (&self.shared.settings, self.shared.shape());
        let (dim, block) = (shape.head_dim, settings.block);
        let all = if side == KEYS { sample.keys } else { sample.values };
        let head_numbers = all.len() / shape.kv_heads;
        let mut heads: Vec<Vec<f32>> = vec![Vec::new(); shape.kv_heads];
        workspace.team().for_parts(Chunks::new(&mut heads, 1), |head, to| {
            let mut rows = vec![0.0; head_numbers];
            load_all(&all[head * head_numbers..][..head_numbers], &mut rows);
            to[0].resize(head_numbers, 0.0);
            if side == KEYS {
                for (rows, &start) in rows.chunks_exact_mut(block * dim).zip(sample.starts) {
                    self.shared.rotary.turn(rows, start, Way::Back);
                }
                weigh_keys(&rows, 0, &weights[head * dim..][..dim], &mut to[0]);
            } else {
                // Roots are symmetric.
                let root = self.shared.context.output_roots().root(sample.layer * shape.kv_heads + head);
                product_alone(workspace, root, &rows, dim, &mut to[0]);
            }
        });
        let mut out = vec![0.0; all.len()];
        for (at, row) in out.chunks_exact_mut(weights.len()).enumerate() {
            for (to, head) in row.chunks_exact_mut(dim).zip(&heads) {
                to.copy_from_slice(&head[at * dim..][..dim]);
            }
        }
        out
    }

    /// One side as plain numbers.
    fn side(&self, (layer, number): (usize, usize), side: &Side, weights: &[f32], workspace: &Workspace) -> SideFit {
        let tiles = &side.tiles;
        let mut ways: Vec<Ways> = vec![Ways::default(); tiles.count()];
        workspace.team().for_parts(Chunks::new(&mut ways, 1), |tile, to| {
            let channels = tiles.channels(tile);
            let n = channels.len();
            let back = side.directions(tile);
            let forward = dual(&back, n, workspace);
            let means = &side.mean[tiles.start(tile)..][..n];
            let shift = forward.chunks_exact(n).map(|row| row.iter().zip(means).map(|(f, m)| f * m).sum()).collect();
            let unweighted = Ways { forward, shift, back, means: means.to_vec() };
            to[0] = match number {
                KEYS => unweighted.by_weights(channels, weights),
                _ => self.by_roots(unweighted, layer, channels, workspace),
            };
        });
        let mut coefficients = Vec::new();
        for_pairs(side, ORDERS[number], |both| {
            coefficients.extend((0..2).map(|i| Coefficient {
                tile: both.tile,
                direction: both.rows[i],
                harmonic: both.harmonics[i],
                bits: both.bits,
                size: both.sizes[i],
            }));
        });
        let mut fit = SideFit {
            channels: (0..tiles.count()).map(|tile| tiles.channels(tile).to_vec()).collect(),
            forward: Vec::new(),
            shift: Vec::new(),
            back: Vec::new(),
            means: Vec::new(),
            coefficients,
        };
        for own in ways {
            fit.forward.push(own.forward);
            fit.shift.push(own.shift);
            fit.back.push(own.back);
            fit.means.push(own.means);
        }
        fit
    }

    /// The roots of the output projection, with which rows were multiplied, into the ways of a tile of whole heads.
    fn by_roots(&self, ways: Ways, layer: usize, channels: &[u16], workspace: &Workspace) -> Ways {
        let shape = self.shared.shape();
        let dim = shape.head_dim;
        let in_order = channels.iter().enumerate().all(|(i, &c)| usize::from(c) == usize::from(channels[0]) + i);
        let whole = in_order && channels.len().is_multiple_of(dim) && usize::from(channels[0]).is_multiple_of(dim);
        assert!(whole, "values are to be transformed over whole heads");
        let (roots, first) =
            (self.shared.context.output_roots(), layer * shape.kv_heads + usize::from(channels[0]) / dim);
        // Rows of all heads times a matrix of each head's; roots are symmetric.
        let times = |rows: &[f32], inverse: bool| {
            let (mut out, mut own, mut product) = (vec![0.0; rows.len()], Vec::new(), Vec::new());
            for head in 0..channels.len() / dim {
                own.clear();
                own.extend(rows.chunks_exact(channels.len()).flat_map(|row| &row[head * dim..][..dim]));
                let matrix = if inverse { roots.inverse(first + head) } else { roots.root(first + head) };
                product_alone(workspace, matrix, &own, dim, &mut product);
                for (to, from) in out.chunks_exact_mut(channels.len()).zip(product.chunks_exact(dim)) {
                    to[head * dim..][..dim].copy_from_slice(from);
                }
            }
            out
        };
        Ways {
            forward: times(&ways.forward, false),
            back: times(&ways.back, true),
            means: times(&ways.means, true),
            shift: ways.shift,
        }
    }
}

/// The ways of one tile, as [`SideFit`] has them.
#[derive(Clone, Debug, Default)]
struct Ways {
    forward: Vec<f32>,
    shift: Vec<f32>,
    back: Vec<f32>,
    means: Vec<f32>,
}

impl Ways {
    /// The weights of channels, with which rows were multiplied, into the ways.
    fn by_weights(mut self, channels: &[u16], weights: &[f32]) -> Self {
        let own: Vec<f32> = channels.iter().map(|&c| weights[usize::from(c)]).collect();
        for row in self.forward.chunks_exact_mut(own.len()) {
            row.iter_mut().zip(&own).for_each(|(x, w)| *x *= w);
        }
        for row in self.back.chunks_exact_mut(own.len()).chain([&mut self.means[..]]) {
            row.iter_mut().zip(&own).for_each(|(x, w)| *x /= w);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectral::SpectralCache;
    use crate::{CacheShape, KvCache, KvRows};
    use fourier_kv_kernels::isa::Isa;
    use fourier_kv_spectral::dct::Dct;
    use fourier_kv_spectral::trellis::{STANDARD, decode, encode_weighted};

    const BLOCK: usize = 16;

    /// Rows that go on smoothly and are of different sizes.
    fn rows(count: usize, dim: usize, seed: f32) -> Vec<f32> {
        let number = |t: usize, d: usize| {
            let slow = (t as f32 * (0.01 + 0.003 * (d % 7) as f32) + seed * d as f32).sin();
            let fast = ((t * 37 + d * 101) as f32 * 0.731 + seed).sin();
            (slow + 0.4 * fast + 0.3) * (1.0 + (d % 5) as f32)
        };
        (0..count * dim).map(|at| number(at / dim, at % dim)).map(|x| bf16::from_f32(x).to_f32()).collect()
    }

    /// Coded with these numbers, by the oracle's search in `f64`, rows come back as they do from the cache, nearly all of them
    /// to the last bits: where two paths are nearly as good another one is taken.
    #[test]
    fn the_numbers_are_those_of_the_cache() {
        let (dim, kv_heads, tokens, sink) = (64, 2, 1024, 4);
        let frequencies: Vec<f64> = (0..dim / 2).map(|i| 1e4f64.powf(-2.0 * i as f64 / dim as f64)).collect();
        let shape = CacheShape { layers: 1, heads: 4, kv_heads, head_dim: dim, rope_frequencies: frequencies.clone() };
        let energy: Vec<f32> = (0..kv_heads * dim).map(|i| 0.5 + (i % 9) as f32).collect();
        let context = CacheContext::with_energy(shape, &energy);
        let settings: SpectralSettings = "bits=3,sink=4,window=20,values=head,least-middle=256".parse().unwrap();
        let workspace = Workspace::new(Isa::detect());
        let all = sink + tokens + 20;
        let head = |seed: f32| rows(all, dim, seed);
        let (q, k, v) = (
            (0..4).flat_map(|h| head(0.1 + h as f32)).collect::<Vec<_>>(),
            (0..2).flat_map(|h| head(0.5 + h as f32)).collect::<Vec<_>>(),
            (0..2).flat_map(|h| head(0.7 + h as f32)).collect::<Vec<_>>(),
        );
        let mut cache = SpectralCache::new(settings.clone(), context.clone(), None);
        cache.append(0, KvRows { tokens: all, q: &q, k: &k, v: &v }, &workspace).unwrap();
        cache.seal(0, &workspace).unwrap();
        let (first, kept) = cache.rebuilt(0, &workspace).unwrap();
        assert_eq!((first, kept[0].len()), (sink, kv_heads * tokens * dim));

        let middle = |rows: &[f32]| -> Vec<bf16> {
            let own = |g: usize| &rows[(g * all + sink) * dim..][..tokens * dim];
            (0..kv_heads).flat_map(own).map(|&x| bf16::from_f32(x)).collect()
        };
        let mut query_energy = vec![0.0; kv_heads * dim];
        for (i, x) in q.iter().enumerate() {
            query_energy[i / (all * dim) / 2 * dim + i % dim] += f64::from(*x).powi(2);
        }
        let starts: Vec<usize> = (0..tokens / BLOCK).map(|block| sink + block * BLOCK).collect();
        let sample = LayerSample {
            layer: 0,
            tokens,
            starts: &starts,
            keys: &middle(&k),
            values: &middle(&v),
            query_energy: &query_energy,
            queries: all,
        };
        let fits = Fitter::new(settings, context, None).fit(&sample, &workspace);
        for (side, fit) in fits.iter().enumerate() {
            let rows = if side == KEYS { &k } else { &v };
            let mut off = 0;
            for block in [0, 17, 63] {
                let coded = coded_block(fit, rows, (sink + block * BLOCK, all, dim), side == KEYS, &frequencies);
                for (t, c, x) in coded {
                    let (g, d) = (c / dim, c % dim);
                    let kept = f64::from(kept[side][(g * tokens + block * BLOCK + t) * dim + d]);
                    off += usize::from((kept - x).abs() > 0.02);
                }
            }
            assert!(off < 3 * BLOCK * kv_heads * dim / 100, "side {side}: {off} numbers are others");
        }
    }

    /// A block's numbers, coded and decoded: token, channel and number; keys with RoPE again.
    fn coded_block(
        fit: &SideFit,
        rows: &[f32],
        (first, all, dim): (usize, usize, usize),
        turned: bool,
        frequencies: &[f64],
    ) -> Vec<(usize, usize, f64)> {
        let dct = Dct::new(BLOCK).unwrap();
        // One head's row with RoPE undone or done.
        let turn = |row: &[f64], at: usize, sign: f64| -> Vec<f64> {
            let half = dim / 2;
            let angle = |i: usize| (frequencies[i] * at as f64).sin_cos();
            let low = (0..half).map(|i| row[i] * angle(i).1 - sign * row[half + i] * angle(i).0);
            low.chain((0..half).map(|i| row[half + i] * angle(i).1 + sign * row[i] * angle(i).0)).collect()
        };
        let token = |t: usize| -> Vec<f64> {
            let heads = rows.len() / (all * dim);
            let row = |g: usize| -> Vec<f64> {
                let own = rows[(g * all + first + t) * dim..][..dim].iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
                if turned { turn(&own, first + t, -1.0) } else { own }
            };
            (0..heads).flat_map(row).collect()
        };
        let tokens: Vec<Vec<f64>> = (0..BLOCK).map(token).collect();
        let harmonics: Vec<Vec<Vec<f64>>> = (0..fit.channels.len())
            .map(|tile| {
                let channels = &fit.channels[tile];
                let n = channels.len();
                let direction = |r: usize, row: &[f64]| -> f64 {
                    let forward = &fit.forward[tile][r * n..][..n];
                    let sum: f64 =
                        forward.iter().zip(channels).map(|(f, &c)| f64::from(*f) * row[usize::from(c)]).sum();
                    sum - f64::from(fit.shift[tile][r])
                };
                let count = fit.shift[tile].len();
                (0..count)
                    .map(|r| dct.forward(&tokens.iter().map(|row| direction(r, row)).collect::<Vec<_>>()))
                    .collect()
            })
            .collect();
        let at = |c: &Coefficient| harmonics[c.tile].get(c.direction).map_or(0.0, |h| h[c.harmonic]);
        let size = |c: &Coefficient| f64::from(c.size);
        let values: Vec<f64> =
            fit.coefficients.iter().map(|c| if c.size > 0.0 { at(c) / size(c) } else { 0.0 }).collect();
        let bits: Vec<u8> = fit.coefficients.iter().map(|c| c.bits).collect();
        let weights: Vec<f64> = fit.coefficients.iter().map(|c| size(c).powi(2)).collect();
        let decoded = decode(&encode_weighted(&STANDARD, &values, &bits, &weights), &bits);
        let mut back = vec![vec![0.0; tokens[0].len()]; BLOCK];
        for (tile, channels) in fit.channels.iter().enumerate() {
            let n = channels.len();
            let mut dense = vec![vec![0.0; BLOCK]; fit.shift[tile].len()];
            for (c, x) in fit.coefficients.iter().zip(&decoded).filter(|(c, _)| c.tile == tile && c.size > 0.0) {
                dense[c.direction][c.harmonic] = x * size(c);
            }
            let times: Vec<Vec<f64>> = dense.iter().map(|row| dct.inverse(row)).collect();
            for (t, to) in back.iter_mut().enumerate() {
                for (i, &c) in channels.iter().enumerate() {
                    let sum: f64 =
                        times.iter().enumerate().map(|(r, x)| x[t] * f64::from(fit.back[tile][r * n + i])).sum();
                    to[usize::from(c)] = sum + f64::from(fit.means[tile][i]);
                }
            }
        }
        let mut out = Vec::new();
        for (t, row) in back.iter().enumerate() {
            let turned_again = |head: &[f64]| if turned { turn(head, first + t, 1.0) } else { head.to_vec() };
            let row: Vec<f64> = row.chunks_exact(dim).flat_map(turned_again).collect();
            out.extend(row.into_iter().enumerate().map(|(c, x)| (t, c, x)));
        }
        out
    }
}
