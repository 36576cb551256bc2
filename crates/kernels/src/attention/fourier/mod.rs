//! FlashFourierAttention on a CPU: attention over a middle that is kept as a spectrum, without rebuilding it.
//!
//! Reconstruction is linear in the stored numbers, so (FourierAttention, arXiv 2506.11886, section 3, carried on):
//!
//! - **Scores.** Contract the query with the coefficients once, `U_n = sum_d q_d X_{n,d}`; one inverse transform of
//!   length `P` then gives the spectral dims' part of the scores of *all* `M` tokens.
//! - **Outputs.** One forward transform of the weights, `F_n = sum_t p_t exp(-2 pi i n t / P)`; then
//!   `sum_t p_t v^_t = (1/P) Re sum_n w_n X_n conj(F_n)`, one dot product a dim.
//! - **Means** are constants: `q . mu` shifts every score and `(sum_t p_t) mu` is added to the output.
//!
//! A layer is done in five runs of tasks, all heads together; bytes are read once for all rows of a head:
//!
//! | run | a task is | reads | multiplications |
//! | --- | --- | --- | --- |
//! | `contract` | 256 coefficients of a head | the keys' spectra | `2 N` a spectral key dim and row |
//! | `scores` | a row | - | an inverse transform |
//! | `blocks` | 1,024 tokens of a head | exact dims, keys and values | `M` an exact dim and row, and `exp` |
//! | `weights` | a row | - | a forward transform |
//! | `project` | 16 spectral value dims of a head | the values' spectra | `2 N` a spectral value dim and row |
//!
//! 32k tokens, 12 query heads, 2 key/value heads of 128 dims, the paper's budget, `bf16`: 7.8 MB of exact dims and
//! 0.8 MB of spectra against 32.5 MB; 46 million multiplications with exact dims, 24 transforms of 36,864 by way of
//! grids of 2,304 (each about 7,000 vector instructions, and 16 products for sixteen tokens), 0.4 million exponentials. So
//! memory binds.
//!
//! Long contexts: the `scores` run gives points of a grid, `blocks` interpolates between them and hands back what its
//! weights give to the points ([`crate::transform::GridTransform`]).
//!
//! Scores of a block of tokens never leave the registers: its weights are relative to the largest score so far, which
//! is noted, and the transform of the weights corrects for it. The shift `q . mu` is added to the state's maximum
//! alone, never to the scores: keys with large biases (Qwen's) make it thousands of times larger than the differences
//! that decide, and `f32` would lose them.

mod blocks;
mod contract;
mod pairs;
mod project;
mod scores;
mod scratch;
mod weights;

use fourier_kv_spectral::Real;
use fourier_kv_spectral::band::PairBand;

use crate::attention::Queries;
use crate::attention::runs::AttnRuns;
use crate::attention::state::{AttnRows, AttnRowsMut};
use crate::element::Element;
use crate::isa::Isa;
use crate::number::Number;
use crate::parts::{Chunks, Then};
use crate::team::Team;
use crate::transform::TimeTransform;

pub use scratch::FourierScratch;
use scratch::{Chunk, Piece, Projection, Row, Sizes, TransformPool};

/// Tokens a block of exact dims; see [`FourierSide::exact`].
pub const EXACT_BLOCK: usize = 64;

/// Query rows of a head that are taken through the runs together.
const MOST_ROWS: usize = 8;

/// Keys or values of a middle of one head.
#[derive(Clone, Copy, Debug)]
pub struct FourierSide<'a, T, S, C> {
    /// The spectral dims; with [`FourierRegion::bands`], for keys: the spectral *pairs* (dims `i` and `i + D/2`).
    pub spectral: &'a [u16],
    /// Their spectra, `[track][2][bins]`.
    pub spectra: &'a [C],
    /// Their means, one a dim; two a pair, `i` before `i + D/2`.
    pub mean: &'a [T],
    /// The dims that are kept as they are.
    pub exact_dims: &'a [u16],
    /// Their values, `[ceil(M / 64)][exact dim][64]`.
    pub exact: &'a [S],
}

/// The middle of one head.
#[derive(Clone, Copy, Debug)]
pub struct FourierRegion<'a, T: Real, S, C> {
    /// Tokens `M`, at most the period; the same for all heads.
    pub tokens: usize,
    /// The bins kept of each spectral pair of the keys; `None`: keys are real signals in the base band.
    pub bands: Option<&'a [PairBand]>,
    /// The keys.
    pub keys: FourierSide<'a, T, S, C>,
    /// The values.
    pub values: FourierSide<'a, T, S, C>,
}

/// The transforms of one period.
#[derive(Clone, Copy, Debug)]
pub struct FourierTransforms<'a, T> {
    /// For the scores: of the `N` harmonics kept, or of the full spectrum where keys have bands.
    pub keys: &'a TimeTransform<T>,
    /// For the weights: of the `N` harmonics kept.
    pub values: &'a TimeTransform<T>,
}

/// The middles of all heads of a layer, with what asks for them.
#[derive(Clone, Copy, Debug)]
pub struct FourierLayer<'a, Q, R, B> {
    /// Key/value heads `G`.
    pub heads: usize,
    /// The query rows of a head, by its number: as many for each.
    pub queries: &'a Q,
    /// The middle of a head, by its number.
    pub regions: &'a R,
    /// Does with the states of a head's rows whatever else is to be done, while the transforms leave the memory idle.
    pub beside: &'a B,
}

/// Adds the middles to the states of all heads' rows, `[G][rows of a head]`; every row sees all tokens.
pub fn attend_fourier<'r, T: Number, S: Element, C: Element>(
    (isa, team): (Isa, &Team),
    transforms: FourierTransforms<'_, T>,
    layer: FourierLayer<
        '_,
        impl Fn(usize) -> Queries<'r, T> + Sync,
        impl Fn(usize) -> FourierRegion<'r, T, S, C> + Sync,
        impl Fn(usize, AttnRowsMut<'_, T>) + Sync,
    >,
    scratch: &mut FourierScratch<T>,
    state: &mut AttnRows<T>,
) {
    let FourierLayer { heads, queries, regions, beside } = layer;
    let all_rows = queries(0).count();
    if regions(0).tokens == 0 {
        let states = state.all().runs(all_rows, all_rows);
        return team.for_parts(states, |_, (head, _, states)| beside(head, states));
    }
    for first in (0..all_rows).step_by(MOST_ROWS) {
        let rows = MOST_ROWS.min(all_rows - first);
        let queries = |head| queries(head).slice(first, first + rows);
        let sizes = Sizes::new(heads, rows, queries(0).dim, transforms);
        scratch.reserve(sizes, team.threads(), transforms);
        let (pieces, slots, chunks, projections, pool) = scratch.parts(sizes);
        let runs = Runs { isa, team, transforms, pool, sizes, queries, regions };
        runs.contract(pieces);
        // What is beside is done once.
        let states = state.all().runs(all_rows, all_rows);
        runs.scores(pieces, states, if first == 0 { heads } else { 0 }, beside, slots);
        runs.blocks(slots, chunks);
        runs.weights(chunks, slots);
        runs.project(slots, projections);
        for (i, slot) in slots.iter_mut().enumerate() {
            let (head, r) = (i / rows, i % rows);
            project::assemble(&regions(head), r, &projections[head * sizes.projections..], slot);
            state.all().row(head * all_rows + first + r).absorb(slot.top + slot.offset, slot.sum, &slot.out);
        }
    }
}

/// The runs of tasks, in their order; see the module's head.
struct Runs<'a, T, Q, R> {
    isa: Isa,
    team: &'a Team,
    transforms: FourierTransforms<'a, T>,
    pool: &'a TransformPool<T>,
    sizes: Sizes,
    queries: Q,
    regions: &'a R,
}

impl<'r, T, S, C, Q, R> Runs<'_, T, Q, R>
where
    T: Number,
    S: Element,
    C: Element,
    Q: Fn(usize) -> Queries<'r, T> + Sync,
    R: Fn(usize) -> FourierRegion<'r, T, S, C> + Sync,
{
    fn contract(&self, pieces: &mut [Piece<T>]) {
        self.team.for_parts(Chunks::new(pieces, 1), |i, piece| {
            let (head, number) = (i / self.sizes.pieces, i % self.sizes.pieces);
            contract::run(self.isa, (self.queries)(head), &(self.regions)(head), number, &mut piece[0]);
        });
    }

    fn scores(
        &self,
        pieces: &[Piece<T>],
        states: AttnRuns<'_, T>,
        count: usize,
        beside: &(impl Fn(usize, AttnRowsMut<'_, T>) + Sync),
        slots: &mut [Row<T>],
    ) {
        self.team.for_parts(Then::new(states, count, Chunks::new(slots, 1)), |_, part| match part {
            Ok((head, _, states)) => beside(head, states),
            Err((i, slot)) => {
                let (head, r) = (i / self.sizes.rows, i % self.sizes.rows);
                let pieces = &pieces[head * self.sizes.pieces..][..self.sizes.pieces];
                let (q, region) = ((self.queries)(head), (self.regions)(head));
                scores::run((self.isa, self.transforms.keys, self.pool), q, r, &region, pieces, &mut slot[0]);
            }
        });
    }

    fn blocks(&self, slots: &[Row<T>], chunks: &mut [Chunk<T>]) {
        self.team.for_parts(Chunks::new(chunks, 1), |i, chunk| {
            let (head, number) = (i / self.sizes.chunks, i % self.sizes.chunks);
            let slots = &slots[head * self.sizes.rows..][..self.sizes.rows];
            let with = (self.isa, self.transforms);
            blocks::run(with, (self.queries)(head), &(self.regions)(head), slots, number, &mut chunk[0]);
        });
    }

    fn weights(&self, chunks: &[Chunk<T>], slots: &mut [Row<T>]) {
        self.team.for_parts(Chunks::new(slots, 1), |i, slot| {
            let (head, r) = (i / self.sizes.rows, i % self.sizes.rows);
            let chunks = &chunks[head * self.sizes.chunks..][..self.sizes.chunks];
            let which = (self.sizes.rows, r);
            let with = (self.isa, self.transforms.values, self.pool);
            weights::run(with, which, &(self.regions)(head), chunks, &mut slot[0]);
        });
    }

    fn project(&self, slots: &[Row<T>], projections: &mut [Projection<T>]) {
        self.team.for_parts(Chunks::new(projections, 1), |i, projection| {
            let (head, number) = (i / self.sizes.projections, i % self.sizes.projections);
            let slots = &slots[head * self.sizes.rows..][..self.sizes.rows];
            project::run(self.isa, &(self.regions)(head), slots, number, &mut projection[0]);
        });
    }
}
