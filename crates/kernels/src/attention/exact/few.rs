//! Few query rows: every key and value is read once for all rows.
//!
//! Scores are dot products along the head dims, a token at a time for all rows; outputs are sums of scaled values, a run
//! of head dims at a time so that the rows' sums stay in registers. A block's keys and values are a few kilobytes: they
//! come from memory once.

use super::{ExactRegion, Mask, seen};
use crate::attention::Queries;
use crate::attention::state::AttnRowsMut;
use crate::element::Element;
use crate::isa::Operation;
use crate::lanes;
use crate::number::Number;
use crate::simd::{Lanes, Simd, WIDTH, load_some};

/// Tokens a block.
const BLOCK: usize = 64;
/// Vectors of head dims whose sums are held for all rows at once.
const RUN: usize = 4;

/// Bytes that come from memory together.
const CACHE_LINE: usize = 64;
/// Bytes between what is computed with and what memory is asked for.
const AHEAD: usize = 16_384;

/// Working memory of one thread.
#[derive(Debug, Default)]
pub(super) struct Scratch<T> {
    /// `[R][ceil(D / 16)][16]`, scaled, filled up with zeros.
    queries: Vec<T>,
    /// `[R][BLOCK]`.
    scores: Vec<T>,
}

impl<T> Scratch<T> {
    /// All memory that grows with use.
    pub(super) fn buffers(&mut self) -> [&mut Vec<T>; 2] {
        [&mut self.queries, &mut self.scores]
    }
}

pub(super) struct Attend<'a, 'b, T, S> {
    pub(super) q: Queries<'a, T>,
    pub(super) region: ExactRegion<'a, S>,
    pub(super) mask: Mask,
    pub(super) scratch: &'a mut Scratch<T>,
    pub(super) state: &'a mut AttnRowsMut<'b, T>,
}

impl<T: Number, S: Element> Operation for Attend<'_, '_, T, S> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Attend { q, region, mask, scratch, state } = self;
        let tokens = region.keys.len() / q.dim;
        let most = (0..q.count()).map(|r| seen(q, mask, tokens, r)).max().unwrap_or(0);
        load_queries::<V, T>(q, scratch);
        scratch.scores.resize(MOST_ROWS * BLOCK, T::zero());
        for at in (0..most).step_by(BLOCK) {
            let part = at * q.dim..(at + BLOCK).min(most) * q.dim;
            let (keys, values) = (&region.keys[part.clone()], &region.values[part]);
            let mut block = Block { q, keys, values, scratch, state };
            let mut first = 0;
            while first < q.count() {
                let limit = |r: usize| seen(q, mask, tokens, first + r).saturating_sub(at);
                let rows = together(q.count() - first);
                match rows {
                    1 => block.attend::<V, 1>(first, limit),
                    2 => block.attend::<V, 2>(first, limit),
                    3 => block.attend::<V, 3>(first, limit),
                    4 => block.attend::<V, 4>(first, limit),
                    _ => block.attend::<V, 6>(first, limit),
                }
                first += rows;
            }
        }
    }
}

/// Most rows that are taken at a time: the sums of a run of head dims stay in registers.
const MOST_ROWS: usize = 6;

/// How many of `left` rows are taken at a time. Groups of heads are mostly 3, 4, 6, 7 (as 4 and 3) or 8 rows; other sizes
/// are made of these, since each costs a copy of the kernel.
#[inline(always)]
fn together(left: usize) -> usize {
    match left {
        1..=4 => left,
        5 => 3,
        7 | 8 => 4,
        _ => MOST_ROWS,
    }
}

/// A block of tokens.
struct Block<'a, 'b, T, S> {
    q: Queries<'a, T>,
    keys: &'a [S],
    values: &'a [S],
    scratch: &'a mut Scratch<T>,
    state: &'a mut AttnRowsMut<'b, T>,
}

impl<T: Number, S: Element> Block<'_, '_, T, S> {
    /// `R` rows from `first` on; row `first + r` sees the first `limit(r)` tokens.
    #[inline(always)]
    fn attend<V: Simd, const R: usize>(&mut self, first: usize, limit: impl Fn(usize) -> usize) {
        let dim = self.q.dim;
        let count = self.keys.len() / dim;
        score::<V, T, S, R>(self.keys, dim, first, self.scratch);
        let scores = rows_of::<T, R>(&mut self.scratch.scores);
        for r in 0..R {
            weigh::<V, T>(first + r, limit(r).min(count), count, &mut scores[r], self.state);
        }
        accumulate::<V, T, S, R>(self.values, dim, first, scores, self.state);
    }
}

/// The scores of `R` rows.
#[inline(always)]
fn rows_of<T, const R: usize>(scores: &mut [T]) -> &mut [[T; BLOCK]; R] {
    scores.as_chunks_mut().0.first_chunk_mut().expect("scores of R rows")
}

#[inline(always)]
fn load_queries<V: Simd, T: Number>(q: Queries<'_, T>, scratch: &mut Scratch<T>) {
    let vectors = q.dim.div_ceil(WIDTH);
    scratch.queries.resize(q.count() * vectors * WIDTH, T::zero());
    let (queries, _) = scratch.queries.as_chunks_mut();
    for r in 0..q.count() {
        for (x, to) in q.row(r).chunks(WIDTH).zip(&mut queries[r * vectors..]) {
            let x: T::Lanes<V> = load_some(x);
            x.mul(T::Lanes::<V>::splat(q.scale)).store(to);
        }
    }
}

/// `scores[r][t] = q_(first + r) . k_t`: sums across vectors are taken sixteen tokens at a time, all at once.
#[inline(always)]
fn score<V: Simd, T: Number, S: Element, const R: usize>(
    keys: &[S],
    dim: usize,
    first: usize,
    scratch: &mut Scratch<T>,
) {
    let vectors = dim.div_ceil(WIDTH);
    let (all, _) = scratch.queries.as_chunks();
    let scores = rows_of::<T, R>(&mut scratch.scores);
    let mut queries = [&[] as &[[T; WIDTH]]; R];
    for r in 0..R {
        queries[r] = &all[(first + r) * vectors..(first + r + 1) * vectors];
    }
    let mut products = [[T::Lanes::<V>::splat(T::zero()); WIDTH]; R];
    for (i, keys) in keys.chunks(WIDTH * dim).enumerate() {
        for (pair, keys) in keys.chunks(2 * dim).enumerate() {
            if V::REGISTERS >= 32 && keys.len() == 2 * dim {
                multiply::<V, T, S, R, 2>(keys, dim, &queries, 2 * pair, &mut products);
            } else {
                for (n, key) in keys.chunks_exact(dim).enumerate() {
                    multiply::<V, T, S, R, 1>(key, dim, &queries, 2 * pair + n, &mut products);
                }
            }
        }
        for r in 0..R {
            let to: &mut [T; WIDTH] = scores[r][i * WIDTH..].first_chunk_mut().expect("blocks are whole vectors");
            T::Lanes::<V>::sums(products[r]).store(to);
        }
    }
}

/// The products of `N` tokens' keys with the rows' queries, added up but for the last vector.
#[inline(always)]
fn multiply<V: Simd, T: Number, S: Element, const R: usize, const N: usize>(
    keys: &[S],
    dim: usize,
    queries: &[&[[T; WIDTH]]; R],
    t: usize,
    products: &mut [[T::Lanes<V>; WIDTH]; R],
) {
    let mut sums = [[T::Lanes::<V>::splat(T::zero()); N]; R];
    prefetch::<V, S>(keys);
    let mut at = 0;
    while at + RUN * WIDTH <= dim {
        multiply_run::<V, T, S, R, N, RUN>(keys, dim, at, queries, &mut sums);
        at += RUN * WIDTH;
    }
    while at + WIDTH <= dim {
        multiply_run::<V, T, S, R, N, 1>(keys, dim, at, queries, &mut sums);
        at += WIDTH;
    }
    if at < dim {
        for n in 0..N {
            let key: T::Lanes<V> = rest_of(&keys[n * dim + at..(n + 1) * dim]);
            for r in 0..R {
                sums[r][n] = key.mul_add(T::Lanes::<V>::load(&queries[r][at / WIDTH]), sums[r][n]);
            }
        }
    }
    for r in 0..R {
        for n in 0..N {
            products[r][t + n] = sums[r][n];
        }
    }
}

/// `U` vectors of head dims from dim `at` on.
#[inline(always)]
fn multiply_run<V: Simd, T: Number, S: Element, const R: usize, const N: usize, const U: usize>(
    keys: &[S],
    dim: usize,
    at: usize,
    queries: &[&[[T; WIDTH]]; R],
    sums: &mut [[T::Lanes<V>; N]; R],
) {
    let mut key = [[T::Lanes::<V>::splat(T::zero()); U]; N];
    for n in 0..N {
        let stored: &[[S; WIDTH]; U] = first_vectors(&keys[n * dim + at..]);
        for u in 0..U {
            key[n][u] = T::Lanes::<V>::load_stored(&stored[u]);
        }
    }
    for r in 0..R {
        let queries: &[[T; WIDTH]; U] = queries[r][at / WIDTH..].first_chunk().expect("as many of a query");
        for u in 0..U {
            let query = T::Lanes::<V>::load(&queries[u]);
            for n in 0..N {
                sums[r][n] = key[n][u].mul_add(query, sums[r][n]);
            }
        }
    }
}

/// The first `U` vectors of stored numbers.
#[inline(always)]
fn first_vectors<S, const U: usize>(from: &[S]) -> &[[S; WIDTH]; U] {
    from.as_chunks().0.first_chunk().expect("the vectors of a run")
}

/// Asks for numbers that come [`AHEAD`] of these, which all come one after another.
#[inline(always)]
fn prefetch<V: Simd, S>(numbers: &[S]) {
    for line in (0..size_of_val(numbers)).step_by(CACHE_LINE) {
        V::prefetch(numbers, AHEAD + line);
    }
}

/// Fewer than sixteen stored numbers, filled up with zeros.
#[inline(always)]
fn rest_of<T: Number, S: Element, L: Lanes<T>>(rest: &[S]) -> L {
    let mut all = [S::default(); WIDTH];
    all[..rest.len()].copy_from_slice(rest);
    L::load_stored(&all)
}

/// Turns a row's scores into weights relative to its largest score, zero from token `visible` on.
#[inline(always)]
fn weigh<V: Simd, T: Number>(
    r: usize,
    visible: usize,
    count: usize,
    scores: &mut [T; BLOCK],
    state: &mut AttnRowsMut<'_, T>,
) {
    let (seen, hidden) = scores[..count].split_at_mut(visible);
    hidden.fill(T::zero());
    if visible == 0 {
        return;
    }
    let shift = state.raise(r, lanes::largest::<V, T>(seen));
    let sum = lanes::shifted_exponentials::<V, T>(seen, shift);
    let row = state.row(r);
    *row.sum = *row.sum + sum;
}

/// `out[r] += sum_t weights[r][t] v_t`.
#[inline(always)]
fn accumulate<V: Simd, T: Number, S: Element, const R: usize>(
    values: &[S],
    dim: usize,
    first: usize,
    weights: &[[T; BLOCK]; R],
    state: &mut AttnRowsMut<'_, T>,
) {
    let mut at = 0;
    while V::REGISTERS >= 32 && at + RUN * WIDTH <= dim {
        add_run::<V, T, S, R, RUN>(values, dim, at, first, weights, state);
        at += RUN * WIDTH;
    }
    while at + WIDTH <= dim {
        add_run::<V, T, S, R, 1>(values, dim, at, first, weights, state);
        at += WIDTH;
    }
    for d in at..dim {
        for r in 0..R {
            let out = &mut state.row(first + r).out[d];
            for (value, &w) in values.chunks_exact(dim).zip(&weights[r]) {
                *out = *out + w * value[d].load();
            }
        }
    }
}

/// `N` vectors of head dims from dim `at` on.
#[inline(always)]
fn add_run<V: Simd, T: Number, S: Element, const R: usize, const N: usize>(
    values: &[S],
    dim: usize,
    at: usize,
    first: usize,
    weights: &[[T; BLOCK]; R],
    state: &mut AttnRowsMut<'_, T>,
) {
    let mut sums = [[T::Lanes::<V>::splat(T::zero()); N]; R];
    for (t, value) in values.chunks_exact(dim).take(BLOCK).enumerate() {
        let value: &[[S; WIDTH]; N] = first_vectors(&value[at..]);
        prefetch::<V, _>(value);
        for i in 0..N {
            let value = T::Lanes::<V>::load_stored(&value[i]);
            for r in 0..R {
                sums[r][i] = T::Lanes::<V>::splat(weights[r][t]).mul_add(value, sums[r][i]);
            }
        }
    }
    for r in 0..R {
        let out = &mut state.row(first + r).out[at..at + N * WIDTH];
        for i in 0..N {
            let out: &mut [T; WIDTH] = out[i * WIDTH..].first_chunk_mut().expect("a vector of the run");
            T::Lanes::<V>::load(out).add(sums[r][i]).store(out);
        }
    }
}
