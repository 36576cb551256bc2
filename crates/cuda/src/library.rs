//! Libraries of NVIDIA's toolkit, loaded when they are needed.
//!
//! A loader of our own and not cudarc's: that one panics where there is no library, does not know version 13 beside 12,
//! cannot be given a path, and drops what the compiler says of kernels that compile (the spills that tests look for).

use std::path::Path;

/// What `open` makes of the library at `path`, or of the first of `names` that it can open; else the places that were tried,
/// as text.
pub(crate) fn load<T>(
    path: Option<&Path>,
    names: &[&str],
    open: impl Fn(&Path) -> Result<T, libloading::Error>,
) -> Result<T, String> {
    let tried: Vec<&Path> = match path {
        Some(path) => vec![path],
        None => names.iter().map(Path::new).collect(),
    };
    let found = tried.iter().find_map(|place| open(place).ok());
    found.ok_or_else(|| tried.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", "))
}
