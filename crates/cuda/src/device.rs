//! A GPU: found, opened, asked.

use std::sync::Arc;

use cudarc::driver::sys::CUdevice_attribute as Attribute;
use cudarc::driver::{CudaContext, CudaModule, CudaStream, DeviceRepr, sys};

use crate::CudaError;
use crate::buffer::{Buffer, Loader};
use crate::compiled::Compiler;
use crate::error::While;
use crate::source::Source;

/// What a GPU says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its number.
    pub ordinal: usize,
    /// Its name.
    pub name: String,
    /// Compute capability.
    pub capability: (u32, u32),
    /// Multiprocessors.
    pub multiprocessors: usize,
    /// Bytes of memory.
    pub memory_bytes: usize,
    /// Bytes of memory that are free.
    pub free_bytes: usize,
}

/// An opened GPU with one stream, on which everything is done in order.
#[derive(Debug)]
pub struct Device {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    /// For copies beside what is computed.
    beside: Arc<CudaStream>,
    info: DeviceInfo,
    compiler: Compiler,
}

/// The number of GPUs that the driver has.
///
/// # Errors
/// [`CudaError::NoDriver`], or what the driver says.
pub fn count() -> Result<usize, CudaError> {
    // SAFETY: the driver's library has no requirements on being loaded; cudarc panics if it is not there.
    if !unsafe { sys::is_culib_present() } {
        return Err(CudaError::NoDriver);
    }
    let count = CudaContext::device_count().during("counting the GPUs")?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// What GPU `ordinal` says of itself.
///
/// # Errors
/// [`CudaError::NoDriver`], [`CudaError::NoDevice`], or what the driver says.
pub fn look(ordinal: usize) -> Result<DeviceInfo, CudaError> {
    open(ordinal).map(|(_, info)| info)
}

fn open(ordinal: usize) -> Result<(Arc<CudaContext>, DeviceInfo), CudaError> {
    let count = count()?;
    if ordinal >= count {
        return Err(CudaError::NoDevice { asked: ordinal, count });
    }
    let context = CudaContext::new(ordinal).during("opening the GPU")?;
    let (major, minor) = context.compute_capability().during("asking the GPU")?;
    let many = context.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT).during("asking the GPU")?;
    let (free_bytes, memory_bytes) = context.mem_get_info().during("asking the GPU")?;
    let unsigned = |x: i32| u32::try_from(x).unwrap_or(0);
    let info = DeviceInfo {
        ordinal,
        name: context.name().during("asking the GPU")?,
        capability: (unsigned(major), unsigned(minor)),
        multiprocessors: usize::try_from(many).unwrap_or(1).max(1),
        memory_bytes,
        free_bytes,
    };
    Ok((context, info))
}

impl Device {
    /// Opens GPU `ordinal`, whose kernels `compiler` compiles.
    ///
    /// # Errors
    /// [`CudaError::NoDriver`], [`CudaError::NoDevice`], [`CudaError::TooOld`], or what the driver says.
    pub fn open(ordinal: usize, compiler: Compiler) -> Result<Self, CudaError> {
        let (context, info) = open(ordinal)?;
        let (major, minor) = info.capability;
        if major < 8 {
            return Err(CudaError::TooOld { name: info.name, major, minor });
        }
        // SAFETY: everything is done on one stream, in order, so no buffer needs events of its own.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().during("opening the GPU")?;
        let beside = context.new_stream().during("opening the GPU")?;
        Ok(Device { context, stream, beside, info, compiler })
    }

    /// What it says of itself, with the memory that was free when it was opened.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Bytes free now.
    ///
    /// # Errors
    /// What the driver says.
    pub fn free_bytes(&self) -> Result<usize, CudaError> {
        Ok(self.context.mem_get_info().during("asking the GPU")?.0)
    }

    /// Waits until everything is done.
    ///
    /// # Errors
    /// [`CudaError::Lost`] if something that was done broke the device.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        self.stream.synchronize().during("waiting for the GPU")
    }

    /// `len` numbers of which nothing is known.
    ///
    /// # Errors
    /// [`CudaError::Memory`].
    pub fn uninitialised<T: DeviceRepr>(&self, len: usize) -> Result<Buffer<T>, CudaError> {
        Buffer::uninitialised(&self.stream, len)
    }

    /// A copy of `numbers`.
    ///
    /// # Errors
    /// [`CudaError::Memory`].
    pub fn upload<T: DeviceRepr>(&self, numbers: &[T]) -> Result<Buffer<T>, CudaError> {
        Loader::in_order(self).upload(numbers)
    }

    /// Makes this device the calling thread's, as libraries of NVIDIA want it.
    pub(crate) fn bind(&self) -> Result<(), CudaError> {
        self.context.bind_to_thread().during("choosing the GPU")
    }

    /// The kernels of a source, compiled for this device.
    pub(crate) fn module(&self, source: &Source) -> Result<Arc<CudaModule>, CudaError> {
        let (major, minor) = self.info.capability;
        let cubin = self.compiler.cubin(source, &format!("sm_{major}{minor}"))?;
        self.context.load_module(cudarc::nvrtc::Ptx::from_binary(cubin)).during("loading kernels")
    }

    pub(crate) fn beside(&self) -> &Arc<CudaStream> {
        &self.beside
    }

    pub(crate) fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }
}
