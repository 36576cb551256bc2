//! Requests that do not make sense.

use std::io;
use std::path::PathBuf;

use fourier_kv_engine::cache::SettingsError;

/// What is wrong with a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// A number outside its range.
    #[error("{option} expects {expected}; got {got}")]
    OutOfRange {
        /// The option.
        option: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What was typed.
        got: String,
    },
    /// Two options that do not go together.
    #[error("{option} has no effect {without}")]
    NoEffect {
        /// The option.
        option: &'static str,
        /// What is in its way.
        without: &'static str,
    },
    /// A device that this program was built without.
    #[cfg(not(feature = "cuda"))]
    #[error("this program computes on the CPU only: it was built without the feature cuda, which --device {0} needs")]
    DeviceNotBuilt(String),
    /// A GPU that cannot be used.
    #[cfg(feature = "cuda")]
    #[error("--device {asked}: {source}")]
    Gpu {
        /// What was typed.
        asked: String,
        /// Why not.
        source: fourier_kv_cuda::CudaError,
    },
    /// A GPU that is there, for a command that does not compute on it.
    #[cfg(feature = "cuda")]
    #[error("--device {0}: the GPU is there, but 'run' and 'bench' alone compute on it in this version")]
    GpuCommand(String),
    /// A cache that is not there on GPUs yet.
    #[cfg(feature = "cuda")]
    #[error("--device {asked}: {source}")]
    GpuCache {
        /// What was typed.
        asked: String,
        /// What there is.
        source: fourier_kv_engine::device::DeviceCacheError,
    },
    /// Sessions on disk, which are of the CPU's caches.
    #[cfg(feature = "cuda")]
    #[error("--device {asked}: sessions cannot be opened or saved on the GPU in this version; {option} was given")]
    GpuSession {
        /// What was typed.
        asked: String,
        /// The option.
        option: &'static str,
    },
    /// A word that names no device.
    #[error("--device expects cpu, cuda, or cuda:N; got '{0}'")]
    UnknownDevice(String),
    /// Instructions that this processor lacks.
    #[error("this machine cannot compute with --cpu {0}: its processor, or its system, lacks the instructions")]
    NoSuchInstructions(String),
    /// A source order that cannot be read.
    #[error("{origin}: {message}")]
    SourceOrder {
        /// The option or variable that it came from.
        origin: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// Nowhere to keep models.
    #[error("there is no folder for models: neither XDG_CACHE_HOME nor HOME is set")]
    NoCacheFolder,
    /// Nothing was asked.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// Standard input can be read only once.
    #[error("--file - is given {0} times, but standard input can be read once")]
    StandardInputTwice(usize),
    /// A text that cannot be read.
    #[error("cannot read {what}: {source}")]
    Text {
        /// The file, or standard input.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A file that is not there.
    #[error("{option}: there is no file {}", .path.display())]
    NoSuchFile {
        /// The option.
        option: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A cache that cannot be made out.
    #[error("--cache: {0}")]
    Cache(#[from] SettingsError),
    /// A key that cannot be one.
    #[error(transparent)]
    Key(#[from] fourier_kv_server::KeyError),
    /// No such task.
    #[error(transparent)]
    Task(#[from] fourier_kv_eval::suite::UnknownTask),
    /// A cache that no plan is for.
    #[error("the {0} cache has nothing to plan")]
    NothingToPlan(&'static str),
    /// A file that is not text.
    #[error("{what} is not UTF-8 text: the byte at position {position} does not belong")]
    NotText {
        /// The file, or standard input.
        what: String,
        /// Bytes before the first that does not belong.
        position: usize,
    },
    /// A log filter that cannot be read.
    #[error("FOURIER_KV_LOG: {0}")]
    LogFilter(String),
}
