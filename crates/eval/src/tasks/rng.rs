//! Random numbers that are the same on every machine and in every version.
//!
//! xoshiro256** (Blackman and Vigna), its state filled by SplitMix64. A benchmark's items must not change when a
//! library does, so the generator lives here: the order of its draws is part of what a seed means.

/// A seeded generator.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        let mut counter = seed;
        Self { state: std::array::from_fn(|_| split_mix(&mut counter)) }
    }

    /// The generator of one item, by a run's seed, a name and a number: no item depends on those before it.
    pub fn for_item(seed: u64, name: &str, index: u64) -> Self {
        // FNV-1a over the name.
        let hash =
            name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        let mut first = seed;
        let mut second = split_mix(&mut first) ^ hash;
        let mut third = split_mix(&mut second) ^ index;
        Self::new(split_mix(&mut third))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        let s = &mut self.state;
        let out = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// A number in `0..n`, all equally likely; 0 where `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.range(0, n as u64) as usize
    }

    /// A number in `low..high`, all equally likely; `low` where the range is empty.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        let span = high.saturating_sub(low);
        if span == 0 {
            return low;
        }
        // The last, incomplete round of 64-bit numbers is drawn again, or small results would be likelier.
        let fair = u64::MAX - u64::MAX % span;
        loop {
            let bits = self.bits();
            if bits < fair {
                return low + bits % span;
            }
        }
    }

    /// One of the items; nothing where there are none.
    pub fn choice<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// All orders equally likely (Fisher-Yates, from the end).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// `k` different numbers of `0..n` in the order drawn (all `n` where `k` is larger). A larger `k` begins with the
    /// same numbers.
    pub fn sample(&mut self, n: usize, k: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..n).collect();
        let k = k.min(n);
        for i in 0..k {
            let other = i + self.below(n - i);
            all.swap(i, other);
        }
        all.truncate(k);
        all
    }
}

/// One step of SplitMix64.
fn split_mix(counter: &mut u64) -> u64 {
    *counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *counter;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_first_numbers() {
        let mut counter = 0;
        assert_eq!(split_mix(&mut counter), 0xe220_a839_7b1d_cdaf);
        let mut rng = Rng { state: [1, 2, 3, 4] };
        let first: Vec<u64> = (0..4).map(|_| rng.bits()).collect();
        assert_eq!(first, [11520, 0, 1_509_978_240, 1_215_971_899_390_074_240]);
    }

    #[test]
    fn a_sample_has_different_numbers_and_grows_from_the_front() {
        for seed in 0..20 {
            let long = Rng::new(seed).sample(50, 40);
            let short = Rng::new(seed).sample(50, 7);
            assert_eq!(short, long[..7]);
            let mut sorted = long.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), 40);
            assert!(sorted.iter().all(|&n| n < 50));
        }
        assert_eq!(Rng::new(1).sample(3, 9).len(), 3);
    }

    #[test]
    fn a_shuffle_keeps_everything_and_every_place_is_reached() {
        let mut seen = [[false; 5]; 5];
        for seed in 0..200 {
            let mut items = [0, 1, 2, 3, 4];
            Rng::new(seed).shuffle(&mut items);
            for (place, &item) in items.iter().enumerate() {
                seen[item][place] = true;
            }
            items.sort_unstable();
            assert_eq!(items, [0, 1, 2, 3, 4]);
        }
        assert_eq!(seen, [[true; 5]; 5]);
    }

    #[test]
    fn numbers_stay_in_range_and_are_spread() {
        let mut rng = Rng::new(9);
        let mut counts = [0_usize; 10];
        for _ in 0..10_000 {
            counts[rng.range(100, 110) as usize - 100] += 1;
        }
        assert!(counts.iter().all(|&c| (850..1150).contains(&c)), "{counts:?}");
        assert_eq!((rng.below(0), rng.range(7, 7), rng.choice::<u8>(&[])), (0, 7, None));
    }

    #[test]
    fn items_differ_by_seed_name_and_number() {
        let first = |seed, name, index| Rng::for_item(seed, name, index).bits();
        let all = [first(1, "vt", 0), first(2, "vt", 0), first(1, "cwe", 0), first(1, "vt", 1)];
        for i in 0..all.len() {
            assert!(!all[..i].contains(&all[i]));
        }
        assert_eq!(first(1, "vt", 0), first(1, "vt", 0));
    }
}
