//! The cheaper of the two ways to transform along time.

use super::grid::{GridScratch, GridTransform};
use super::{LaneScratch, LaneTransform, Samples, cost};
use crate::isa::Isa;
use crate::number::Number;

/// The transforms of one period for one number of harmonics.
#[derive(Clone, Debug)]
pub enum TimeTransform<T> {
    /// Every sample by its own products: exact but for rounding.
    Lanes(LaneTransform<T>),
    /// By way of a grid, to single precision: for long periods with few harmonics.
    Grid(GridTransform<T>),
}

/// Working memory of one task for [`TimeTransform`]s, as large as the largest so far needed.
#[derive(Clone, Debug, Default)]
pub struct TimeScratch<T> {
    pub(super) lanes: LaneScratch<T>,
    pub(super) grid: GridScratch<T>,
}

impl<T: Number> TimeTransform<T> {
    /// Plans the transforms of length `period` for the bins `0 .. harmonics`, to single precision.
    ///
    /// # Panics
    /// As [`LaneTransform::new`].
    pub fn new(period: usize, harmonics: usize) -> Self {
        let grids =
            (16..=period / 64).step_by(16).filter_map(|r| Some((r, GridTransform::<T>::cost(period, harmonics, r)?)));
        match (grids.min_by(|a, b| a.1.total_cmp(&b.1)), cost(period, harmonics)) {
            (Some((spacing, grid)), Some(lanes)) if grid < lanes => {
                TimeTransform::Grid(GridTransform::new(period, harmonics, spacing))
            }
            _ => TimeTransform::Lanes(LaneTransform::new(period, harmonics)),
        }
    }

    /// The grid by way of which they go, if they do.
    pub(crate) fn grid(&self) -> Option<&GridTransform<T>> {
        match self {
            TimeTransform::Lanes(_) => None,
            TimeTransform::Grid(plan) => Some(plan),
        }
    }

    /// The period `P`.
    pub fn period(&self) -> usize {
        match self {
            TimeTransform::Lanes(plan) => plan.period(),
            TimeTransform::Grid(plan) => plan.period(),
        }
    }

    /// Harmonics `N`.
    pub fn harmonics(&self) -> usize {
        match self {
            TimeTransform::Lanes(plan) => plan.harmonics(),
            TimeTransform::Grid(plan) => plan.harmonics(),
        }
    }

    /// Makes `scratch` large enough, so that the transforms allocate nothing.
    pub fn reserve(&self, scratch: &mut TimeScratch<T>) {
        match self {
            TimeTransform::Lanes(plan) => plan.reserve(&mut scratch.lanes),
            TimeTransform::Grid(plan) => plan.reserve(scratch),
        }
    }

    /// As [`LaneTransform::inverse`].
    pub fn inverse(&self, isa: Isa, spectrum: &[T], factor: T, out: &mut [T], scratch: &mut TimeScratch<T>) {
        match self {
            TimeTransform::Lanes(plan) => plan.inverse(isa, spectrum, factor, out, &mut scratch.lanes),
            TimeTransform::Grid(plan) => plan.inverse(isa, spectrum, factor, out, scratch),
        }
    }

    /// As [`LaneTransform::forward`].
    pub fn forward(&self, isa: Isa, x: &[T], out: &mut [T], scratch: &mut TimeScratch<T>) {
        self.forward_of(isa, &super::forward::InOrder::new(x), out, scratch);
    }

    /// As [`LaneTransform::forward`], of samples that stand elsewhere: it asks for those at all multiples of 32 below `P`.
    pub(crate) fn forward_of(&self, isa: Isa, samples: &impl Samples<T>, out: &mut [T], scratch: &mut TimeScratch<T>) {
        match self {
            TimeTransform::Lanes(plan) => plan.forward_of(isa, samples, out, &mut scratch.lanes),
            TimeTransform::Grid(plan) => plan.forward_of(isa, samples, out, scratch),
        }
    }
}
