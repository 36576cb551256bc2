//! Numbers in a GPU's memory.

use std::sync::Arc;

use cudarc::driver::sys::CUresult;
use cudarc::driver::{CudaEvent, CudaSlice, CudaStream, DevicePtr, DeviceRepr};

use crate::error::While;
use crate::{CudaError, Device};

/// `len` numbers in a GPU's memory.
#[derive(Debug)]
pub struct Buffer<T> {
    slice: CudaSlice<T>,
    stream: Arc<CudaStream>,
}

impl<T: DeviceRepr> Buffer<T> {
    pub(crate) fn uninitialised(stream: &Arc<CudaStream>, len: usize) -> Result<Self, CudaError> {
        // No buffer is empty: kernels get addresses.
        // SAFETY: kernels and `read` treat what is in it as numbers, of which every pattern of bits is one.
        let slice = unsafe { stream.alloc::<T>(len.max(1)) };
        let slice = match slice {
            Err(error) if error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                let (free, total) = stream.context().mem_get_info().during("asking the GPU")?;
                return Err(CudaError::Memory { asked: len.saturating_mul(size_of::<T>()), free, total });
            }
            other => other.during("allocating")?,
        };
        Ok(Buffer { slice, stream: Arc::clone(stream) })
    }

    /// Copies `numbers` to its beginning.
    ///
    /// # Errors
    /// [`CudaError::Length`] if there are more than it holds.
    pub fn write(&mut self, numbers: &[T]) -> Result<(), CudaError> {
        if numbers.is_empty() {
            return Ok(());
        }
        self.check("a buffer", numbers.len())?;
        self.stream.memcpy_htod(numbers, &mut self.slice).during("copying to the GPU")
    }

    /// Copies `numbers` to where number `first` is.
    ///
    /// # Errors
    /// [`CudaError::Length`] if it ends before they do.
    pub fn write_at(&mut self, first: usize, numbers: &[T]) -> Result<(), CudaError> {
        if numbers.is_empty() {
            return Ok(());
        }
        let end = first.saturating_add(numbers.len());
        self.check("a buffer", end)?;
        self.stream.memcpy_htod(numbers, &mut self.slice.slice_mut(first..end)).during("copying to the GPU")
    }

    /// Makes all numbers zero.
    ///
    /// # Errors
    /// What the driver says.
    pub fn zero(&mut self) -> Result<(), CudaError>
    where
        T: cudarc::driver::ValidAsZeroBits,
    {
        self.stream.memset_zeros(&mut self.slice).during("clearing memory")
    }

    /// Copies a range of another buffer to where number `first` is.
    ///
    /// # Errors
    /// [`CudaError::Length`] if either ends before it.
    pub fn copy_from(&mut self, first: usize, from: &Self, range: std::ops::Range<usize>) -> Result<(), CudaError> {
        if range.is_empty() {
            return Ok(());
        }
        let end = first.saturating_add(range.len());
        self.check("a buffer", end)?;
        from.check("a buffer", range.end)?;
        let from = from.slice.slice(range);
        self.stream.memcpy_dtod(&from, &mut self.slice.slice_mut(first..end)).during("copying on the GPU")
    }

    /// All of it, once everything before is done.
    ///
    /// # Errors
    /// What the driver says.
    pub fn read(&self) -> Result<Vec<T>, CudaError>
    where
        T: Clone + Default,
    {
        self.stream.clone_dtoh(&self.slice).during("copying from the GPU")
    }

    /// The numbers of a range of it, once everything before is done.
    ///
    /// # Errors
    /// [`CudaError::Length`] if it holds fewer.
    pub fn read_range(&self, range: std::ops::Range<usize>) -> Result<Vec<T>, CudaError>
    where
        T: Clone + Default,
    {
        self.check("a buffer", range.end)?;
        self.stream.clone_dtoh(&self.slice.slice(range)).during("copying from the GPU")
    }

    /// Its first numbers, as many as `to` is long, once everything before is done.
    ///
    /// # Errors
    /// [`CudaError::Length`] if `to` is longer.
    pub fn read_into(&self, to: &mut [T]) -> Result<(), CudaError> {
        if to.is_empty() {
            return Ok(());
        }
        self.check("a buffer", to.len())?;
        self.stream.memcpy_dtoh(&self.slice.slice(..to.len()), to).during("copying from the GPU")
    }

    /// Prepares to copy all of it to the host, as it is now, beside what the device goes on with.
    ///
    /// # Errors
    /// What the driver says.
    pub(crate) fn read_beside(self, device: &Device) -> Result<Beside<T>, CudaError> {
        let written = self.stream.record_event(None).during("copying from the GPU")?;
        Ok(Beside { buffer: self, stream: Arc::clone(device.beside()), written })
    }

    /// Numbers it holds.
    #[allow(clippy::len_without_is_empty)] // none is empty
    pub fn len(&self) -> usize {
        self.slice.len()
    }

    /// Refuses fewer than `expected` numbers.
    pub(crate) fn check(&self, what: &'static str, expected: usize) -> Result<(), CudaError> {
        let got = self.len();
        if got < expected { Err(CudaError::Length { what, expected, got }) } else { Ok(()) }
    }

    /// Where it begins, as kernels need it; it stays there as long as it exists.
    pub fn address(&self) -> u64 {
        self.slice.device_ptr(&self.stream).0
    }
}

/// Takes numbers to a GPU, from any thread; clones do the same.
#[derive(Clone, Debug)]
pub(crate) struct Loader {
    /// What uses them.
    stream: Arc<CudaStream>,
    /// What copies them.
    by: Arc<CudaStream>,
}

impl Loader {
    /// In the order of everything else.
    pub(crate) fn in_order(device: &Device) -> Self {
        Loader { stream: Arc::clone(device.stream()), by: Arc::clone(device.stream()) }
    }

    /// Beside what the device goes on with.
    pub(crate) fn beside(device: &Device) -> Self {
        Loader { stream: Arc::clone(device.stream()), by: Arc::clone(device.beside()) }
    }

    /// A copy of `numbers`; kernels that are launched from now on find them.
    pub(crate) fn upload<T: DeviceRepr>(&self, numbers: &[T]) -> Result<Buffer<T>, CudaError> {
        let mut buffer = Buffer::uninitialised(&self.by, numbers.len())?;
        buffer.write(numbers)?;
        if Arc::ptr_eq(&self.stream, &self.by) {
            return Ok(buffer);
        }
        self.by.synchronize().during("copying to the GPU")?;
        let (len, stream) = (buffer.len(), Arc::clone(&self.stream));
        // SAFETY: `leak` gives away what was allocated for so many numbers. The copy is done, so that the stream it belongs
        // to from now on, which frees it in its own order, has nothing to wait for.
        let slice = unsafe { stream.upgrade_device_ptr(buffer.slice.leak(), len) };
        Ok(Buffer { slice, stream })
    }
}

/// Numbers that are to be copied to the host beside what the device goes on with.
#[derive(Debug)]
pub(crate) struct Beside<T> {
    buffer: Buffer<T>,
    stream: Arc<CudaStream>,
    written: CudaEvent,
}

impl<T: DeviceRepr + Clone + Default> Beside<T> {
    /// Waits for what was asked of the device before, and copies; on any thread.
    pub(crate) fn read(self) -> Result<Vec<T>, CudaError> {
        let what = "copying from the GPU";
        self.stream.wait(&self.written).during(what)?;
        let numbers = self.stream.clone_dtoh(&self.buffer.slice).during(what)?;
        self.stream.synchronize().during(what)?;
        Ok(numbers)
    }
}
