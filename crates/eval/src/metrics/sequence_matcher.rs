//! Python's `difflib.SequenceMatcher(None, a, b)`: the longest matching block, then the same to the left of it and to
//! the right. The sum of such blocks is not the longest common subsequence, and depends on the order of the texts.

use std::collections::HashMap;
use std::ops::Range;

/// From this length of the second text on, its frequent characters begin no block.
const POPULAR_FROM: usize = 200;

/// The characters in matching blocks, which `ratio()` is made of.
pub(super) fn matching_characters(a: &[char], b: &[char]) -> usize {
    let matcher = Matcher { a, b, places: places(b), runs: vec![0; b.len() + 1], next: vec![0; b.len() + 1] };
    matcher.sum_of_blocks()
}

/// Where each character stands in `b`, in order.
///
/// difflib's `autojunk`: a character that makes up more than 1 % (rounded down, plus one) of a text of 200 or more is
/// left out; blocks can still grow over it.
fn places(b: &[char]) -> HashMap<char, Vec<usize>> {
    let mut places = HashMap::<char, Vec<usize>>::new();
    for (j, &c) in b.iter().enumerate() {
        places.entry(c).or_default().push(j);
    }
    if b.len() >= POPULAR_FROM {
        let most = b.len() / 100 + 1;
        places.retain(|_, at| at.len() <= most);
    }
    places
}

/// `a[a..][..size]` equals `b[b..][..size]`.
#[derive(Clone, Copy)]
struct Block {
    a: usize,
    b: usize,
    size: usize,
}

struct Matcher<'a> {
    a: &'a [char],
    b: &'a [char],
    places: HashMap<char, Vec<usize>>,
    /// At `j + 1`: how long the equal texts are that end at the `a` before the present one and at `b[j]`. All zero
    /// between searches.
    runs: Vec<usize>,
    /// The same for the present one, while it is made.
    next: Vec<usize>,
}

impl Matcher<'_> {
    fn sum_of_blocks(mut self) -> usize {
        let mut sum = 0;
        let mut open = vec![(0..self.a.len(), 0..self.b.len())];
        while let Some((a, b)) = open.pop() {
            let block = self.longest_block(a.clone(), b.clone());
            if block.size == 0 {
                continue;
            }
            sum += block.size;
            open.push((a.start..block.a, b.start..block.b));
            open.push((block.a + block.size..a.end, block.b + block.size..b.end));
        }
        sum
    }

    /// The longest block of two ranges; of equally long ones the first in `a`, then in `b`.
    fn longest_block(&mut self, a: Range<usize>, b: Range<usize>) -> Block {
        let mut best = Block { a: a.start, b: b.start, size: 0 };
        for i in a.clone() {
            for &j in within(&self.places, self.a[i], &b) {
                let size = self.runs[j] + 1;
                self.next[j + 1] = size;
                if size > best.size {
                    best = Block { a: i + 1 - size, b: j + 1 - size, size };
                }
            }
            self.forget_runs(i.checked_sub(1).filter(|before| a.contains(before)), &b);
            std::mem::swap(&mut self.runs, &mut self.next);
        }
        self.forget_runs(a.clone().last(), &b);
        self.grow(best, &a, &b)
    }

    /// Zeroes the runs that `a[i]` made.
    fn forget_runs(&mut self, i: Option<usize>, b: &Range<usize>) {
        if let Some(i) = i {
            for &j in within(&self.places, self.a[i], b) {
                self.runs[j + 1] = 0;
            }
        }
    }

    /// Takes in equal characters on either side: the popular ones, which began no block. An empty block grows too.
    fn grow(&self, mut block: Block, a: &Range<usize>, b: &Range<usize>) -> Block {
        while block.a > a.start && block.b > b.start && self.a[block.a - 1] == self.b[block.b - 1] {
            block = Block { a: block.a - 1, b: block.b - 1, size: block.size + 1 };
        }
        while block.a + block.size < a.end
            && block.b + block.size < b.end
            && self.a[block.a + block.size] == self.b[block.b + block.size]
        {
            block.size += 1;
        }
        block
    }
}

/// The places of `c` inside a range.
fn within<'p>(places: &'p HashMap<char, Vec<usize>>, c: char, range: &Range<usize>) -> &'p [usize] {
    let all = places.get(&c).map_or(&[][..], Vec::as_slice);
    &all[all.partition_point(|&j| j < range.start)..all.partition_point(|&j| j < range.end)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(a: &str, b: &str) -> usize {
        matching_characters(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
    }

    #[test]
    fn the_longest_block_comes_first() {
        // "bcd" is longest, and leaves nothing of the "a" and "e" that cross it.
        assert_eq!(matching("ebcda", "abcde"), 3);
        // The longest common subsequence, "acef", would be longer than the block "bd" and what it leaves.
        assert_eq!(matching("acbdef", "bdacef"), 4);
        assert_eq!(matching("", "x"), 0);
        assert_eq!(matching("x", ""), 0);
    }

    #[test]
    fn order_matters() {
        assert_eq!(matching("tide", "diet"), 1);
        assert_eq!(matching("diet", "tide"), 2);
    }

    #[test]
    fn frequent_characters_of_a_long_text_begin_no_block() {
        let (short, long) = ("x".repeat(199), "x".repeat(200));
        assert_eq!(matching(&format!("y{short}"), &short), 199);
        assert_eq!(matching(&format!("y{long}"), &long), 0);
        // What is equal from the start on is taken in all the same, and so are the neighbours of a rare character.
        assert_eq!(matching("xx", &long), 2);
        assert_eq!(matching("yxzx", &format!("{long}z{long}")), 3);
    }
}
