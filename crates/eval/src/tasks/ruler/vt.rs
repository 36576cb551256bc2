//! Variable tracking: which variables have this value, when they are assigned to one another?

use std::collections::BTreeSet;

use super::lines;
use super::sample::{Fitting, Maker, Sample};
use crate::tasks::TaskError;
use crate::tasks::rng::Rng;

/// How often the first variable is passed on.
const HOPS: usize = 4;
/// The length that the example is made for.
const EXAMPLE_LENGTH: usize = 500;

/// Makes the samples: an example, then the chain in its noise.
pub(super) struct Chains {
    short: bool,
    /// Noise lines of the example.
    example: usize,
}

impl Chains {
    /// The maker, its example being as large as fits RULER's length for it.
    pub(super) fn new(fitting: &Fitting) -> Result<Self, TaskError> {
        let length = EXAMPLE_LENGTH;
        let task = format!("{}:example", fitting.task);
        let small = Fitting { task, length, max_tokens: fitting.max_tokens, ..*fitting };
        let sample = small.sample(&Example, 0)?;
        let example = sample.context.lines().filter(|line| *line == lines::NOISE).count();
        Ok(Self { short: fitting.length < super::sample::SHORT, example })
    }
}

impl Maker for Chains {
    fn least(&self) -> usize {
        HOPS + 1
    }

    fn step(&self) -> usize {
        if self.short { 5 } else { 10 }
    }

    fn make(&self, rng: &mut Rng, size: usize) -> Sample {
        let mut taken = Taken::default();
        let shown = Chain::draw(rng, 3, &mut taken);
        let chain = Chain::draw(rng, 5, &mut taken);
        let example = shown.sample(rng, self.example);
        let asked = chain.sample(rng, size);
        let names = shown.names.join(" ");
        let context = format!("{}{}{} {names}\n\n{}", example.context, example.text, example.prefix, asked.context);
        Sample { context, ..asked }
    }
}

/// Makes the example alone.
struct Example;

impl Maker for Example {
    fn least(&self) -> usize {
        HOPS + 1
    }

    fn step(&self) -> usize {
        5
    }

    fn make(&self, rng: &mut Rng, size: usize) -> Sample {
        Chain::draw(rng, 3, &mut Taken::default()).sample(rng, size)
    }
}

/// Names and values that are in use.
#[derive(Default)]
struct Taken {
    names: BTreeSet<String>,
    values: BTreeSet<u64>,
}

/// Variables that all have one value.
struct Chain {
    value: u64,
    names: Vec<String>,
}

impl Chain {
    /// A chain with new names of so many capital letters.
    fn draw(rng: &mut Rng, letters: usize, taken: &mut Taken) -> Self {
        let value = loop {
            let value = rng.range(10_000, 99_999);
            if taken.values.insert(value) {
                break value;
            }
        };
        let mut names = Vec::new();
        while names.len() <= HOPS {
            let name: String = (0..letters).map(|_| char::from(b'A' + rng.below(26) as u8)).collect();
            if name != "VAR" && taken.names.insert(name.clone()) {
                names.push(name);
            }
        }
        Self { value, names }
    }

    /// What the program says, a line each.
    fn statements(&self) -> Vec<String> {
        let first = format!("VAR {} = {}", self.names[0], self.value);
        let rest = self.names.windows(2).map(|pair| format!("VAR {} = VAR {} ", pair[1], pair[0]));
        [first].into_iter().chain(rest).collect()
    }

    /// The chain in `size` lines of noise, and the question about it.
    fn sample(&self, rng: &mut Rng, size: usize) -> Sample {
        let hay = lines::scatter_in_order(rng, lines::noise(size), self.statements()).join("\n");
        let (value, number) = (self.value, self.names.len());
        Sample {
            context: format!(
                "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n{hay}"
            ),
            text: format!("\nQuestion: Find all variables that are assigned the value {value} in the text above."),
            prefix: format!(
                " Answer: According to the chain(s) of variable assignment in the text above, {number} variables \
                 are assigned the value {value}, they are: "
            ),
            answers: self.names.clone(),
        }
    }
}
