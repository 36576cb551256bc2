//! Haystacks of lines, and how lines are hidden among them.

use crate::tasks::rng::Rng;

/// The line that says nothing.
pub(super) const NOISE: &str =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";

/// Lines go before different, randomly drawn lines of a haystack. `places[i]` is where `lines[i]` goes.
pub(super) fn insert(hay: Vec<String>, mut placed: Vec<(usize, String)>) -> Vec<String> {
    placed.sort_by_key(|(place, _)| *place);
    let mut placed = placed.into_iter().peekable();
    let mut out = Vec::with_capacity(hay.len() + placed.len());
    for (i, line) in hay.into_iter().enumerate() {
        while let Some((_, inserted)) = placed.next_if(|(place, _)| *place <= i) {
            out.push(inserted);
        }
        out.push(line);
    }
    out.extend(placed.map(|(_, line)| line));
    out
}

/// `lines` at different random places of a haystack, in any order.
pub(super) fn scatter(rng: &mut Rng, hay: Vec<String>, lines: Vec<String>) -> Vec<String> {
    let places = rng.sample(hay.len(), lines.len());
    insert(hay, places.into_iter().zip(lines).collect())
}

/// `lines` at different random places of a haystack, in their own order.
pub(super) fn scatter_in_order(rng: &mut Rng, hay: Vec<String>, lines: Vec<String>) -> Vec<String> {
    let mut places = rng.sample(hay.len(), lines.len());
    places.sort_unstable();
    insert(hay, places.into_iter().zip(lines).collect())
}

/// `n` lines of noise.
pub(super) fn noise(n: usize) -> Vec<String> {
    vec![NOISE.to_owned(); n]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_before_the_line_of_their_place() {
        let hay = ["a", "b", "c"].map(String::from).to_vec();
        let out = insert(hay, vec![(2, "y".into()), (0, "x".into())]);
        assert_eq!(out.concat(), "xabyc");
    }

    #[test]
    fn order_is_kept_where_it_matters() {
        for seed in 0..30 {
            let out = scatter_in_order(&mut Rng::new(seed), noise(8), ["1", "2", "3"].map(String::from).to_vec());
            let found: String = out.iter().filter(|l| l.len() == 1).map(String::as_str).collect();
            assert_eq!((found.as_str(), out.len()), ("123", 11));
        }
    }
}
