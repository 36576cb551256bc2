//! The largest size that fits.

use super::TaskError;

/// The largest size in `low..=high` whose cost is at most `limit`; `None` where even `low` costs more.
///
/// Costs should not fall as sizes grow. As measuring means tokenizing a whole document, sizes are guessed from the
/// costs seen (they grow nearly evenly) rather than halved: a handful of measurements instead of a dozen.
pub(crate) fn largest(
    low: usize,
    high: usize,
    limit: usize,
    mut cost: impl FnMut(usize) -> Result<usize, TaskError>,
) -> Result<Option<usize>, TaskError> {
    let first = cost(low)?;
    if first > limit || high < low {
        return Ok(None);
    }
    let mut fits = Seen { size: low, cost: first };
    let mut over = loop {
        if fits.size >= high {
            return Ok(Some(fits.size));
        }
        let size = (fits.size * 2 + 1).min(high);
        let seen = Seen { size, cost: cost(size)? };
        if seen.cost > limit {
            break seen;
        }
        fits = seen;
    };
    // How often the same side has moved in turn: then the guess is near, and steps away from it grow from 1.
    let mut streak = (0_u32, false);
    while over.size - fits.size > 1 {
        let guess = match streak {
            (0, _) => between(&fits, &over, limit),
            (n, true) => fits.size + 4_usize.pow(n.min(12) - 1),
            (n, false) => over.size.saturating_sub(4_usize.pow(n.min(12) - 1)),
        };
        let size = guess.clamp(fits.size + 1, over.size - 1);
        let seen = Seen { size, cost: cost(size)? };
        let fit = seen.cost <= limit;
        streak = if streak.0 == 0 || streak.1 == fit { (streak.0 + 1, fit) } else { (0, fit) };
        *(if fit { &mut fits } else { &mut over }) = seen;
    }
    Ok(Some(fits.size))
}

/// A size and what it costs.
struct Seen {
    size: usize,
    cost: usize,
}

/// The size that should cost `limit`, if costs grow evenly.
fn between(fits: &Seen, over: &Seen, limit: usize) -> usize {
    let part = (limit - fits.cost) as f64 / (over.cost - fits.cost) as f64;
    fits.size + ((over.size - fits.size) as f64 * part) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_trying_all_sizes_finds_and_with_few_measurements() {
        for slope in [1_usize, 3, 7, 26] {
            for limit in (0..4000).step_by(61) {
                let cost = |n: usize| 40 + n * slope + n % 5;
                let want = (2..=3000).rev().find(|&n| cost(n) <= limit);
                let mut measured = 0;
                let got = largest(2, 3000, limit, |n| {
                    measured += 1;
                    Ok(cost(n))
                });
                let got = got.unwrap();
                // Within a size's jitter the costs are not ordered: what is found fits, and the next does not.
                assert_eq!(got.is_some(), want.is_some());
                if let Some(n) = got {
                    assert!(cost(n) <= limit && (n == 3000 || cost(n + 1) > limit));
                }
                assert!(measured <= 26, "{measured}");
            }
        }
    }

    #[test]
    fn steps_in_the_costs_and_errors() {
        let found = largest(1, 1000, 50, |n| Ok(if n < 700 { 1 } else { 1_000_000 })).unwrap();
        assert_eq!(found, Some(699));
        assert!(largest(1, 10, 5, |_| Err(TaskError::Tokens("no".into()))).is_err());
        assert_eq!(largest(5, 4, 100, Ok).unwrap(), None);
    }
}
