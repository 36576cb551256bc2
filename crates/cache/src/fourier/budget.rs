//! How many dims of each layer become spectral: the paper's budget.

/// Shares of spectral dims in one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// Share of the key dims, 0 to 1.
    pub keys: f64,
    /// Share of the value dims, 0 to 1.
    pub values: f64,
}

/// The shares of a layer (FourierAttention, arXiv 2506.11886, section 4): the first 4 layers 90 % of K and 95 % of V,
/// the last 8 (of 28 or 32 in the paper) 50 % and 70 %, the others 80 % and 80 %.
///
/// Smaller models keep the proportion: no more than a quarter of the layers are first ones, a third last ones.
pub fn shares(layer: usize, layers: usize) -> Shares {
    let (first, last) = (4.min(layers / 4), 8.min(layers / 3));
    match layer {
        l if l < first => Shares { keys: 0.90, values: 0.95 },
        l if l + last >= layers => Shares { keys: 0.50, values: 0.70 },
        _ => Shares { keys: 0.80, values: 0.80 },
    }
}

impl Shares {
    /// More spectral dims (`push` above 0, all of them at 1) or fewer (below 0, none at -1): every layer is moved by the
    /// same part of the way.
    pub fn pushed(self, push: f64) -> Self {
        let moved = |share: f64| if push > 0.0 { share + (1.0 - share) * push } else { share * (1.0 + push) };
        Shares { keys: moved(self.keys), values: moved(self.values) }
    }
}

/// How many of `tracks` a share is, to the nearest.
pub fn count(share: f64, tracks: usize) -> usize {
    (share * tracks as f64).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_models_get_the_papers_share() {
        for layers in [28, 30, 32] {
            let all: f64 = (0..layers).map(|l| shares(l, layers)).map(|s| (s.keys + s.values) / 2.0).sum();
            let mean = all / layers as f64;
            assert!((0.745..0.775).contains(&mean), "{layers} layers: {mean}");
        }
    }
}
