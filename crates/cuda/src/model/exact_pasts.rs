//! Every token held whole.

use super::append::MoveKernels;
use super::whole::Whole;
use super::{ModelShape, Pasts};
use crate::attention::exact::{ExactAttention, ExactWork};
use crate::attention::{Heads, TokensView};
use crate::{Buffer, CudaError, Device};

/// Tokens that a prompt leaves room for, at least.
const ROOM: usize = 64;
/// Tokens that room is made for when there is none left. All rows are copied then, which at 128k tokens takes 12 ms: in
/// 256 steps of 11 ms each that is little, and so is the memory.
const GROWTH: usize = 256;

/// Exact pasts of a batch. Room grows with use.
#[derive(Debug)]
pub struct ExactPasts {
    heads: Heads,
    attention: ExactAttention,
    work: ExactWork,
    moves: MoveKernels,
    /// `[layer][sequence]`; none before there are tokens.
    rows: Vec<Vec<Option<Whole>>>,
    views: Vec<Buffer<TokensView>>,
    lengths: Vec<usize>,
}

impl ExactPasts {
    /// Empty pasts of `batch` sequences.
    ///
    /// # Errors
    /// [`CudaError::Shape`], [`CudaError::Memory`]; those of the compiler.
    pub fn new(device: &Device, shape: &ModelShape, batch: usize) -> Result<Self, CudaError> {
        let heads = shape.heads;
        let attention = ExactAttention::new(device, heads)?;
        let views = || device.upload(&vec![TokensView::NONE; batch]);
        Ok(ExactPasts {
            heads,
            work: attention.work(device, batch)?,
            attention,
            moves: MoveKernels::new(device, heads)?,
            rows: (0..shape.layers).map(|_| (0..batch).map(|_| None).collect()).collect(),
            views: (0..shape.layers).map(|_| views()).collect::<Result<_, _>>()?,
            lengths: vec![0; batch],
        })
    }

    /// Room for `needed` tokens, those that are there kept.
    fn grow(&mut self, device: &Device, layer: usize, sequence: usize, needed: usize) -> Result<(), CudaError> {
        let (rows, held) = (&mut self.rows[layer][sequence], self.lengths[sequence]);
        if rows.as_ref().is_some_and(|rows| rows.capacity() >= needed) {
            return Ok(());
        }
        let room = if rows.is_some() { GROWTH } else { ROOM };
        let capacity = (needed + room).next_multiple_of(ROOM);
        *rows = Some(match rows {
            Some(rows) => rows.enlarged(device, (self.heads, &self.moves), held, capacity)?,
            None => Whole::new(device, self.heads, capacity)?,
        });
        self.tell(layer)
    }

    /// Tells the device where a layer's rows are, and how many.
    fn tell(&mut self, layer: usize) -> Result<(), CudaError> {
        let views = self.rows[layer].iter().zip(&self.lengths);
        let views = views.map(|(rows, &held)| Whole::view_of(rows.as_ref(), held));
        self.views[layer].write(&views.collect::<Result<Vec<_>, _>>()?)
    }
}

impl Pasts for ExactPasts {
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
        let needed = self.lengths[sequence] + tokens;
        self.grow(device, layer, sequence, needed)?;
        self.rows[layer][sequence].as_ref().expect("there is room now").view(needed)
    }

    fn seal(&mut self, _: &Device, _: usize, _: usize, _: usize) -> Result<(), CudaError> {
        Ok(())
    }

    fn read(&mut self, _: &Device, sequence: usize, tokens: usize) -> Result<(), CudaError> {
        self.lengths[sequence] += tokens;
        (0..self.views.len()).try_for_each(|layer| self.tell(layer))
    }

    fn make_room(&mut self, device: &Device) -> Result<(), CudaError> {
        let full = |rows: &Option<Whole>, held: usize| rows.as_ref().is_none_or(|rows| rows.capacity() <= held);
        for sequence in 0..self.lengths.len() {
            let needed = self.lengths[sequence] + 1;
            if full(&self.rows[self.rows.len() - 1][sequence], needed - 1) {
                for layer in 0..self.rows.len() {
                    self.grow(device, layer, sequence, needed)?;
                }
            }
        }
        Ok(())
    }

    fn stepped(&mut self) {
        self.lengths.iter_mut().for_each(|held| *held += 1);
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
        self.attention.attend(device, queries, &self.views[layer], &mut self.work, out)
    }

    fn bytes(&self) -> usize {
        self.rows.iter().flatten().flatten().map(Whole::bytes).sum()
    }
}
