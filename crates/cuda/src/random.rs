//! Buffers of random numbers, for what is only measured; kernels/random.cu.

use cudarc::driver::DeviceRepr;
use half::bf16;

use crate::kernel::{Kernel, arg};
use crate::{Buffer, CudaError, Device, Source};

/// Fills buffers with normally distributed numbers that are exact in `bf16`.
#[derive(Debug)]
pub struct Random {
    bf16: Kernel,
    f32: Kernel,
    words: Kernel,
    seed: u64,
}

impl Random {
    /// Compiles the kernels. Every fill continues the sequence that `seed` begins.
    ///
    /// # Errors
    /// Those of the compiler.
    pub fn new(device: &Device, seed: u64) -> Result<Self, CudaError> {
        let module = device.module(&Source::random())?;
        let kernel = |name| Kernel::new(&module, name, 256);
        Ok(Random { bf16: kernel("random_bf16")?, f32: kernel("random_f32")?, words: kernel("random_words")?, seed })
    }

    /// Fills `to` with numbers of standard deviation `deviation`.
    ///
    /// # Errors
    /// What the driver says.
    pub fn bf16(&mut self, device: &Device, to: &mut Buffer<bf16>, deviation: f32) -> Result<(), CudaError> {
        self.seed += 1;
        fill(&self.bf16, device, to, (self.seed, deviation))
    }

    /// The same for `f32`.
    ///
    /// # Errors
    /// What the driver says.
    pub fn f32(&mut self, device: &Device, to: &mut Buffer<f32>, deviation: f32) -> Result<(), CudaError> {
        self.seed += 1;
        fill(&self.f32, device, to, (self.seed, deviation))
    }

    /// Fills `to` with random bits.
    ///
    /// # Errors
    /// What the driver says.
    pub fn words(&mut self, device: &Device, to: &mut Buffer<u32>) -> Result<(), CudaError> {
        self.seed += 1;
        let (address, count) = (to.address(), to.len() as u64);
        // SAFETY: the arguments in the kernel's order; it writes as many words as there are.
        unsafe { self.words.launch(device, (1024, 1, 1), &mut [arg(&address), arg(&count), arg(&self.seed)]) }
    }
}

fn fill<T: DeviceRepr>(
    kernel: &Kernel,
    device: &Device,
    to: &mut Buffer<T>,
    (seed, deviation): (u64, f32),
) -> Result<(), CudaError> {
    let (address, count) = (to.address(), to.len() as u64);
    // SAFETY: the arguments in the kernel's order; it writes as many numbers as there are.
    unsafe { kernel.launch(device, (4096, 1, 1), &mut [arg(&address), arg(&count), arg(&seed), arg(&deviation)]) }
}
