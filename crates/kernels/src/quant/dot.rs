//! Dot products of rows of weights with few activations, without dequantising the rows to memory.
//!
//! Shapes: `R` rows of `C` weights and `n` tokens of `C` activations give `[n][R]`. Bytes read: the rows' once for up to
//! four tokens, and `4 C` a row of activations, from the first-level cache. Two rows are read side by side, or one for
//! several tokens, so that sums do not wait for each other.
//!
//! A product of a group of 32 is two fused products of vectors. Four-bit weights are looked up in a table of the
//! sixteen values that a group has: a shift and a permutation a vector instead of two conversions and a scaling.

use bytemuck::cast_slice;

use super::WeightType;
use super::float_rows::{BF16, F16, F32};
use super::k_blocks::{Q4K, Q5K, Q6K};
use super::layout::{Block, Element, GROUP, halves};
use super::small_blocks::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
use crate::isa::{Isa, Operation};
use crate::matmul::ColumnsMut;
use crate::simd::{Lanes, Simd};

/// The dot product of one row of weights and as many activations, accumulated in f32 over 32 interleaved partial sums.
///
/// # Panics
///
/// If `row` is not exactly `ty.row_bytes(x.len())` bytes long; rows of a [`Matrix`](super::Matrix)
/// always are.
pub fn dot(isa: Isa, ty: WeightType, row: &[u8], x: &[f32]) -> f32 {
    let mut out = [0.0];
    dots(isa, ty, row, x, x.len(), &mut ColumnsMut::new(&mut out, 1, 1));
    out[0]
}

/// The dot products of rows of weights, `[columns of out][cols]`, with the tokens of `x`, `[rows of out][cols]`.
///
/// # Panics
///
/// If the lengths do not fit.
pub fn dots(isa: Isa, ty: WeightType, rows: &[u8], x: &[f32], cols: usize, out: &mut ColumnsMut<'_, f32>) {
    let bytes = ty.row_bytes(cols).unwrap_or_else(|| panic!("whole blocks of {ty}, not {cols} weights"));
    assert_eq!(
        rows.len(),
        bytes * out.columns(),
        "bytes of {ty} rows for {cols} activations, {} of them",
        out.columns()
    );
    assert_eq!(x.len(), cols * out.rows(), "activations of {} tokens of {cols}", out.rows());
    let task = Task { rows, bytes, x, cols, out };
    match ty {
        WeightType::F32 => isa.run(Floats::<F32>::of(task)),
        WeightType::F16 => isa.run(Floats::<F16>::of(task)),
        WeightType::BF16 => isa.run(Floats::<BF16>::of(task)),
        WeightType::Q8_0 => isa.run(Blocks::<Q8_0>::of(task)),
        WeightType::Q4_0 => isa.run(Blocks::<Q4_0>::of(task)),
        WeightType::Q4_1 => isa.run(Blocks::<Q4_1>::of(task)),
        WeightType::Q5_0 => isa.run(Blocks::<Q5_0>::of(task)),
        WeightType::Q5_1 => isa.run(Blocks::<Q5_1>::of(task)),
        WeightType::Q4_K => isa.run(Blocks::<Q4K>::of(task)),
        WeightType::Q5_K => isa.run(Blocks::<Q5K>::of(task)),
        WeightType::Q6_K => isa.run(Blocks::<Q6K>::of(task)),
    }
}

/// How far ahead of their use weights are asked for, in bytes: the time memory takes, at the rate at which they are used.
const AHEAD: usize = 2048;

struct Task<'a, 'b> {
    rows: &'a [u8],
    /// A row.
    bytes: usize,
    x: &'a [f32],
    cols: usize,
    out: &'a mut ColumnsMut<'b, f32>,
}

impl<'a> Task<'a, '_> {
    #[inline(always)]
    fn row<B: bytemuck::Pod>(&self, r: usize) -> &'a [B] {
        cast_slice(&self.rows[r * self.bytes..(r + 1) * self.bytes])
    }

    #[inline(always)]
    fn token(&self, t: usize) -> &'a [f32] {
        &self.x[t * self.cols..(t + 1) * self.cols]
    }

    /// `f(self, row, token)` for every block of up to two rows by one token or one row by up to four.
    #[inline(always)]
    fn put<const R: usize, const N: usize>(&mut self, row: usize, token: usize, sums: [[f32; N]; R]) {
        for (r, sums) in sums.iter().enumerate() {
            for (t, &sum) in sums.iter().enumerate() {
                self.out.row(token + t)[row + r] = sum;
            }
        }
    }
}

/// Products of block rows.
struct Blocks<'a, 'b, B> {
    task: Task<'a, 'b>,
    kind: std::marker::PhantomData<B>,
}

impl<'a, 'b, B: Block> Blocks<'a, 'b, B> {
    fn of(task: Task<'a, 'b>) -> Self {
        Blocks { task, kind: std::marker::PhantomData }
    }

    #[inline(always)]
    fn compute<V: Simd, const R: usize, const N: usize>(&mut self, row: usize, token: usize) {
        let mut rows = [&[] as &[B]; R];
        for r in 0..R {
            rows[r] = self.task.row(row + r);
        }
        let mut x = [&[] as &[[f32; GROUP]]; N];
        for t in 0..N {
            x[t] = self.task.token(token + t).as_chunks().0;
        }
        self.task.put(row, token, block_sums::<V, B, R, N>(rows, x));
    }
}

impl<B: Block> Operation for Blocks<'_, '_, B> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(mut self) {
        let (rows, tokens) = (self.task.out.columns(), self.task.out.rows());
        if tokens == 1 {
            for r in (0..rows / 2 * 2).step_by(2) {
                self.compute::<V, 2, 1>(r, 0);
            }
            if rows % 2 == 1 {
                self.compute::<V, 1, 1>(rows - 1, 0);
            }
            return;
        }
        for r in 0..rows {
            let mut t = 0;
            while t < tokens {
                match tokens - t {
                    1 => self.compute::<V, 1, 1>(r, t),
                    2 => self.compute::<V, 1, 2>(r, t),
                    3 => self.compute::<V, 1, 3>(r, t),
                    _ => self.compute::<V, 1, 4>(r, t),
                }
                t += 4;
            }
        }
    }
}

/// Partial sums of `R` rows and `N` tokens, a group's two vectors apart.
type Sums<F, const R: usize, const N: usize> = [[[F; 2]; N]; R];

#[inline(always)]
fn block_sums<V: Simd, B: Block, const R: usize, const N: usize>(
    rows: [&[B]; R],
    x: [&[[f32; GROUP]]; N],
) -> [[f32; N]; R] {
    let mut sums: Sums<V::Floats, R, N> = [[[V::Floats::splat(0.0); 2]; N]; R];
    let count = rows[0].len();
    for b in 0..count {
        for r in 0..R {
            for line in (0..size_of::<B>()).step_by(64) {
                V::prefetch(&rows[r][b..], AHEAD + line);
            }
        }
        let mut scales = [rows[0][b].scales::<V>(); R];
        let mut blocks = [&rows[0][b]; R];
        for r in 1..R {
            blocks[r] = &rows[r][b];
            scales[r] = blocks[r].scales::<V>();
        }
        let mut groups = [&[] as &[[f32; GROUP]]; N];
        for t in 0..N {
            groups[t] = &x[t][b * B::GROUPS..(b + 1) * B::GROUPS];
        }
        // Spelled out, so that `g` is known when this is compiled.
        add_group::<V, B, R, N>(&mut sums, blocks, &scales, groups, 0);
        if B::GROUPS == 8 {
            add_group::<V, B, R, N>(&mut sums, blocks, &scales, groups, 1);
            add_group::<V, B, R, N>(&mut sums, blocks, &scales, groups, 2);
            add_group::<V, B, R, N>(&mut sums, blocks, &scales, groups, 3);
            add_group::<V, B, R, N>(&mut sums, blocks, &scales, groups, 4);
            add_group::<V, B, R, N>(&mut sums, blocks, &scales, groups, 5);
            add_group::<V, B, R, N>(&mut sums, blocks, &scales, groups, 6);
            add_group::<V, B, R, N>(&mut sums, blocks, &scales, groups, 7);
        }
    }
    totals::<V, R, N>(sums)
}

#[inline(always)]
fn add_group<V: Simd, B: Block, const R: usize, const N: usize>(
    sums: &mut Sums<V::Floats, R, N>,
    blocks: [&B; R],
    scales: &[B::Scales; R],
    x: [&[[f32; GROUP]]; N],
    g: usize,
) {
    for r in 0..R {
        let weights = blocks[r].vectors::<V>(&scales[r], g);
        for t in 0..N {
            let x = halves(&x[t][g]);
            for i in 0..2 {
                sums[r][t][i] = weights[i].mul_add(V::Floats::load(x[i]), sums[r][t][i]);
            }
        }
    }
}

#[inline(always)]
fn totals<V: Simd, const R: usize, const N: usize>(sums: Sums<V::Floats, R, N>) -> [[f32; N]; R] {
    let mut out = [[0.0; N]; R];
    for r in 0..R {
        for t in 0..N {
            out[r][t] = sums[r][t][0].add(sums[r][t][1]).sum();
        }
    }
    out
}

/// Products of rows of plain floats.
struct Floats<'a, 'b, E> {
    task: Task<'a, 'b>,
    kind: std::marker::PhantomData<E>,
}

impl<'a, 'b, E: Element> Floats<'a, 'b, E> {
    fn of(task: Task<'a, 'b>) -> Self {
        Floats { task, kind: std::marker::PhantomData }
    }
}

impl<E: Element> Operation for Floats<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(mut self) {
        for r in 0..self.task.out.columns() {
            for t in 0..self.task.out.rows() {
                let sum = float_sum::<V, E>(self.task.row(r), self.task.token(t));
                self.task.put(r, t, [[sum]]);
            }
        }
    }
}

#[inline(always)]
fn float_sum<V: Simd, E: Element>(row: &[E], x: &[f32]) -> f32 {
    let (row, row_rest) = row.as_chunks::<GROUP>();
    let (x, x_rest) = x.as_chunks::<GROUP>();
    let mut sums = [[[V::Floats::splat(0.0); 2]; 1]; 1];
    for (row, x) in row.iter().zip(x) {
        let (row, x) = (halves(row), halves(x));
        for i in 0..2 {
            sums[0][0][i] = E::vector::<V>(row[i]).mul_add(V::Floats::load(x[i]), sums[0][0][i]);
        }
    }
    let mut rest = 0.0;
    for (element, &x) in row_rest.iter().zip(x_rest) {
        rest = V::mul_add(element.value(), x, rest);
    }
    totals::<V, 1, 1>(sums)[0][0] + rest
}
