//! Reads a cache's name and settings, writes them, and asks how large it would be.
#![no_main]

use fourier_kv_cache::{CacheKind, CacheShape, PromptSize};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(Ok(kind)) = std::str::from_utf8(bytes).map(str::parse::<CacheKind>) else { return };
    let again: CacheKind = kind.to_string().parse().expect("what was written is read back");
    assert_eq!(kind, again);
    let shape =
        CacheShape { layers: 2, heads: 4, kv_heads: 2, head_dim: 8, rope_frequencies: vec![1.0, 0.1, 0.01, 0.001] };
    let _ = kind.expected_bytes(&shape, None, PromptSize { tokens: 5_000, tile: 512 });
});
