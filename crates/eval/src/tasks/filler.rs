//! Plain prose without end, made by a small grammar.
//!
//! For haystacks where no texts are at hand: every sentence is drawn anew, so nothing repeats as a loop would, and
//! there are no digits and nothing that a needle speaks of.

use super::rng::Rng;

const PEOPLE: &[&str] = &[
    "the miller",
    "a young carpenter",
    "the old gardener",
    "the schoolteacher",
    "a travelling weaver",
    "the baker",
    "my neighbour",
    "the ferryman",
    "a retired sailor",
    "the innkeeper",
    "the shepherd",
    "a quiet clerk",
    "the clockmaker",
    "the apothecary",
    "a cheerful cook",
    "the stonemason",
    "the postman",
    "a careful painter",
    "the fiddler",
    "the blacksmith",
    "the beekeeper",
    "a tired porter",
    "the widow from the mill",
    "the cooper",
    "an elderly judge",
    "the two brothers",
    "the farmer's daughter",
    "a wandering tinker",
    "the surveyor",
    "the night watchman",
    "a student of botany",
    "the organist",
];
const THINGS: &[&str] = &[
    "basket",
    "lantern",
    "ladder",
    "wheelbarrow",
    "kettle",
    "blanket",
    "saddle",
    "fence",
    "window",
    "barrel",
    "cupboard",
    "bucket",
    "shovel",
    "table",
    "chimney",
    "loaf of bread",
    "sack of flour",
    "coat",
    "umbrella",
    "fishing net",
    "garden gate",
    "wooden spoon",
    "stove",
    "woollen scarf",
    "cart",
    "candle",
    "bench",
    "jug",
    "rope",
    "broom",
    "apple tree",
    "haystack",
    "copper pan",
    "rug",
    "drawer",
    "roof",
];
const ADJECTIVES: &[&str] = &[
    "broken",
    "heavy",
    "narrow",
    "painted",
    "dusty",
    "borrowed",
    "new",
    "crooked",
    "faded",
    "plain",
    "wet",
    "forgotten",
    "small",
    "handsome",
    "rough",
    "polished",
    "empty",
    "half-finished",
    "ancient",
    "sturdy",
    "cheap",
    "enormous",
    "warm",
    "pale",
    "muddy",
    "delicate",
    "ordinary",
    "long",
    "weathered",
    "clean",
];
const ACTIONS: &[&str] = &[
    "mended",
    "carried",
    "painted",
    "sold",
    "admired",
    "dropped",
    "cleaned",
    "borrowed",
    "moved",
    "measured",
    "found",
    "lifted",
    "covered",
    "bought",
    "described",
    "repaired",
    "pushed",
    "wrapped",
    "looked at",
    "leaned on",
    "complained about",
    "asked after",
    "gave away",
    "brought home",
    "thought about",
    "walked around",
];
const PLACES: &[&str] = &[
    "behind the church",
    "by the river",
    "at the edge of the wood",
    "near the market",
    "in the kitchen",
    "under the bridge",
    "on the hill",
    "along the canal",
    "at the railway station",
    "beside the well",
    "in the upper meadow",
    "across the square",
    "at the end of the lane",
    "in the attic",
    "by the harbour wall",
    "outside the town hall",
    "among the willows",
    "in the barn",
    "at the crossroads",
    "on the ferry",
    "in the back garden",
    "next to the bakery",
];
const TIMES: &[&str] = &[
    "in the early morning",
    "after the rain",
    "before supper",
    "on market day",
    "late in the evening",
    "during the harvest",
    "at the end of winter",
    "just after noon",
    "in the first days of spring",
    "while the kettle boiled",
    "before the bells rang",
    "on the way home",
    "all through the summer",
    "when the fog lifted",
    "towards the end of the week",
    "without any hurry",
    "as usual",
    "once more",
];
const REMARKS: &[&str] = &[
    "nobody seemed to mind",
    "the weather stayed fine",
    "there was little to be said about it",
    "the dog slept through all of it",
    "it took longer than expected",
    "the wind had turned by then",
    "the work was never quite done",
    "everyone agreed that it was enough",
    "the river was rising again",
    "the road was too muddy for carts",
    "it smelled of fresh hay",
    "the children had gone home",
    "the shutters were already closed",
    "no one asked why",
    "the tea had gone cold",
    "the swallows had come back",
    "it was a good year for pears",
    "the paint was still drying",
];
const JOINS: &[&str] = &["and", "but", "so", "while", "because", "although"];
const OPENERS: &[&str] =
    &["Later", "Meanwhile", "As it happened", "To be fair", "In those days", "Now and then", "For a while", "At last"];

/// At least `words` words of prose in paragraphs. A longer text of the same generator begins with the shorter one.
pub(crate) fn prose(rng: &mut Rng, words: usize) -> String {
    let mut text = String::new();
    let (mut count, mut left) = (0, 4);
    while count < words {
        let sentence = sentence(rng);
        count += sentence.split_whitespace().count();
        text.push_str(&sentence);
        left -= 1;
        let ends = left == 0;
        text.push_str(if ends { "\n\n" } else { " " });
        if ends {
            left = 3 + rng.below(5);
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// One sentence with its full stop.
fn sentence(rng: &mut Rng) -> String {
    let body = match rng.below(7) {
        0 => format!("{} {}", clause(rng), one(rng, PLACES)),
        1 => format!("{}, {} {}", one(rng, TIMES), clause(rng), one(rng, PLACES)),
        2 => format!("{}, {} {}", clause(rng), one(rng, JOINS), one(rng, REMARKS)),
        3 => format!("{}, {}", one(rng, OPENERS), clause(rng)),
        4 => format!("{} {}, {} {}", clause(rng), one(rng, TIMES), one(rng, JOINS), clause(rng)),
        5 => format!("{} the {} stood next to {}", one(rng, PLACES), one(rng, THINGS), with_article(&thing(rng))),
        _ => format!("{} said that {}, {} {}", one(rng, PEOPLE), one(rng, REMARKS), one(rng, JOINS), clause(rng)),
    };
    let mut letters = body.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

/// Somebody did something to something.
fn clause(rng: &mut Rng) -> String {
    format!("{} {} the {}", one(rng, PEOPLE), one(rng, ACTIONS), thing(rng))
}

/// A thing, mostly with an adjective.
fn thing(rng: &mut Rng) -> String {
    let thing = one(rng, THINGS);
    match rng.below(4) {
        0 => thing.to_owned(),
        1 => format!("{}, {} {thing}", one(rng, ADJECTIVES), one(rng, ADJECTIVES)),
        _ => format!("{} {thing}", one(rng, ADJECTIVES)),
    }
}

/// A thing with `a` or `an`, by its first letter: no word of the lists needs more than that.
fn with_article(thing: &str) -> String {
    let article = if thing.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {thing}")
}

/// One of a list that has some.
fn one<'a>(rng: &mut Rng, list: &[&'a str]) -> &'a str {
    list[rng.below(list.len())]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn grows_from_the_front_and_seeds_differ() {
        let long = prose(&mut Rng::new(3), 4000);
        let short = prose(&mut Rng::new(3), 500);
        assert!(long.starts_with(&short));
        assert!(long.split_whitespace().count() >= 4000);
        assert_ne!(prose(&mut Rng::new(4), 100), prose(&mut Rng::new(5), 100));
    }

    #[test]
    fn articles_go_with_what_follows() {
        let text = prose(&mut Rng::new(5), 50_000);
        assert!(text.contains(" an ancient ") && !text.contains(" a ancient ") && !text.contains(" an dusty "));
    }

    #[test]
    fn hardly_a_sentence_comes_twice_and_there_are_no_digits() {
        let text = prose(&mut Rng::new(8), 50_000);
        let sentences: Vec<&str> = text.split(". ").collect();
        let different: HashSet<&str> = sentences.iter().copied().collect();
        assert!(different.len() * 100 > sentences.len() * 99, "{} of {}", different.len(), sentences.len());
        assert!(!text.contains(|c: char| c.is_ascii_digit()));
    }
}
