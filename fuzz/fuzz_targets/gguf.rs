//! Opens a model from a GGUF file's bytes.
#![no_main]

use fourier_kv_model::source::ModelSource;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(source) = ModelSource::from_gguf(bytes.to_vec().into()) {
        source
            .fingerprint()
            .expect("the weights were checked when the model was opened");
    }
});
