//! Scores of keys that RoPE hardly turns within a block, without the keys: queries are brought to the directions instead.
//!
//! Let a token stand `x` tokens from the middle of its block. A query is turned back to the middle of each block, and what
//! it turns from there on is taken as linear, `q + x q'`. So the scores of the coded part of keys, `sum_rf c_rf cos_f(t)
//! u_r`, are `A(t) + x B(t)`, where
//!
//! `A_f = sum_r (u_r q) c_rf` and `B_f = sum_r (u_r q') c_rf`
//!
//! are spectra along time: two products a coefficient and head instead of `n`, and two inverse transforms a head instead
//! of one a channel. Means, which may be many times as large, go to second order in `x`.
//!
//! `u_r q` is not computed for each block: over a superblock it is a polynomial through a few positions, and `u_r q'` the one
//! through that polynomial's derivative there ([`SlowNodes`]).
//!
//! Left out, relative to what pairs give that turn by an angle `a` over half a block and by `b` over half a superblock:
//!
//! | [`Turning`] | nodes | `q'` | of the coded part, at a block's end | of means | of all, between nodes |
//! | --- | --- | --- | --- | --- | --- |
//! | `Hardly` | 3 | no | `a` | `a^3 / 6` | `b^3 / 24` |
//! | `Slowly` | 5 | yes | `a^2 / 2` | `a^3 / 6` | `b^5 / 1920` |

use std::ops::Range;

use super::keys::{RUN, TWO};
use super::rebuild::to_tokens;
use super::slow_nodes::{Nodes, SlowNodes, Turning};
use crate::isa::{Isa, Operation};
use crate::simd::{CacheLine, Lanes, Simd, WIDTH};
use crate::trellis::{Pair, PairLevels, PairReader, PairWords};

/// Columns of a table of directions that follow on the directions: [`slow_columns`].
const MEAN_COLUMNS: usize = 3;
/// Query heads that are treated at once.
const MOST_HEADS: usize = 6;
/// Rows of queries that the table is multiplied with at once.
const ROWS: usize = 6;
/// Values and slopes.
const PARTS: usize = 2;
/// Sums of products of values and queries stay below `2^31`: polynomials are nowhere more than [`LEBESGUE`] times the largest
/// of their nodes.
const MOST_SUM: f32 = 32_767.0 / LEBESGUE;
/// Above the Lebesgue constants of three and five Chebyshev nodes, 1.67 and 1.99.
const LEBESGUE: f32 = 2.0;

/// What the codes of a tile of keys of one head mean.
#[derive(Clone, Copy, Debug)]
pub struct SlowTile<'a> {
    /// As of a [`super::KeyTile`].
    pub pairs: &'a [Pair],
    /// Where the pairs of each harmonic of the tile begin, and where the last end, `[B + 1]`.
    pub starts: &'a [u32],
    /// `[B]`: what a pair's values are in at each harmonic, in steps of the channels.
    pub steps: &'a [f32],
    /// Directions and means, `[R'/16][n][16]`, as [`slow_columns`] makes them.
    pub columns: &'a [f32],
    /// How much its pairs turn.
    pub turning: Turning,
    /// Of blocks of `B` tokens.
    pub nodes: &'a SlowNodes,
    /// `R`.
    pub directions: usize,
    /// `n`.
    pub channels: usize,
}

/// Columns of a table of so many directions: with those of means, whole vectors.
fn columns(directions: usize) -> usize {
    (directions + MEAN_COLUMNS).next_multiple_of(WIDTH)
}

/// Appends the table of a slow tile, `[R'/16][n][16]`: directions, of bytes `[R][n]`, then the mean, then what gives its score's
/// first and second derivative by position. Of the channels the first half are the first dims of rotary pairs, which turn
/// by so many radians a token.
pub fn slow_columns(directions: &[i8], mean: &[f32], frequencies: &[f64], table: &mut Vec<f32>) {
    let (n, half) = (mean.len(), mean.len() / 2);
    let (rows, first) = (directions.len() / n, table.len());
    table.resize(first + n * columns(rows), 0.0);
    let table = &mut table[first..];
    let place = |r: usize| r / WIDTH * n * WIDTH + r % WIDTH;
    for (r, direction) in directions.chunks_exact(n).enumerate() {
        let column = table[place(r)..].iter_mut().step_by(WIDTH);
        direction.iter().zip(column).for_each(|(&x, to)| *to = f32::from(x));
    }
    for c in 0..n {
        let (frequency, partner) = match c < half {
            true => (frequencies[c], -mean[half + c]),
            false => (frequencies[c - half], mean[c - half]),
        };
        table[place(rows) + c * WIDTH] = mean[c];
        table[place(rows + 1) + c * WIDTH] = partner * frequency as f32;
        table[place(rows + 2) + c * WIDTH] = -mean[c] * (frequency * frequency) as f32;
    }
}

/// Queries of a head's group, `[H][D]`, turned back to `J` nodes of a superblock, `[J][H][n]`: dims of rotary pairs, first ones
/// then second ones. `turns` are cosines, then sines, of what each pair turns by to a node, `[J][2][D/2]`.
///
/// # Panics
/// If lengths do not fit.
pub fn queries_of_nodes(
    isa: Isa,
    queries: &[f32],
    turns: &[f32],
    (dim, pairs): (usize, Range<usize>),
    out: &mut [f32],
) {
    assert!(pairs.end <= dim / 2 && queries.len().is_multiple_of(dim), "pairs of {dim} dims");
    let (nodes, heads) = (turns.len() / dim, queries.len() / dim);
    assert_eq!(out.len(), nodes * heads * 2 * pairs.len(), "queries at nodes");
    isa.run(NodeQueries { queries, turns, dim, pairs, out });
}

struct NodeQueries<'a> {
    queries: &'a [f32],
    turns: &'a [f32],
    dim: usize,
    pairs: Range<usize>,
    out: &'a mut [f32],
}

impl Operation for NodeQueries<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let NodeQueries { queries, turns, dim, pairs, out } = self;
        let (half, count) = (dim / 2, pairs.len());
        let heads = queries.len() / dim;
        for (turns, out) in turns.chunks_exact(dim).zip(out.chunks_exact_mut(heads * 2 * count)) {
            let (cos, sin) = (&turns[pairs.clone()], &turns[half..][pairs.clone()]);
            for (query, out) in queries.chunks_exact(dim).zip(out.chunks_exact_mut(2 * count)) {
                let (x, y) = (&query[pairs.clone()], &query[half..][pairs.clone()]);
                let (low, high) = out.split_at_mut(count);
                for ((low, high), ((x, y), (cos, sin))) in
                    low.iter_mut().zip(high).zip(x.iter().zip(y).zip(cos.iter().zip(sin)))
                {
                    *low = x * cos + y * sin;
                    *high = y * cos - x * sin;
                }
            }
        }
    }
}

/// Scores of one head's group as spectra along the tokens of blocks.
#[derive(Debug)]
pub struct SlowSpectra<'a> {
    /// `[H][2][2][B][16]`: of two superblocks the values and the slopes.
    pub spectra: &'a mut [[f32; WIDTH]],
    /// `[H][2][2][16]`: what means change by in a block, and how that does.
    pub means: &'a mut [[f32; WIDTH]],
}

impl SlowSpectra<'_> {
    /// Vectors of both for so many heads and tokens a block.
    pub fn sizes(heads: usize, block: usize) -> [usize; 2] {
        [heads * TWO * PARTS * block, heads * TWO * 2]
    }
}

/// Adds what a tile gives to the spectra of its head's group. `queries` are `[2][J][H][n]`, of two superblocks as
/// [`queries_of_nodes`] gives them.
///
/// A superblock's queries take `J H R' n` products of single numbers and `J H R` of vectors, a coefficient `H` in integers;
/// twice the latter two with slopes.
///
/// # Panics
/// If lengths do not fit.
pub fn add_slow_spectra(
    isa: Isa,
    tile: SlowTile<'_>,
    words: [PairWords<'_>; TWO],
    levels: &PairLevels,
    queries: &[f32],
    work: &mut Vec<CacheLine>,
    out: SlowSpectra<'_>,
) {
    let (n, block) = (tile.channels, tile.starts.len() - 1);
    let nodes_of = tile.turning.nodes();
    let heads = queries.len() / (TWO * nodes_of * n);
    assert!(heads > 0 && queries.len() == TWO * nodes_of * n * heads, "queries of {n} channels");
    assert_eq!(tile.columns.len(), n * columns(tile.directions), "{} directions of {n} channels", tile.directions);
    assert!(block > 0 && tile.steps.len() == block, "steps of {block} harmonics");
    assert_eq!([out.spectra.len(), out.means.len()], SlowSpectra::sizes(heads, block), "spectra of {heads} heads");
    isa.run_integers(Spectra { tile, words, levels, queries, heads, work, out });
}

struct Spectra<'a> {
    tile: SlowTile<'a>,
    words: [PairWords<'a>; TWO],
    levels: &'a PairLevels,
    queries: &'a [f32],
    heads: usize,
    work: &'a mut Vec<CacheLine>,
    out: SlowSpectra<'a>,
}

impl Operation for Spectra<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        match self.tile.turning {
            Turning::Hardly => self.of::<V, 3, 1>(|nodes| &nodes.three),
            Turning::Slowly => self.of::<V, 5, PARTS>(|nodes| &nodes.five),
        }
    }
}

impl Spectra<'_> {
    /// With `J` nodes, and `P` parts.
    #[inline(always)]
    fn of<V: Simd, const J: usize, const P: usize>(self, nodes: impl Fn(&SlowNodes) -> &Nodes<J>) {
        let Spectra { tile, words, levels, queries, heads, work, mut out } = self;
        let nodes = nodes(tile.nodes);
        let (vectors, pairs) = (columns(tile.directions) / WIDTH, tile.directions.div_ceil(2));
        let (a_superblock, a_part) = (pairs * heads * P, J * heads * vectors);
        let [products, integers, codes, units] =
            parts(work, [P * a_part, TWO * a_superblock, TWO * pairs, (TWO * heads * P).div_ceil(WIDTH)]);
        let [products, units] = [products, units].map(CacheLine::floats_mut);
        let [integers, codes] = [integers, codes].map(CacheLine::integers_mut);
        let units = units.as_flattened_mut();
        for (s, queries) in queries.chunks_exact(J * heads * tile.channels).enumerate() {
            let (values, slopes) = products.split_at_mut(a_part);
            project::<V>(&tile, queries, values);
            add_means::<V, J>(nodes, values, (tile.directions, s, heads), &mut out);
            if P == PARTS {
                derivatives::<V, J>(nodes, values, slopes);
            }
            for (part, products) in products.chunks_exact(a_part).enumerate() {
                for head in 0..heads {
                    let own = &mut integers[s * a_superblock..(s + 1) * a_superblock];
                    let of = Polynomials { nodes, products, head, heads };
                    units[(s * heads + head) * P + part] = of.to_pairs::<V, P>(part, own);
                }
            }
        }
        let queries = PairQueries { integers, units, heads };
        let reader = PairReader::new(words, levels, tile.starts[0] as usize);
        queries.add_products::<V, P>(&tile, reader, codes, out.spectra);
    }
}

/// Working memory cut in parts of so many lines.
fn parts<const N: usize>(work: &mut Vec<CacheLine>, sizes: [usize; N]) -> [&mut [CacheLine]; N] {
    let mut rest = CacheLine::some(work, sizes.iter().sum());
    sizes.map(|size| {
        let (part, later) = std::mem::take(&mut rest).split_at_mut(size);
        rest = later;
        part
    })
}

/// Queries, `[rows][n]`, times the table, `[rows][R']`.
#[inline(always)]
fn project<V: Simd>(tile: &SlowTile<'_>, queries: &[f32], out: &mut [[f32; WIDTH]]) {
    let (n, vectors) = (tile.channels, columns(tile.directions) / WIDTH);
    let table = tile.columns.as_chunks::<WIDTH>().0;
    let rows = queries.len() / n;
    let mut row = 0;
    while row < rows {
        let mut vector = 0;
        let count = ROWS.min(rows - row);
        while vector < vectors {
            let of = Rows { queries: &queries[row * n..], n, table: &table[vector * n..], vectors };
            let out = &mut out[row * vectors + vector..];
            vector += match vectors - vector {
                1 => of.vectors::<V, 1>(count, out),
                _ => of.vectors::<V, 2>(count, out),
            };
        }
        row += count;
    }
}

/// Some rows of queries, and the table from some vector of columns on.
struct Rows<'a> {
    queries: &'a [f32],
    n: usize,
    table: &'a [[f32; WIDTH]],
    vectors: usize,
}

impl Rows<'_> {
    /// Products of `count` rows with `M` vectors of columns; returns `M`.
    #[inline(always)]
    fn vectors<V: Simd, const M: usize>(&self, count: usize, out: &mut [[f32; WIDTH]]) -> usize {
        match count {
            ROWS => self.project::<V, M, ROWS>(out),
            5 => self.project::<V, M, 5>(out),
            4 => self.project::<V, M, 4>(out),
            3 => self.project::<V, M, 3>(out),
            2 => self.project::<V, M, 2>(out),
            _ => self.project::<V, M, 1>(out),
        }
        M
    }

    #[inline(always)]
    fn project<V: Simd, const M: usize, const K: usize>(&self, out: &mut [[f32; WIDTH]]) {
        let mut sums = [[V::Floats::splat(0.0); M]; K];
        let whole = self.n / RUN * RUN;
        for c in (0..whole).step_by(RUN) {
            self.channels::<V, M, K, RUN>(c, &mut sums);
        }
        for c in whole..self.n {
            self.channels::<V, M, K, 1>(c, &mut sums);
        }
        for k in 0..K {
            for m in 0..M {
                sums[k][m].store(&mut out[k * self.vectors + m]);
            }
        }
    }

    /// What `C` channels from `first` on give.
    #[inline(always)]
    fn channels<V: Simd, const M: usize, const K: usize, const C: usize>(
        &self,
        first: usize,
        sums: &mut [[V::Floats; M]; K],
    ) {
        let mut queries = [&[0.0; C]; K];
        for k in 0..K {
            queries[k] = self.queries[k * self.n + first..].first_chunk().expect("queries of all channels");
        }
        let mut columns: [&[[f32; WIDTH]; C]; M] = [&[[0.0; WIDTH]; C]; M];
        for m in 0..M {
            columns[m] = self.table[m * self.n + first..].first_chunk().expect("columns of all channels");
        }
        for c in 0..C {
            for k in 0..K {
                let query = V::Floats::splat(queries[k][c]);
                for m in 0..M {
                    sums[k][m] = query.mul_add(V::Floats::load(&columns[m][c]), sums[k][m]);
                }
            }
        }
    }
}

/// Adds what means give to all tokens of a block; their columns become 0.
#[inline(always)]
fn add_means<V: Simd, const J: usize>(
    nodes: &Nodes<J>,
    products: &mut [[f32; WIDTH]],
    (directions, s, heads): (usize, usize, usize),
    out: &mut SlowSpectra<'_>,
) {
    let (a_row, block) = (columns(directions), out.spectra.len() / (heads * TWO * PARTS));
    let products = products.as_flattened_mut();
    for head in 0..heads {
        let mut means = [V::Floats::splat(0.0); MEAN_COLUMNS];
        for (j, lanes) in nodes.lanes.iter().enumerate() {
            let own = &mut products[(j * heads + head) * a_row + directions..][..MEAN_COLUMNS];
            for (mean, own) in means.iter_mut().zip(own) {
                *mean = V::Floats::load(lanes).mul_add(V::Floats::splat(std::mem::take(own)), *mean);
            }
        }
        // A constant is all in the first harmonic, `sqrt(B)` times as large.
        means[0] = means[0].mul(V::Floats::splat((block as f32).sqrt()));
        let (constant, [slope, curvature]) = (
            &mut out.spectra[(head * TWO + s) * PARTS * block],
            out.means[(head * TWO + s) * 2..].first_chunk_mut().expect("means of all heads"),
        );
        for (x, to) in means.into_iter().zip([constant, slope, curvature]) {
            V::Floats::load(to).add(x).store(to);
        }
    }
}

/// Derivatives at the nodes of the polynomials through them, `[J][..]` both.
#[inline(always)]
fn derivatives<V: Simd, const J: usize>(nodes: &Nodes<J>, values: &[[f32; WIDTH]], slopes: &mut [[f32; WIDTH]]) {
    let a_node = values.len() / J;
    for i in 0..a_node {
        let mut own = [V::Floats::splat(0.0); J];
        for j in 0..J {
            own[j] = V::Floats::load(&values[j * a_node + i]);
        }
        for (at, counts) in nodes.derivatives.iter().enumerate() {
            let mut sum = V::Floats::splat(0.0);
            for j in 0..J {
                sum = own[j].mul_add(V::Floats::splat(counts[j]), sum);
            }
            sum.store(&mut slopes[at * a_node + i]);
        }
    }
}

/// One head's polynomials of all directions by their nodes, `[J][H][R']`.
struct Polynomials<'a, const J: usize> {
    nodes: &'a Nodes<J>,
    products: &'a [[f32; WIDTH]],
    head: usize,
    heads: usize,
}

impl<const J: usize> Polynomials<'_, J> {
    /// Their values in the middles of blocks, of two directions in the halves of an integer, `[R/2][H][P][16]`; returns what the
    /// integers are in.
    #[inline(always)]
    fn to_pairs<V: Simd, const P: usize>(&self, part: usize, out: &mut [[i32; WIDTH]]) -> f32 {
        let (a_row, pairs) = (self.products.len() / (J * self.heads), out.len() / (self.heads * P));
        let zero = V::Floats::splat(0.0);
        let mut rows: [&[[f32; 2]]; J] = [&[]; J];
        let mut largest = 0.0f32;
        for j in 0..J {
            let row = &self.products[(j * self.heads + self.head) * a_row..][..a_row];
            let mut sum = zero;
            for x in row {
                let x = V::Floats::load(x);
                sum = sum.add(x.max(zero.sub(x)));
            }
            largest = largest.max(sum.sum());
            rows[j] = &row.as_flattened().as_chunks().0[..pairs];
        }
        let (unit, scale) = if largest > 0.0 { (largest / MOST_SUM, MOST_SUM / largest) } else { (0.0, 0.0) };
        let mut lanes = [zero; J];
        for j in 0..J {
            lanes[j] = V::Floats::load(&self.nodes.lanes[j]).mul(V::Floats::splat(scale));
        }
        for i in 0..pairs {
            let mut both = [zero; 2];
            for j in 0..J {
                for half in 0..2 {
                    both[half] = lanes[j].mul_add(V::Floats::splat(rows[j][i][half]), both[half]);
                }
            }
            let [first, second] = both.map(V::to_integers);
            V::store_integers(V::halves(first, second), &mut out[(i * self.heads + self.head) * P + part]);
        }
        unit
    }
}

/// Queries as directions' coefficients meet them.
struct PairQueries<'a> {
    /// `[2][R / 2][H][P][16]`.
    integers: &'a [[i32; WIDTH]],
    /// `[2][H][P]`
    units: &'a [f32],
    heads: usize,
}

impl PairQueries<'_> {
    /// Adds products of all coefficients, in the spectra's order.
    #[inline(always)]
    fn add_products<V: Simd, const P: usize>(
        &self,
        tile: &SlowTile<'_>,
        mut reader: PairReader<'_, V, TWO>,
        codes: &mut [[i32; WIDTH]],
        spectra: &mut [[f32; WIDTH]],
    ) {
        let values = codes.as_chunks_mut::<TWO>().0;
        for (f, ends) in tile.starts.windows(2).enumerate() {
            let pairs = &tile.pairs[ends[0] as usize..ends[1] as usize];
            reader.read_all(pairs, values);
            let of = Harmonic { pairs, values, f, step: tile.steps[f], block: tile.steps.len() };
            let mut first = 0;
            while first < self.heads {
                let count = MOST_HEADS.min(self.heads - first);
                match count * P {
                    1 => self.harmonic::<V, P, 1>(&of, first, spectra),
                    2 => self.harmonic::<V, P, 2>(&of, first, spectra),
                    3 => self.harmonic::<V, P, 3>(&of, first, spectra),
                    4 => self.harmonic::<V, P, 4>(&of, first, spectra),
                    5 => self.harmonic::<V, P, 5>(&of, first, spectra),
                    6 => self.harmonic::<V, P, 6>(&of, first, spectra),
                    8 => self.harmonic::<V, P, 8>(&of, first, spectra),
                    10 => self.harmonic::<V, P, 10>(&of, first, spectra),
                    _ => self.harmonic::<V, P, { MOST_HEADS * PARTS }>(&of, first, spectra),
                }
                first += count;
            }
        }
    }

    /// `N` values and slopes of heads from `first` on.
    #[inline(always)]
    fn harmonic<V: Simd, const P: usize, const N: usize>(
        &self,
        of: &Harmonic<'_>,
        first: usize,
        spectra: &mut [[f32; WIDTH]],
    ) {
        let a_superblock = self.integers.len() / TWO;
        let mut sums = [[V::integers(0); TWO]; N];
        for (pair, values) in of.pairs.iter().zip(of.values) {
            let at = (usize::from(pair.place) * self.heads + first) * P;
            for s in 0..TWO {
                let own: &[_; N] = self.integers[s * a_superblock + at..].first_chunk().expect("queries of all heads");
                for i in 0..N {
                    sums[i][s] = V::dot_vectors(sums[i][s], &values[s], &own[i]);
                }
            }
        }
        for i in 0..N {
            let (head, part) = (first + i / P, i % P);
            for s in 0..TWO {
                let unit = V::Floats::splat(self.units[(s * self.heads + head) * P + part] * of.step);
                let to = &mut spectra[((head * TWO + s) * PARTS + part) * of.block + of.f];
                V::to_floats(sums[i][s]).mul_add(unit, V::Floats::load(to)).store(to);
            }
        }
    }
}

/// The coefficients of one harmonic of a tile.
struct Harmonic<'a> {
    pairs: &'a [Pair],
    values: &'a [[[i32; WIDTH]; TWO]],
    f: usize,
    step: f32,
    block: usize,
}

/// Adds the scores of superblock `s` to those of the group's heads, `[H][stride][16]` of which the first `B` vectors a
/// head are the block's, of tiles that turn so much at most. Its spectra are used up.
///
/// # Panics
/// If lengths do not fit.
pub fn add_slow_scores(
    isa: Isa,
    from: SlowSpectra<'_>,
    (s, turning): (usize, Turning),
    cosines: &[f32],
    scores: &mut [[f32; WIDTH]],
    stride: usize,
) {
    let (block, heads) = (cosines.len().isqrt(), from.means.len() / (2 * TWO));
    assert_eq!([from.spectra.len(), from.means.len()], SlowSpectra::sizes(heads, block), "spectra of {heads} heads");
    assert!(s < TWO, "one of {TWO} superblocks");
    assert!(block <= stride && scores.len() >= (heads - 1) * stride + block, "scores of {heads} heads");
    isa.run(Scores { from, s, turning, cosines, scores, stride });
}

struct Scores<'a> {
    from: SlowSpectra<'a>,
    s: usize,
    turning: Turning,
    cosines: &'a [f32],
    scores: &'a mut [[f32; WIDTH]],
    stride: usize,
}

impl Operation for Scores<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Scores { from, s, turning, cosines, scores, stride } = self;
        let block = cosines.len().isqrt();
        for (head, scores) in scores.chunks_mut(stride).enumerate().take(from.means.len() / (2 * TWO)) {
            let at = head * TWO + s;
            let (values, slopes) = from.spectra[at * PARTS * block..][..PARTS * block].split_at_mut(block);
            to_tokens::<V, 1>(cosines, values.as_chunks_mut().0, 0);
            let [slope, curvature] = [0, 1].map(|i| V::Floats::load(&from.means[2 * at + i]));
            if turning == Turning::Slowly {
                to_tokens::<V, 1>(cosines, slopes.as_chunks_mut().0, 0);
            }
            for (t, (value, score)) in values.iter().zip(scores).enumerate() {
                let x = t as f32 - (block - 1) as f32 / 2.0;
                let mut change = curvature.mul_add(V::Floats::splat(x / 2.0), slope);
                if turning == Turning::Slowly {
                    change = change.add(V::Floats::load(&slopes[t]));
                }
                let all = V::Floats::load(value).add(V::Floats::load(score));
                change.mul_add(V::Floats::splat(x), all).store(score);
            }
        }
    }
}
