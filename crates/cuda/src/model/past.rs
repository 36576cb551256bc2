//! What a forward pass asks of the pasts of its sequences.

use half::bf16;

use crate::attention::TokensView;
use crate::{Buffer, CudaError, Device};

/// The pasts of a batch of sequences, all kept in one way.
///
/// A prompt goes layer by layer: [`Pasts::prompt`] gives the place of its rows, [`Pasts::seal`] makes of them what is
/// kept, before the next layer; [`Pasts::read`] ends it. A step of all sequences is launched as a graph, which reads
/// [`Pasts::views`] and whatever else [`Pasts::attend`] uses where it was when the graph was captured: what they hold
/// may change between steps, their addresses only with [`Pasts::epoch`].
pub trait Pasts: Send {
    /// Tokens of each sequence.
    fn lengths(&self) -> &[usize];

    /// The place of a layer's rows for a prompt of `tokens` more tokens, all that come before them included: a prompt's
    /// attention goes over the rows that the view counts.
    ///
    /// # Errors
    /// [`CudaError::Memory`]; [`CudaError::Shape`] if this past takes no such prompt.
    fn prompt(
        &mut self,
        device: &Device,
        layer: usize,
        sequence: usize,
        tokens: usize,
    ) -> Result<TokensView, CudaError>;

    /// Queries of the next rows of a prompt's layer, `[n][H][D]`.
    ///
    /// # Errors
    /// What the driver says.
    fn observe(&mut self, device: &Device, queries: &Buffer<bf16>, rows: usize) -> Result<(), CudaError> {
        let _ = (device, queries, rows);
        Ok(())
    }

    /// Keeps a layer's rows, which are all written.
    ///
    /// # Errors
    /// [`CudaError::Memory`], or what the driver says.
    fn seal(&mut self, device: &Device, layer: usize, sequence: usize, tokens: usize) -> Result<(), CudaError>;

    /// The prompt of `tokens` tokens has been read in all layers.
    ///
    /// # Errors
    /// What the driver says.
    fn read(&mut self, device: &Device, sequence: usize, tokens: usize) -> Result<(), CudaError>;

    /// Makes room for one more token in every sequence.
    ///
    /// # Errors
    /// [`CudaError::Memory`], or what the driver says.
    fn make_room(&mut self, device: &Device) -> Result<(), CudaError>;

    /// A step has been launched: every sequence has a token more, and so do its views on the device.
    fn stepped(&mut self);

    /// Rows that a step appends to, of each sequence; the device counts them.
    fn views(&self, layer: usize) -> &Buffer<TokensView>;

    /// `out` = attention of `queries`, both `[B][H][D]`.
    ///
    /// # Errors
    /// What the driver says.
    fn attend(
        &mut self,
        device: &Device,
        layer: usize,
        queries: &Buffer<f32>,
        out: &mut Buffer<f32>,
    ) -> Result<(), CudaError>;

    /// Changes when something that [`Pasts::attend`] uses has moved: a step that was captured before is of no use then.
    fn epoch(&self) -> u64 {
        0
    }

    /// Bytes held for the past, without working memory.
    fn bytes(&self) -> usize;
}
