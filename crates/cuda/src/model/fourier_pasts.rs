//! The middle of each sequence as a spectrum along time; sink and window held whole.
//!
//! A prompt's layer is sealed on the device. Tokens of a step are held whole until 64 more than the window are, then the
//! oldest 64 of them join the spectrum. Rows held whole are in no order: where 64 have left, the newest 64 move in.

use std::collections::VecDeque;

use super::append::MoveKernels;
use super::whole::Whole;
use super::{ModelShape, Pasts};
use crate::attention::TokensView;
use crate::attention::fourier::{
    FourierAttention, FourierMiddle, FourierPast, FourierSizes, FourierTables, FourierWork, MiddleView,
};
use crate::attention::seal::{FourierSeal, GROWTH, Leaving};
use crate::{Buffer, CudaError, Device};

/// Rows of exact dims that room is made for at once, at least.
const ROOM: usize = 256;

/// No rows.
const NONE: TokensView = TokensView { keys: 0, values: 0, count: 0, capacity: 0 };

/// What a fourier past is like.
#[derive(Clone, Debug)]
pub struct FourierSettings {
    /// Sizes of every layer.
    pub sizes: FourierSizes,
    /// The first tokens, held whole.
    pub sink: usize,
    /// The last tokens, held whole; a multiple of 64.
    pub window: usize,
    /// Tokens that a middle may come to have, a multiple of 256.
    pub period: usize,
    /// For each layer, keys' and values' dims, `[G][D]`: the spectral ones, then the exact ones.
    pub dims: Vec<[Vec<u16>; 2]>,
}

/// One sequence: what all its layers have in common.
#[derive(Debug, Default)]
struct Sequence {
    /// Tokens in the spectrum, and held whole.
    middle: usize,
    whole: usize,
    /// Blocks of 64 rows behind the sink, the oldest first; the last one of the rows is that of new tokens.
    ages: VecDeque<usize>,
}

/// One layer of one sequence.
#[derive(Debug)]
struct Layer {
    middle: FourierMiddle,
    whole: Whole,
}

/// Fourier pasts of a batch.
#[derive(Debug)]
pub struct FourierPasts {
    settings: FourierSettings,
    attention: FourierAttention,
    seal: FourierSeal,
    tables: FourierTables,
    work: FourierWork,
    moves: MoveKernels,
    /// `[layer][sequence]`
    layers: Vec<Vec<Option<Layer>>>,
    views: Vec<Buffer<TokensView>>,
    middles: Vec<Buffer<MiddleView>>,
    /// The middle of a sequence without a prompt, which no step is computed with.
    empty: MiddleView,
    sequences: Vec<Sequence>,
    lengths: Vec<usize>,
    /// Exact rows of the layer whose prompt is being read.
    prompt: Option<Whole>,
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
        check(&settings, shape)?;
        let attention = FourierAttention::new(device, settings.sizes)?;
        let seal = FourierSeal::new(device, settings.sizes)?;
        let tables = seal.tables(device, settings.period)?;
        let views = (0..shape.layers).map(|_| device.upload(&vec![NONE; batch])).collect::<Result<_, _>>()?;
        let empty = FourierMiddle::new(device, &settings.sizes, 0)?.view(&tables, 0)?;
        let middles = (0..shape.layers).map(|_| device.upload(&vec![empty; batch])).collect::<Result<_, _>>()?;
        Ok(FourierPasts {
            work: attention.work(device, batch, rows(&settings))?,
            attention,
            seal,
            tables,
            moves: MoveKernels::new(device, shape.heads)?,
            layers: (0..shape.layers).map(|_| (0..batch).map(|_| None).collect()).collect(),
            views,
            middles,
            empty,
            sequences: (0..batch).map(|_| Sequence::default()).collect(),
            lengths: vec![0; batch],
            prompt: None,
            settings,
        })
    }

    /// Tells the device where a layer's rows and spectra are, and how many tokens they have.
    fn tell(&mut self, layer: usize) -> Result<(), CudaError> {
        let (mut views, mut middles) = (Vec::new(), Vec::new());
        for (own, sequence) in self.layers[layer].iter().zip(&self.sequences) {
            let Some(own) = own else {
                views.push(NONE);
                middles.push(self.empty);
                continue;
            };
            views.push(own.whole.view(sequence.whole)?);
            middles.push(own.middle.view(&self.tables, sequence.middle)?);
        }
        self.views[layer].write(&views)?;
        self.middles[layer].write(&middles)
    }

    /// The oldest block of one sequence joins the spectra of all layers.
    fn leave(&mut self, device: &Device, number: usize) -> Result<(), CudaError> {
        let (sink, all) = (self.settings.sink, rows(&self.settings));
        let Sequence { middle: held, .. } = self.sequences[number];
        let Some(oldest) = self.sequences[number].ages.pop_front() else { return Ok(()) };
        let (slot, last) = (sink + oldest * GROWTH, all - GROWTH);
        for layer in &mut self.layers {
            let Some(Layer { middle, whole }) = &mut layer[number] else { continue };
            if middle.capacity < held + GROWTH {
                middle.grow(device, &self.settings.sizes, held, held + GROWTH + ROOM.max(held / 16))?;
            }
            let tokens = whole.view(all)?;
            let leaving = Leaving { tokens, first: slot, count: GROWTH };
            self.seal.grow(device, middle, &self.tables, held, leaving)?;
            if slot != last {
                self.moves.copy(device, (tokens, last), (tokens, slot), GROWTH)?;
            }
        }
        let sequence = &mut self.sequences[number];
        sequence.ages.push_back(oldest);
        sequence.middle += GROWTH;
        sequence.whole -= GROWTH;
        Ok(())
    }
}

/// Rows there is room for: sink, window, and the block of new tokens.
fn rows(settings: &FourierSettings) -> usize {
    settings.sink + settings.window + GROWTH
}

fn check(settings: &FourierSettings, shape: &ModelShape) -> Result<(), CudaError> {
    let (window, heads) = (settings.window, shape.heads);
    if window == 0 || !window.is_multiple_of(GROWTH) {
        return Err(CudaError::Shape { what: "the window", expected: "a multiple of 64", got: window });
    }
    let lengths =
        settings.dims.iter().flatten().map(|dims| ("a list of dims", dims.len(), heads.kv_heads * heads.head_dim));
    for (what, got, expected) in lengths.chain([("the lists of dims", settings.dims.len(), shape.layers)]) {
        if got != expected {
            return Err(CudaError::Length { what, expected, got });
        }
    }
    match settings.dims.iter().flatten().flatten().find(|&&d| usize::from(d) >= heads.head_dim) {
        None => Ok(()),
        Some(&d) => Err(CudaError::Shape { what: "a dim", expected: "below D", got: d.into() }),
    }
}

impl Pasts for FourierPasts {
    fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    fn prompt(&mut self, device: &Device, _: usize, sequence: usize, tokens: usize) -> Result<TokensView, CudaError> {
        let least = self.settings.sink + self.settings.window;
        if self.lengths[sequence] > 0 || tokens <= least {
            let expected = "the sequence's first, longer than sink and window";
            return Err(CudaError::Shape { what: "a prompt", expected, got: tokens });
        }
        if self.prompt.as_ref().is_none_or(|rows| rows.capacity() < tokens) {
            self.prompt = None;
            self.prompt = Some(Whole::new(device, self.settings.sizes.heads, tokens)?);
        }
        self.prompt.as_ref().expect("it was just made").view(tokens)
    }

    fn seal(&mut self, device: &Device, layer: usize, sequence: usize, tokens: usize) -> Result<(), CudaError> {
        let FourierSettings { sizes, sink, window, .. } = self.settings;
        let Some(rows) = &self.prompt else {
            return Err(CudaError::Shape { what: "a prompt", expected: "one that is being read", got: 0 });
        };
        let (exact, count) = (rows.view(tokens)?, tokens - sink - window);
        let mut middle = FourierMiddle::new(device, &sizes, count + ROOM)?;
        for (to, dims) in middle.dims.iter_mut().zip(&self.settings.dims[layer]) {
            to.write(dims)?;
        }
        self.seal.seal(device, &mut middle, &self.tables, Leaving { tokens: exact, first: sink, count })?;
        let whole = Whole::new(device, sizes.heads, self::rows(&self.settings))?;
        let held = whole.view(sink + window)?;
        self.moves.copy(device, (exact, 0), (held, 0), sink)?;
        self.moves.copy(device, (exact, tokens - window), (held, sink), window)?;
        self.layers[layer][sequence] = Some(Layer { middle, whole });
        Ok(())
    }

    fn read(&mut self, _: &Device, sequence: usize, tokens: usize) -> Result<(), CudaError> {
        let FourierSettings { sink, window, .. } = self.settings;
        self.lengths[sequence] = tokens;
        let ages = (0..window / GROWTH).collect();
        self.sequences[sequence] = Sequence { middle: tokens - sink - window, whole: sink + window, ages };
        self.prompt = None;
        (0..self.views.len()).try_for_each(|layer| self.tell(layer))
    }

    fn make_room(&mut self, device: &Device) -> Result<(), CudaError> {
        let all = rows(&self.settings);
        if let Some(empty) = self.lengths.iter().position(|&held| held == 0) {
            return Err(CudaError::Shape { what: "a sequence", expected: "one with a prompt", got: empty });
        }
        let full: Vec<usize> = (0..self.sequences.len()).filter(|&i| self.sequences[i].whole == all).collect();
        for &sequence in &full {
            self.leave(device, sequence)?;
        }
        if !full.is_empty() {
            (0..self.views.len()).try_for_each(|layer| self.tell(layer))?;
        }
        Ok(())
    }

    fn stepped(&mut self) {
        self.lengths.iter_mut().for_each(|held| *held += 1);
        self.sequences.iter_mut().for_each(|sequence| sequence.whole += 1);
    }

    fn views(&self, layer: usize) -> &Buffer<TokensView> {
        &self.views[layer]
    }

    fn attend(
        &mut self,
        device: &Device,
        layer: usize,
        queries: &Buffer<f32>,
        out: &mut Buffer<f32>,
    ) -> Result<(), CudaError> {
        let past = FourierPast { queries, middles: &self.middles[layer], whole: &self.views[layer] };
        self.attention.attend(device, past, &mut self.work, out)
    }

    fn bytes(&self) -> usize {
        let layer = |own: &Layer| self.settings.sizes.bytes(own.middle.capacity) + own.whole.bytes();
        self.layers.iter().flatten().flatten().map(layer).sum()
    }
}
