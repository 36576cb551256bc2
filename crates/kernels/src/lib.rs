//! kernels
pub mod isa;
pub mod quant;
