//! The kernels' sources, which are part of this library, and what they are compiled with.

use sha2::{Digest, Sha256};

/// Headers that kernel files include.
pub(crate) const HEADERS: [(&str, &str); 11] = [
    ("codes.cuh", include_str!("../kernels/codes.cuh")),
    ("device.cuh", include_str!("../kernels/device.cuh")),
    ("finish.cuh", include_str!("../kernels/finish.cuh")),
    ("key_tile.cuh", include_str!("../kernels/key_tile.cuh")),
    ("leaving.cuh", include_str!("../kernels/leaving.cuh")),
    ("middle.cuh", include_str!("../kernels/middle.cuh")),
    ("piece.cuh", include_str!("../kernels/piece.cuh")),
    ("spectrum.cuh", include_str!("../kernels/spectrum.cuh")),
    ("sums.cuh", include_str!("../kernels/sums.cuh")),
    ("tokens.cuh", include_str!("../kernels/tokens.cuh")),
    ("values.cuh", include_str!("../kernels/values.cuh")),
];

/// A kernel file with the sizes that it is compiled for.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    pub(crate) file: &'static str,
    pub(crate) text: &'static str,
    pub(crate) sizes: Vec<(&'static str, usize)>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("file", &self.file).field("sizes", &self.sizes).finish_non_exhaustive()
    }
}

impl Source {
    /// Decode attention over an exact cache.
    pub fn exact(head_dim: usize, group: usize) -> Self {
        let sizes = vec![("HEAD_DIM", head_dim), ("GROUP", group)];
        Source { file: "exact.cu", text: include_str!("../kernels/exact.cu"), sizes }
    }

    /// Decode attention over a fourier cache.
    pub fn fourier(head_dim: usize, group: usize, harmonics: usize, tracks: [usize; 2]) -> Self {
        let sizes = vec![
            ("HEAD_DIM", head_dim),
            ("GROUP", group),
            ("HARMONICS", harmonics),
            ("KEY_TRACKS", tracks[0]),
            ("VALUE_TRACKS", tracks[1]),
        ];
        Source { file: "fourier.cu", text: include_str!("../kernels/fourier.cu"), sizes }
    }

    /// From exact rows to a fourier cache, and its growth.
    pub fn seal(head_dim: usize, harmonics: usize, tracks: [usize; 2]) -> Self {
        let sizes = vec![
            ("HEAD_DIM", head_dim),
            ("HARMONICS", harmonics),
            ("KEY_TRACKS", tracks[0]),
            ("VALUE_TRACKS", tracks[1]),
        ];
        Source { file: "seal.cu", text: include_str!("../kernels/seal.cu"), sizes }
    }

    /// Causal attention of a prompt.
    pub fn prompt(head_dim: usize, group: usize) -> Self {
        let sizes = vec![("HEAD_DIM", head_dim), ("GROUP", group)];
        Source { file: "prompt.cu", text: include_str!("../kernels/prompt.cu"), sizes }
    }

    /// Decode attention over a spectral cache.
    pub fn spectral(head_dim: usize, group: usize, value_heads: usize) -> Self {
        let sizes = vec![("HEAD_DIM", head_dim), ("GROUP", group), ("VALUE_HEADS", value_heads)];
        Source { file: "spectral.cu", text: include_str!("../kernels/spectral.cu"), sizes }
    }

    /// From exact rows to the codes of a spectral cache.
    pub fn encode(head_dim: usize, value_heads: usize) -> Self {
        let sizes = vec![("HEAD_DIM", head_dim), ("VALUE_HEADS", value_heads)];
        Source { file: "encode.cu", text: include_str!("../kernels/encode.cu"), sizes }
    }

    /// Bias, RoPE and the append of new tokens; moves of rows held whole.
    pub fn append(head_dim: usize) -> Self {
        Source { file: "append.cu", text: include_str!("../kernels/append.cu"), sizes: vec![("HEAD_DIM", head_dim)] }
    }

    /// What a forward pass does between its products.
    pub fn rows() -> Self {
        Source { file: "rows.cu", text: include_str!("../kernels/rows.cu"), sizes: Vec::new() }
    }

    /// A plain product, the oracle of the library's.
    pub fn product() -> Self {
        Source { file: "product.cu", text: include_str!("../kernels/product.cu"), sizes: Vec::new() }
    }

    /// Random numbers.
    pub fn random() -> Self {
        Source { file: "random.cu", text: include_str!("../kernels/random.cu"), sizes: Vec::new() }
    }

    /// The file's name.
    pub fn file(&self) -> &'static str {
        self.file
    }

    /// The compiler's options.
    pub(crate) fn options(&self, arch: &str) -> Vec<String> {
        let fixed = ["--std=c++17", "--extra-device-vectorization", "-Xptxas", "-v", "-Xptxas", "-warn-spills"];
        let mut options = vec![format!("--gpu-architecture={arch}")];
        options.extend(fixed.map(str::to_owned));
        options.extend(self.sizes.iter().map(|(name, value)| format!("-D{name}={value}")));
        options
    }

    /// A name for what compiling this for `arch` with a version of the compiler gives: the same for the same input only.
    pub(crate) fn fingerprint(&self, arch: &str, version: (i32, i32)) -> String {
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        add(format!("{version:?}").as_bytes());
        add(self.text.as_bytes());
        HEADERS.iter().for_each(|(_, text)| add(text.as_bytes()));
        self.options(arch).iter().for_each(|option| add(option.as_bytes()));
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_tell_sizes_targets_and_compilers_apart() {
        let base = Source::exact(128, 4).fingerprint("sm_90", (13, 0));
        assert_eq!(base, Source::exact(128, 4).fingerprint("sm_90", (13, 0)));
        for other in [
            Source::exact(64, 4).fingerprint("sm_90", (13, 0)),
            Source::exact(128, 2).fingerprint("sm_90", (13, 0)),
            Source::exact(128, 4).fingerprint("sm_80", (13, 0)),
            Source::exact(128, 4).fingerprint("sm_90", (12, 9)),
            Source::fourier(128, 4, 512, [97, 97]).fingerprint("sm_90", (13, 0)),
        ] {
            assert_ne!(base, other);
        }
    }
}
