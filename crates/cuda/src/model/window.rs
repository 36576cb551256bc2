//! Which rows of a sequence are held whole, and which of them leave next.
//!
//! Behind the sink rows stand in blocks of as many as leave together. New tokens come last. Where the oldest block has
//! left, the newest whole one moves in, so rows are in no order, and all of them are where the first ones are.

use std::collections::VecDeque;

/// How a past is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Division {
    /// The first tokens, which stay whole.
    pub(super) sink: usize,
    /// The last tokens, which stay whole.
    pub(super) window: usize,
    /// Tokens that leave the window together.
    pub(super) step: usize,
    /// The middle is begun with no fewer tokens than this.
    pub(super) least: usize,
}

impl Division {
    /// Of `tokens` tokens that stand in order, those that the middle is begun with.
    pub(super) fn first_middle(&self, tokens: usize) -> usize {
        let behind = tokens.saturating_sub(self.sink + self.window.next_multiple_of(self.step));
        if behind < self.least.max(1) { 0 } else { behind }
    }
}

/// The rows of one sequence, in every layer the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    division: Division,
    held: usize,
    /// Blocks of rows behind the sink that are full, the oldest first.
    ages: VecDeque<usize>,
}

/// Rows that leave, and what fills the gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leave {
    /// The first row that leaves.
    pub(super) first: usize,
    /// The first of the rows that move there, as many.
    pub(super) from: usize,
}

impl Window {
    /// `held` rows, in order.
    pub(super) fn new(division: Division, held: usize) -> Self {
        let full = held.saturating_sub(division.sink) / division.step;
        Window { division, held, ages: (0..full).collect() }
    }

    /// Rows.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// One row more.
    pub(super) fn push(&mut self) {
        self.held += 1;
        let behind = self.held.saturating_sub(self.division.sink);
        if behind > 0 && behind.is_multiple_of(self.division.step) {
            self.ages.push_back(behind / self.division.step - 1);
        }
    }

    /// Whether a block can leave now: all are full, and they are one more than the window.
    pub(super) fn is_due(&self) -> bool {
        let Division { sink, window, step, .. } = self.division;
        let behind = self.held.saturating_sub(sink);
        behind.is_multiple_of(step) && behind >= window + step
    }

    /// The oldest block leaves.
    pub(super) fn leave(&mut self) -> Option<Leave> {
        let Division { sink, step, .. } = self.division;
        let oldest = self.ages.pop_front()?;
        let last = (self.held - sink) / step - 1;
        if let Some(moved) = self.ages.iter_mut().find(|block| **block == last) {
            *moved = oldest;
        }
        self.held -= step;
        Some(Leave { first: sink + oldest * step, from: sink + last * step })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a list of the tokens that rows hold.
    #[test]
    fn the_oldest_tokens_leave_and_all_others_stay() {
        for (sink, window, step, held) in [(4, 64, 64, 68), (0, 128, 64, 130), (3, 1020, 256, 1400), (5, 7, 4, 2)] {
            let division = Division { sink, window, step, least: 1 };
            let mut window_rows = Window::new(division, held);
            let mut rows: Vec<usize> = (0..held).collect();
            let mut next_to_leave = sink;
            for token in held..held + 5 * (window + step) {
                while window_rows.is_due() {
                    let Leave { first, from } = window_rows.leave().unwrap();
                    let leaving: Vec<usize> = rows[first..first + step].to_vec();
                    assert_eq!(leaving, (next_to_leave..next_to_leave + step).collect::<Vec<_>>());
                    next_to_leave += step;
                    rows.copy_within(from..from + step, first);
                    rows.truncate(rows.len() - step);
                }
                rows.push(token);
                window_rows.push();
                assert_eq!(window_rows.held(), rows.len());
                assert!(rows[..sink.min(rows.len())].iter().copied().eq(0..sink.min(rows.len())));
            }
            let mut left = rows[sink..].to_vec();
            left.sort_unstable();
            assert_eq!(left, (next_to_leave..held + 5 * (window + step)).collect::<Vec<_>>());
            assert!(left.len() >= window && left.len() <= window.next_multiple_of(step) + step);
        }
    }

    #[test]
    fn a_middle_is_begun_when_enough_wait() {
        let division = Division { sink: 4, window: 60, step: 64, least: 100 };
        assert_eq!([0, 68, 167, 168, 300].map(|tokens| division.first_middle(tokens)), [0, 0, 0, 100, 232]);
    }
}
