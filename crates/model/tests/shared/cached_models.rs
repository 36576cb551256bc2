//! Real models, where they have been fetched.

use std::path::PathBuf;

/// A model file in the cache folder, if it is there. SmolLM2, the project's default model, must be.
pub(crate) fn cached_model(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let path = cache.join("fourier-kv-models").join(name);
    let required = name.starts_with("smollm2-135m");
    assert!(path.exists() || !required, "fetch the default model to {}", path.display());
    Some(path).filter(|path| path.exists())
}
