//! How things stand: for metrics, and for people who look.

use fourier_kv_cache::CacheBytes;

use super::job::Owner;

/// How things stand.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Bytes that all pasts may hold.
    pub budget: usize,
    /// Bytes that running jobs may come to hold, as foretold.
    pub reserved: usize,
    /// Jobs that wait.
    pub queued: usize,
    /// Prompts that are being read.
    pub reading: usize,
    /// Answers that are being made.
    pub running: Vec<PastInfo>,
    /// Pasts that are kept for later jobs.
    pub kept: Vec<PastInfo>,
    /// Pasts of sessions that are in memory and idle.
    pub held: Vec<PastInfo>,
    /// What has happened since the beginning.
    pub counters: Counters,
}

impl Snapshot {
    /// Bytes that all pasts hold.
    pub fn bytes(&self) -> usize {
        self.running.iter().chain(&self.kept).chain(&self.held).map(|past| past.bytes.total()).sum()
    }
}

/// One past.
#[derive(Clone, Debug)]
pub struct PastInfo {
    /// Whose it is.
    pub owner: Owner,
    /// Its tokens.
    pub tokens: usize,
    /// The bytes it holds, by kind.
    pub bytes: CacheBytes,
    /// Bytes that exact keys and values of as many tokens take, in 16 bits a number.
    pub exact_bytes: usize,
}

/// What has happened since the scheduler started.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Jobs taken.
    pub taken: u64,
    /// Jobs refused as the queue was full.
    pub refused_full: u64,
    /// Jobs refused for other reasons.
    pub refused_other: u64,
    /// Jobs whose answers have all ended.
    pub done: u64,
    /// Jobs that their clients left.
    pub left: u64,
    /// Jobs whose time was over.
    pub timed_out: u64,
    /// Jobs that failed, those of a stopping scheduler included.
    pub failed: u64,
    /// Tokens of prompts that were read.
    pub prompt_tokens: u64,
    /// Tokens of prompts that need not be read.
    pub reused_tokens: u64,
    /// Tokens of answers.
    pub generated_tokens: u64,
    /// Passes that made tokens.
    pub steps: u64,
    /// Kept pasts that gave way.
    pub evicted: u64,
    /// Seconds from taking a job to its first token.
    pub first_token: Histogram,
    /// Seconds between tokens of an answer.
    pub gap: Histogram,
}

/// How often values fell below each of some bounds.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: [u64; Histogram::BOUNDS.len()],
    /// Values seen.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The largest.
    pub largest: f64,
}

impl Histogram {
    /// The bounds, in seconds.
    pub const BOUNDS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

    /// Counts a value.
    pub fn add(&mut self, value: f64) {
        if let Some(at) = Self::BOUNDS.iter().position(|&bound| value <= bound) {
            self.counts[at] += 1;
        }
        self.count += 1;
        self.sum += value;
        self.largest = self.largest.max(value);
    }

    /// Each bound with the number of values up to it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut total = 0;
        Self::BOUNDS.into_iter().zip(self.counts).map(move |(bound, count)| {
            total += count;
            (bound, total)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_below_all_larger_bounds() {
        let mut seen = Histogram::default();
        [0.01, 0.02, 0.3, 100.0].into_iter().for_each(|value| seen.add(value));
        let counts: Vec<u64> = seen.cumulative().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3]);
        assert_eq!((seen.count, seen.largest), (4, 100.0));
        assert!((seen.sum - 100.33).abs() < 1e-9);
    }
}
