//! Decode attention over exact caches; kernels/exact.cu.

use super::{Heads, StateBuffers, TokensView, scale};
use crate::kernel::{Kernel, arg, narrow};
use crate::{Buffer, CudaError, Device, Source};

/// The kernels for one shape of heads.
#[derive(Debug)]
pub struct ExactAttention {
    heads: Heads,
    pieces: Kernel,
    merge: Kernel,
}

/// Working memory for a batch.
#[derive(Debug)]
pub struct ExactWork {
    batch: usize,
    pieces: usize,
    states: StateBuffers,
}

/// Blocks that a multiprocessor runs at a time, by their shared memory.
const BLOCKS: usize = 2;

impl ExactAttention {
    /// Compiles the kernels.
    ///
    /// # Errors
    /// [`CudaError::Shape`] for heads that they are not written for; those of the compiler.
    pub fn new(device: &Device, heads: Heads) -> Result<Self, CudaError> {
        heads.check()?;
        let module = device.module(&Source::exact(heads.head_dim, heads.group()))?;
        Ok(ExactAttention {
            heads,
            pieces: Kernel::with_shared(device, &module, "exact_pieces", 128)?.overlapping(device),
            merge: Kernel::new(&module, "merge_pieces", heads.head_dim)?.overlapping(device),
        })
    }

    /// Working memory for `batch` sequences; as many pieces as fill the device once.
    ///
    /// # Errors
    /// [`CudaError::Memory`].
    pub fn work(&self, device: &Device, batch: usize) -> Result<ExactWork, CudaError> {
        let pieces = (BLOCKS * device.info().multiprocessors / (batch * self.heads.kv_heads).max(1))
            .clamp(1, self.heads.head_dim);
        let states = StateBuffers::new(device, batch * self.heads.heads * pieces, self.heads.head_dim)?;
        Ok(ExactWork { batch, pieces, states })
    }

    /// `out[b][h]` = attention of `queries[b][h]` over the tokens of sequence `b`; zeros where there are none.
    ///
    /// # Errors
    /// [`CudaError::Length`], or what the driver says.
    pub fn attend(
        &self,
        device: &Device,
        queries: &Buffer<f32>,
        sequences: &Buffer<TokensView>,
        work: &mut ExactWork,
        out: &mut Buffer<f32>,
    ) -> Result<(), CudaError> {
        let Heads { heads, kv_heads, head_dim } = self.heads;
        queries.check("the queries", work.batch * heads * head_dim)?;
        out.check("the outputs", work.batch * heads * head_dim)?;
        sequences.check("the sequences", work.batch)?;
        let (pieces, batch) = (narrow("pieces", work.pieces)?, narrow("the batch", work.batch)?);
        let rows = narrow("query rows", work.batch * heads)?;
        let (q, s, o) = (queries.address(), sequences.address(), out.address());
        let (states, scale) = (work.states.view(), scale(head_dim));
        // SAFETY: the arguments in the kernels' order; the buffers are as long as was checked.
        unsafe {
            let blocks = (pieces, narrow("heads", kv_heads)?, batch);
            self.pieces.launch(device, blocks, &mut [arg(&q), arg(&s), arg(&states), arg(&scale)])?;
            self.merge.launch(device, (rows, 1, 1), &mut [arg(&states), arg(&pieces), arg(&o)])
        }
    }
}
