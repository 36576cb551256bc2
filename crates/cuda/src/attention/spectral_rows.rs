//! The order in which a superblock's codes of values stand on the device (kernels/values.cuh): units of 16 directions and
//! four harmonics, of whose coefficients each lane of a warp has two, in half words over the superblock's 16 blocks.

use half::f16;

use super::spectral::BLOCK;
use super::spectral_tables::Coefficients;
use super::spectral_units::{LEAD, NO_BIT, Place, bit_positions};

/// Directions of a unit, and its harmonics.
const ROWS: usize = 16;
const QUAD: usize = 4;
/// Warps of a team, which share out the rows: `TEAM_WARPS` in the source.
const WARPS: usize = 4;
/// Lanes of a warp.
const WARP: usize = 32;
/// The most bits of levels of which tables have two in a word, and of levels that tables have.
const PAIRED: u8 = 3;
const TABLED: u8 = 6;
/// In a lane's places: the second table, the third.
const FLAG: u32 = 1 << 15;

/// How values' codes stand on the device, as the kernels are told of it.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// `ValueCoding::units`.
    pub(super) units: Vec<u32>,
    /// `ValueCoding::lanes`.
    pub(super) lanes: Vec<[u32; 4]>,
    /// `ValueCoding::words`.
    pub(super) words: Vec<[u32; 4]>,
    /// `ValueCoding::parts`.
    pub(super) parts: Vec<[u32; 2]>,
    /// Of each word the bits of a block's stream that its halves are, one for every block.
    pub(super) sources: Vec<[u32; 2]>,
    /// Of each part the direction that each row is.
    pub(super) directions: Vec<Vec<usize>>,
}

/// A side's coefficients, and where its words begin.
struct Stream<'a> {
    side: &'a Coefficients<'a>,
    starts: Vec<u32>,
    /// The largest size.
    unit: f32,
    base: u32,
}

/// A part: the number of each direction's and harmonic's coefficient, and where its staged words are.
struct Part {
    numbers: Vec<[Option<usize>; BLOCK]>,
    /// Half words that are staged before the first trellis bit of the stream, and before the planes.
    trellis: u32,
    /// Half words of trellis bits that are staged.
    before: u32,
}

impl Rows {
    /// Of coefficients in `parts` parts of `head_dim` directions at `places`, `[directions][16 harmonics]`, whose sizes are
    /// relative to `unit`; the words of the side begin at `first_word` of a superblock, its bits at `first_bit` of a
    /// block's stream.
    pub(super) fn new(
        side: &Coefficients<'_>,
        places: &[Place],
        (parts, head_dim): (usize, usize),
        unit: f32,
        (first_word, first_bit): (usize, usize),
    ) -> Self {
        let starts = bit_positions(side.bits, first_bit as u32);
        let stream = Stream { side, starts, unit, base: first_word as u32 };
        let mut all = Rows::default();
        let mut halves = vec![NO_BIT; 2 * LEAD as usize];
        halves.extend(&stream.starts);
        let mut numbers = vec![vec![[None; BLOCK]; head_dim]; parts];
        for (number, place) in places.iter().enumerate() {
            numbers[place.part][place.at as usize / BLOCK][place.at as usize % BLOCK] = Some(number);
        }
        for numbers in numbers {
            all.add_part(&stream, numbers, &mut halves);
        }
        // Copies are of 16 bytes.
        halves.resize(halves.len().next_multiple_of(8), NO_BIT);
        all.sources = halves.as_chunks().0.to_vec();
        all
    }

    fn add_part(&mut self, stream: &Stream<'_>, numbers: Vec<[Option<usize>; BLOCK]>, halves: &mut Vec<u32>) {
        halves.resize(halves.len().next_multiple_of(2), NO_BIT);
        let planes = stream.base + halves.len() as u32 / 2;
        let members = || numbers.iter().flatten().flatten();
        let (first, last) = (members().min().copied().unwrap_or(0), members().max().copied().unwrap_or(0));
        // A coefficient's bits need those of the three before it.
        let (first, end) = (stream.base + first as u32 / 2, stream.base + LEAD + last as u32 / 2 + 1);
        let part = Part { numbers, trellis: 2 * (first & !3), before: 2 * (end.next_multiple_of(4) - (first & !3)) };
        let bits = |direction: usize, harmonic: usize| {
            part.numbers[direction][harmonic].map_or(0, |number| stream.side.bits[number])
        };
        let directions = directions(part.numbers.len(), bits);
        let harmonics = harmonics(part.numbers.len(), bits);
        let first_unit = self.lanes.len() / WARP;
        let quads = harmonics.chunks_exact(QUAD);
        self.units.extend(quads.clone().map(|quad| quad.iter().rev().fold(0, |word, &f| word << 8 | f as u32)));
        for rows in directions.chunks_exact(ROWS) {
            for quad in quads.clone() {
                let most = rows.iter().flat_map(|&d| quad.iter().map(move |&f| bits(d, f))).max().unwrap_or(0);
                let number = (self.lanes.len() / WARP - first_unit) as u32;
                self.units.push(if most > 0 { u32::from(most) | number << 8 } else { 0 });
                if most > 0 {
                    self.lanes.extend(stream.lanes(&part, (rows, quad), most, planes & !3, halves));
                }
            }
        }
        self.parts.push([first_unit as u32, (self.lanes.len() / WARP - first_unit) as u32]);
        self.words.push([planes, stream.base + halves.len().div_ceil(2) as u32, first, end]);
        self.directions.push(directions);
    }
}

impl Stream<'_> {
    /// What the lanes of a unit have; adds its planes to `halves`. Planes are staged from word `copied` on.
    fn lanes(
        &self,
        part: &Part,
        (rows, quad): (&[usize], &[usize]),
        most: u8,
        copied: u32,
        halves: &mut Vec<u32>,
    ) -> Vec<[u32; 4]> {
        let mut lanes = vec![[0; 4]; WARP];
        for second in 0..2 {
            for (lane, out) in lanes.iter_mut().enumerate() {
                let number = part.numbers[rows[lane / 4 + 8 * second]][quad[lane % 4]];
                let bits = number.map_or(0, |i| self.side.bits[i]);
                let (table, numbers) = table(bits.max(1), most);
                let size = number.map_or(0, |i| size(self.side.sizes[i] / self.unit));
                // Where there is no coefficient some other's bits are read, to be multiplied by zero.
                let trellis = number.map_or(3, |i| 2 * (self.base + LEAD) + i as u32 - part.trellis);
                let place = part.before + 2 * self.base + halves.len() as u32 - 2 * copied;
                let planes = if bits > 1 { place } else { part.before };
                let own = [
                    size,
                    trellis | if table == 1 { FLAG } else { 0 },
                    planes | if table == 2 { FLAG } else { 0 },
                    numbers,
                ];
                out.iter_mut().zip(own).for_each(|(out, own)| *out |= own << (16 * second));
                halves.extend((1..u32::from(bits)).map(|plane| self.starts[number.unwrap_or(0)] + plane));
            }
        }
        lanes
    }
}

/// The table of a coefficient of so many bits in a unit of up to `most`, and what its numbers are masked with and, above
/// that, filled up with: the row from which its levels are. Where there are no tables the filling is the bits.
fn table(bits: u8, most: u8) -> (u32, u32) {
    let (table, first) = match (bits, most) {
        (_, TABLED..) if most > TABLED => (0, bits),
        (1, ..=PAIRED) => (1, 64),
        (2, ..=PAIRED) => (1, 0),
        (3, ..=PAIRED) => (0, 0),
        (1, _) => (1, 200),
        (2, _) => (1, 192),
        (3, _) => (1, 80),
        (4, _) => (1, 96),
        (5, _) => (1, 128),
        _ => (2, 0),
    };
    let width = if most <= PAIRED { 2 * bits + 2 } else { (bits + 1).min(8) };
    (table, 0xff >> (8 - width) | u32::from(first) << 8)
}

/// A size as a half.
fn size(x: f32) -> u32 {
    u32::from(f16::from_f32(if x.is_finite() { x } else { 0.0 }).to_bits())
}

/// Directions so that those with as many bits stand together: rows of 16 in an order that gives the warps of a team, which
/// take them in turn, about as much to do.
fn directions(count: usize, bits: impl Fn(usize, usize) -> u8) -> Vec<usize> {
    let mut all: Vec<usize> = (0..count).collect();
    all.sort_by_key(|&d| std::cmp::Reverse((0..BLOCK).map(|f| u32::from(bits(d, f))).sum::<u32>()));
    let mut rows: Vec<&[usize]> = all.chunks(ROWS).collect();
    let first = WARPS.min(rows.len());
    rows[..first].reverse();
    rows.concat()
}

/// Harmonics, those with the most bits first.
fn harmonics(directions: usize, bits: impl Fn(usize, usize) -> u8) -> Vec<usize> {
    let mut all: Vec<usize> = (0..BLOCK).collect();
    all.sort_by_key(|&f| std::cmp::Reverse((0..directions).map(|d| u32::from(bits(d, f))).sum::<u32>()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD_DIM: usize = 64;
    const PARTS: usize = 2;
    const FIRST: (usize, usize) = (40, 96);

    /// What the kernels read of a coefficient: its direction, harmonic and bits, and the sources of its trellis bits and of
    /// its planes.
    struct Read {
        place: usize,
        bits: u8,
        trellis: [u32; 4],
        planes: Vec<u32>,
    }

    /// Everything that lanes with sizes read in part `part`, as the kernels find it.
    fn read(all: &Rows, part: usize) -> Vec<Read> {
        let [planes, planes_end, first, end] = all.words[part];
        let half = |word: u32| &all.sources[word as usize - FIRST.0];
        let staged: Vec<u32> = (first & !3..end.next_multiple_of(4))
            .chain(planes & !3..planes_end.next_multiple_of(4))
            .flat_map(|word| if (word as usize) < FIRST.0 { [NO_BIT; 2] } else { *half(word) })
            .collect();
        let tiles = HEAD_DIM / ROWS;
        let units = &all.units[part * (QUAD + QUAD * tiles)..][..QUAD + QUAD * tiles];
        let mut found = Vec::new();
        for (i, unit) in units[QUAD..].iter().enumerate().filter(|(_, unit)| **unit > 0) {
            let lanes = &all.lanes[(all.parts[part][0] + (unit >> 8)) as usize * WARP..][..WARP];
            for (at, lane) in lanes.iter().enumerate() {
                let harmonic = units[i % QUAD].to_le_bytes()[at % 4];
                for second in 0..2 {
                    let own = lane.map(|word| word >> (16 * second) & 0xffff);
                    if own[0] == 0 {
                        continue;
                    }
                    let direction = all.directions[part][i / QUAD * ROWS + at / 4 + 8 * second];
                    let bits = bits_of(own, (unit & 0xff) as u8);
                    let trellis = (own[1] & !FLAG) as usize;
                    let planes = (own[2] & !FLAG) as usize;
                    found.push(Read {
                        place: direction * BLOCK + usize::from(harmonic),
                        bits,
                        trellis: [0, 1, 2, 3].map(|earlier| staged[trellis - earlier]),
                        planes: staged[planes..][..usize::from(bits) - 1].to_vec(),
                    });
                }
            }
        }
        found
    }

    /// The bits that a lane's masks, fillings and tables stand for.
    fn bits_of([_, trellis, planes, numbers]: [u32; 4], most: u8) -> u8 {
        let flag = if trellis & FLAG > 0 { 1 } else { 0 } + if planes & FLAG > 0 { 2 } else { 0 };
        let matching = (1..=most).filter(|&bits| table(bits, most) == (flag, numbers)).collect::<Vec<_>>();
        assert_eq!(matching.len(), 1);
        matching[0]
    }

    #[test]
    fn every_coefficient_is_read_once_with_its_bits_and_those_of_the_trellis_before() {
        for most in [3, 6, 8] {
            let dense = HEAD_DIM * BLOCK;
            let given = |i: usize| (i / dense, i % dense, (i * i / 7 % (most + 2)) as u8);
            let kept: Vec<_> =
                (0..PARTS * dense).map(given).filter(|&(.., bits)| bits > 0 && bits <= most as u8).collect();
            let bits: Vec<u8> = kept.iter().map(|&(.., bits)| bits).collect();
            let sizes = vec![1.0; bits.len()];
            let places: Vec<Place> = kept.iter().map(|&(part, at, _)| Place { part, at: at as u32 }).collect();
            let side = Coefficients { bits: &bits, sizes: &sizes, places: &[], starts: &[] };
            let all = Rows::new(&side, &places, (PARTS, HEAD_DIM), 1.0, FIRST);
            let total: usize = bits.iter().map(|&k| usize::from(k)).sum();
            let mut seen = vec![0; total];
            let sources = all.sources.as_flattened().iter();
            sources.filter(|&&bit| bit != NO_BIT).for_each(|&bit| seen[bit as usize - FIRST.1] += 1);
            assert!(seen.iter().all(|&n| n == 1));
            assert!(2 * all.sources.len() < total + total / 50, "{} words for {total} bits", all.sources.len());
            let starts = bit_positions(&bits, FIRST.1 as u32);
            let mut found = vec![false; bits.len()];
            for part in 0..PARTS {
                for read in read(&all, part) {
                    let is = |place: &Place| place.part == part && place.at as usize == read.place;
                    let number = places.iter().position(is).expect("a coefficient of its place");
                    let earlier = |i: usize| number.checked_sub(i).map_or(NO_BIT, |i| starts[i]);
                    let planes: Vec<u32> = (1..u32::from(read.bits)).map(|plane| starts[number] + plane).collect();
                    assert_eq!((read.bits, read.trellis), (bits[number], [0, 1, 2, 3].map(earlier)));
                    assert_eq!(read.planes, planes);
                    assert!(!std::mem::replace(&mut found[number], true));
                }
            }
            assert!(found.iter().all(|&f| f));
        }
    }
}
