//! The order in which a superblock's codes of keys stand on the device (kernels/codes.cuh): pairs of coefficients with as many
//! bits, 32 of them a unit, in bit planes over the superblock's 16 blocks.

use half::f16;

use super::spectral_tables::Coefficients;

/// Pairs of a unit: one for each lane of a warp.
const PAIRS: usize = 32;
/// No coefficient, `NO_PLACE` and `NO_BIT` in the source.
const NO_PLACE: u32 = 0xffff;
pub(super) const NO_BIT: u32 = u32::MAX;
/// Marks units whose pairs follow on one another, `FOLLOWING` in the source.
const FOLLOWING: u32 = 256;
/// Words of zeros before a stream's trellis bits, whose first state is 0.
pub(super) const LEAD: u32 = 2;
/// Warp instructions that a unit takes, about, by its bits.
const COSTS: [u32; 9] = [0, 99, 115, 139, 210, 228, 240, 287, 300];

/// What is decoded together: the coefficients of a head's keys, or of so many directions of values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The part.
    pub(super) part: usize,
    /// Where in a block of it, in halves.
    pub(super) at: u32,
}

/// How one side's codes stand on the device, as the kernels are told of it.
#[derive(Debug, Default)]
pub(super) struct Arrangement {
    /// `Coding::units`.
    pub(super) units: Vec<[u32; 4]>,
    /// `Coding::pairs`.
    pub(super) pairs: Vec<[u32; 2]>,
    /// `Coding::seconds`.
    pub(super) seconds: Vec<u32>,
    /// `Coding::parts`.
    pub(super) parts: Vec<[u32; 4]>,
    /// Of each word the bits of a block's stream that its halves are, one for every block.
    pub(super) sources: Vec<[u32; 2]>,
    warps: usize,
}

/// A coefficient of a part.
#[derive(Clone, Copy)]
struct Coefficient {
    /// Its number in the stream.
    number: usize,
    at: u32,
}

/// Pairs of coefficients with as many bits.
struct Group {
    bits: u8,
    following: bool,
    pairs: Vec<(Coefficient, Option<Coefficient>)>,
}

impl Arrangement {
    /// Of coefficients in `parts` parts at `places`, whose sizes are relative to `unit`; the words of the side begin at
    /// `first_word` of a superblock, its bits at `first_bit` of a block's stream. Units are dealt out to `warps`.
    pub(super) fn new(
        side: &Coefficients<'_>,
        places: &[Place],
        parts: usize,
        unit: f32,
        (first_word, first_bit): (usize, usize),
        warps: usize,
    ) -> Self {
        let mut all = Arrangement { warps, ..Arrangement::default() };
        let starts = bit_positions(side.bits, first_bit as u32);
        all.sources.extend([[NO_BIT; 2]; LEAD as usize]);
        let start = |i: usize| starts.get(i).copied().unwrap_or(NO_BIT);
        all.sources.extend((0..starts.len()).step_by(2).map(|i| [start(i), start(i + 1)]));
        let mut members: Vec<Vec<Coefficient>> = vec![Vec::new(); parts];
        for (number, place) in places.iter().enumerate() {
            members[place.part].push(Coefficient { number, at: place.at });
        }
        for members in &members {
            all.add_part(side, members, &starts, unit, first_word as u32);
        }
        // Copies are of 16 bytes.
        all.sources.resize(all.sources.len().next_multiple_of(4), [NO_BIT; 2]);
        all
    }

    fn add_part(&mut self, side: &Coefficients<'_>, members: &[Coefficient], starts: &[u32], unit: f32, base: u32) {
        let (first_unit, first_word) = (self.units.len() as u32, base + self.sources.len() as u32);
        // The word of a coefficient's trellis bits; kernels copy from a multiple of 16 bytes on, and read two words before.
        let trellis = |c: Option<&Coefficient>| base + LEAD + c.map_or(0, |c| c.number as u32 / 2);
        let (first, end) = (trellis(members.first()) - LEAD, trellis(members.last()) + 1);
        let copied = 2 * (first & !3);
        let mut units = Vec::new();
        for group in groups(members, side.bits) {
            for pairs in group.pairs.chunks(PAIRS) {
                let kind = u32::from(group.bits) + if group.following { FOLLOWING } else { 0 };
                let first_plane = base + self.sources.len() as u32;
                units.push([kind, first_plane, self.pairs.len() as u32, pairs.len() as u32]);
                for &(a, b) in pairs {
                    let place = |c: Coefficient| 2 * c.at;
                    let half = |c: Coefficient| 2 * (base + LEAD) + c.number as u32 - copied;
                    let first = if group.following { half(a) / 2 } else { half(a) };
                    self.pairs.push([sizes(side, (a, b), unit), place(a) | first << 16]);
                    self.seconds.push(b.map_or(NO_PLACE, place) | half(b.unwrap_or(a)) << 16);
                }
                let bit = |c: Option<Coefficient>, plane: u32| c.map_or(NO_BIT, |c| starts[c.number] + plane);
                for plane in 1..u32::from(group.bits) {
                    self.sources.extend(pairs.iter().map(|&(a, b)| [bit(Some(a), plane), bit(b, plane)]));
                }
            }
        }
        self.units.extend(dealt(units, self.warps));
        self.parts.push([first_unit, self.units.len() as u32, 0, 0]);
        self.parts.push([first_word, base + self.sources.len() as u32, first, end]);
    }
}

/// Where each coefficient's symbol begins in a block's stream.
pub(super) fn bit_positions(bits: &[u8], first: u32) -> Vec<u32> {
    let next = |position: &mut u32, &k: &u8| {
        let own = *position;
        *position += u32::from(k);
        Some(own)
    };
    bits.iter().scan(first, next).collect()
}

/// A part's coefficients in pairs: by bits, and of each number of bits first those that follow on one another in the
/// stream, in a word of its trellis bits, and in place, in a word of a block.
fn groups(members: &[Coefficient], bits: &[u8]) -> Vec<Group> {
    let mut following: [Vec<_>; 9] = Default::default();
    let mut single: [Vec<Coefficient>; 9] = Default::default();
    let mut rest = members;
    while let [a, after @ ..] = rest {
        let k = bits[a.number];
        let next = after.first().filter(|b| {
            let word = a.number % 2 == 0 && b.number == a.number + 1;
            word && bits[b.number] == k && a.at % 2 == 0 && b.at == a.at + 1
        });
        match next {
            Some(&b) => {
                following[usize::from(k)].push((*a, Some(b)));
                rest = &after[1..];
            }
            None => {
                single[usize::from(k)].push(*a);
                rest = after;
            }
        }
    }
    let single = single.map(|all| all.chunks(2).map(|c| (c[0], c.get(1).copied())).collect::<Vec<_>>());
    let group = |following| move |(bits, pairs)| Group { bits: bits as u8, following, pairs };
    let following = following.into_iter().enumerate().map(group(true));
    following.chain(single.into_iter().enumerate().map(group(false))).collect()
}

/// The sizes of two coefficients as halves.
fn sizes(side: &Coefficients<'_>, (a, b): (Coefficient, Option<Coefficient>), unit: f32) -> u32 {
    let size = |c: Coefficient| {
        let size = side.sizes[c.number];
        u32::from(f16::from_f32(if size.is_finite() { size / unit } else { 0.0 }).to_bits())
    };
    size(a) | b.map_or(0, size) << 16
}

/// Units in the order in which warps take them, each every so many: those with the most to do go first to who has the
/// least, and where there is none stand units without pairs.
fn dealt(mut units: Vec<[u32; 4]>, warps: usize) -> Vec<[u32; 4]> {
    let rounds = units.len().div_ceil(warps) + 1;
    let mut lists: Vec<(u32, Vec<[u32; 4]>)> = vec![(0, Vec::new()); warps];
    units.sort_by_key(|unit| std::cmp::Reverse(cost(unit)));
    for unit in units {
        let free = lists.iter_mut().filter(|(_, own)| own.len() < rounds);
        if let Some((load, own)) = free.min_by_key(|(load, _)| *load) {
            *load += cost(&unit);
            own.push(unit);
        }
    }
    let rounds = lists.iter().map(|(_, own)| own.len()).max().unwrap_or(0);
    (0..rounds).flat_map(|i| lists.iter().map(move |(_, own)| own.get(i).copied().unwrap_or([1, 0, 0, 0]))).collect()
}

/// Warp instructions that a unit takes, about.
fn cost(unit: &[u32; 4]) -> u32 {
    let bits = COSTS[(unit[0] % FOLLOWING) as usize];
    45 + if unit[0] < FOLLOWING { bits * 4 / 3 } else { bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every bit of the stream stands in one half of one word, and those of a pair where the kernels look for them.
    #[test]
    fn every_bit_stands_once_where_it_is_looked_for() {
        let count = 901;
        let bits: Vec<u8> = (0..count).map(|i| (i * i / 7 % 8) as u8 + 1).collect();
        let bits: Vec<u8> = bits.iter().enumerate().map(|(i, &k)| if i < 300 { 2 } else { k }).collect();
        let sizes = vec![1.0; count];
        let places: Vec<Place> = (0..count).map(|i| Place { part: i / 500, at: (i % 500) as u32 }).collect();
        let side = Coefficients { bits: &bits, sizes: &sizes, places: &[], starts: &[] };
        let (base, first_bit) = (40, 96);
        let all = Arrangement::new(&side, &places, 2, 1.0, (base, first_bit), 8);
        let total: usize = bits.iter().map(|&k| usize::from(k)).sum();
        let mut seen = vec![0; total];
        for bit in all.sources.iter().flatten().filter(|&&bit| bit != NO_BIT) {
            seen[*bit as usize - first_bit] += 1;
        }
        assert!(seen.iter().all(|&n| n == 1));
        assert!(2 * all.sources.len() < total + total / 50, "{} words for {total} bits", all.sources.len());
        let starts = bit_positions(&bits, first_bit as u32);
        let half = |at: u32| all.sources[(at / 2) as usize - base][at as usize % 2];
        let mut found = vec![false; count];
        let mut check = |part: usize, at: u32, trellis: u32, plane: &dyn Fn(u32) -> u32, k: u32| {
            let number = part * 500 + at as usize / 2;
            assert_eq!((u32::from(bits[number]), half(trellis)), (k, starts[number]));
            for earlier in 1..=3 {
                let expected = number.checked_sub(earlier).map_or(NO_BIT, |i| starts[i]);
                assert_eq!(half(trellis - earlier as u32), expected);
            }
            (1..k).for_each(|p| assert_eq!(plane(p), starts[number] + p));
            assert!(!std::mem::replace(&mut found[number], true));
        };
        for part in 0..2 {
            let [first, end, ..] = all.parts[2 * part];
            let [_, _, trellis, _] = all.parts[2 * part + 1];
            let copied = 2 * (trellis & !3);
            for &[kind, planes, first_pair, pairs] in &all.units[first as usize..end as usize] {
                for lane in 0..pairs {
                    let ([_, x], y) =
                        (all.pairs[(first_pair + lane) as usize], all.seconds[(first_pair + lane) as usize]);
                    let (k, following) = (kind % FOLLOWING, kind >= FOLLOWING);
                    let a = copied + if following { 2 * (x >> 16) } else { x >> 16 };
                    let b = if following { a + 1 } else { copied + (y >> 16) };
                    let word = |p: u32| all.sources[(planes + (p - 1) * pairs + lane) as usize - base];
                    check(part, x & 0xffff, a, &|p| word(p)[0], k);
                    if y & 0xffff != NO_PLACE {
                        check(part, y & 0xffff, b, &|p| word(p)[1], k);
                    }
                }
            }
        }
        assert!(found.iter().all(|&f| f));
    }
}
