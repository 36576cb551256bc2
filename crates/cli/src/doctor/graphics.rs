//! Whether there is a GPU; this version uses none.

use std::path::Path;

use serde::Serialize;

/// GPUs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Graphics {
    /// Whether an NVIDIA driver is loaded.
    pub(crate) nvidia_driver: bool,
    /// Whether this version can compute on a GPU.
    pub(crate) used: bool,
}

impl Graphics {
    /// Looks for a driver; none is loaded or asked.
    pub(super) fn read() -> Self {
        let nvidia_driver = Path::new("/proc/driver/nvidia/version").exists();
        Self { nvidia_driver, used: false }
    }
}
