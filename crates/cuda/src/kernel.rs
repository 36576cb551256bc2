//! One kernel, ready to be launched.

use std::sync::Arc;

use cudarc::driver::sys::CUfunction_attribute as Attribute;
use cudarc::driver::{CudaFunction, CudaModule, LaunchArgs, LaunchConfig};

use crate::error::While;
use crate::{CudaError, Device};

/// A kernel and the shared memory that it takes.
#[derive(Debug)]
pub(crate) struct Kernel {
    function: CudaFunction,
    threads: u32,
    shared_bytes: u32,
}

impl Kernel {
    /// The kernel `name`, of blocks of `threads`, without shared memory of its own choosing.
    pub(crate) fn new(module: &Arc<CudaModule>, name: &str, threads: usize) -> Result<Self, CudaError> {
        let function = module.load_function(name).during("loading a kernel")?;
        Ok(Kernel { function, threads: narrow("threads of a block", threads)?, shared_bytes: 0 })
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

    /// Launches it with the arguments that `push` gives, in the kernel's order.
    ///
    /// # Safety
    /// The arguments are those of the kernel, and what they point to is as long as it expects.
    pub(crate) unsafe fn launch<'a>(
        &'a self,
        device: &'a Device,
        blocks: (u32, u32, u32),
        push: impl FnOnce(&mut LaunchArgs<'a>),
    ) -> Result<(), CudaError> {
        let mut args = device.stream().launch_builder(&self.function);
        push(&mut args);
        let config =
            LaunchConfig { grid_dim: blocks, block_dim: (self.threads, 1, 1), shared_mem_bytes: self.shared_bytes };
        // SAFETY: as the caller promises.
        unsafe { args.launch(config) }.during("launching a kernel")?;
        Ok(())
    }
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
