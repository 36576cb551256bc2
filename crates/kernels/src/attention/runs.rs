//! Attention states in runs of rows, one a task.

use crate::attention::state::AttnRowsMut;
use crate::number::Number;
use crate::parts::{Parts, Ranges};

/// The states of all query heads' rows, in runs of rows that share a key/value head.
#[derive(Debug)]
pub struct AttnRuns<'a, T> {
    dim: usize,
    group: usize,
    run: usize,
    max: Ranges<'a, T>,
    sum: Ranges<'a, T>,
    out: Ranges<'a, T>,
}

impl<'a, T: Number> AttnRowsMut<'a, T> {
    /// Divides groups of `group` rows (the last perhaps smaller) into runs of `run` rows (the last of each perhaps
    /// shorter).
    pub fn runs(self, group: usize, run: usize) -> AttnRuns<'a, T> {
        let (dim, max, sum, out) = self.into_slices();
        let (max, sum, out) = (Ranges::new(max), Ranges::new(sum), Ranges::new(out));
        AttnRuns { dim, group: group.max(1), run: run.max(1), max, sum, out }
    }
}

impl<T> AttnRuns<'_, T> {
    fn runs_a_group(&self) -> usize {
        self.group.div_ceil(self.run)
    }
}

/// A part is a group's number, the run's first row counted from the group's, and the states.
// SAFETY: runs do not overlap: each begins at or after the end of the one before, and ends inside its group.
unsafe impl<'a, T: Number> Parts for AttnRuns<'a, T> {
    type Part = (usize, usize, AttnRowsMut<'a, T>);

    fn count(&self) -> usize {
        let (whole, rest) = (self.max.len() / self.group, self.max.len() % self.group);
        whole * self.runs_a_group() + rest.div_ceil(self.run)
    }

    unsafe fn part(&self, i: usize) -> Self::Part {
        let (group, first) = (i / self.runs_a_group(), i % self.runs_a_group() * self.run);
        let from = group * self.group + first;
        let to = (from + self.run).min((group + 1) * self.group).min(self.max.len());
        // SAFETY: see above; the caller does not ask for a number twice.
        let (max, sum) = unsafe { (self.max.range(from..to), self.sum.range(from..to)) };
        // SAFETY: the same rows.
        let out = unsafe { self.out.range(from * self.dim..to * self.dim) };
        (group, first, AttnRowsMut::from_slices(self.dim, max, sum, out))
    }
}

#[cfg(test)]
mod tests {
    use crate::attention::state::AttnRows;
    use crate::team::Team;

    #[test]
    fn every_row_is_in_one_run_of_its_group() {
        let (team, dim) = (Team::new(2).unwrap(), 3);
        for (rows, group, run) in [(12, 4, 2), (12, 4, 3), (12, 4, 4), (12, 12, 5), (12, 3, 100), (0, 3, 1), (7, 3, 2)]
        {
            let mut state = AttnRows::<f32>::new(rows, dim);
            team.for_parts(state.all().runs(group, run), |_, (g, first, mut states)| {
                assert!(states.count() <= run && first + states.count() <= group);
                for r in 0..states.count() {
                    let number = (g * group + first + r) as f32;
                    states.row(r).absorb(0.0, 1.0, &[number, number, number]);
                }
            });
            let expected: Vec<f32> = (0..rows * dim).map(|i| (i / dim) as f32).collect();
            assert_eq!(state.finish(), expected, "{rows} rows in groups of {group}, runs of {run}");
        }
    }
}
