//! Periods that transform fast.

/// The smallest even number of the form `2^a 3^b 5^c` that is at least `minimum` (and at least 2).
///
/// Even, because a real transform of even length costs a complex one of half the length.
pub fn fast_period(minimum: usize) -> usize {
    let wanted = minimum.div_ceil(2).max(1);
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
    2 * best
}

/// Harmonics that can be kept of a real signal with this period: `requested`, but no more than `P/2 + 1`,
/// which is the full spectrum.
pub fn usable_harmonics(requested: usize, period: usize) -> usize {
    requested.min(period / 2 + 1)
}

#[cfg(test)]
mod tests {
    use super::fast_period;

    fn is_fast(mut n: usize) -> bool {
        if !n.is_multiple_of(2) {
            return false;
        }
        for factor in [2, 3, 5] {
            while n.is_multiple_of(factor) {
                n /= factor;
            }
        }
        n == 1
    }

    #[test]
    fn is_the_smallest_fast_length() {
        for minimum in 0..5_000 {
            let by_search = (minimum.max(2)..).find(|&n| is_fast(n)).unwrap();
            assert_eq!(fast_period(minimum), by_search, "minimum {minimum}");
        }
    }

    #[test]
    fn wastes_little_at_length() {
        for minimum in (1_000..200_000).step_by(37) {
            assert!(fast_period(minimum) as f64 <= minimum as f64 * 1.07, "{minimum}");
        }
    }
}
