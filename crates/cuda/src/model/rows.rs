//! What a pass does between its products, row by row; kernels/rows.cu.

use half::bf16;

use crate::kernel::{Kernel, arg, narrow};
use crate::{Buffer, CudaError, Device, Source};

/// Threads of every block, as in the source.
const THREADS: usize = 256;

/// The kernels, which are the same for all models.
#[derive(Debug)]
pub(super) struct RowKernels {
    embed: Kernel,
    norm: Kernel,
    gate: Kernel,
    narrow: Kernel,
    largest: Kernel,
}

/// Rows of a buffer: the first, and how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) first: usize,
    pub(super) count: usize,
}

impl RowKernels {
    pub(super) fn new(device: &Device) -> Result<Self, CudaError> {
        let module = device.module(&Source::rows())?;
        let kernel = |name| Ok::<_, CudaError>(Kernel::new(&module, name, THREADS)?.overlapping(device));
        Ok(RowKernels {
            embed: kernel("embed_rows")?,
            norm: kernel("norm_rows")?,
            gate: kernel("gate_rows")?,
            narrow: kernel("narrow_rows")?,
            largest: kernel("largest_of_rows")?,
        })
    }

    /// `to` = rows of `table`, `[vocabulary][width]`.
    pub(super) fn embed(
        &self,
        device: &Device,
        table: (&Buffer<bf16>, usize, usize),
        tokens: &Buffer<u32>,
        count: usize,
        to: &mut Buffer<f32>,
    ) -> Result<(), CudaError> {
        let (numbers, vocabulary, width) = table;
        numbers.check("the embedding", vocabulary * width)?;
        tokens.check("the tokens", count)?;
        to.check("the embedded tokens", count * width)?;
        let (from, ids, out) = (numbers.address(), tokens.address(), to.address());
        let (width, vocabulary) = (narrow("the width", width)?, narrow("the vocabulary", vocabulary)?);
        let args = &mut [arg(&from), arg(&ids), arg(&out), arg(&width), arg(&vocabulary)];
        // SAFETY: the arguments in the kernel's order; the lengths were checked, tokens are by the kernel.
        unsafe { self.embed.launch(device, (narrow("tokens", count)?, 1, 1), args) }
    }

    /// `to` = the RMS norm of some rows of `from`, as wide as `weight`.
    pub(super) fn norm(
        &self,
        device: &Device,
        from: (&Buffer<f32>, Span),
        (weight, eps): (&Buffer<f32>, f32),
        to: &mut Buffer<bf16>,
    ) -> Result<(), CudaError> {
        let (numbers, Span { first, count }) = from;
        let width = weight.len();
        numbers.check("the residual stream", (first + count) * width)?;
        to.check("the normed rows", count * width)?;
        let at = numbers.address() + (first * width * size_of::<f32>()) as u64;
        let (weight, out, width) = (weight.address(), to.address(), narrow("the width", width)?);
        let args = &mut [arg(&at), arg(&weight), arg(&out), arg(&width), arg(&eps)];
        // SAFETY: the arguments in the kernel's order; the lengths were checked.
        unsafe { self.norm.launch(device, (narrow("rows", count)?, 1, 1), args) }
    }

    /// `to` = silu(gate) * up, of rows of gate and up.
    pub(super) fn gate(
        &self,
        device: &Device,
        from: &Buffer<bf16>,
        (count, hidden): (usize, usize),
        to: &mut Buffer<bf16>,
    ) -> Result<(), CudaError> {
        from.check("gate and up", count * 2 * hidden)?;
        to.check("the gated rows", count * hidden)?;
        let (at, out) = (from.address(), to.address());
        let blocks = narrow("the hidden width", (hidden / 2).div_ceil(THREADS))?;
        let hidden = narrow("the hidden width", hidden)?;
        let args = &mut [arg(&at), arg(&out), arg(&hidden)];
        // SAFETY: the arguments in the kernel's order; the lengths were checked.
        unsafe { self.gate.launch(device, (blocks, narrow("rows", count)?, 1), args) }
    }

    /// `to` = the first `count` numbers of `from` in `bf16`.
    pub(super) fn narrow(
        &self,
        device: &Device,
        from: &Buffer<f32>,
        count: usize,
        to: &mut Buffer<bf16>,
    ) -> Result<(), CudaError> {
        from.check("the numbers", count)?;
        to.check("the numbers", count)?;
        let (at, out, numbers) = (from.address(), to.address(), count as u64);
        let blocks = narrow("numbers", (count / 2).div_ceil(THREADS).clamp(1, 1024))?;
        // SAFETY: the arguments in the kernel's order; the lengths were checked.
        unsafe { self.narrow.launch(device, (blocks, 1, 1), &mut [arg(&at), arg(&out), arg(&numbers)]) }
    }

    /// `to` = the place of the first of the largest numbers of each row.
    pub(super) fn largest(
        &self,
        device: &Device,
        from: &Buffer<f32>,
        (count, width): (usize, usize),
        to: &mut Buffer<u32>,
    ) -> Result<(), CudaError> {
        from.check("the logits", count * width)?;
        to.check("the tokens", count)?;
        let (at, out, width) = (from.address(), to.address(), narrow("the vocabulary", width)?);
        // SAFETY: the arguments in the kernel's order; the lengths were checked.
        unsafe {
            let blocks = (narrow("rows", count)?, 1, 1);
            self.largest.launch(device, blocks, &mut [arg(&at), arg(&out), arg(&width)])
        }
    }
}
