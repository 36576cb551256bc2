//! What a plan says, in figures: how much of a model it makes spectral, or how it shares out a rate.

use std::fmt;

use fourier_kv_engine::cache::fourier::Band;
use fourier_kv_engine::cache::plan::{HeadPlan, Plan};
use fourier_kv_engine::cache::spectral::Shares;
use serde::Serialize;

/// What a plan says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PlanContent {
    /// For `fourier`.
    Spectral(PlanShares),
    /// For `spectral`: bits of a key's number and of a value's, `[L]`, at a mean of 2.
    Bits(Vec<[f64; 2]>),
}

impl PlanContent {
    /// Of a plan that has been checked.
    pub(crate) fn of(plan: &Plan) -> Self {
        let two = |shares: &Shares| {
            let nearest = |a: &f64, b: &f64| (a - 2.0).abs().total_cmp(&(b - 2.0).abs());
            let at = (0..shares.rates.len()).min_by(|&a, &b| nearest(&shares.rates[a], &shares.rates[b]))?;
            shares.bits.get(at).cloned()
        };
        match &plan.shares {
            None => PlanContent::Spectral(PlanShares::of(plan)),
            Some(shares) => PlanContent::Bits(two(shares).unwrap_or_default()),
        }
    }
}

impl fmt::Display for PlanContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanContent::Spectral(PlanShares { keys, values, .. }) => {
                let (keys, values) = (100.0 * keys, 100.0 * values);
                write!(f, "spectral: {keys:.1} % of the key dims, {values:.1} % of the value dims")
            }
            PlanContent::Bits(layers) => {
                let mean = |side: usize| layers.iter().map(|b| b[side]).sum::<f64>() / layers.len().max(1) as f64;
                write!(f, "of 2 bits a number, keys get {:.2} and values {:.2}", mean(0), mean(1))
            }
        }
    }
}

/// Shares of the head dims that are spectral, 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PlanShares {
    /// Of all key dims.
    pub(crate) keys: f64,
    /// Of all value dims.
    pub(crate) values: f64,
    /// The same by layer.
    pub(crate) layers: Vec<LayerShares>,
}

/// Spectral head dims of one layer, over all its key/value heads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct LayerShares {
    /// The layer.
    pub(crate) layer: usize,
    /// Key dims that are spectral.
    pub(crate) key_dims: usize,
    /// Value dims that are spectral.
    pub(crate) value_dims: usize,
    /// Share of the key dims, 0 to 1.
    pub(crate) keys: f64,
    /// Share of the value dims, 0 to 1.
    pub(crate) values: f64,
}

impl PlanShares {
    /// Counts them.
    pub(crate) fn of(plan: &Plan) -> Self {
        // Keys in the carrier band are listed by rotary pairs.
        let dims_a_key = if plan.band == Band::Carrier { 2 } else { 1 };
        let dims = plan.model.kv_heads * plan.model.head_dim;
        let layers = plan.heads.iter().enumerate().map(|(layer, heads)| layer_shares(layer, heads, dims_a_key, dims));
        let layers: Vec<LayerShares> = layers.collect();
        let mean = |count: fn(&LayerShares) -> usize| {
            layers.iter().map(count).sum::<usize>() as f64 / (dims * layers.len()).max(1) as f64
        };
        PlanShares { keys: mean(|l| l.key_dims), values: mean(|l| l.value_dims), layers }
    }
}

fn layer_shares(layer: usize, heads: &[HeadPlan], dims_a_key: usize, dims: usize) -> LayerShares {
    let key_dims = heads.iter().map(|head| head.keys.len() * dims_a_key).sum();
    let value_dims = heads.iter().map(|head| head.values.len()).sum();
    let share = |count: usize| count as f64 / dims.max(1) as f64;
    LayerShares { layer, key_dims, value_dims, keys: share(key_dims), values: share(value_dims) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fourier_kv_engine::cache::plan::{PlanModel, PlanOrigin};

    fn plan(band: Band) -> Plan {
        let head = |keys: &[u16], values: &[u16]| HeadPlan { keys: keys.to_vec(), values: values.to_vec() };
        let text = String::new;
        Plan {
            model: PlanModel { name: text(), fingerprint: text(), layers: 2, kv_heads: 2, head_dim: 4 },
            band,
            origin: PlanOrigin { tokens: 0, sequences: 0, text_sha256: text(), harmonics: 1, rank: text() },
            heads: vec![vec![head(&[0], &[1, 2]), head(&[], &[0, 1])], vec![head(&[1], &[]), head(&[0, 1], &[])]],
            shares: None,
            codes: None,
        }
    }

    #[test]
    fn pairs_count_as_two_dims() {
        let pairs = PlanShares::of(&plan(Band::Carrier));
        assert_eq!((pairs.keys, pairs.values), (8.0 / 16.0, 4.0 / 16.0));
        let first = LayerShares { layer: 0, key_dims: 2, value_dims: 4, keys: 0.25, values: 0.5 };
        assert_eq!(pairs.layers[0], first);
        let dims = PlanShares::of(&plan(Band::Base));
        assert_eq!((dims.keys, dims.values), (4.0 / 16.0, 4.0 / 16.0));
    }
}
