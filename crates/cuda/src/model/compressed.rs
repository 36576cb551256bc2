//! Pasts whose middle is compressed: sink and window held whole, the rest as a method keeps it.
//!
//! A prompt's layer is compressed as soon as it has been read. Tokens of a step are held whole until so many more than the
//! window are that a block of them can leave. A sequence whose prompt is too short for a middle is held whole until enough
//! tokens wait.

use std::sync::Arc;

use super::append::{EnergyKernel, MoveKernels};
use super::prompt_rows::{EnergySource, PIECES, QueryEnergy};
use super::whole::Whole;
use super::window::{Division, Leave, Window};
use super::{ModelShape, Pasts};
use crate::attention::{Heads, TokensView};
use crate::{Buffer, CudaError, Device};

/// One layer of one sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The layer.
    pub layer: usize,
    /// The sequence.
    pub sequence: usize,
}

/// Rows in order that a middle is begun with.
#[derive(Debug)]
pub struct Beginning<'a> {
    /// Where.
    pub(super) place: Place,
    pub(super) rows: &'a Arc<Whole>,
    /// The first of them, and its position.
    pub(super) first: usize,
    pub(super) count: usize,
    pub(super) energy: EnergySource<'a>,
}

/// Rows that join a middle.
#[derive(Clone, Copy, Debug)]
pub struct Joining {
    pub(super) place: Place,
    pub(super) tokens: TokensView,
    /// The first row.
    pub(super) first: usize,
    /// Tokens that the middle has.
    pub(super) held: usize,
}

/// How middles are kept: all that ways of compressing differ in.
pub trait Middles: Send {
    /// Whether a [`Beginning`] needs the energy of queries.
    fn asks_for_energy(&self) -> bool;

    /// Of `waiting` tokens, how many a middle can be begun with.
    fn begins_with(&self, waiting: usize) -> usize;

    /// Begins a middle. What is left to do is done by [`Middles::settle`] at the latest; the rows stay as they are as long
    /// as they are held on to.
    fn begin(&mut self, device: &Device, beginning: Beginning<'_>) -> Result<(), CudaError>;

    /// Goes on with what was begun before, so far as others need not wait for it.
    fn catch_up(&mut self, device: &Device) -> Result<(), CudaError>;

    /// Everything that was begun is done, as far as the device is told of it.
    fn settle(&mut self, device: &Device) -> Result<(), CudaError>;

    /// Forgets what one layer of a sequence has.
    fn clear(&mut self, place: Place);

    /// Tokens that the middle of a sequence, which has `held`, can still take.
    fn room(&self, sequence: usize, held: usize) -> usize;

    /// A block of rows joins.
    fn join(&mut self, device: &Device, joining: Joining) -> Result<(), CudaError>;

    /// Tells the device of a layer's middles, of which sequences have so many tokens.
    fn tell(&mut self, layer: usize, held: &[usize]) -> Result<(), CudaError>;

    /// Prepares for middles of so many tokens.
    fn expect(&mut self, device: &Device, held: &[usize]) -> Result<(), CudaError>;

    /// `out` = attention of `queries` over middles and whole rows of a layer.
    fn attend(
        &mut self,
        device: &Device,
        layer: usize,
        queries_and_whole: (&Buffer<f32>, &Buffer<TokensView>),
        out: &mut Buffer<f32>,
    ) -> Result<(), CudaError>;

    /// See [`Pasts::epoch`].
    fn epoch(&self) -> u64 {
        0
    }

    /// Bytes held for middles.
    fn bytes(&self) -> usize;
}

/// Pasts of a batch whose middles a method keeps.
#[derive(Debug)]
pub struct CompressedPasts<M> {
    heads: Heads,
    division: Division,
    method: M,
    moves: MoveKernels,
    energy: EnergyKernel,
    /// `[PIECES][G][D]` of the layer whose prompt is being read.
    sums: Buffer<f32>,
    observed: usize,
    /// `[layer][sequence]`
    whole: Vec<Vec<Option<Whole>>>,
    /// `[layer][sequence]`: of sequences without a middle.
    energies: Vec<Vec<QueryEnergy>>,
    views: Vec<Buffer<TokensView>>,
    windows: Vec<Window>,
    /// Tokens in the middle of each sequence.
    middles: Vec<usize>,
    lengths: Vec<usize>,
    /// Exact rows of the layer whose prompt is being read, and of those before it that are still needed.
    prompts: Vec<Arc<Whole>>,
}

impl<M: Middles> CompressedPasts<M> {
    /// Empty pasts of `batch` sequences.
    pub(super) fn with_method(
        device: &Device,
        shape: &ModelShape,
        division: Division,
        method: M,
        batch: usize,
    ) -> Result<Self, CudaError> {
        let numbers = shape.heads.kv_heads * shape.heads.head_dim;
        Ok(CompressedPasts {
            heads: shape.heads,
            division,
            method,
            moves: MoveKernels::new(device, shape.heads)?,
            energy: EnergyKernel::new(device, shape.heads)?,
            sums: device.upload(&vec![0.0; PIECES * numbers])?,
            observed: 0,
            whole: (0..shape.layers).map(|_| (0..batch).map(|_| None).collect()).collect(),
            energies: vec![vec![QueryEnergy::default(); batch]; shape.layers],
            views: (0..shape.layers)
                .map(|_| device.upload(&vec![TokensView::NONE; batch]))
                .collect::<Result<_, _>>()?,
            windows: vec![Window::new(division, 0); batch],
            middles: vec![0; batch],
            lengths: vec![0; batch],
            prompts: Vec::new(),
        })
    }

    /// Rows for a prompt of `tokens` tokens that nobody else looks at.
    fn prompt_rows(&mut self, device: &Device, tokens: usize) -> Result<TokensView, CudaError> {
        self.prompts.retain(|rows| rows.capacity() >= tokens);
        if let Some(at) = self.prompts.iter().position(|rows| Arc::strong_count(rows) == 1) {
            let rows = self.prompts.remove(at);
            self.prompts.push(rows);
        } else {
            self.prompts.push(Arc::new(Whole::new(device, self.heads, tokens)?));
        }
        self.prompts.last().expect("there is one now").view(tokens)
    }

    /// Rows that there is to be room for: up to where the next block is full, and where blocks leave, up to where one does.
    fn capacity(&self, held: usize, has_middle: bool) -> usize {
        let Division { sink, window, step, .. } = self.division;
        let full = (held.saturating_sub(sink) + 1).next_multiple_of(step);
        sink + if has_middle { full.max(window.next_multiple_of(step) + step) } else { full }
    }

    /// Tells the device where a layer's rows and middles are, and how many tokens they have.
    fn tell(&mut self, layer: usize) -> Result<(), CudaError> {
        let views = self.whole[layer].iter().zip(&self.windows);
        let views = views.map(|(rows, window)| Whole::view_of(rows.as_ref(), window.held()));
        self.views[layer].write(&views.collect::<Result<Vec<_>, _>>()?)?;
        self.method.tell(layer, &self.middles)
    }

    /// Begins the middle of a sequence that has been held whole until now, if enough tokens wait.
    fn begin_late(&mut self, device: &Device, sequence: usize) -> Result<bool, CudaError> {
        let Division { sink, .. } = self.division;
        let held = self.windows[sequence].held();
        let count = self.method.begins_with(self.division.first_middle(held));
        if count == 0 {
            return Ok(false);
        }
        for layer in 0..self.whole.len() {
            let rows = Arc::new(self.whole[layer][sequence].take().ok_or_else(no_prompt)?);
            let energy = std::mem::take(&mut self.energies[layer][sequence]);
            let place = Place { layer, sequence };
            self.keep(device, place, &rows, held, count)?;
            let energy = EnergySource::Host(&energy);
            self.method.begin(device, Beginning { place, rows: &rows, first: sink, count, energy })?;
        }
        self.method.settle(device)?;
        self.middles[sequence] = count;
        self.windows[sequence] = Window::new(self.division, held - count);
        Ok(true)
    }

    /// Holds whole what of `tokens` rows in order is not in the middle.
    fn keep(
        &mut self,
        device: &Device,
        place: Place,
        rows: &Whole,
        tokens: usize,
        middle: usize,
    ) -> Result<(), CudaError> {
        let sink = self.division.sink.min(tokens);
        let whole = Whole::new(device, self.heads, self.capacity(tokens - middle, middle > 0))?;
        let (from, to) = (rows.view(tokens)?, whole.view(tokens - middle)?);
        self.moves.copy(device, (from, 0), (to, 0), sink)?;
        self.moves.copy(device, (from, sink + middle), (to, sink), tokens - middle - sink)?;
        self.whole[place.layer][place.sequence] = Some(whole);
        Ok(())
    }

    /// Whether a block of a sequence is to leave now.
    fn is_due(&self, sequence: usize) -> bool {
        let held = self.middles[sequence];
        held > 0 && self.windows[sequence].is_due() && self.method.room(sequence, held) >= self.division.step
    }

    /// The oldest block of one sequence joins the middles of all layers.
    fn leave(&mut self, device: &Device, sequence: usize) -> Result<(), CudaError> {
        let (step, held) = (self.division.step, self.middles[sequence]);
        let rows = self.windows[sequence].held();
        let Some(Leave { first, from }) = self.windows[sequence].leave() else { return Ok(()) };
        for layer in 0..self.whole.len() {
            let Some(whole) = &self.whole[layer][sequence] else { continue };
            let tokens = whole.view(rows)?;
            self.method.join(device, Joining { place: Place { layer, sequence }, tokens, first, held })?;
            if first != from {
                self.moves.copy(device, (tokens, from), (tokens, first), step)?;
            }
        }
        self.middles[sequence] += step;
        Ok(())
    }

    /// Room for one more row of a sequence. Whether rows have moved.
    fn grow(&mut self, device: &Device, sequence: usize) -> Result<bool, CudaError> {
        let held = self.windows[sequence].held();
        let is_full = |rows: &Option<Whole>| rows.as_ref().is_some_and(|rows| rows.capacity() <= held);
        if !self.whole.first().is_some_and(|layer| is_full(&layer[sequence])) {
            return Ok(false);
        }
        let capacity = self.capacity(held, self.middles[sequence] > 0);
        for layer in 0..self.whole.len() {
            let Some(rows) = &self.whole[layer][sequence] else { continue };
            let larger = rows.enlarged(device, (self.heads, &self.moves), held, capacity)?;
            self.whole[layer][sequence] = Some(larger);
        }
        Ok(true)
    }
}

fn no_prompt() -> CudaError {
    CudaError::Shape { what: "a sequence", expected: "one with a prompt", got: 0 }
}

impl<M: Middles> Pasts for CompressedPasts<M> {
    fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    fn prompt(
        &mut self,
        device: &Device,
        layer: usize,
        sequence: usize,
        tokens: usize,
    ) -> Result<TokensView, CudaError> {
        if self.lengths[sequence] > 0 {
            return Err(CudaError::Shape { what: "a prompt", expected: "the sequence's first", got: tokens });
        }
        // What this sequence had of a prompt that ended early is in the way.
        self.whole[layer][sequence] = None;
        self.method.clear(Place { layer, sequence });
        if self.method.asks_for_energy() {
            self.sums.zero()?;
        }
        self.observed = 0;
        self.prompt_rows(device, tokens)
    }

    fn observe(&mut self, device: &Device, queries: &Buffer<half::bf16>, rows: usize) -> Result<(), CudaError> {
        if !self.method.asks_for_energy() {
            return Ok(());
        }
        self.observed += rows;
        self.energy.add(device, queries, rows, &mut self.sums)
    }

    fn seal(&mut self, device: &Device, layer: usize, sequence: usize, tokens: usize) -> Result<(), CudaError> {
        // What is left of the layers before is done while the device computes this one.
        self.method.catch_up(device)?;
        let Some(rows) = self.prompts.last().map(Arc::clone) else { return Err(no_prompt()) };
        let place = Place { layer, sequence };
        let count = self.method.begins_with(self.division.first_middle(tokens));
        self.keep(device, place, &rows, tokens, count)?;
        let energy = match self.method.asks_for_energy() {
            true => EnergySource::Device(&self.sums, self.observed),
            false => EnergySource::None,
        };
        if count == 0 {
            self.energies[layer][sequence] = energy.read(self.heads)?;
            return Ok(());
        }
        let first = self.division.sink;
        self.method.begin(device, Beginning { place, rows: &rows, first, count, energy })
    }

    fn read(&mut self, device: &Device, sequence: usize, tokens: usize) -> Result<(), CudaError> {
        self.method.settle(device)?;
        self.prompts.clear();
        let middle = self.method.begins_with(self.division.first_middle(tokens));
        self.lengths[sequence] = tokens;
        self.middles[sequence] = middle;
        self.windows[sequence] = Window::new(self.division, tokens - middle);
        self.method.expect(device, &self.middles)?;
        (0..self.views.len()).try_for_each(|layer| self.tell(layer))
    }

    fn make_room(&mut self, device: &Device) -> Result<(), CudaError> {
        if self.lengths.contains(&0) {
            return Err(no_prompt());
        }
        let mut moved = false;
        for sequence in 0..self.lengths.len() {
            if self.middles[sequence] == 0 {
                moved |= self.begin_late(device, sequence)?;
            }
            while self.is_due(sequence) {
                self.leave(device, sequence)?;
                moved = true;
            }
            moved |= self.grow(device, sequence)?;
        }
        if moved {
            self.method.expect(device, &self.middles)?;
            (0..self.views.len()).try_for_each(|layer| self.tell(layer))?;
        }
        Ok(())
    }

    fn stepped(&mut self) {
        self.lengths.iter_mut().for_each(|held| *held += 1);
        self.windows.iter_mut().for_each(Window::push);
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
        self.method.attend(device, layer, (queries, &self.views[layer]), out)
    }

    fn epoch(&self) -> u64 {
        self.method.epoch()
    }

    fn bytes(&self) -> usize {
        self.method.bytes() + self.whole.iter().flatten().flatten().map(Whole::bytes).sum::<usize>()
    }
}
