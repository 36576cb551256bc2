//! How much of a GPU's memory a program takes, and took at most.

use cudarc::driver::result::{device, mem_pool};
use cudarc::driver::sys::{CUmemPool_attribute as Attribute, CUmemoryPool};

use crate::error::While;
use crate::{CudaError, Device};

/// Bytes of a GPU's memory that are taken, by all programs: buffers, kernels, libraries, the driver's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    /// Now.
    pub now: usize,
    /// At most since the device was opened or [`Device::forget_peak`] was called, if everything but this program's
    /// buffers has taken what it takes now.
    pub peak: usize,
}

impl Device {
    /// What is taken of its memory.
    ///
    /// # Errors
    /// What the driver says.
    pub fn memory_use(&self) -> Result<MemoryUse, CudaError> {
        self.synchronize()?;
        let pool = self.pool()?;
        let now = self.info().memory_bytes.saturating_sub(self.free_bytes()?);
        let buffers = read(pool, Attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)?;
        let peak = read(pool, Attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH)?;
        Ok(MemoryUse { now, peak: now.saturating_sub(buffers) + peak })
    }

    /// The peak is counted from now on.
    ///
    /// # Errors
    /// What the driver says.
    pub fn forget_peak(&self) -> Result<(), CudaError> {
        self.synchronize()?;
        let mut zero = 0u64;
        // SAFETY: the pool is the device's; the attribute takes 64 bits, and zero is the one value it may be set to.
        unsafe {
            let zero = std::ptr::from_mut(&mut zero).cast();
            mem_pool::set_attribute(self.pool()?, Attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, zero)
        }
        .during("asking the GPU")
    }

    /// Where buffers are taken from.
    fn pool(&self) -> Result<CUmemoryPool, CudaError> {
        self.bind()?;
        // SAFETY: the device is open.
        unsafe { device::get_mem_pool(self.stream().context().cu_device()) }.during("asking the GPU")
    }
}

fn read(pool: CUmemoryPool, attribute: Attribute) -> Result<usize, CudaError> {
    let mut bytes = 0u64;
    // SAFETY: the pool is a device's; these attributes are of 64 bits.
    unsafe { mem_pool::get_attribute(pool, attribute, std::ptr::from_mut(&mut bytes).cast()) }
        .during("asking the GPU")?;
    Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
}
