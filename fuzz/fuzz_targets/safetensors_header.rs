//! Reads the tensors of a safetensors file.
#![no_main]

use fourier_kv_model::safetensors_dir::check_file;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = check_file(bytes.to_vec());
});
