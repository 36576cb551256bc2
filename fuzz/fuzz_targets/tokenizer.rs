//! Builds a tokenizer from a tokenizer.json and uses it.
#![no_main]

use fourier_kv_model::tokenizer::{EncodeOptions, Tokenizer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tokenizer) = Tokenizer::from_json(bytes) {
        let options = EncodeOptions { add_bos: false, parse_special: true };
        if let Ok(ids) = tokenizer.encode("Two words, 23 and a \u{1f600}.\n\n  x", options) {
            let _ = tokenizer.decode(&ids, false);
        }
    }
});
