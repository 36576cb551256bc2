//! Causal attention of a prompt; kernels/prompt.cu.

use half::bf16;

use super::{Heads, TokensView, scale};
use crate::kernel::{Kernel, arg, narrow};
use crate::{Buffer, CudaError, Device, Source};

/// Queries of a block, as in the source.
const ROWS: usize = 128;

/// The kernel for one shape of heads.
#[derive(Debug)]
pub struct PromptAttention {
    heads: Heads,
    kernel: Kernel,
}

impl PromptAttention {
    /// Compiles the kernel.
    ///
    /// # Errors
    /// [`CudaError::Shape`] for heads that it is not written for; those of the compiler.
    pub fn new(device: &Device, heads: Heads) -> Result<Self, CudaError> {
        heads.check()?;
        let module = device.module(&Source::prompt(heads.head_dim, heads.group()))?;
        Ok(PromptAttention { heads, kernel: Kernel::with_shared(device, &module, "attend_prompt", 128)? })
    }

    /// Attention of the last `count` tokens of `past`, queries `[count][H][D]`, each over itself and all before it;
    /// `out` likewise.
    ///
    /// # Errors
    /// [`CudaError::Length`], or what the driver says.
    pub fn attend(
        &self,
        device: &Device,
        queries: &Buffer<bf16>,
        past: TokensView,
        count: usize,
        out: &mut Buffer<bf16>,
    ) -> Result<(), CudaError> {
        let numbers = count * self.heads.heads * self.heads.head_dim;
        queries.check("the queries", numbers)?;
        out.check("the outputs", numbers)?;
        let rows = narrow("tokens", count)?;
        let Some(first) = past.count.checked_sub(rows) else {
            return Err(CudaError::Length { what: "the past", expected: count, got: past.count as usize });
        };
        let blocks = (rows.div_ceil(ROWS as u32), narrow("heads", self.heads.heads)?, 1);
        let (q, out, scale) = (queries.address(), out.address(), scale(self.heads.head_dim));
        let TokensView { keys, values, capacity, .. } = past;
        let [q, keys, values, out] = [&q, &keys, &values, &out].map(arg);
        let args = &mut [q, keys, values, out, arg(&rows), arg(&first), arg(&capacity), arg(&scale)];
        // SAFETY: the arguments in the kernel's order; the buffers are as long as was checked.
        unsafe { self.kernel.launch(device, blocks, args) }
    }
}
