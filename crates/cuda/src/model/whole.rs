//! Tokens held whole: rows of keys and values, of one layer of one sequence.

use half::bf16;

use super::append::MoveKernels;
use crate::attention::{Heads, TokensView};
use crate::{Buffer, CudaError, Device, Random};

/// Room for keys and values of one layer of one sequence, `[G][capacity][D]` each.
#[derive(Debug)]
pub struct Whole {
    keys: Buffer<bf16>,
    values: Buffer<bf16>,
    capacity: u32,
}

impl Whole {
    /// Room for `capacity` tokens.
    ///
    /// # Errors
    /// [`CudaError::Memory`].
    pub fn new(device: &Device, heads: Heads, capacity: usize) -> Result<Self, CudaError> {
        let numbers = heads.kv_heads * capacity * heads.head_dim;
        Ok(Whole {
            keys: device.uninitialised(numbers)?,
            values: device.uninitialised(numbers)?,
            capacity: crate::kernel::narrow("tokens", capacity)?,
        })
    }

    /// The same, full of random rows, for what is only measured.
    ///
    /// # Errors
    /// [`CudaError::Memory`], or what the driver says.
    pub fn random(device: &Device, heads: Heads, capacity: usize, random: &mut Random) -> Result<Self, CudaError> {
        let mut rows = Whole::new(device, heads, capacity)?;
        random.bf16(device, &mut rows.keys, 1.0)?;
        random.bf16(device, &mut rows.values, 1.0)?;
        Ok(rows)
    }

    /// Keys and values of `count` rows from `first` on, `[G][count][D]`, once everything before is done.
    ///
    /// # Errors
    /// [`CudaError::Length`] if there are fewer.
    pub fn read(&self, heads: Heads, first: usize, count: usize) -> Result<[Vec<bf16>; 2], CudaError> {
        let (dim, capacity) = (heads.head_dim, self.capacity());
        if first + count > capacity {
            return Err(CudaError::Length { what: "the rows", expected: first + count, got: capacity });
        }
        let side = |rows: &Buffer<bf16>| -> Result<Vec<bf16>, CudaError> {
            let mut all = Vec::with_capacity(heads.kv_heads * count * dim);
            for head in 0..heads.kv_heads {
                let from = (head * capacity + first) * dim;
                all.extend(rows.read_range(from..from + count * dim)?);
            }
            Ok(all)
        };
        Ok([side(&self.keys)?, side(&self.values)?])
    }

    /// Larger room with the first `held` rows.
    pub(super) fn enlarged(
        &self,
        device: &Device,
        (heads, moves): (Heads, &MoveKernels),
        held: usize,
        capacity: usize,
    ) -> Result<Whole, CudaError> {
        let larger = Whole::new(device, heads, capacity)?;
        if held > 0 {
            moves.copy(device, (self.view(held)?, 0), (larger.view(held)?, 0), held)?;
        }
        Ok(larger)
    }

    /// What kernels are told of rows that may not be there yet.
    pub(super) fn view_of(rows: Option<&Whole>, count: usize) -> Result<TokensView, CudaError> {
        rows.map_or(Ok(TokensView::NONE), |rows| rows.view(count))
    }

    /// Tokens there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        (self.keys.len() + self.values.len()) * size_of::<bf16>()
    }

    /// As kernels are told of it, with `count` tokens.
    ///
    /// # Errors
    /// [`CudaError::Shape`] if there is no room for as many.
    pub fn view(&self, count: usize) -> Result<TokensView, CudaError> {
        if count > self.capacity() {
            let expected = "at most the capacity";
            return Err(CudaError::Shape { what: "the number of tokens", expected, got: count });
        }
        let (keys, values) = (self.keys.address(), self.values.address());
        Ok(TokensView { keys, values, count: count as u32, capacity: self.capacity })
    }
}
