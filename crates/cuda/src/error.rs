//! What can go wrong on a GPU.

use std::path::PathBuf;

use cudarc::driver::DriverError;
use cudarc::driver::sys::CUresult;

/// Why something could not be done on a GPU.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    /// No driver's library.
    #[error("no NVIDIA driver is installed: its library libcuda.so.1 was not found")]
    NoDriver,
    /// A driver without devices.
    #[error("the NVIDIA driver has {count} devices; device {asked} was asked for")]
    NoDevice {
        /// The device asked for, counted from 0.
        asked: usize,
        /// Devices there are.
        count: usize,
    },
    /// A device that the kernels are not written for.
    #[error("{name} has compute capability {major}.{minor}; 8.0 or higher is needed")]
    TooOld {
        /// The device's name.
        name: String,
        /// Its compute capability.
        major: u32,
        /// The second part of it.
        minor: u32,
    },
    /// No compiler.
    #[error("the compiler of kernels, NVRTC (libnvrtc.so, version 12 or 13), was not found: tried {tried}")]
    NoCompiler {
        /// The names and paths tried.
        tried: String,
    },
    /// No library of matrix products.
    #[error(
        "the library of matrix products, cuBLASLt (libcublasLt.so, version 12 or 13), was not found: tried {tried}"
    )]
    NoBlas {
        /// The names and paths tried.
        tried: String,
    },
    /// A kernel that does not compile.
    #[error("kernel {file} does not compile for {arch}: {log}")]
    Compile {
        /// The source file.
        file: &'static str,
        /// What it was compiled for.
        arch: String,
        /// What the compiler said.
        log: String,
    },
    /// Not enough memory.
    #[error("the GPU is out of memory: {asked} bytes were asked for, {free} of {total} are free")]
    Memory {
        /// Bytes asked for.
        asked: usize,
        /// Bytes free.
        free: usize,
        /// Bytes there are in all.
        total: usize,
    },
    /// A device that computes no more.
    #[error("the GPU was lost ({what}): {reason}")]
    Lost {
        /// What was being done.
        what: &'static str,
        /// What the driver said.
        reason: String,
    },
    /// Another error of the driver.
    #[error("{what}: {reason}")]
    Driver {
        /// What was being done.
        what: &'static str,
        /// What the driver said.
        reason: String,
    },
    /// A shape that the kernels are not written for.
    #[error("{what} must be {expected} on the GPU, got {got}")]
    Shape {
        /// Which number.
        what: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        got: usize,
    },
    /// Too few or too many numbers.
    #[error("{what} must have {expected} numbers, got {got}")]
    Length {
        /// Of what.
        what: &'static str,
        /// Numbers needed.
        expected: usize,
        /// Numbers given.
        got: usize,
    },
    /// The folder of compiled kernels.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl CudaError {
    /// What the driver said while `what` was being done.
    pub(crate) fn driver(what: &'static str, error: DriverError) -> Self {
        let reason = error.to_string();
        match error.0 {
            CUresult::CUDA_ERROR_ECC_UNCORRECTABLE
            | CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE
            | CUresult::CUDA_ERROR_NVLINK_UNCORRECTABLE
            | CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED
            | CUresult::CUDA_ERROR_ILLEGAL_ADDRESS
            | CUresult::CUDA_ERROR_HARDWARE_STACK_ERROR
            | CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION
            | CUresult::CUDA_ERROR_MISALIGNED_ADDRESS
            | CUresult::CUDA_ERROR_LAUNCH_TIMEOUT
            | CUresult::CUDA_ERROR_LAUNCH_FAILED => CudaError::Lost { what, reason },
            _ => CudaError::Driver { what, reason },
        }
    }
}

/// Gives driver errors their circumstance.
pub(crate) trait While<T> {
    /// `what` was being done.
    fn during(self, what: &'static str) -> Result<T, CudaError>;
}

impl<T> While<T> for Result<T, DriverError> {
    fn during(self, what: &'static str) -> Result<T, CudaError> {
        self.map_err(|error| CudaError::driver(what, error))
    }
}
