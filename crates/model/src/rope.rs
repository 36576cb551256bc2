//! Rotary frequencies.

use std::f64::consts::TAU;

use crate::config::{ModelConfig, RopeConfig, RopeScaling, require};
use crate::error::ConfigError;

impl ModelConfig {
    /// The D/2 angular frequencies of the rotary pairs in radians a token, scaling included.
    ///
    /// Frequencies are those of Su et al., "RoFormer" (arXiv:2104.09864, section 3.2.2); linear
    /// scaling is position interpolation (Chen et al., arXiv:2306.15595); the `llama3` kind is the
    /// rule that came with Llama 3.1 (`apply_scaling` in Meta's llama-models repository,
    /// `models/llama3/model.py`).
    pub fn rope_frequencies(&self) -> Vec<f64> {
        let pairs = self.head_dim / 2;
        let plain = |i: usize| self.rope.theta.powf(-2.0 * i as f64 / self.head_dim as f64);
        (0..pairs).map(|i| scaled(&self.rope.scaling, i, plain(i))).collect()
    }
}

fn scaled(scaling: &RopeScaling, pair: usize, frequency: f64) -> f64 {
    match *scaling {
        RopeScaling::None => frequency,
        RopeScaling::Linear { factor } => frequency / factor,
        RopeScaling::FrequencyFactors { ref factors } => frequency / f64::from(factors[pair]),
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
            // how often the pair turns within the original context
            let turns = frequency * original_context as f64 / TAU;
            if turns > high_freq_factor {
                return frequency;
            }
            if turns < low_freq_factor {
                return frequency / factor;
            }
            let kept = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
            frequency * (kept + (1.0 - kept) / factor)
        }
    }
}

impl RopeConfig {
    pub(crate) fn validate(&self, head_dim: usize) -> Result<(), ConfigError> {
        positive("rope.theta", self.theta)?;
        match &self.scaling {
            RopeScaling::None => Ok(()),
            RopeScaling::Linear { factor } => positive("rope.scaling.factor", *factor),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
                positive("rope.scaling.factor", *factor)?;
                positive("rope.scaling.low_freq_factor", *low_freq_factor)?;
                positive("rope.scaling.high_freq_factor", *high_freq_factor)?;
                let ordered = low_freq_factor < high_freq_factor;
                require("rope.scaling.low_freq_factor", low_freq_factor, ordered, || {
                    format!("less than high_freq_factor, {high_freq_factor}")
                })?;
                let key = "rope.scaling.original_context";
                require(key, original_context, *original_context > 0, || "1 or more".to_owned())
            }
            RopeScaling::FrequencyFactors { factors } => {
                let (key, found) = ("rope frequency factors", factors.len());
                let expected = head_dim / 2;
                require(key, found, found == expected, || format!("{expected} of them"))?;
                let mut factors = factors.iter();
                factors.try_for_each(|&f| positive("rope frequency factor", f64::from(f)))
            }
        }
    }
}

fn positive(key: &str, value: f64) -> Result<(), ConfigError> {
    let holds = value.is_finite() && value > 0.0;
    require(key, value, holds, || "a finite number above 0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_scaling_gives_the_frequencies_of_llama_3_1() {
        // of the 64 pairs of Llama 3.1 8B (theta 500000), those on both sides of either border; the
        // values come from a Python script that states the rule in wavelengths
        let scaling =
            RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_context: 8192 };
        let expected = [
            (0, 1.0),
            (20, 0.016560440080994446),
            (28, 0.0032114459947525913),
            (29, 0.002166570763503359),
            (30, 0.0013718935677611381),
            (33, 0.00031269375038406517),
            (36, 7.78465527393245e-05),
            (63, 3.068925988914511e-07),
        ];
        for (pair, value) in expected {
            let plain = 5e5f64.powf(-2.0 * pair as f64 / 128.0);
            let found = scaled(&scaling, pair, plain);
            assert!((found / value - 1.0).abs() < 1e-12, "pair {pair}: {found}, not {value}");
        }
    }

    #[test]
    fn other_scalings_divide() {
        assert_eq!(scaled(&RopeScaling::None, 3, 0.5), 0.5);
        assert_eq!(scaled(&RopeScaling::Linear { factor: 4.0 }, 3, 0.5), 0.125);
        let factors = RopeScaling::FrequencyFactors { factors: vec![1.0, 2.0] };
        assert_eq!(scaled(&factors, 1, 0.5), 0.25);
    }
}
