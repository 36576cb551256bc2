//! Matrix products of a forward pass: through cuBLASLt, of one row by a kernel of our own; kernels/product.cu has that
//! one, and the oracle of both.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use half::bf16;

use crate::blas::{Blas, Operands, Plan, Sizes};
use crate::kernel::{Kernel, arg, narrow};
use crate::{Buffer, CudaError, Device, Source};

/// Bytes that products may work in, as NVIDIA recommends for Hopper.
const WORKSPACE: usize = 32 << 20;

/// Products of `bf16` matrices with sums in `f32`, planned once for each size.
#[derive(Debug)]
pub struct Products {
    // Before the library, which they need to be dropped.
    plans: Mutex<HashMap<Sizes, Plan>>,
    blas: Blas,
    workspace: Buffer<u8>,
    vector: Kernel,
}

/// Where the outputs of a product go.
#[derive(Debug)]
pub enum Output<'a> {
    /// To a buffer, in `bf16`.
    Narrow(&'a mut Buffer<bf16>),
    /// To a buffer, in `f32`.
    Wide(&'a mut Buffer<f32>),
    /// Added to rows of a buffer, from this row on.
    Added(&'a mut Buffer<f32>, usize),
}

/// A matrix of weights, `[rows = outputs][cols = inputs]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Its numbers, row by row.
    pub numbers: &'a Buffer<bf16>,
    /// Outputs.
    pub rows: usize,
    /// Inputs, a multiple of 8.
    pub cols: usize,
}

impl Products {
    /// Loads cuBLASLt, from `library` if a path is given.
    ///
    /// # Errors
    /// [`CudaError::NoBlas`], [`CudaError::Memory`].
    pub fn new(device: &Device, library: Option<&Path>) -> Result<Self, CudaError> {
        // The library computes where the calling thread's context is.
        device.bind()?;
        Ok(Products {
            plans: Mutex::default(),
            blas: Blas::load(library)?,
            workspace: device.uninitialised(WORKSPACE)?,
            vector: Kernel::new(&device.module(&Source::product())?, "vector_product", 256)?.overlapping(device),
        })
    }

    /// `y = x w^T` for `n` rows of `x`.
    ///
    /// # Errors
    /// [`CudaError::Length`], [`CudaError::Shape`]; what the library says.
    pub fn multiply(
        &self,
        device: &Device,
        weight: Matrix<'_>,
        input: &Buffer<bf16>,
        n: usize,
        output: Output<'_>,
    ) -> Result<(), CudaError> {
        let Matrix { numbers, rows, cols } = weight;
        check(weight, input, n)?;
        if n == 1 {
            return self.multiply_one(device, weight, input, output);
        }
        let (wide, added, address) = match &output {
            Output::Narrow(to) => (false, false, to.check("a product", n * rows).map(|()| to.address())?),
            Output::Wide(to) => (true, false, to.check("a product", n * rows).map(|()| to.address())?),
            Output::Added(to, first) => {
                to.check("a product", (first + n) * rows)?;
                (true, true, to.address() + (first * rows * size_of::<f32>()) as u64)
            }
        };
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let sizes = Sizes { n, rows, cols, wide };
        let plan = match plans.entry(sizes) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                device.bind()?;
                entry.insert(self.blas.plan(sizes, WORKSPACE)?)
            }
        };
        let operands = Operands { weight: numbers.address(), input: input.address(), output: address, added };
        device.bind()?;
        let stream = device.stream().cu_stream().cast();
        // SAFETY: the lengths were checked, and the workspace is as long as it was planned with.
        unsafe { self.blas.multiply(plan, operands, (self.workspace.address(), WORKSPACE), stream) }
    }
}

impl Products {
    /// The same of one row, whose lengths were checked but for the output's.
    fn multiply_one(
        &self,
        device: &Device,
        weight: Matrix<'_>,
        input: &Buffer<bf16>,
        output: Output<'_>,
    ) -> Result<(), CudaError> {
        let Matrix { numbers, rows, cols } = weight;
        // As in the source: 0 in `f32`, 1 in `bf16`, 2 added.
        let (how, to) = match &output {
            Output::Wide(to) => (0u32, to.check("a product", rows).map(|()| to.address())?),
            Output::Narrow(to) => (1, to.check("a product", rows).map(|()| to.address())?),
            Output::Added(to, first) => {
                to.check("a product", (first + 1) * rows)?;
                (2, to.address() + (first * rows * size_of::<f32>()) as u64)
            }
        };
        let (w, x) = (numbers.address(), input.address());
        let (rows, cols) = (narrow("rows", rows)?, narrow("columns", cols)?);
        let args = &mut [arg(&w), arg(&x), arg(&to), arg(&rows), arg(&cols), arg(&how)];
        // SAFETY: the arguments in the kernel's order; the lengths were checked.
        unsafe { self.vector.launch(device, (rows.div_ceil(8), 1, 1), args) }
    }
}

/// The same product by a plain kernel: what tests compare with.
#[derive(Debug)]
pub struct PlainProduct(Kernel);

impl PlainProduct {
    /// Compiles the kernel.
    ///
    /// # Errors
    /// Those of the compiler.
    pub fn new(device: &Device) -> Result<Self, CudaError> {
        let module = device.module(&Source::product())?;
        Ok(PlainProduct(Kernel::new(&module, "plain_product", 256)?))
    }

    /// `y = x w^T` for `n` rows of `x`, or `y += x w^T`.
    ///
    /// # Errors
    /// [`CudaError::Length`], [`CudaError::Shape`]; what the driver says.
    pub fn multiply(
        &self,
        device: &Device,
        weight: Matrix<'_>,
        input: &Buffer<bf16>,
        n: usize,
        (output, added): (&mut Buffer<f32>, bool),
    ) -> Result<(), CudaError> {
        check(weight, input, n)?;
        output.check("a product", n * weight.rows)?;
        let (rows, cols) = (narrow("rows", weight.rows)?, narrow("columns", weight.cols)?);
        let (w, x, y, added) = (weight.numbers.address(), input.address(), output.address(), u32::from(added));
        let blocks = (rows.div_ceil(8), narrow("rows", n)?, 1);
        let args = &mut [arg(&w), arg(&x), arg(&y), arg(&rows), arg(&cols), arg(&added)];
        // SAFETY: the arguments in the kernel's order; the lengths were checked.
        unsafe { self.0.launch(device, blocks, args) }
    }
}

fn check(weight: Matrix<'_>, input: &Buffer<bf16>, n: usize) -> Result<(), CudaError> {
    let Matrix { numbers, rows, cols } = weight;
    if cols == 0 || !cols.is_multiple_of(8) {
        return Err(CudaError::Shape { what: "the inputs of a product", expected: "a multiple of 8", got: cols });
    }
    for (what, got) in [("the rows of a product", n), ("the outputs of a product", rows)] {
        if got == 0 {
            return Err(CudaError::Shape { what, expected: "at least 1", got });
        }
    }
    numbers.check("a matrix", rows * cols)?;
    input.check("the inputs of a product", n * cols)
}
