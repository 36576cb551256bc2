//! Queries, keys and values of new tokens to where they are kept, and moves of kept rows; kernels/append.cu.

use cudarc::driver::DeviceRepr;
use half::bf16;

use super::ModelShape;
use super::prompt_rows::PIECES;
use crate::attention::TokensView;
use crate::kernel::{Kernel, arg, narrow};
use crate::{Buffer, CudaError, Device, Source};

/// Threads of every block, as in the source.
const THREADS: usize = 256;

/// The kernels for one shape of heads.
#[derive(Debug)]
pub(super) struct AppendKernels {
    prompt: Kernel,
    step: Kernel,
    advance: Kernel,
    /// Turns a token of each rotary pair.
    turns: Buffer<f64>,
    heads: u32,
    kv_heads: u32,
    interleaved: u32,
    blocks: u32,
    width: usize,
}

/// What is the same for all rows, as the kernels are told of it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct RotaryView {
    qkv: u64,
    bias: u64,
    turns: u64,
    heads: u32,
    kv_heads: u32,
    interleaved: u32,
}

// SAFETY: plain numbers in the order and with the sizes of `Rotary` in kernels/append.cu.
unsafe impl DeviceRepr for RotaryView {}

/// Projections of new tokens, `[n][H + 2 G][D]`, and the bias that they lack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Projected<'a> {
    pub(super) qkv: &'a Buffer<f32>,
    pub(super) bias: Option<&'a Buffer<f32>>,
}

impl AppendKernels {
    pub(super) fn new(device: &Device, shape: &ModelShape) -> Result<Self, CudaError> {
        let module = device.module(&Source::append(shape.heads.head_dim))?;
        let kernel = |name| Ok::<_, CudaError>(Kernel::new(&module, name, THREADS)?.overlapping(device));
        let turns: Vec<f64> = shape.frequencies.iter().map(|f| f / std::f64::consts::TAU).collect();
        Ok(AppendKernels {
            prompt: kernel("append_prompt")?,
            step: kernel("append_step")?,
            advance: kernel("advance")?,
            turns: device.upload(&turns)?,
            heads: narrow("heads", shape.heads.heads)?,
            kv_heads: narrow("heads", shape.heads.kv_heads)?,
            interleaved: u32::from(shape.interleaved),
            blocks: narrow("heads", (shape.qkv_width() / 2).div_ceil(THREADS))?,
            width: shape.qkv_width(),
        })
    }

    fn view(&self, from: Projected<'_>, rows: usize) -> Result<RotaryView, CudaError> {
        from.qkv.check("the projections", rows * self.width)?;
        Ok(RotaryView {
            qkv: from.qkv.address(),
            bias: from.bias.map_or(0, Buffer::address),
            turns: self.turns.address(),
            heads: self.heads,
            kv_heads: self.kv_heads,
            interleaved: self.interleaved,
        })
    }

    /// Consecutive tokens of one sequence, the first at position `first`; `queries` become `[n][H][D]`.
    pub(super) fn prompt(
        &self,
        device: &Device,
        from: Projected<'_>,
        (to, first, rows): (TokensView, usize, usize),
        queries: &mut Buffer<bf16>,
    ) -> Result<(), CudaError> {
        let view = self.view(from, rows)?;
        let query_width = self.width / (self.heads + 2 * self.kv_heads) as usize * self.heads as usize;
        queries.check("the queries", rows * query_width)?;
        let (first, out) = (narrow("tokens", first)?, queries.address());
        let blocks = (self.blocks, narrow("tokens", rows)?, 1);
        // SAFETY: the arguments in the kernel's order; the lengths were checked, the capacity is by the kernel.
        unsafe { self.prompt.launch(device, blocks, &mut [arg(&view), arg(&to), arg(&first), arg(&out)]) }
    }

    /// One token of each sequence, as the last of those counted; `queries` become `[B][H][D]`.
    pub(super) fn step(
        &self,
        device: &Device,
        from: Projected<'_>,
        (sequences, lengths): (&Buffer<TokensView>, &Buffer<u32>),
        queries: &mut Buffer<f32>,
    ) -> Result<(), CudaError> {
        let batch = lengths.len();
        let view = self.view(from, batch)?;
        sequences.check("the sequences", batch)?;
        let query_width = self.width / (self.heads + 2 * self.kv_heads) as usize * self.heads as usize;
        queries.check("the queries", batch * query_width)?;
        let (to, counts, out) = (sequences.address(), lengths.address(), queries.address());
        let blocks = (self.blocks, narrow("the batch", batch)?, 1);
        // SAFETY: as above.
        unsafe { self.step.launch(device, blocks, &mut [arg(&view), arg(&to), arg(&counts), arg(&out)]) }
    }

    /// One token more in every sequence: of the views whose addresses `views` has, a layer each, and of `lengths`.
    pub(super) fn advance(
        &self,
        device: &Device,
        views: &Buffer<u64>,
        lengths: &mut Buffer<u32>,
    ) -> Result<(), CudaError> {
        let (layers, batch) = (narrow("layers", views.len())?, narrow("the batch", lengths.len())?);
        let blocks = narrow("the batch", ((views.len() + 1) * lengths.len()).div_ceil(THREADS))?;
        let (from, counts) = (views.address(), lengths.address());
        // SAFETY: the arguments in the kernel's order; each layer has as many views as there are lengths.
        unsafe {
            let args = &mut [arg(&from), arg(&layers), arg(&batch), arg(&counts)];
            self.advance.launch(device, (blocks, 1, 1), args)
        }
    }
}

/// Moves of rows that are held whole.
#[derive(Debug)]
pub(super) struct MoveKernels {
    copy: Kernel,
    kv_heads: u32,
}

impl MoveKernels {
    pub(super) fn new(device: &Device, heads: crate::attention::Heads) -> Result<Self, CudaError> {
        let module = device.module(&Source::append(heads.head_dim))?;
        let copy = Kernel::new(&module, "copy_rows", THREADS)?.overlapping(device);
        let kv_heads = narrow("heads", heads.kv_heads)?;
        Ok(MoveKernels { copy, kv_heads })
    }

    /// Copies `count` rows from slot `first` of `from` to slot `slot` of `to`.
    pub(super) fn copy(
        &self,
        device: &Device,
        (from, first): (TokensView, usize),
        (to, slot): (TokensView, usize),
        count: usize,
    ) -> Result<(), CudaError> {
        room(from, first + count)?;
        room(to, slot + count)?;
        let [first, slot, count] = [first, slot, count].map(|x| narrow("tokens", x));
        let (first, slot, count) = (first?, slot?, count?);
        let blocks = (count.div_ceil(64).clamp(1, 256), self.kv_heads, 2);
        // SAFETY: the arguments in the kernel's order; the rows are there.
        unsafe {
            let args = &mut [arg(&from), arg(&first), arg(&to), arg(&slot), arg(&count)];
            self.copy.launch(device, blocks, args)
        }
    }
}

fn room(tokens: TokensView, needed: usize) -> Result<(), CudaError> {
    let got = tokens.capacity as usize;
    if needed > got { Err(CudaError::Length { what: "the rows", expected: needed, got }) } else { Ok(()) }
}

/// Sums of squared queries.
#[derive(Debug)]
pub(super) struct EnergyKernel {
    kernel: Kernel,
    heads: crate::attention::Heads,
}

impl EnergyKernel {
    pub(super) fn new(device: &Device, heads: crate::attention::Heads) -> Result<Self, CudaError> {
        let module = device.module(&Source::append(heads.head_dim))?;
        Ok(EnergyKernel { kernel: Kernel::new(&module, "add_energy", heads.head_dim)?, heads })
    }

    /// Adds the squares of `rows` query rows, `[n][H][D]`, to `sums`, `[PIECES][G][D]`.
    pub(super) fn add(
        &self,
        device: &Device,
        queries: &Buffer<bf16>,
        rows: usize,
        sums: &mut Buffer<f32>,
    ) -> Result<(), CudaError> {
        let crate::attention::Heads { heads, kv_heads, head_dim } = self.heads;
        queries.check("the queries", rows * heads * head_dim)?;
        sums.check("the sums", PIECES * kv_heads * head_dim)?;
        let (from, to) = (queries.address(), sums.address());
        let (rows, group) = (narrow("tokens", rows)?, narrow("heads", self.heads.group())?);
        let blocks = (PIECES as u32, narrow("heads", kv_heads)?, 1);
        // SAFETY: the arguments in the kernel's order; the lengths were checked.
        unsafe { self.kernel.launch(device, blocks, &mut [arg(&from), arg(&rows), arg(&group), arg(&to)]) }
    }
}
