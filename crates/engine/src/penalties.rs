//! What speaks for or against tokens besides the model.

use std::collections::HashMap;

/// Changes to logits before a token is chosen. The default changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Penalties {
    /// Taken from the logit of every token that the answer has.
    pub presence: f32,
    /// Taken from it once for each time that the answer has it.
    pub frequency: f32,
    /// Positive logits of tokens that the answer has are divided by it, negative ones multiplied; 1 changes nothing.
    pub repetition: f32,
    /// Added to the logits of these tokens.
    pub bias: Vec<(u32, f32)>,
}

impl Default for Penalties {
    fn default() -> Self {
        Penalties { presence: 0.0, frequency: 0.0, repetition: 1.0, bias: Vec::new() }
    }
}

impl Penalties {
    /// Whether nothing is changed.
    pub fn is_neutral(&self) -> bool {
        *self == Penalties::default()
    }

    /// Changes the logits of an answer that has tokens so often. Tokens that do not exist are passed over.
    pub fn apply(&self, logits: &mut [f32], counts: &HashMap<u32, u32>) {
        for (&token, &count) in counts {
            if let Some(x) = logits.get_mut(token as usize) {
                *x = if *x > 0.0 { *x / self.repetition } else { *x * self.repetition };
                *x -= self.presence + self.frequency * count as f32;
            }
        }
        for &(token, bias) in &self.bias {
            if let Some(x) = logits.get_mut(token as usize) {
                *x += bias;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_were_said_lose() {
        let counts = HashMap::from([(0, 3), (2, 1), (9, 1)]);
        let penalties = Penalties { presence: 0.5, frequency: 0.25, repetition: 2.0, bias: vec![(1, 4.0), (77, 1.0)] };
        let mut logits = [2.0, 2.0, -1.0, 7.0];
        penalties.apply(&mut logits, &counts);
        assert_eq!(logits, [1.0 - 0.5 - 0.75, 6.0, -2.0 - 0.5 - 0.25, 7.0]);
        assert!(!penalties.is_neutral() && Penalties::default().is_neutral());
    }
}
