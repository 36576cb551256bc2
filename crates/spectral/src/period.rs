//! Periods that transform fast.

/// Periods are multiples of this: transforms then work on vectors of sixteen consecutive samples, two at a time.
pub const PERIOD_STEP: usize = 32;

/// From this length on, multiples of [`GRID_STEP`] are preferred.
const LONG: usize = 24_576;
/// Of these a sixteenth of the samples are a period of [`PERIOD_STEP`]s again: transforms can go by way of a grid.
const GRID_STEP: usize = 16 * PERIOD_STEP;

/// The smallest number of the form `32 2^a 3^b 5^c` that is at least `minimum` (and at least 32); for long periods a
/// multiple of 512 instead, where one is no more than a 24th longer.
pub fn fast_period(minimum: usize) -> usize {
    let smallest = PERIOD_STEP * fast_number(minimum.div_ceil(PERIOD_STEP));
    let with_grid = GRID_STEP * fast_number(minimum.div_ceil(GRID_STEP));
    if minimum >= LONG && with_grid <= smallest + smallest / 24 { with_grid } else { smallest }
}

/// The smallest number of the form `2^a 3^b 5^c` that is at least `wanted`.
fn fast_number(wanted: usize) -> usize {
    let wanted = wanted.max(1);
    let mut best = wanted.next_power_of_two();
    let mut five = 1;
    while five < best {
        let mut three = five;
        while three < best {
            let twos = wanted.div_ceil(three).next_power_of_two();
            best = best.min(three * twos);
            three *= 3;
        }
        five *= 5;
    }
    best
}

/// Harmonics that can be kept of a real signal with this period: `requested`, but no more than `P/2 + 1`,
/// which is the full spectrum.
pub fn usable_harmonics(requested: usize, period: usize) -> usize {
    requested.min(period / 2 + 1)
}

#[cfg(test)]
mod tests {
    use super::{PERIOD_STEP, fast_period};

    fn is_fast(n: usize) -> bool {
        if !n.is_multiple_of(PERIOD_STEP) {
            return false;
        }
        let mut rest = n;
        for factor in [2, 3, 5] {
            while rest.is_multiple_of(factor) {
                rest /= factor;
            }
        }
        rest == 1
    }

    #[test]
    fn is_the_smallest_fast_length() {
        for minimum in 0..20_000 {
            let by_search = (minimum.max(1)..).find(|&n| is_fast(n)).unwrap();
            assert_eq!(fast_period(minimum), by_search, "minimum {minimum}");
        }
    }

    /// Most long periods allow a grid, and are fast all the same.
    #[test]
    fn long_periods_allow_a_grid() {
        let minima: Vec<usize> = (24_576..300_000).step_by(97).collect();
        let with_grid = minima.iter().filter(|&&minimum| fast_period(minimum).is_multiple_of(512)).count();
        assert!(minima.iter().all(|&minimum| is_fast(fast_period(minimum)) && fast_period(minimum) >= minimum));
        assert!(4 * with_grid > 3 * minima.len(), "{with_grid} of {}", minima.len());
    }

    /// An automatic period leaves an eighth for growth, so it may be a ninth longer than wished for.
    #[test]
    fn wastes_little_at_length() {
        for minimum in (4_096..200_000).step_by(37) {
            assert!(fast_period(minimum) as f64 <= minimum as f64 * 1.13, "{minimum}");
        }
        for minimum in (16_384..1_000_000).step_by(97) {
            assert!(fast_period(minimum) as f64 <= minimum as f64 * 1.08, "{minimum}");
        }
    }
}
