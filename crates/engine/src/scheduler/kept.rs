//! Pasts that are kept for later jobs, and what prompts have in common.

use std::collections::VecDeque;
use std::time::Instant;

use fourier_kv_cache::KvCache;

use super::job::Owner;

/// Prompts that are remembered, without their pasts, to see what later ones have in common with them.
const REMEMBERED: usize = 64;

/// What a past was kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeptAs {
    /// The beginning of several prompts: each goes on from a copy.
    Beginning,
    /// A conversation whose last job has ended: the next one takes it over.
    Conversation,
}

/// A past that is kept.
pub(super) struct Past {
    pub(super) owner: Owner,
    pub(super) tokens: Vec<u32>,
    pub(super) cache: Box<dyn KvCache>,
    pub(super) kept_as: KeptAs,
    used: Instant,
}

/// All that is kept.
#[derive(Default)]
pub(super) struct Kept {
    pasts: Vec<Past>,
    seen: VecDeque<(Owner, Vec<u32>)>,
}

impl Kept {
    /// Bytes of all pasts.
    pub(super) fn bytes(&self) -> usize {
        self.pasts.iter().map(|past| past.cache.bytes().total()).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Past> {
        self.pasts.iter()
    }

    /// Keeps a past; one with the same tokens is replaced.
    pub(super) fn put(&mut self, owner: &Owner, tokens: Vec<u32>, cache: Box<dyn KvCache>, kept_as: KeptAs) {
        self.pasts.retain(|past| past.owner != *owner || past.tokens != tokens);
        self.pasts.push(Past { owner: owner.clone(), tokens, cache, kept_as, used: Instant::now() });
    }

    /// The tokens of the longest past of this owner that the prompt goes on from; at least one token is left to read.
    pub(super) fn longest(&self, owner: &Owner, prompt: &[u32]) -> usize {
        self.find(owner, prompt).map_or(0, |at| self.pasts[at].tokens.len())
    }

    /// That past, or a copy of it.
    pub(super) fn take(&mut self, owner: &Owner, prompt: &[u32]) -> Option<Box<dyn KvCache>> {
        let at = self.find(owner, prompt)?;
        let past = &mut self.pasts[at];
        past.used = Instant::now();
        match past.kept_as {
            KeptAs::Beginning => past.cache.fork(),
            KeptAs::Conversation => Some(self.pasts.swap_remove(at).cache),
        }
    }

    fn find(&self, owner: &Owner, prompt: &[u32]) -> Option<usize> {
        let fits = |past: &Past| past.owner == *owner && past.tokens.len() < prompt.len();
        let begins = |past: &Past| prompt.starts_with(&past.tokens);
        let found = self.pasts.iter().enumerate().filter(|(_, past)| fits(past) && begins(past));
        found.max_by_key(|(_, past)| past.tokens.len()).map(|(at, _)| at)
    }

    /// Drops the past that was not used for the longest time. False if there is none.
    pub(super) fn evict(&mut self) -> bool {
        let oldest = self.pasts.iter().enumerate().min_by_key(|(_, past)| past.used).map(|(at, _)| at);
        oldest.map(|at| drop(self.pasts.swap_remove(at))).is_some()
    }

    /// Remembers a prompt, and says how many tokens of its beginning some other prompt had, or has, too.
    pub(super) fn in_common<'a>(
        &mut self,
        owner: &Owner,
        prompt: &[u32],
        waiting: impl Iterator<Item = (&'a Owner, &'a [u32])>,
    ) -> usize {
        let longest = |most: usize, (whose, other): (&Owner, &[u32])| {
            if whose == owner { most.max(begin_alike(prompt, other)) } else { most }
        };
        let most = self.seen.iter().map(|(owner, prompt)| (owner, prompt.as_slice())).fold(0, longest);
        // At least one token is left, whose logits are wanted.
        let common = waiting.fold(most, longest).min(prompt.len() - 1);
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back((owner.clone(), prompt.to_vec()));
        common
    }
}

/// How many tokens two prompts begin with.
fn begin_alike(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_in_common_are_seen_by_owner() {
        let mut kept = Kept::default();
        let (a, b) = (Owner("a".into()), Owner("b".into()));
        let none = || std::iter::empty();
        assert_eq!(kept.in_common(&a, &[1, 2, 3, 4], none()), 0);
        assert_eq!(kept.in_common(&b, &[1, 2, 3, 4], none()), 0, "of another owner");
        assert_eq!(kept.in_common(&a, &[1, 2, 9], none()), 2);
        assert_eq!(kept.in_common(&a, &[1, 2, 3, 4], none()), 3, "one token is left to read");
        let waiting = [(&b, [7, 7].as_slice()), (&a, [5, 6, 7].as_slice())];
        assert_eq!(kept.in_common(&a, &[5, 6, 8, 9], waiting.into_iter()), 2);
    }
}
