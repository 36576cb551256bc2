//! How one operation is computed on a GPU.
//!
//! The counterpart of `fourier-kv-kernels` for NVIDIA GPUs from compute capability 8.0 on (tuned for 9.0). Nothing of
//! CUDA is needed to build it: the driver and NVRTC, the compiler of the kernels in `kernels/`, are loaded when a
//! [`Device`] is opened, and what was compiled is kept on disk. Without them, opening is an error that says so.
//!
//! **Conventions.** Letters: B sequences, H query heads, G key/value heads, D head dims, T tokens. Arrays are row-major;
//! queries and outputs are `f32`, `[B][H][D]`; keys and values `bf16`. A *piece* is a part of the past that one block of
//! threads attends to; what it saw is a state `(max, sum, out)` as on the CPU, with maxima in powers of two. Everything
//! of a device is done on one stream, in order; only reading and [`Device::synchronize`] wait.
//!
//! [`model`] puts them together to a forward pass, which is given sizes and numbers and knows no files. Its matrix products
//! are those of cuBLASLt, which is loaded then.
//!
//! How fast each kernel is, and what binds it: docs/kernels.md.

pub mod attention;
mod blas;
mod buffer;
mod compiled;
pub mod device;
mod error;
mod graph;
mod kernel;
mod library;
mod memory;
pub mod model;
mod nvrtc;
pub mod product;
mod random;
mod source;

pub use buffer::Buffer;
pub use compiled::Compiler;
pub use device::{Device, DeviceInfo};
pub use error::CudaError;
pub use graph::{Graph, Stopwatch};
pub use memory::MemoryUse;
pub use nvrtc::{Compiled, Nvrtc};
pub use random::Random;
pub use source::Source;
