//! Which GPUs there are. Models compute on none yet.

use std::path::Path;

use serde::Serialize;

/// GPUs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Graphics {
    /// Whether an NVIDIA driver is loaded.
    pub(crate) nvidia_driver: bool,
    /// Whether this program was built to look further.
    pub(crate) built: bool,
    /// Whether models compute on a GPU.
    pub(crate) used: bool,
    /// The GPUs, if it was.
    pub(crate) gpus: Vec<Gpu>,
    /// What compiles kernels, or why nothing does; `None` where there is no GPU to compile for.
    pub(crate) compiler: Option<String>,
    /// Why no GPU is listed.
    pub(crate) problem: Option<String>,
}

/// A GPU.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Gpu {
    /// Its name.
    pub(crate) name: String,
    /// Its compute capability.
    pub(crate) capability: String,
    /// Multiprocessors.
    pub(crate) multiprocessors: usize,
    /// Bytes of its memory.
    pub(crate) memory_bytes: u64,
    /// Bytes of that which are free.
    pub(crate) free_bytes: u64,
}

impl Graphics {
    /// Looks for a driver, and asks it if this program was built to.
    pub(super) fn read() -> Self {
        let nvidia_driver = Path::new("/proc/driver/nvidia/version").exists();
        let found = gpus();
        let compiler = found.as_ref().ok().filter(|gpus| !gpus.is_empty()).map(|_| compiler());
        let problem = found.as_ref().err().cloned();
        let gpus = found.unwrap_or_default();
        Self { nvidia_driver, built: cfg!(feature = "cuda"), used: false, gpus, compiler, problem }
    }
}

#[cfg(feature = "cuda")]
fn gpus() -> Result<Vec<Gpu>, String> {
    use fourier_kv_cuda::device::{count, look};
    let count = count().map_err(|error| error.to_string())?;
    let all = (0..count).map(|number| {
        let info = look(number).map_err(|error| error.to_string())?;
        let (major, minor) = info.capability;
        Ok(Gpu {
            name: info.name,
            capability: format!("{major}.{minor}"),
            multiprocessors: info.multiprocessors,
            memory_bytes: info.memory_bytes as u64,
            free_bytes: info.free_bytes as u64,
        })
    });
    all.collect()
}

#[cfg(feature = "cuda")]
fn compiler() -> String {
    match fourier_kv_cuda::Nvrtc::load(None) {
        Ok(nvrtc) => format!("NVRTC {}.{}", nvrtc.version().0, nvrtc.version().1),
        Err(error) => error.to_string(),
    }
}

#[cfg(not(feature = "cuda"))]
fn gpus() -> Result<Vec<Gpu>, String> {
    Ok(Vec::new())
}

#[cfg(not(feature = "cuda"))]
fn compiler() -> String {
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_listed_or_their_lack_is_explained() {
        let graphics = Graphics::read();
        assert_eq!(graphics.built, cfg!(feature = "cuda"));
        assert_eq!(graphics.compiler.is_some(), !graphics.gpus.is_empty());
        if graphics.built && graphics.gpus.is_empty() && !graphics.nvidia_driver {
            assert!(graphics.problem.unwrap().contains("driver"));
        }
    }
}
