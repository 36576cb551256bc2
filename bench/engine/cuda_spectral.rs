//! The `spectral` part of `cuda_attention`: codes are random words, so every coefficient takes values of its levels.

use fourier_kv_cuda::attention::spectral::{
    CodedView, Codes, SUPERBLOCK, SpectralAttention, SpectralPast, SpectralSizes, SpectralTables,
};
use fourier_kv_cuda::{Buffer, CudaError, Device, Random};
use fourier_kv_spectral::trellis::LANES;

use super::support::coded::Coded;
use super::support::{Numbers, distance, softmax_sum};
use super::{GRAPH_BYTES, HEADS, Measured, WHOLE, Whole, dots, poisoned, random_queries, replay};

const SIZES: SpectralSizes = SpectralSizes { heads: HEADS, value_heads: 2 };

/// Bits of a coefficient, 2 on average: fewer for higher harmonics, as rates by variance come out.
fn bits(_: &mut Numbers, place: usize) -> u8 {
    [6, 5, 4, 4, 3, 3, 2, 2, 1, 1, 1, 0, 0, 0, 0, 0][place / 32 % 16]
}

/// One layer's codes of a batch.
struct Layer {
    codes: Vec<Codes>,
    /// The codes of the last sequence as a cache holds them.
    words: Vec<u32>,
    views: Buffer<CodedView>,
    whole: Whole,
}

fn layer(
    device: &Device,
    (attention, tables): (&SpectralAttention, &SpectralTables),
    random: &mut Random,
    numbers: &mut Numbers,
    (tokens, batch): (usize, usize),
) -> Result<Layer, CudaError> {
    let (room, superblocks) = (tables.words().iter().sum(), tokens.div_ceil(SUPERBLOCK));
    let mut words = Vec::new();
    let mut codes = || {
        words = (0..superblocks * room * LANES).map(|_| numbers.bits() as u32).collect();
        let arranged = attention.arrange(device, tables, (&device.upload(&words)?, room), superblocks)?;
        Ok(Codes { words: arranged, count: tokens, first: 4 })
    };
    let codes = (0..batch).map(|_| codes()).collect::<Result<Vec<_>, CudaError>>()?;
    let views = codes.iter().map(|codes| tables.view(codes)).collect::<Result<Vec<_>, _>>()?;
    Ok(Layer { views: device.upload(&views)?, whole: Whole::random(device, random, WHOLE, batch)?, codes, words })
}

/// Times a layer, and compares a row of the last with `f64`.
pub(super) fn measure(
    device: &Device,
    random: &mut Random,
    context: usize,
    batch: usize,
) -> Result<Measured, CudaError> {
    let tokens = context - WHOLE;
    let mut numbers = Numbers(11);
    let coded = Coded::random(&mut numbers, SIZES, bits);
    let [keys, values] = &coded.sides;
    let tables = SpectralTables::new(device, &SIZES, keys.view(), values.view(), coded.back())?;
    let attention = SpectralAttention::new(device, SIZES, &coded.frequencies)?;
    let whole = 2 * 2 * HEADS.kv_heads * WHOLE * HEADS.head_dim;
    let bytes = batch * (tokens / SUPERBLOCK * tables.stride() * 4 + whole);
    let layers = (GRAPH_BYTES / bytes).clamp(4, 32);
    let all = (0..layers)
        .map(|_| layer(device, (&attention, &tables), random, &mut numbers, (tokens, batch)))
        .collect::<Result<Vec<_>, _>>()?;
    let q = random_queries(device, random, batch)?;
    let mut work = attention.work(device, batch, tokens, WHOLE)?;
    let mut out = poisoned(device, batch)?;
    let times = replay(device, layers, || {
        all.iter().try_for_each(|layer| {
            let past = SpectralPast { queries: &q, coded: &layer.views, whole: &layer.whole.views };
            attention.attend(device, past, &mut work, &mut out)
        })
    })?;
    let row = (batch - 1) * HEADS.heads + 17;
    let row = row * HEADS.head_dim..(row + 1) * HEADS.head_dim;
    let (q, out) = (q.read_range(row.clone())?, out.read_range(row)?);
    let expected = expected(&coded, &tables, &all[layers - 1], batch - 1, &q)?;
    Ok(Measured { kernel: "", target: 0.0, times, bytes, error: distance(&out, &expected) })
}

/// Row 17 of sequence `b` in `f64`, every token rebuilt.
fn expected(coded: &Coded, tables: &SpectralTables, layer: &Layer, b: usize, q: &[f32]) -> Result<Vec<f64>, CudaError> {
    let (g, codes) = (17 / HEADS.group(), &layer.codes[b]);
    let [key_words, value_words] = tables.words();
    let (mut k, mut v) = (vec![], vec![]);
    for superblock in 0..codes.count / SUPERBLOCK {
        let own = &layer.words[superblock * (key_words + value_words) * LANES..];
        k.extend(coded.keys(&own[..key_words * LANES], g, codes.first + superblock * SUPERBLOCK));
        v.extend(coded.values(&own[key_words * LANES..][..value_words * LANES], g));
    }
    k.extend(layer.whole.head(0, b, g)?);
    v.extend(layer.whole.head(1, b, g)?);
    Ok(softmax_sum(&dots(q, &k), HEADS.head_dim, |t, d| v[t * HEADS.head_dim + d]))
}
