//! Timing a piece of work, within a budget: the examination stays quick on a busy machine.

use std::time::{Duration, Instant};

/// Passes that are counted, where time allows.
const PASSES: usize = 5;
/// After this long no further pass is begun.
const BUDGET: Duration = Duration::from_millis(300);

/// Seconds of the fastest pass: one that is not counted, then one that is, then up to four more
/// while the budget lasts.
pub(super) fn fastest(mut pass: impl FnMut()) -> f64 {
    let begin = Instant::now();
    pass();
    let mut seconds = f64::INFINITY;
    for counted in 0..PASSES {
        if counted > 0 && begin.elapsed() > BUDGET {
            break;
        }
        let start = Instant::now();
        pass();
        seconds = seconds.min(start.elapsed().as_secs_f64());
    }
    seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(length: Duration) -> usize {
        let mut count = 0;
        let seconds = fastest(|| {
            count += 1;
            std::thread::sleep(length);
        });
        assert!(seconds >= length.as_secs_f64());
        count
    }

    #[test]
    fn slow_work_is_done_twice_and_fast_work_six_times() {
        assert_eq!(passes(BUDGET), 2);
        assert_eq!(passes(Duration::from_micros(1)), 1 + PASSES);
    }
}
