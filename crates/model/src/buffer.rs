//! The bytes of a model file: mapped into memory, or owned.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use crate::error::ModelError;

/// Bytes shared by all who read weights from them; cloning copies nothing.
#[derive(Clone)]
pub struct Buffer(Arc<Storage>);

enum Storage {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl Buffer {
    /// Maps a file into memory. Pages are read when they are first touched, and the system may
    /// drop them again: weights cost no memory that it could not take back.
    ///
    /// The file must not be changed while it is mapped: its weights would change with it, and
    /// reading beyond the end of a file that was cut short ends the process. Replacing it by
    /// renaming another file over it is harmless.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or mapped.
    #[allow(unsafe_code)]
    pub fn map(path: &Path) -> Result<Buffer, ModelError> {
        let failed = |source| ModelError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        // SAFETY: the map is private to this process, read-only, and lives as long as the slices
        // lent from it. What cannot be ruled out is another process writing to the file meanwhile,
        // which is the caller's promise above; every bit pattern is a valid byte, and nothing
        // checked once is relied on for memory safety, so changed bytes give wrong numbers only.
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        Ok(Buffer(Arc::new(Storage::Mapped(map))))
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match &*self.0 {
            Storage::Mapped(map) => map,
            Storage::Owned(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.as_slice().len())
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Buffer {
        Buffer(Arc::new(Storage::Owned(bytes)))
    }
}
