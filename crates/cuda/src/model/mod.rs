//! A forward pass on the device: weights in `bf16`, prompts layer by layer, and steps of a batch captured in a graph.
//!
//! What is kept of the past is a [`Pasts`]; the pass asks it for places and attention and never knows which it has. The
//! residual stream is in `f32`, what goes into products in `bf16`.

mod append;
mod batch;
mod compressed;
mod exact_pasts;
mod fourier_pasts;
mod layer;
mod loaded;
mod past;
mod prompt;
mod prompt_rows;
mod rows;
mod shape;
mod spectral_pasts;
mod weights;
mod whole;
mod window;

pub use batch::Batch;
pub use compressed::{CompressedPasts, Place};
pub use exact_pasts::ExactPasts;
pub use fourier_pasts::{ChooseDims, Dims, FourierPasts, FourierSettings, PeriodFor};
pub use loaded::Model;
pub use past::Pasts;
pub use prompt::{PromptError, TILE};
pub use prompt_rows::PromptRows;
pub use shape::ModelShape;
pub use spectral_pasts::{FitSpectral, LAYERS_AT_ONCE, SpectralPasts, SpectralSettings};
pub use weights::{Part, Weights};
pub use whole::Whole;
