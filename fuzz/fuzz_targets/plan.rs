//! Reads a plan and asks whether it fits a small model.
#![no_main]

use fourier_kv_cache::CacheShape;
use fourier_kv_cache::fourier::Band;
use fourier_kv_cache::plan::Plan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(plan) = Plan::from_json(bytes) {
        let again = Plan::from_json(plan.to_json().as_bytes()).expect("what was written is read back");
        assert_eq!(plan, again);
        let shape =
            CacheShape { layers: 2, heads: 4, kv_heads: 2, head_dim: 8, rope_frequencies: vec![1.0, 0.1, 0.01, 0.001] };
        let _ = plan.check(&shape, Band::Carrier);
    }
});
