//! Needles in a haystack: one or several keys with their values, in noise, essays or other needles.

use std::collections::BTreeSet;

use super::lines;
use super::sample::{Maker, Sample};
use super::{Ruler, RulerTask};
use crate::tasks::haystack::sentence_ends;
use crate::tasks::rng::Rng;

/// What a key or value looks like.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// An adjective and a noun.
    Words,
    /// Seven digits.
    Numbers,
    /// A version-4 UUID.
    Uuids,
}

impl Kind {
    /// As the text names it; the last letter is the plural's.
    fn name(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Numbers => "numbers",
            Self::Uuids => "uuids",
        }
    }
}

/// What the needles are hidden in.
#[derive(Clone, Copy, PartialEq)]
enum Hay {
    Noise,
    Essay,
    Needles,
}

/// The settings in which RULER's eight tasks differ.
struct Shape {
    hay: Hay,
    key: Kind,
    value: Kind,
    keys: usize,
    values: usize,
    queries: usize,
}

impl Shape {
    /// A task's settings, as in RULER's `synthetic.yaml`.
    fn of(task: RulerTask) -> Self {
        let number = Self { hay: Hay::Essay, key: Kind::Words, value: Kind::Numbers, keys: 1, values: 1, queries: 1 };
        match task {
            RulerTask::NiahSingle1 => Self { hay: Hay::Noise, ..number },
            RulerTask::NiahSingle3 => Self { value: Kind::Uuids, ..number },
            RulerTask::NiahMultikey1 => Self { keys: 4, ..number },
            RulerTask::NiahMultikey2 => Self { hay: Hay::Needles, ..number },
            RulerTask::NiahMultikey3 => Self { hay: Hay::Needles, key: Kind::Uuids, value: Kind::Uuids, ..number },
            RulerTask::NiahMultivalue => Self { values: 4, ..number },
            RulerTask::NiahMultiquery => Self { keys: 4, queries: 4, ..number },
            _ => number,
        }
    }
}

/// Makes the samples of one of the eight tasks.
pub(super) struct Needles<'a> {
    ruler: &'a Ruler,
    shape: Shape,
    essay: Vec<String>,
}

impl<'a> Needles<'a> {
    /// The maker of `ruler.task`.
    pub(super) fn new(ruler: &'a Ruler) -> Self {
        let shape = Shape::of(ruler.task);
        let essay = match shape.hay {
            Hay::Essay => ruler.haystack.fixed(ruler.seed, ruler.length),
            _ => String::new(),
        };
        Self { ruler, shape, essay: essay.split_whitespace().map(str::to_owned).collect() }
    }

    /// A key or value.
    fn draw(&self, rng: &mut Rng, kind: Kind) -> String {
        match kind {
            Kind::Words => self.ruler.words.pair(rng),
            Kind::Numbers => rng.range(1_000_000, 10_000_000).to_string(),
            Kind::Uuids => uuid(rng),
        }
    }

    /// A key that was not there yet.
    fn new_key(&self, rng: &mut Rng, taken: &mut BTreeSet<String>) -> String {
        loop {
            let key = self.draw(rng, self.shape.key);
            if taken.insert(key.clone()) {
                return key;
            }
        }
    }

    /// The sentence that gives a key its value.
    fn needle(&self, key: &str, value: &str) -> String {
        format!("One of the special magic {} for {key} is: {value}.", self.shape.value.name())
    }

    /// The needles in `size` units of haystack.
    fn hide(&self, rng: &mut Rng, needles: Vec<String>, taken: &mut BTreeSet<String>, size: usize) -> String {
        match self.shape.hay {
            Hay::Noise => lines::scatter(rng, lines::noise(size), needles).join("\n"),
            Hay::Essay => in_essay(rng, &self.essay[..size.min(self.essay.len())].join(" "), needles),
            Hay::Needles => {
                let mut hay = Vec::with_capacity(size);
                for _ in 0..size {
                    let key = self.new_key(rng, taken);
                    hay.push(self.needle(&key, &self.draw(rng, self.shape.value)));
                }
                lines::scatter(rng, hay, needles).join("\n")
            }
        }
    }

    /// The text before the haystack, the question after it, and the answer's beginning.
    fn template(&self, query: &str) -> (String, String, String) {
        let mut kind = self.shape.value.name();
        let single = self.shape.queries * self.shape.values == 1;
        if single {
            kind = &kind[..kind.len() - 1];
        }
        let head = format!(
            "Some special magic {kind} are hidden within the following text. Make sure to memorize it. \
             I will quiz you about the {kind} afterwards.\n"
        );
        let (open, end) = (format!("\nWhat are all the special magic {kind} for "), " mentioned in the provided text?");
        let (begin, stop) = (format!(" The special magic {kind} for "), " mentioned in the provided text are");
        // The query itself is filled in afterwards, or a key's letters would be replaced too.
        let fix = |text: &str| if single { singular(text) } else { text.to_owned() };
        let question = format!("{}{query}{end}", fix(&open));
        (fix(&head), question, format!("{}{query}{}", fix(&begin), fix(stop)))
    }
}

impl Maker for Needles<'_> {
    fn least(&self) -> usize {
        // Every needle has a line, or a word, of its own to go before.
        self.shape.keys * self.shape.values
    }

    fn step(&self) -> usize {
        match self.shape.hay {
            Hay::Essay => 500,
            _ if self.ruler.is_short() => 5,
            _ => 25,
        }
    }

    fn make(&self, rng: &mut Rng, size: usize) -> Sample {
        let mut taken = BTreeSet::new();
        let mut pairs = Vec::new();
        for _ in 0..self.shape.keys {
            let key = self.new_key(rng, &mut taken);
            let values: Vec<String> = (0..self.shape.values).map(|_| self.draw(rng, self.shape.value)).collect();
            pairs.push((key, values));
        }
        let asked: Vec<&(String, Vec<String>)> =
            rng.sample(pairs.len(), self.shape.queries).into_iter().map(|i| &pairs[i]).collect();
        let mut needles: Vec<String> =
            pairs.iter().flat_map(|(key, values)| values.iter().map(|v| self.needle(key, v))).collect();
        self.ruler.fresh().shuffle(&mut needles);

        let query = and(&asked.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>());
        let (head, text, prefix) = self.template(&query);
        let answers = asked.iter().flat_map(|(_, values)| values.iter().cloned()).collect();
        let context = head + &self.hide(rng, needles, &mut taken, size);
        Sample { context, text, prefix, answers }
    }
}

/// Needles between the sentences of a text, at depths of forty evenly spaced ones.
fn in_essay(rng: &mut Rng, text: &str, needles: Vec<String>) -> String {
    let mut start = 0;
    let mut sentences: Vec<String> = Vec::new();
    for end in sentence_ends(text) {
        sentences.push(text[start..end].trim().to_owned());
        start = end;
    }
    let mut depths: Vec<f64> =
        rng.sample(40, needles.len()).iter().map(|&i| (i as f64 * 100.0 / 39.0).round()).collect();
    depths.sort_by(f64::total_cmp);
    let places = depths.iter().map(|depth| (sentences.len() as f64 * (depth / 100.0)) as usize);
    let placed = places.zip(needles).collect();
    lines::insert(sentences, placed).join(" ")
}

/// RULER's plain replacements for when one value is asked for, in its order.
fn singular(text: &str) -> String {
    text.replace("Some", "A").replace("are all", "is").replace("are", "is").replace("answers", "answer")
}

/// `a`, `a, and b`, `a, b, and c`.
fn and(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{}, and {last}", first.join(", ")),
        _ => names.concat(),
    }
}

/// A version-4 UUID.
fn uuid(rng: &mut Rng) -> String {
    let bits = u128::from(rng.bits()) << 64 | u128::from(rng.bits());
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_version_and_variant() {
        for seed in 0..50 {
            let id = uuid(&mut Rng::new(seed));
            assert_eq!((id.len(), &id[14..15]), (36, "4"));
            assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
        }
    }

    #[test]
    fn lists_are_joined_as_ruler_joins_them() {
        assert_eq!([and(&["a"]), and(&["a", "b"]), and(&["a", "b", "c"])], ["a", "a, and b", "a, b, and c"]);
    }

    #[test]
    fn one_value_is_asked_for_in_the_singular() {
        let ruler = Ruler::new(RulerTask::NiahSingle1, 1000, 1);
        let (head, question, prefix) = Needles::new(&ruler).template("rare-square");
        assert_eq!(
            head,
            "A special magic number is hidden within the following text. Make sure to memorize it. \
             I will quiz you about the number afterwards.\n"
        );
        assert_eq!(question, "\nWhat is the special magic number for rare-square mentioned in the provided text?");
        assert_eq!(prefix, " The special magic number for rare-square mentioned in the provided text is");
        let ruler = Ruler::new(RulerTask::NiahMultivalue, 1000, 1);
        let (_, question, prefix) = Needles::new(&ruler).template("k");
        assert_eq!(question, "\nWhat are all the special magic numbers for k mentioned in the provided text?");
        assert_eq!(prefix, " The special magic numbers for k mentioned in the provided text are");
    }
}
