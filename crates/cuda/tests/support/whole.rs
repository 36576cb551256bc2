//! Tokens held whole: keys and values as they are, on the host and on the device.

use fourier_kv_cuda::attention::{Heads, TokensView};
use fourier_kv_cuda::{Buffer, Device};
use half::bf16;

use super::Numbers;

/// Tokens held whole, on the host.
pub(crate) struct Whole {
    pub(crate) keys: Vec<bf16>,
    pub(crate) values: Vec<bf16>,
    pub(crate) count: usize,
    pub(crate) capacity: usize,
}

impl Whole {
    pub(crate) fn random(numbers: &mut Numbers, heads: Heads, count: usize) -> Self {
        let capacity = count + numbers.below(3);
        let mut rows = || {
            let mut rows = numbers.bf16(heads.kv_heads * capacity * heads.head_dim, 1.0);
            // Beyond the tokens there are, nothing may be read as a number.
            for (i, x) in rows.iter_mut().enumerate() {
                if i / heads.head_dim % capacity.max(1) >= count {
                    *x = bf16::NAN;
                }
            }
            rows
        };
        Whole { keys: rows(), values: rows(), count, capacity }
    }

    pub(crate) fn row(&self, rows: &[bf16], heads: Heads, g: usize, t: usize, d: usize) -> f64 {
        rows[(g * self.capacity + t) * heads.head_dim + d].to_f64()
    }

    pub(crate) fn scores(&self, heads: Heads, g: usize, q: &[f32]) -> Vec<f64> {
        let term = |t: usize, d: usize| f64::from(q[d]) * self.row(&self.keys, heads, g, t, d);
        let dot = |t: usize| (0..heads.head_dim).map(|d| term(t, d)).sum::<f64>();
        (0..self.count).map(|t| dot(t) / (heads.head_dim as f64).sqrt()).collect()
    }
}

/// Tokens held whole, on the device.
pub(crate) struct Uploaded {
    _rows: Vec<[Buffer<bf16>; 2]>,
    pub(crate) host: Vec<TokensView>,
    pub(crate) views: Buffer<TokensView>,
}

pub(crate) fn upload(device: &Device, all: &[Whole]) -> Uploaded {
    let rows: Vec<_> =
        all.iter().map(|w| [device.upload(&w.keys).unwrap(), device.upload(&w.values).unwrap()]).collect();
    let view = |(w, [keys, values]): (&Whole, &[Buffer<bf16>; 2])| TokensView {
        keys: keys.address(),
        values: values.address(),
        count: w.count as u32,
        capacity: w.capacity as u32,
    };
    let views: Vec<_> = all.iter().zip(&rows).map(view).collect();
    Uploaded { views: device.upload(&views).unwrap(), host: views, _rows: rows }
}
