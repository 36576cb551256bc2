//! Compiled kernels, kept on disk.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::CudaError;
use crate::nvrtc::Nvrtc;
use crate::source::Source;

/// Compiles kernels, each once: what was compiled is kept in a folder, by a hash of all that went into it.
#[derive(Debug)]
pub struct Compiler {
    nvrtc: Nvrtc,
    folder: Option<PathBuf>,
}

impl Compiler {
    /// With the compiler at `library` (`None`: where it usually is); `folder` keeps what it makes, `None` nothing.
    ///
    /// # Errors
    /// [`CudaError::NoCompiler`].
    pub fn new(library: Option<&Path>, folder: Option<PathBuf>) -> Result<Self, CudaError> {
        Ok(Compiler { nvrtc: Nvrtc::load(library)?, folder })
    }

    /// The machine code of `source` for `arch`.
    ///
    /// # Errors
    /// [`CudaError::Compile`]; [`CudaError::File`] if it cannot be kept.
    pub fn cubin(&self, source: &Source, arch: &str) -> Result<Vec<u8>, CudaError> {
        let Some(folder) = &self.folder else {
            return Ok(self.nvrtc.compile(source, arch)?.cubin);
        };
        let path = folder.join(format!("{}.cubin", source.fingerprint(arch, self.nvrtc.version())));
        match fs::read(&path) {
            Ok(cubin) if !cubin.is_empty() => return Ok(cubin),
            _ => {}
        }
        let cubin = self.nvrtc.compile(source, arch)?.cubin;
        write(folder, &path, &cubin).map_err(|source| CudaError::File { path, source })?;
        Ok(cubin)
    }
}

/// Beside, then renamed: another process may be doing the same.
fn write(folder: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}
