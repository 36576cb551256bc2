//! One kernel, ready to be launched.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::sync::Arc;

use cudarc::driver::sys::{self, CUfunction_attribute as Attribute};
use cudarc::driver::{CudaFunction, CudaModule, DeviceRepr};

use crate::error::While;
use crate::{CudaError, Device};

/// A kernel and the shared memory that it takes.
#[derive(Debug)]
pub(crate) struct Kernel {
    function: CudaFunction,
    threads: u32,
    shared_bytes: u32,
    overlaps: bool,
}

impl Kernel {
    /// The kernel `name`, of blocks of `threads`, without shared memory of its own choosing.
    pub(crate) fn new(module: &Arc<CudaModule>, name: &str, threads: usize) -> Result<Self, CudaError> {
        let function = module.load_function(name).during("loading a kernel")?;
        Ok(Kernel { function, threads: narrow("threads of a block", threads)?, shared_bytes: 0, overlaps: false })
    }

    /// With the bytes of shared memory that the source says, in the variable `NAME_shared`.
    pub(crate) fn with_shared(
        device: &Device,
        module: &Arc<CudaModule>,
        name: &str,
        threads: usize,
    ) -> Result<Self, CudaError> {
        let mut kernel = Self::new(module, name, threads)?;
        kernel.shared_bytes = variable(device, module, &format!("{name}_shared"))?;
        let most = i32::try_from(kernel.shared_bytes).unwrap_or(i32::MAX);
        kernel
            .function
            .set_attribute(Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, most)
            .during("giving a kernel its shared memory")?;
        Ok(kernel)
    }

    /// The same, with as many threads as the variable `NAME_threads` says.
    pub(crate) fn with_threads(device: &Device, module: &Arc<CudaModule>, name: &str) -> Result<Self, CudaError> {
        let threads = variable(device, module, &format!("{name}_threads"))?;
        Self::with_shared(device, module, name, threads as usize)
    }

    /// The same kernel, which waits for the one before it by itself (`begin` in kernels/device.cuh).
    pub(crate) fn overlapping(mut self, device: &Device) -> Self {
        self.overlaps = device.info().capability.0 >= 9;
        self
    }

    /// Launches it.
    ///
    /// # Safety
    /// The arguments are those of the kernel in its order, and what they point to is as long as it expects.
    pub(crate) unsafe fn launch(
        &self,
        device: &Device,
        blocks: (u32, u32, u32),
        args: &mut [Argument<'_>],
    ) -> Result<(), CudaError> {
        let what = "launching a kernel";
        let mut value = sys::CUlaunchAttributeValue { pad: [0; 64] };
        value.programmaticStreamSerializationAllowed = 1;
        let id = sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
        let mut attribute = sys::CUlaunchAttribute { id, pad: [0; 4], value };
        let config = sys::CUlaunchConfig {
            gridDimX: blocks.0,
            gridDimY: blocks.1,
            gridDimZ: blocks.2,
            blockDimX: self.threads,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: self.shared_bytes,
            hStream: device.stream().cu_stream(),
            attrs: &mut attribute,
            numAttrs: u32::from(self.overlaps),
        };
        device.stream().context().bind_to_thread().during(what)?;
        // SAFETY: as the caller promises; the driver reads configuration and arguments before it returns. `Argument` is
        // a pointer and nothing else.
        unsafe {
            sys::cuLaunchKernelEx(&config, self.function.cu_function(), args.as_mut_ptr().cast(), std::ptr::null_mut())
        }
        .result()
        .during(what)
    }
}

/// A reference to an argument, as the driver takes it.
#[repr(transparent)]
pub(crate) struct Argument<'a> {
    _pointer: *const c_void,
    _value: PhantomData<&'a ()>,
}

/// An argument of a kernel.
pub(crate) fn arg<T: DeviceRepr>(value: &T) -> Argument<'_> {
    Argument { _pointer: std::ptr::from_ref(value).cast(), _value: PhantomData }
}

/// The value of a variable of a source.
fn variable(device: &Device, module: &Arc<CudaModule>, name: &str) -> Result<u32, CudaError> {
    let stream = device.stream();
    let place = module.get_global(name, stream).during("loading a kernel")?;
    let mut bytes = [0u8; 4];
    stream.memcpy_dtoh(&place, &mut bytes).during("loading a kernel")?;
    device.synchronize()?;
    Ok(u32::from_le_bytes(bytes))
}

/// A number as kernels take it.
pub(crate) fn narrow(what: &'static str, got: usize) -> Result<u32, CudaError> {
    u32::try_from(got).map_err(|_| CudaError::Shape { what, expected: "less than 2^32", got })
}
