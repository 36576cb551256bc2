//! Answers found by reading: what a perfect reader says to a RULER prompt.

use std::collections::HashMap;

/// All values of the keys that a needle prompt asks for.
pub(crate) fn niah(prompt: &str) -> Vec<String> {
    let (text, question) = prompt.rsplit_once("\nWhat ").unwrap();
    let (_, rest) = question.split_once(" for ").unwrap();
    let (keys, _) = rest.split_once(" mentioned in the provided text?").unwrap();
    let keys: Vec<&str> = match keys.rsplit_once(", and ") {
        Some((first, last)) => first.split(", ").chain([last]).collect(),
        None => vec![keys],
    };
    let mut values = Vec::new();
    for part in text.split("One of the special magic ").skip(1) {
        let Some((_, rest)) = part.split_once(" for ") else { continue };
        let Some((key, rest)) = rest.split_once(" is: ") else { continue };
        let (value, _) = rest.split_once('.').unwrap();
        if keys.contains(&key) {
            values.push(value.to_owned());
        }
    }
    values
}

/// The variables that have the value which a prompt asks for, in the order of their assignments.
pub(crate) fn variables(prompt: &str) -> Vec<String> {
    let (_, asked) = prompt.rsplit_once("assigned the value ").unwrap();
    let value = asked.split(|c: char| !c.is_ascii_digit()).next().unwrap();
    let mut known: Vec<(String, String)> = Vec::new();
    for line in prompt.lines().filter(|line| line.starts_with("VAR ")) {
        let (left, right) = line["VAR ".len()..].split_once(" = ").unwrap();
        let right = right.trim_end();
        let meaning = match right.strip_prefix("VAR ") {
            Some(name) => known.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap(),
            None => right.to_owned(),
        };
        known.push((left.to_owned(), meaning));
    }
    known.into_iter().filter(|(_, v)| v == value).map(|(n, _)| n).collect()
}

/// The words of "1. word 2. word", which may have spaces in them.
pub(crate) fn numbered(list: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = list.strip_prefix("1. ").unwrap();
    loop {
        let next = format!(" {}. ", words.len() + 2);
        let Some((word, behind)) = rest.split_once(&next) else {
            words.push(rest.to_owned());
            return words;
        };
        words.push(word.to_owned());
        rest = behind;
    }
}

/// How often each thing is there, most often first.
pub(crate) fn counted(things: impl IntoIterator<Item = String>) -> Vec<(usize, String)> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for thing in things {
        *counts.entry(thing).or_default() += 1;
    }
    let mut all: Vec<(usize, String)> = counts.into_iter().map(|(thing, n)| (n, thing)).collect();
    all.sort_by(|a, b| b.cmp(a));
    all
}

/// The list in a prompt about common words.
pub(crate) fn listed(prompt: &str) -> Vec<String> {
    let (list, _) = prompt.rsplit_once("\nQuestion: ").unwrap();
    numbered(list.rsplit_once('\n').unwrap().1)
}

/// The coded words of a prompt about frequent words, without the dots.
pub(crate) fn coded(prompt: &str) -> Vec<String> {
    let (text, _) = prompt.split_once("\nQuestion: ").unwrap();
    let (_, text) = text.split_once("coded words. ").unwrap();
    text.split(' ').filter(|word| *word != "...").map(str::to_owned).collect()
}
