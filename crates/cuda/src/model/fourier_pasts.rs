//! The middle of each sequence as a spectrum along time; sink and window held whole.
//!
//! A prompt's layer is sealed on the device. 64 tokens join the spectrum together. When a period is full, the tokens that
//! follow stay whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ModelShape;
use super::compressed::{Beginning, CompressedPasts, Joining, Middles, Place};
use super::prompt_rows::PromptRows;
use super::window::Division;
use crate::attention::TokensView;
use crate::attention::fourier::{
    FourierAttention, FourierMiddle, FourierPast, FourierSizes, FourierTables, FourierWork, MiddleView,
};
use crate::attention::seal::{FourierSeal, GROWTH, Leaving};
use crate::{Buffer, CudaError, Device};

/// Rows of exact dims that room is made for at once, at least.
const ROOM: usize = 256;

/// Chooses the spectral dims of a layer by what it holds.
pub trait ChooseDims: Send + Sync {
    /// Keys' and values' dims, `[G][D]`: the spectral ones, then the exact ones. `rows` has all rows of the middle, which
    /// is to be a spectrum of this period.
    fn choose(&self, rows: &PromptRows, period: usize) -> [Vec<u16>; 2];
}

/// Which dims are spectral.
#[derive(Clone)]
pub enum Dims {
    /// For each layer keys' and values' dims, `[G][D]`: the spectral ones, then the exact ones.
    Given(Vec<[Vec<u16>; 2]>),
    /// As a prompt has it.
    Chosen(Arc<dyn ChooseDims>),
}

impl std::fmt::Debug for Dims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Dims::Given(_)) { "Given" } else { "Chosen" })
    }
}

/// The period of a spectrum that is begun with so many tokens.
pub type PeriodFor = Arc<dyn Fn(usize) -> usize + Send + Sync>;

/// What a fourier past is like.
#[derive(Clone)]
pub struct FourierSettings {
    /// Sizes of each layer.
    pub sizes: Vec<FourierSizes>,
    /// The first tokens, held whole.
    pub sink: usize,
    /// The last tokens, held whole; rounded up to a multiple of 64.
    pub window: usize,
    /// A spectrum is begun with no fewer tokens.
    pub least: usize,
    /// Tokens that a middle may come to have: a multiple of 256.
    pub period: PeriodFor,
    /// Spectral dims.
    pub dims: Dims,
}

impl std::fmt::Debug for FourierSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FourierSettings").field("sizes", &self.sizes).field("dims", &self.dims).finish_non_exhaustive()
    }
}

/// Fourier pasts of a batch.
pub type FourierPasts = CompressedPasts<FourierMiddles>;

/// The kernels and the working memory for layers of one size.
#[derive(Debug)]
struct Kernels {
    attention: FourierAttention,
    seal: FourierSeal,
    work: FourierWork,
}

/// Spectra of a batch.
#[derive(Debug)]
pub struct FourierMiddles {
    settings: FourierSettings,
    kernels: Vec<Kernels>,
    /// Which kernels a layer has.
    kernels_of: Vec<usize>,
    /// By period.
    tables: BTreeMap<usize, FourierTables>,
    /// Of each sequence that has begun one.
    periods: Vec<usize>,
    /// `[layer][sequence]`
    middles: Vec<Vec<Option<FourierMiddle>>>,
    views: Vec<Buffer<MiddleView>>,
    /// For sequences without a middle.
    empty: Vec<FourierMiddle>,
}

impl FourierPasts {
    /// Empty pasts of `batch` sequences.
    ///
    /// # Errors
    /// [`CudaError::Shape`], [`CudaError::Length`], [`CudaError::Memory`]; those of the compiler.
    pub fn new(
        device: &Device,
        shape: &ModelShape,
        settings: FourierSettings,
        batch: usize,
    ) -> Result<Self, CudaError> {
        let FourierSettings { sink, window, least, .. } = settings;
        let division = Division { sink, window, step: GROWTH, least };
        CompressedPasts::with_method(
            device,
            shape,
            division,
            FourierMiddles::new(device, shape, settings, batch)?,
            batch,
        )
    }
}

impl FourierMiddles {
    fn new(device: &Device, shape: &ModelShape, settings: FourierSettings, batch: usize) -> Result<Self, CudaError> {
        check(&settings, shape)?;
        let mut distinct: Vec<FourierSizes> = Vec::new();
        let kernels_of: Vec<usize> = settings.sizes.iter().map(|sizes| number_of(&mut distinct, *sizes)).collect();
        let whole = settings.sink + settings.window + GROWTH;
        let kernels = |sizes: &FourierSizes| {
            let attention = FourierAttention::new(device, *sizes)?;
            let work = attention.work(device, batch, whole)?;
            Ok(Kernels { attention, work, seal: FourierSeal::new(device, *sizes)? })
        };
        let kernels = distinct.iter().map(kernels).collect::<Result<Vec<_>, CudaError>>()?;
        let least = settings.sizes.iter().map(|sizes| 2 * sizes.harmonics).max().unwrap_or(0);
        let tables = kernels.first().map(|kernels| kernels.seal.tables(device, least)).transpose()?;
        let tables: BTreeMap<usize, FourierTables> = tables.into_iter().map(|tables| (least, tables)).collect();
        let empty = settings.sizes.iter().map(|sizes| empty_middle(device, sizes));
        let empty = empty.collect::<Result<Vec<_>, _>>()?;
        let mut views = Vec::new();
        for middle in &empty {
            let view = tables.values().next().map(|tables| middle.view(tables, 0)).transpose()?;
            views.push(device.upload(&vec![view.ok_or_else(no_layers)?; batch])?);
        }
        Ok(FourierMiddles {
            kernels,
            kernels_of,
            tables,
            periods: vec![0; batch],
            middles: (0..shape.layers).map(|_| (0..batch).map(|_| None).collect()).collect(),
            views,
            empty,
            settings,
        })
    }

    /// Makes sure that there are tables for the period of a sequence that begins with `count` tokens.
    fn period(&mut self, device: &Device, Place { layer, sequence }: Place, count: usize) -> Result<usize, CudaError> {
        let period = (self.settings.period)(count);
        if !self.tables.contains_key(&period) {
            let tables = self.kernels[self.kernels_of[layer]].seal.tables(device, period)?;
            self.tables.insert(period, tables);
        }
        self.periods[sequence] = period;
        Ok(period)
    }
}

/// A middle without tokens, whose numbers kernels may read nevertheless.
fn empty_middle(device: &Device, sizes: &FourierSizes) -> Result<FourierMiddle, CudaError> {
    let mut middle = FourierMiddle::new(device, sizes, 0)?;
    let dims: Vec<u16> = (0..sizes.heads.kv_heads).flat_map(|_| 0..sizes.heads.head_dim as u16).collect();
    middle.dims.iter_mut().try_for_each(|to| to.write(&dims))?;
    middle.means.iter_mut().try_for_each(Buffer::zero)?;
    for spectra in &mut middle.spectra {
        spectra.write(&vec![half::bf16::ZERO; spectra.len()])?;
    }
    Ok(middle)
}

/// The place of `sizes` in a list of different ones.
fn number_of(distinct: &mut Vec<FourierSizes>, sizes: FourierSizes) -> usize {
    distinct.iter().position(|other| *other == sizes).unwrap_or_else(|| {
        distinct.push(sizes);
        distinct.len() - 1
    })
}

fn no_layers() -> CudaError {
    CudaError::Length { what: "the sizes of layers", expected: 1, got: 0 }
}

fn check(settings: &FourierSettings, shape: &ModelShape) -> Result<(), CudaError> {
    let heads = shape.heads;
    if settings.window == 0 {
        return Err(CudaError::Shape { what: "the window", expected: "at least 1", got: 0 });
    }
    if settings.sizes.len() != shape.layers {
        let (expected, got) = (shape.layers, settings.sizes.len());
        return Err(CudaError::Length { what: "the sizes of layers", expected, got });
    }
    let harmonics = settings.sizes.first().map_or(0, |sizes| sizes.harmonics);
    if settings.sizes.iter().any(|sizes| sizes.harmonics != harmonics || sizes.heads != heads) {
        let expected = "the same harmonics and the model's heads in all layers";
        return Err(CudaError::Shape { what: "the sizes of layers", expected, got: harmonics });
    }
    let Dims::Given(dims) = &settings.dims else { return Ok(()) };
    if dims.len() != shape.layers {
        return Err(CudaError::Length { what: "the lists of dims", expected: shape.layers, got: dims.len() });
    }
    dims.iter().try_for_each(|dims| check_dims(dims, &settings.sizes[0]))
}

fn check_dims(dims: &[Vec<u16>; 2], sizes: &FourierSizes) -> Result<(), CudaError> {
    let expected = sizes.heads.kv_heads * sizes.heads.head_dim;
    if let Some(wrong) = dims.iter().find(|dims| dims.len() != expected) {
        return Err(CudaError::Length { what: "a list of dims", expected, got: wrong.len() });
    }
    match dims.iter().flatten().find(|&&d| usize::from(d) >= sizes.heads.head_dim) {
        None => Ok(()),
        Some(&d) => Err(CudaError::Shape { what: "a dim", expected: "below D", got: d.into() }),
    }
}

impl Middles for FourierMiddles {
    fn asks_for_energy(&self) -> bool {
        matches!(self.settings.dims, Dims::Chosen(_))
    }

    fn begins_with(&self, waiting: usize) -> usize {
        waiting.min((self.settings.period)(waiting))
    }

    fn begin(&mut self, device: &Device, beginning: Beginning<'_>) -> Result<(), CudaError> {
        let Beginning { place, rows, first, count, energy } = beginning;
        let sizes = self.settings.sizes[place.layer];
        let period = self.period(device, place, count)?;
        let dims = match &self.settings.dims {
            Dims::Given(dims) => dims[place.layer].clone(),
            Dims::Chosen(choice) => {
                let run = (first, count);
                choice.choose(&PromptRows::all(rows, sizes.heads, place.layer, run, energy)?, period)
            }
        };
        check_dims(&dims, &sizes)?;
        let mut middle = FourierMiddle::new(device, &sizes, count + ROOM.min(period - count))?;
        for (to, dims) in middle.dims.iter_mut().zip(&dims) {
            to.write(dims)?;
        }
        let (seal, tables) = (&self.kernels[self.kernels_of[place.layer]].seal, &self.tables[&period]);
        let tokens = rows.view(first + count)?;
        seal.seal(device, &mut middle, tables, Leaving { tokens, first, count })?;
        self.middles[place.layer][place.sequence] = Some(middle);
        Ok(())
    }

    fn catch_up(&mut self, _: &Device) -> Result<(), CudaError> {
        Ok(())
    }

    fn settle(&mut self, _: &Device) -> Result<(), CudaError> {
        Ok(())
    }

    fn clear(&mut self, Place { layer, sequence }: Place) {
        self.middles[layer][sequence] = None;
    }

    fn room(&self, sequence: usize, held: usize) -> usize {
        self.periods[sequence].saturating_sub(held)
    }

    fn join(&mut self, device: &Device, Joining { place, tokens, first, held }: Joining) -> Result<(), CudaError> {
        let (sizes, period) = (self.settings.sizes[place.layer], self.periods[place.sequence]);
        let Some(middle) = &mut self.middles[place.layer][place.sequence] else { return Ok(()) };
        if middle.capacity < held + GROWTH {
            let capacity = held + GROWTH + ROOM.max(held / 16);
            middle.grow(device, &sizes, held, capacity.min(period))?;
        }
        let (seal, tables) = (&self.kernels[self.kernels_of[place.layer]].seal, &self.tables[&period]);
        seal.grow(device, middle, tables, held, Leaving { tokens, first, count: GROWTH })
    }

    fn tell(&mut self, layer: usize, held: &[usize]) -> Result<(), CudaError> {
        let mut views = Vec::new();
        for (sequence, &held) in held.iter().enumerate() {
            let own = self.middles[layer][sequence].as_ref().filter(|_| held > 0);
            let tables = self.tables.get(&self.periods[sequence]).or_else(|| self.tables.values().next());
            let tables = tables.ok_or_else(no_layers)?;
            views.push(own.unwrap_or(&self.empty[layer]).view(tables, held)?);
        }
        self.views[layer].write(&views)
    }

    fn expect(&mut self, _: &Device, _: &[usize]) -> Result<(), CudaError> {
        Ok(())
    }

    fn attend(
        &mut self,
        device: &Device,
        layer: usize,
        (queries, whole): (&Buffer<f32>, &Buffer<TokensView>),
        out: &mut Buffer<f32>,
    ) -> Result<(), CudaError> {
        let Kernels { attention, work, .. } = &mut self.kernels[self.kernels_of[layer]];
        attention.attend(device, FourierPast { queries, middles: &self.views[layer], whole }, work, out)
    }

    fn bytes(&self) -> usize {
        let layers = self.middles.iter().zip(&self.settings.sizes);
        layers.flat_map(|(layer, sizes)| layer.iter().flatten().map(|middle| sizes.bytes(middle.capacity))).sum()
    }
}
