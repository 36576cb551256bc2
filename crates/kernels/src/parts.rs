//! Disjoint parts of something to write, found by number: what the tasks of a [`Team`](crate::team::Team) write to.
//!
//! A `Vec` of parts would have to be made for every run. Here a part is computed from its number when a task asks for
//! it; [`Team::for_parts`](crate::team::Team::for_parts) asks for each number once, which makes it safe to use.

use std::marker::PhantomData;
use std::ops::Range;

/// Something that can be divided into parts by number.
///
/// # Safety
/// Parts of different numbers do not overlap, and are valid as long as what was divided is borrowed. `part` may be
/// called from several threads at once.
pub unsafe trait Parts: Sync {
    /// A part; it is used on the thread that asks for it.
    type Part;

    /// The number of parts.
    fn count(&self) -> usize;

    /// Part `i`.
    ///
    /// # Safety
    /// `i` is less than the count, and no number is asked for twice.
    unsafe fn part(&self, i: usize) -> Self::Part;
}

/// A slice that is lent out in ranges.
#[derive(Debug)]
pub(crate) struct Ranges<'a, T> {
    first: *mut T,
    length: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: it stands for a `&mut` slice, of which each thread gets ranges of its own.
unsafe impl<T: Send> Sync for Ranges<'_, T> {}
// SAFETY: likewise.
unsafe impl<T: Send> Send for Ranges<'_, T> {}

impl<'a, T> Ranges<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Ranges { first: slice.as_mut_ptr(), length: slice.len(), slice: PhantomData }
    }

    /// The numbers in the slice.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The numbers in `range`.
    ///
    /// # Panics
    /// If the slice is shorter than that.
    ///
    /// # Safety
    /// No two ranges overlap.
    pub(crate) unsafe fn range(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.length, "{range:?} of {}", self.length);
        // SAFETY: the range lies inside the slice, and is the caller's alone.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(range.start), range.len()) }
    }
}

/// A slice in runs of one size, the last perhaps shorter.
#[derive(Debug)]
pub struct Chunks<'a, T> {
    slice: Ranges<'a, T>,
    size: usize,
}

impl<'a, T> Chunks<'a, T> {
    /// Runs of `size`, at least 1.
    pub fn new(slice: &'a mut [T], size: usize) -> Self {
        Chunks { slice: Ranges::new(slice), size: size.max(1) }
    }
}

// SAFETY: run `i` is `i size .. (i + 1) size`, cut short by the end: runs do not overlap.
unsafe impl<'a, T: Send> Parts for Chunks<'a, T> {
    type Part = &'a mut [T];

    fn count(&self) -> usize {
        self.slice.len().div_ceil(self.size)
    }

    unsafe fn part(&self, i: usize) -> &'a mut [T] {
        let first = i * self.size;
        // SAFETY: see above; the caller does not ask for a number twice.
        unsafe { self.slice.range(first..(first + self.size).min(self.slice.len())) }
    }
}

/// Parts of several things that are divided alike: all parts of the first, then those of the second, and so on. A part
/// comes with the place of its thing, and with its number there.
// SAFETY: the members' parts do not overlap, and each number is one part of one member.
unsafe impl<P: Parts, const N: usize> Parts for [P; N] {
    type Part = (usize, usize, P::Part);

    fn count(&self) -> usize {
        self.iter().map(P::count).sum()
    }

    unsafe fn part(&self, i: usize) -> Self::Part {
        let (mut member, mut number) = (0, i);
        while number >= self[member].count() {
            number -= self[member].count();
            member += 1;
        }
        // SAFETY: different `i` give different members or numbers; the number is less than the member's count.
        (member, number, unsafe { self[member].part(number) })
    }
}

/// Parts of two things side by side: part `i` of both, as far as both have one.
// SAFETY: the members' parts do not overlap, and each number is one part of each.
unsafe impl<A: Parts, B: Parts> Parts for (A, B) {
    type Part = (A::Part, B::Part);

    fn count(&self) -> usize {
        self.0.count().min(self.1.count())
    }

    unsafe fn part(&self, i: usize) -> Self::Part {
        // SAFETY: the number is less than both counts; the caller does not ask for it twice.
        unsafe { (self.0.part(i), self.1.part(i)) }
    }
}

/// The first parts of one thing, then all parts of another, as `Ok` and `Err`; the others with their numbers.
#[derive(Debug)]
pub struct Then<A, B> {
    first: A,
    count: usize,
    second: B,
}

impl<A: Parts, B: Parts> Then<A, B> {
    /// At most `count` parts of `first`, then `second`.
    pub fn new(first: A, count: usize, second: B) -> Self {
        let count = count.min(first.count());
        Then { first, count, second }
    }
}

// SAFETY: the members' parts do not overlap, and each number is one part of one member.
unsafe impl<A: Parts, B: Parts> Parts for Then<A, B> {
    type Part = Result<A::Part, (usize, B::Part)>;

    fn count(&self) -> usize {
        self.count + self.second.count()
    }

    unsafe fn part(&self, i: usize) -> Self::Part {
        if i < self.count {
            // SAFETY: the number is less than the member's count; the caller does not ask for it twice.
            return Ok(unsafe { self.first.part(i) });
        }
        let number = i - self.count;
        // SAFETY: likewise.
        Err((number, unsafe { self.second.part(number) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::Team;

    #[test]
    fn every_element_is_in_one_chunk() {
        let team = Team::new(3).unwrap();
        for (length, size) in [(0, 4), (1, 4), (8, 4), (9, 4), (1000, 7), (5, 0)] {
            let mut slice = vec![0usize; length];
            team.for_parts(Chunks::new(&mut slice, size), |i, chunk| chunk.iter_mut().for_each(|x| *x += i + 1));
            assert!(slice.iter().enumerate().all(|(i, &x)| x == i / size.max(1) + 1), "{length} in runs of {size}");
        }
    }

    #[test]
    fn members_come_one_after_another() {
        let team = Team::new(2).unwrap();
        let (mut a, mut b, mut c) = ([0; 5], [0; 0], [0; 4]);
        let parts = [Chunks::new(&mut a, 2), Chunks::new(&mut b, 2), Chunks::new(&mut c, 3)];
        assert_eq!(parts.count(), 5);
        team.for_parts(parts, |i, (member, number, chunk)| chunk.fill(100 * i + 10 * member + number));
        assert_eq!((a, c), ([0, 0, 101, 101, 202], [320, 320, 320, 421]));
    }

    #[test]
    fn side_by_side() {
        let team = Team::new(2).unwrap();
        let (mut a, mut b) = ([0; 7], [0; 3]);
        team.for_parts((Chunks::new(&mut a, 2), Chunks::new(&mut b, 1)), |i, (a, b)| {
            a.fill(10 + i);
            b.fill(20 + i);
        });
        assert_eq!((a, b), ([10, 10, 11, 11, 12, 12, 0], [20, 21, 22]));
    }

    #[test]
    fn one_after_the_other() {
        let team = Team::new(2).unwrap();
        let (mut a, mut b) = ([0; 6], [0; 3]);
        let parts = Then::new(Chunks::new(&mut a, 2), 2, Chunks::new(&mut b, 2));
        assert_eq!(parts.count(), 4);
        team.for_parts(parts, |i, part| match part {
            Ok(chunk) => chunk.fill(10 + i),
            Err((number, chunk)) => chunk.fill(100 * i + number),
        });
        assert_eq!((a, b), ([10, 10, 11, 11, 0, 0], [200, 200, 301]));
    }

    #[test]
    #[should_panic(expected = "3..7 of 6")]
    fn ranges_stay_inside() {
        let mut slice = [0; 6];
        let ranges = Ranges::new(&mut slice);
        // SAFETY: there is only one.
        unsafe { ranges.range(3..7) };
    }
}
