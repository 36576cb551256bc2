//! A long text that the repository makes itself: the report of a tour of light stations, one
//! section a station, much alike, with one thing said once, near the end, that a question can ask for.

/// The name of the station that the question is about.
const ASKED_STATION: &str = "Gannet Rock";
/// What is said of it, and of no other.
const FACT: &str = "The keeper told us that the spare key of Gannet Rock is hidden under the blue beehive.";
/// Stations after it: few enough for the fact to stand among the last 1,020 tokens, which the default cache keeps as
/// they are. Older details may be lost in its spectrum, with a model as small as the demo's most of them.
const AFTER_ASKED: usize = 3;
/// What the demo asks.
pub(crate) const QUESTION: &str = "Where is the spare key of Gannet Rock hidden? Answer in one sentence.";
/// What a right answer holds.
#[cfg(test)]
const ANSWER: &str = "blue beehive";

const FIRST_NAMES: [&str; 12] =
    ["Heron", "Seal", "Grey", "Long", "Iron", "Cedar", "Cormorant", "Mill", "Salt", "Raven", "Chalk", "Otter"];
const LAST_NAMES: [&str; 10] = ["Point", "Head", "Island", "Bay", "Reef", "Harbour", "Cliff", "Sound", "Bar", "Cape"];
const WEATHER: [&str; 8] = [
    "a light westerly breeze and clear sky",
    "steady rain that stopped towards noon",
    "fog until the early afternoon",
    "a strong northerly wind",
    "calm water and thin high cloud",
    "showers and a rough sea",
    "bright sun after a night of frost",
    "low cloud and a long swell",
];
const PARTS: [&str; 10] = [
    "lamp",
    "lantern glass",
    "fog horn",
    "generator",
    "landing stage",
    "water tank",
    "radio mast",
    "tower door",
    "outer stair",
    "boat winch",
];
const STATES: [&str; 8] = [
    "is in good order",
    "is worn but serviceable",
    "was cleaned and greased during our visit",
    "is in need of paint",
    "was repaired last winter and is sound",
    "is noisy, though it works",
    "is damp, and should be watched",
    "is as good as new",
];
const CAUSES: [&str; 8] = [
    "The keeper blames the salt in the air.",
    "Nothing was found that would explain it.",
    "This was already noted on the last tour.",
    "The storms of the spring have left their mark.",
    "A new part has been ordered from the depot.",
    "It will hold for another year.",
    "The crew took photographs for the file.",
    "We compared it with the drawings and found no difference.",
];
const WORKS: [&str; 8] = [
    "replace the seals before winter",
    "send two drums of paint with the next boat",
    "check the wiring again in six months",
    "fit a new rope to the winch",
    "clear the path to the landing",
    "order a spare lens",
    "fasten the loose stones of the wall",
    "measure the depth at the landing again",
];
const ENDINGS: [&str; 6] = [
    "We left before dark.",
    "The keeper had no complaints.",
    "Supplies for eight weeks were landed.",
    "The log book was complete and signed.",
    "No other work is planned here.",
    "The boat was waiting when we had finished.",
];

/// SplitMix64, by its published constants: the same seed, the same text, on any machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

/// The report of a tour of `stations` stations; the fact stands a third of the way in.
pub(crate) fn write(stations: usize, seed: u64) -> String {
    let mut random = Random(seed);
    let asked = stations.saturating_sub(AFTER_ASKED + 1);
    let mut text = String::from(
        "Report of the yearly tour of the light stations\n\n\
         This report describes each station in the order in which it was visited. It says what \
         was found, and what work is advised.\n",
    );
    for index in 0..stations {
        text.push('\n');
        text.push_str(&section(index, index == asked, stations, &mut random));
    }
    text
}

fn section(index: usize, asked: bool, stations: usize, random: &mut Random) -> String {
    let name = match asked {
        true => ASKED_STATION.to_owned(),
        false => name(index, stations),
    };
    let mut sentences = vec![format!(
        "We reached {name} on day {} of the tour, in {}.",
        index * 2 + 1 + random.below(2),
        random.pick(&WEATHER)
    )];
    let first = random.below(PARTS.len());
    for offset in [0, 3, 7] {
        let part = PARTS[(first + offset) % PARTS.len()];
        sentences.push(format!("The {part} {}. {}", random.pick(&STATES), random.pick(&CAUSES)));
    }
    if asked {
        sentences.push(FACT.to_owned());
    }
    sentences.push(format!("The light was seen from {} miles.", 6 + random.below(18)));
    sentences.push(format!("We advise to {}. {}", random.pick(&WORKS), random.pick(&ENDINGS)));
    format!("Station {}: {name}\n{}\n", index + 1, sentences.join(" "))
}

/// Names do not repeat within the first 120 stations; later ones are numbered.
fn name(index: usize, stations: usize) -> String {
    let (first, last) = (FIRST_NAMES.len(), LAST_NAMES.len());
    let round = index / (first * last);
    let plain = format!("{} {}", FIRST_NAMES[index % first], LAST_NAMES[(index / first + index) % last]);
    match round {
        0 => plain,
        _ => format!("{plain} {} of {stations}", round + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_same_seed_gives_the_same_text() {
        assert_eq!(write(52, 1), write(52, 1));
        assert_ne!(write(52, 1), write(52, 2));
    }

    #[test]
    fn the_fact_stands_once_and_near_the_end() {
        let text = write(52, 1);
        assert!(QUESTION.contains(ASKED_STATION) && FACT.contains(ANSWER));
        assert_eq!(text.matches(FACT).count(), 1);
        assert_eq!(text.matches("beehive").count(), 1);
        let after = text[text.find(FACT).unwrap()..].split_whitespace().count();
        assert!((150..600).contains(&after), "{after} words");
    }

    #[test]
    fn stations_have_names_of_their_own() {
        let names: HashSet<String> = (0..300).map(|index| name(index, 300)).collect();
        assert_eq!(names.len(), 300);
        assert!(!names.contains(ASKED_STATION));
    }

    #[test]
    fn it_is_several_thousand_tokens_long() {
        let words = write(52, 1).split_whitespace().count();
        assert!((4000..6000).contains(&words), "{words} words");
        assert_eq!(write(0, 1).matches("Station").count(), 0);
    }
}
