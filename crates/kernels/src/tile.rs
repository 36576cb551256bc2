//! The heart of every dense product: a tile of sums that stays in registers.
//!
//! `sums[n][..] += a[n][k] b[k][..]` over all `k`: for each `k` a vector or two of `b` are loaded, `N` numbers of `a` are
//! broadcast, and `N R` vectors are multiplied and added. With `N = 8` and two vectors there are ten loads to sixteen
//! fused products, so that the products bind.

use crate::number::Number;
use crate::simd::{Lanes, Simd, WIDTH};

/// Columns of `b` that lie together: two vectors.
pub const COLUMNS: usize = 2 * WIDTH;
/// Rows of `a` a tile.
pub const ROWS: usize = 8;

/// The broadcast side of a product: element `(n, k)` is `data[n * row_stride + k * inner_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct Broadcast<'a, T> {
    /// The numbers.
    pub data: &'a [T],
    /// From row to row.
    pub row_stride: usize,
    /// From one inner index to the next.
    pub inner_stride: usize,
}

impl<'a, T> Broadcast<'a, T> {
    /// The same from row `n` on.
    #[inline(always)]
    pub fn from_row(self, n: usize) -> Self {
        Broadcast { data: &self.data[n * self.row_stride..], ..self }
    }
}

/// `sums[n] += sum_k a[n][k] b[k]` for the first `rows <= 8` rows of `a` and as many inner indices as `b` has rows.
///
/// # Panics
/// If `a` is shorter than that.
#[inline(always)]
pub fn add_product<V: Simd, T: Number>(
    a: Broadcast<'_, T>,
    b: &[[T; COLUMNS]],
    rows: usize,
    sums: &mut [[T; COLUMNS]],
) {
    // As many sums as there are registers for, besides those for two vectors of `b` and one of `a`.
    if V::REGISTERS == 32 && rows == ROWS {
        return whole::<V, T, ROWS>(a, b, sums);
    }
    let mut n = 0;
    while n + 4 <= rows {
        halves::<V, T, 4>(a.from_row(n), b, &mut sums[n..]);
        n += 4;
    }
    while n < rows {
        halves::<V, T, 1>(a.from_row(n), b, &mut sums[n..]);
        n += 1;
    }
}

#[inline(always)]
fn whole<V: Simd, T: Number, const N: usize>(a: Broadcast<'_, T>, b: &[[T; COLUMNS]], sums: &mut [[T; COLUMNS]]) {
    part::<V, T, N, 2>(a, b, 0, sums);
}

#[inline(always)]
fn halves<V: Simd, T: Number, const N: usize>(a: Broadcast<'_, T>, b: &[[T; COLUMNS]], sums: &mut [[T; COLUMNS]]) {
    part::<V, T, N, 1>(a, b, 0, sums);
    part::<V, T, N, 1>(a, b, WIDTH, sums);
}

/// `N` rows by `R` vectors of columns from column `first` on.
#[inline(always)]
fn part<V: Simd, T: Number, const N: usize, const R: usize>(
    a: Broadcast<'_, T>,
    b: &[[T; COLUMNS]],
    first: usize,
    sums: &mut [[T; COLUMNS]],
) {
    let last = (N - 1) * a.row_stride + b.len().saturating_sub(1) * a.inner_stride;
    assert!(b.is_empty() || last < a.data.len(), "{} numbers for {N} rows of {}", a.data.len(), b.len());
    let sums: &mut [[T; COLUMNS]; N] = sums.first_chunk_mut().expect("sums for all rows");
    let mut held = [[T::Lanes::<V>::splat(T::zero()); R]; N];
    for n in 0..N {
        for r in 0..R {
            held[n][r] = T::Lanes::<V>::load(vector(&sums[n], first + r * WIDTH));
        }
    }
    for (k, b) in b.iter().enumerate() {
        for n in 0..N {
            // SAFETY: not beyond `last`, which was checked.
            let a = unsafe { *a.data.get_unchecked(n * a.row_stride + k * a.inner_stride) };
            let a = T::Lanes::<V>::splat(a);
            for r in 0..R {
                held[n][r] = a.mul_add(T::Lanes::<V>::load(vector(b, first + r * WIDTH)), held[n][r]);
            }
        }
    }
    for n in 0..N {
        for r in 0..R {
            held[n][r].store(vector_mut(&mut sums[n], first + r * WIDTH));
        }
    }
}

/// One of the two vectors of a row.
#[inline(always)]
pub fn vector<T>(row: &[T; COLUMNS], first: usize) -> &[T; WIDTH] {
    row[first..].first_chunk().expect("a vector of the row")
}

/// The same, to be written.
#[inline(always)]
pub fn vector_mut<T>(row: &mut [T; COLUMNS], first: usize) -> &mut [T; WIDTH] {
    row[first..].first_chunk_mut().expect("a vector of the row")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Isa, Operation};

    struct Case<'a, T> {
        a: Broadcast<'a, T>,
        b: &'a [[T; COLUMNS]],
        rows: usize,
        sums: &'a mut [[T; COLUMNS]],
    }

    impl<T: Number> Operation for Case<'_, T> {
        type Output = ();
        #[inline(always)]
        fn run<V: Simd>(self) {
            add_product::<V, T>(self.a, self.b, self.rows, self.sums);
        }
    }

    fn agrees<T: Number>(tolerance: f64) {
        for (inner, rows) in (0..20).flat_map(|inner| (0..=ROWS).map(move |rows| (inner, rows))) {
            let number = |i: usize| T::of((i as f64 * 0.77).sin());
            let a: Vec<T> = (0..(inner + 1) * ROWS).map(number).collect();
            let b: Vec<[T; COLUMNS]> = (0..inner).map(|k| std::array::from_fn(|c| number(1000 + k * 37 + c))).collect();
            for (row_stride, inner_stride) in [(inner, 1), (1, ROWS)] {
                let view = Broadcast { data: &a, row_stride, inner_stride };
                for isa in Isa::available() {
                    let mut sums = vec![[T::one(); COLUMNS]; ROWS];
                    isa.run(Case { a: view, b: &b, rows, sums: &mut sums });
                    for (n, sums) in sums.iter().enumerate() {
                        for (c, sum) in sums.iter().enumerate() {
                            let product = |k: usize| a[n * row_stride + k * inner_stride].wide() * b[k][c].wide();
                            let exact = 1.0 + if n < rows { (0..inner).map(product).sum() } else { 0.0 };
                            assert!((sum.wide() - exact).abs() <= tolerance, "{isa} {inner} {rows}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn products_equal_the_definition() {
        agrees::<f32>(4e-6);
        agrees::<f64>(1e-14);
    }
}
