//! Which caches there are on a GPU, and with which settings.

use fourier_kv_cache::fourier::{Band, FourierSettings};
use fourier_kv_cache::spectral::{Span, SpectralSettings};
use fourier_kv_cache::{CacheKind, Storage};

/// A cache that a GPU cannot keep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceCacheError {
    /// A kind that is not there.
    #[error("the GPU keeps the past as exact (bf16), fourier or spectral; {0} was asked for")]
    Kind(String),
    /// A setting that its kernels are not written for.
    #[error("on the GPU {kind} has {setting}={expected}; {got} was asked for")]
    Setting {
        /// The cache.
        kind: &'static str,
        /// The setting.
        setting: &'static str,
        /// What there is.
        expected: &'static str,
        /// What was asked for.
        got: String,
    },
    /// A plan whose heads differ in how many dims are spectral.
    #[error("on the GPU all heads of a layer have as many spectral dims; the plan's layer {layer} has {got:?}")]
    Heads {
        /// The layer.
        layer: usize,
        /// Spectral dims of its heads.
        got: Vec<usize>,
    },
}

/// Refuses kinds and settings that are not there on a GPU.
///
/// # Errors
/// Says what there is.
pub fn check(kind: &CacheKind) -> Result<(), DeviceCacheError> {
    match kind {
        CacheKind::Exact(Storage::Bf16) => Ok(()),
        CacheKind::Fourier(settings) => check_fourier(settings),
        CacheKind::Spectral(settings) => check_spectral(settings),
        other => Err(DeviceCacheError::Kind(other.to_string())),
    }
}

fn check_fourier(settings: &FourierSettings) -> Result<(), DeviceCacheError> {
    let wrong = |setting, expected, got| Err(DeviceCacheError::Setting { kind: "fourier", setting, expected, got });
    if settings.band != Band::Base {
        return wrong("band", "base", settings.band.name().to_owned());
    }
    if ![256, 512].contains(&settings.harmonics) {
        return wrong("harmonics", "256 or 512", settings.harmonics.to_string());
    }
    for (setting, storage) in [("exact", settings.exact), ("coefficients", settings.coefficients)] {
        if storage != Storage::Bf16 {
            return wrong(setting, "bf16", storage.to_string());
        }
    }
    match settings.ratio {
        Some(ratio) => wrong("ratio", "(none)", ratio.to_string()),
        None => Ok(()),
    }
}

fn check_spectral(settings: &SpectralSettings) -> Result<(), DeviceCacheError> {
    let wrong = |setting, expected, got| Err(DeviceCacheError::Setting { kind: "spectral", setting, expected, got });
    if settings.block != 16 {
        return wrong("block", "16", settings.block.to_string());
    }
    if settings.keys != Span::Dims(32) {
        return wrong("keys", "32", settings.keys.to_string());
    }
    if matches!(settings.values, Span::Dims(_)) {
        return wrong("values", "head or heads", settings.values.to_string());
    }
    match settings.without.any() {
        true => wrong("without", "(none)", settings.without.to_string()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_named() {
        let checked = |text: &str| check(&text.parse().unwrap());
        for there in ["exact", "fourier", "fourier:harmonics=256,window=100,capacity=9000", "spectral", "spectral:1.5"]
        {
            assert_eq!(checked(there), Ok(()), "{there}");
        }
        for (text, named) in [
            ("exact:f32", "f32"),
            ("int4", "int4"),
            ("fourier:band=carrier", "carrier"),
            ("fourier:harmonics=100", "100"),
            ("fourier:exact=f32", "f32"),
            ("fourier:ratio=4", "ratio"),
            ("spectral:block=8", "block"),
            ("spectral:keys=head", "head"),
            ("spectral:values=16", "16"),
            ("spectral:without=trellis", "trellis"),
        ] {
            let said = checked(text).unwrap_err().to_string();
            assert!(said.contains(named), "{text}: {said}");
        }
    }
}
