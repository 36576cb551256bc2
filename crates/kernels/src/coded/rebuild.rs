//! From coefficients back to channels: the plain way, for everything that attends to many tokens at once.

use crate::isa::{Isa, Operation};
use crate::simd::{Lanes, Simd, WIDTH};

/// Channels whose sums are held at once.
const RUN: usize = 8;

/// What the coefficients of a tile mean.
#[derive(Clone, Copy, Debug)]
pub struct Tile<'a> {
    /// `[R][n]`.
    pub directions: &'a [f32],
    /// `[n]`, added to every token.
    pub mean: &'a [f32],
    /// `[B]` lists of the directions that have coefficients at a harmonic.
    pub present: &'a [Vec<u16>],
    /// Orthonormal DCT-II, `[B harmonics][B tokens]`.
    pub cosines: &'a [f32],
}

/// Channels, `[n][B][16]`, of the coefficients of the tile's lists, harmonic by harmonic.
///
/// `n` products a coefficient, and `n B B / 2` for time.
///
/// # Panics
/// If lengths do not fit.
pub fn rebuild(isa: Isa, tile: Tile<'_>, coefficients: &[[f32; WIDTH]], out: &mut [[f32; WIDTH]]) {
    let (n, block) = (tile.mean.len(), tile.present.len());
    assert!(n > 0 && tile.directions.len().is_multiple_of(n), "directions of {n} channels");
    assert_eq!(coefficients.len(), tile.present.iter().map(Vec::len).sum::<usize>(), "coefficients");
    assert!(tile.cosines.len() == block * block && out.len() == n * block, "{n} channels of {block} tokens");
    isa.run(Rebuild { tile, coefficients, out });
}

struct Rebuild<'a> {
    tile: Tile<'a>,
    coefficients: &'a [[f32; WIDTH]],
    out: &'a mut [[f32; WIDTH]],
}

impl Operation for Rebuild<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Rebuild { tile, coefficients, out } = self;
        let (n, block) = (tile.mean.len(), tile.present.len());
        let mut rest = coefficients;
        for (f, present) in tile.present.iter().enumerate() {
            let (coefficients, later) = rest.split_at(present.len());
            rest = later;
            // A constant is all in the first harmonic, `sqrt(B)` times as large.
            let share = if f == 0 { (block as f32).sqrt() } else { 0.0 };
            for from in (0..n).step_by(RUN) {
                let sums = channels::<V>(&tile, present, coefficients, from, share);
                for (i, sum) in sums.iter().enumerate().take(n - from) {
                    sum.store(&mut out[(from + i) * block + f]);
                }
            }
        }
        for channel in out.as_chunks_mut::<1>().0.chunks_exact_mut(block) {
            to_tokens::<V, 1>(tile.cosines, channel, 0);
        }
    }
}

/// One harmonic of the channels from `from` on.
#[inline(always)]
fn channels<V: Simd>(
    tile: &Tile<'_>,
    present: &[u16],
    coefficients: &[[f32; WIDTH]],
    from: usize,
    share: f32,
) -> [V::Floats; RUN] {
    let n = tile.mean.len();
    let mut sums = [V::Floats::splat(0.0); RUN];
    for (sum, mean) in sums.iter_mut().zip(&tile.mean[from..]) {
        *sum = V::Floats::splat(share * mean);
    }
    for (&row, x) in present.iter().zip(coefficients) {
        let direction = &tile.directions[usize::from(row) * n + from..(usize::from(row) + 1) * n];
        add_all::<V>(V::Floats::load(x), &run_of(direction), &mut sums);
    }
    sums
}

/// Harmonics of channel `i` of `C`, `[B][C][16]`, to tokens, in place. Cosines of even harmonics are the same from both ends
/// of a block, those of odd ones the other way round: half of the products do.
#[inline(always)]
pub(super) fn to_tokens<V: Simd, const C: usize>(cosines: &[f32], channels: &mut [[[f32; WIDTH]; C]], i: usize) {
    const MOST: usize = 64;
    let block = channels.len();
    assert!(block <= MOST, "at most {MOST} tokens a block");
    if block == 1 {
        return;
    }
    if let (Ok(channels), Some(cosines)) = (<&mut [_; 16]>::try_from(&mut *channels), cosines.first_chunk()) {
        return sixteen_to_tokens::<V, C>(cosines, channels, i);
    }
    let mut tokens = [[0.0; WIDTH]; MOST];
    for from in (0..block / 2).step_by(RUN) {
        let mut even = [V::Floats::splat(0.0); RUN];
        let mut odd = even;
        for (pair, cosines) in channels.chunks_exact(2).zip(cosines.chunks_exact(2 * block)) {
            let (x, y) = (V::Floats::load(&pair[0][i]), V::Floats::load(&pair[1][i]));
            add_all::<V>(x, &run_of(&cosines[from..block]), &mut even);
            add_all::<V>(y, &run_of(&cosines[block + from..]), &mut odd);
        }
        for t in 0..RUN.min(block / 2 - from) {
            even[t].add(odd[t]).store(&mut tokens[from + t]);
            even[t].sub(odd[t]).store(&mut tokens[block - 1 - from - t]);
        }
    }
    channels.iter_mut().zip(&tokens).for_each(|(channels, token)| channels[i] = *token);
}

/// The same of sixteen tokens, where what holds for odd and even harmonics is used again and again: 86 products instead of
/// 128.
#[inline(always)]
fn sixteen_to_tokens<V: Simd, const C: usize>(cosines: &[f32; 256], channels: &mut [[[f32; WIDTH]; C]; 16], i: usize) {
    // Harmonics whose number is an odd multiple of a step, at half as many tokens as the step before has.
    let constant = V::Floats::load(&channels[0][i]).mul(V::Floats::splat(cosines[0]));
    let [more] = products::<V, C, 1, 8>(cosines, channels, i);
    let two = [constant.add(more), constant.sub(more)];
    let more = products::<V, C, 2, 4>(cosines, channels, i);
    let four = [two[0].add(more[0]), two[1].add(more[1]), two[1].sub(more[1]), two[0].sub(more[0])];
    let more = products::<V, C, 4, 2>(cosines, channels, i);
    let mut eight = [constant; 8];
    for t in 0..4 {
        (eight[t], eight[7 - t]) = (four[t].add(more[t]), four[t].sub(more[t]));
    }
    let more = products::<V, C, 8, 1>(cosines, channels, i);
    for t in 0..8 {
        eight[t].add(more[t]).store(&mut channels[t][i]);
        eight[t].sub(more[t]).store(&mut channels[15 - t][i]);
    }
}

/// What `N` harmonics, the odd multiples of `STEP`, give at the first `N` tokens.
#[inline(always)]
fn products<V: Simd, const C: usize, const N: usize, const STEP: usize>(
    cosines: &[f32; 256],
    channels: &[[[f32; WIDTH]; C]; 16],
    i: usize,
) -> [V::Floats; N] {
    let mut sums = [V::Floats::splat(0.0); N];
    for harmonic in 0..N {
        let f = (2 * harmonic + 1) * STEP;
        let x = V::Floats::load(&channels[f][i]);
        for t in 0..N {
            sums[t] = x.mul_add(V::Floats::splat(cosines[16 * f + t]), sums[t]);
        }
    }
    sums
}

/// The first numbers of a run, with zeros after a short one: a fixed count keeps sums in registers.
#[inline(always)]
fn run_of(x: &[f32]) -> [f32; RUN] {
    match x.first_chunk() {
        Some(run) => *run,
        None => std::array::from_fn(|i| x.get(i).copied().unwrap_or(0.0)),
    }
}

/// `sums[i] += x c[i]`.
#[inline(always)]
fn add_all<V: Simd>(x: V::Floats, c: &[f32; RUN], sums: &mut [V::Floats; RUN]) {
    for i in 0..RUN {
        sums[i] = x.mul_add(V::Floats::splat(c[i]), sums[i]);
    }
}
