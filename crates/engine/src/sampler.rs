//! Choosing the next token from its logits.

/// How tokens are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampling {
    /// The most probable one; of equals, that with the lower id.
    Greedy,
    /// At random. First only the `top_k` most probable are kept (0: all), then, of those and at this temperature, the
    /// most probable whose probabilities add up to `top_p`, of these those at least `min_p` times as probable as the first.
    Random {
        /// What logits are divided by, above 0.
        temperature: f32,
        /// Tokens kept, 0 for all.
        top_k: usize,
        /// Probability kept, above 0 and up to 1.
        top_p: f32,
        /// Share of the first one's probability, from 0 (all) up to 1.
        min_p: f32,
        /// Seed: the same seed and logits give the same tokens.
        seed: u64,
    },
}

/// Sampling that makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplerError {
    /// A setting is out of range.
    #[error("expected {what} {expected}, got {got}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// Its range.
        expected: &'static str,
        /// What came.
        got: f32,
    },
    /// There is no token with a finite logit.
    #[error("expected at least one finite logit, got none: the model's weights or the cache are damaged")]
    NoLogits,
}

/// Chooses tokens; keeps the state of its random numbers.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    state: u64,
    candidates: Vec<(u32, f32)>,
}

impl Sampler {
    /// A sampler.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(sampling: Sampling) -> Result<Self, SamplerError> {
        let mut state = 0;
        if let Sampling::Random { temperature, top_p, min_p, seed, .. } = sampling {
            state = seed;
            if !(temperature > 0.0 && temperature.is_finite()) {
                let expected = "above 0 (greedy choice is a setting of its own)";
                return Err(SamplerError::Setting { what: "a temperature", expected, got: temperature });
            }
            if !(top_p > 0.0 && top_p <= 1.0) {
                return Err(SamplerError::Setting { what: "top-p", expected: "above 0 and up to 1", got: top_p });
            }
            if !(0.0..=1.0).contains(&min_p) {
                return Err(SamplerError::Setting { what: "min-p", expected: "from 0 to 1", got: min_p });
            }
        }
        Ok(Sampler { sampling, state, candidates: Vec::new() })
    }

    /// The next token.
    ///
    /// # Errors
    /// If no logit is a finite number.
    pub fn choose(&mut self, logits: &[f32]) -> Result<u32, SamplerError> {
        match self.sampling {
            Sampling::Greedy => greedy(logits),
            Sampling::Random { temperature, top_k, top_p, min_p, .. } => {
                self.weigh(logits, temperature)?;
                self.keep_largest(top_k);
                self.keep_probable(top_p, min_p);
                Ok(self.draw())
            }
        }
    }

    /// The tokens with finite logits, each with its probability's multiple of the largest one's.
    fn weigh(&mut self, logits: &[f32], temperature: f32) -> Result<(), SamplerError> {
        self.candidates.clear();
        self.candidates.extend((0u32..).zip(logits.iter().copied()).filter(|(_, x)| x.is_finite()));
        let best = self.candidates.iter().map(|(_, x)| *x).reduce(f32::max).ok_or(SamplerError::NoLogits)?;
        for (_, x) in &mut self.candidates {
            *x = ((*x - best) / temperature).exp();
        }
        Ok(())
    }

    /// The `top_k` most probable.
    fn keep_largest(&mut self, top_k: usize) {
        if top_k > 0 && top_k < self.candidates.len() {
            self.candidates.select_nth_unstable_by(top_k - 1, falling);
            self.candidates.truncate(top_k);
        }
    }

    /// Those at least `min_p` times as probable as the first, of the shortest run of candidates whose weights add up to
    /// `top_p` of all.
    fn keep_probable(&mut self, top_p: f32, min_p: f32) {
        if top_p >= 1.0 {
            return self.candidates.retain(|&(_, w)| w >= min_p);
        }
        let total: f32 = self.candidates.iter().map(|(_, w)| w).sum();
        // Candidates as light as this can together not be missed; without them there is little to sort.
        let light = (1.0 - top_p) * total / self.candidates.len() as f32 * 0.5;
        self.candidates.retain(|&(_, w)| w >= light.max(min_p));
        self.candidates.sort_unstable_by(falling);
        let mut sum = 0.0;
        let enough = self.candidates.iter().position(|(_, w)| {
            sum += w;
            sum >= top_p * total
        });
        self.candidates.truncate(enough.map_or(self.candidates.len(), |i| i + 1));
    }

    /// One of the candidates, the heaviest asked first: nearly always it is one of them, and the others need no order.
    fn draw(&mut self) -> u32 {
        let total: f32 = self.candidates.iter().map(|(_, w)| w).sum();
        let mut left = self.uniform() * total;
        let (mut rest, mut least, mut last) = (self.candidates.as_mut_slice(), 1.0, 0);
        while !rest.is_empty() {
            least /= 64.0;
            let count = heavy_first(rest, least);
            let (heavy, lighter) = rest.split_at_mut(count);
            heavy.sort_unstable_by(falling);
            for &mut (token, weight) in heavy {
                if left < weight {
                    return token;
                }
                left -= weight;
                last = token;
            }
            rest = lighter;
        }
        last
    }

    /// Uniform in 0 .. 1. SplitMix64 (Steele, Lea and Flood, 2014): small, and the same on every machine.
    fn uniform(&mut self) -> f32 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32
    }
}

/// Brings candidates of at least this weight to the front, and says how many there are.
fn heavy_first(candidates: &mut [(u32, f32)], least: f32) -> usize {
    let mut count = 0;
    for i in 0..candidates.len() {
        if candidates[i].1 >= least {
            candidates.swap(count, i);
            count += 1;
        }
    }
    count
}

/// The heavier first; of equals, that with the lower id.
fn falling(a: &(u32, f32), b: &(u32, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

fn greedy(logits: &[f32]) -> Result<u32, SamplerError> {
    let finite = (0u32..).zip(logits).filter(|(_, x)| x.is_finite());
    let best = finite.fold(None, |best: Option<(u32, f32)>, (i, &x)| match best {
        Some((_, top)) if top >= x => best,
        _ => Some((i, x)),
    });
    best.map(|(i, _)| i).ok_or(SamplerError::NoLogits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(temperature: f32, top_k: usize, top_p: f32, seed: u64) -> Sampler {
        Sampler::new(Sampling::Random { temperature, top_k, top_p, min_p: 0.0, seed }).unwrap()
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest() {
        let mut sampler = Sampler::new(Sampling::Greedy).unwrap();
        assert_eq!(sampler.choose(&[1.0, 3.0, 3.0, f32::NAN, f32::INFINITY]), Ok(1));
        assert_eq!(sampler.choose(&[f32::NAN]), Err(SamplerError::NoLogits));
        assert_eq!(sampler.choose(&[]), Err(SamplerError::NoLogits));
        assert_eq!(random(1.0, 0, 1.0, 1).choose(&[f32::NEG_INFINITY]), Err(SamplerError::NoLogits));
    }

    #[test]
    fn frequencies_follow_the_probabilities() {
        let logits = [0.0f32, 1.0, 2.0, -1.0];
        let temperature = 0.7;
        let weights: Vec<f64> = logits.iter().map(|&x| f64::from(x / temperature).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut sampler = random(temperature, 0, 1.0, 42);
        let mut counts = [0usize; 4];
        let draws = 100_000;
        for _ in 0..draws {
            counts[sampler.choose(&logits).unwrap() as usize] += 1;
        }
        for (count, weight) in counts.iter().zip(&weights) {
            let (got, expected) = (*count as f64 / draws as f64, weight / total);
            assert!((got - expected).abs() < 0.006, "{counts:?}");
        }
    }

    /// Candidates are sorted as far as needed only; the definition sorts them all.
    #[test]
    fn draws_are_those_in_falling_order() {
        let logits: Vec<f32> = (0..5000).map(|i| (i as f32 * 0.731).sin() * 9.0).collect();
        for (top_k, min_p) in [(0, 0.0), (700, 0.0), (0, 1e-3)] {
            let sampling = Sampling::Random { temperature: 1.5, top_k, top_p: 1.0, min_p, seed: 9 };
            let (mut sampler, mut compared) = (Sampler::new(sampling).unwrap(), 0);
            for _ in 0..2000 {
                let at = f64::from(sampler.clone().uniform());
                let token = sampler.choose(&logits).unwrap();
                let mut all: Vec<(u32, f64)> =
                    (0..).zip(&logits).map(|(i, &x)| (i, ((f64::from(x) - 9.0) / 1.5).exp())).collect();
                all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                all.truncate(if top_k > 0 { top_k } else { all.len() });
                let best = all[0].1;
                all.retain(|&(_, w)| w >= f64::from(min_p) * best);
                let total: f64 = all.iter().map(|(_, w)| w).sum();
                let mut sum = 0.0;
                let place = all.iter().position(|(_, w)| {
                    sum += w / total;
                    sum > at
                });
                // Not where rounding may decide between two neighbours.
                let (place, edge) = (place.unwrap(), all[place.unwrap()].1 / total);
                if (sum - at).min(at - sum + edge) > 1e-5 {
                    assert_eq!(token, all[place].0, "{at}");
                    compared += 1;
                }
            }
            assert!(compared > 1500, "{compared}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_tokens() {
        let logits: Vec<f32> = (0..50).map(|i| (i as f32).sin()).collect();
        let draw = |seed| {
            let mut s = random(1.3, 20, 0.9, seed);
            (0..30).map(|_| s.choose(&logits).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn limits_cut_the_tail() {
        let logits = [5.0, 4.0, 3.0, 2.0, 1.0];
        for (top_k, top_p, allowed) in [(2, 1.0, 2), (0, 0.6, 1), (0, 0.8, 2), (1, 1.0, 1), (3, 0.999, 3)] {
            let mut sampler = random(1.0, top_k, top_p, 3);
            let most = (0..2_000).map(|_| sampler.choose(&logits).unwrap()).max().unwrap();
            assert_eq!(most + 1, allowed, "top-k {top_k}, top-p {top_p}");
        }
    }

    #[test]
    fn improbable_tokens_are_left_out() {
        let logits = [5.0, 4.0, 3.0, 2.0];
        // exp(-1) is 0.37, exp(-2) is 0.14.
        for (min_p, allowed) in [(0.0, 4), (0.1, 3), (0.2, 2), (0.5, 1), (1.0, 1)] {
            let sampling = Sampling::Random { temperature: 1.0, top_k: 0, top_p: 1.0, min_p, seed: 5 };
            let mut sampler = Sampler::new(sampling).unwrap();
            let most = (0..2_000).map(|_| sampler.choose(&logits).unwrap()).max().unwrap();
            assert_eq!(most + 1, allowed, "min-p {min_p}");
        }
        let sampling = Sampling::Random { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 1.5, seed: 5 };
        assert!(matches!(Sampler::new(sampling), Err(SamplerError::Setting { what: "min-p", .. })));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for (temperature, top_p) in [(0.0, 1.0), (-1.0, 1.0), (f32::NAN, 1.0), (1.0, 0.0), (1.0, 1.1), (1.0, f32::NAN)]
        {
            let sampling = Sampling::Random { temperature, top_k: 0, top_p, min_p: 0.0, seed: 0 };
            assert!(matches!(Sampler::new(sampling), Err(SamplerError::Setting { .. })), "{sampling:?}");
        }
    }
}
