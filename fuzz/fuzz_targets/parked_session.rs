//! Reads a parked session, as it is and with its checksums made right, and goes on with the cache that it holds.
#![no_main]

use fourier_kv_cache::park::Parked;
use fourier_kv_cache::{AttnRows, CacheContext, CacheShape, KvRows, QueryRows, Workspace};
use fourier_kv_kernels::isa::Isa;
use fourier_kv_testkit::parked_file::reseal;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    go_on(bytes);
    let mut sealed = bytes.to_vec();
    reseal(&mut sealed);
    go_on(&sealed);
});

/// The shape of the seeds.
fn go_on(file: &[u8]) {
    let shape = CacheShape { layers: 1, heads: 2, kv_heads: 1, head_dim: 4, rope_frequencies: vec![1.0, 0.01] };
    let Ok(parked) = Parked::read(file, file.len() as u64) else { return };
    // Settings say how much working memory is used, in files as on a command line: not what is looked for here.
    if parked.head().kind.to_string().split(|c: char| !c.is_ascii_digit()).any(|number| number.len() > 2) {
        return;
    }
    let Ok((mut cache, _)) = parked.unpark(&CacheContext::uniform(shape)) else { return };
    let (ws, row) = (Workspace::new(Isa::portable()), [0.5; 8]);
    for _ in 0..3 {
        cache.append(0, KvRows { q: &row, k: &row[..4], v: &row[..4], tokens: 1 }, &ws).expect("it fits the shape");
        let mut out = AttnRows::new(2, 4);
        cache.attend(0, QueryRows { q: &row, tokens: 1 }, &ws, &mut out).expect("it fits the shape");
        cache.seal(0, &ws).expect("the layer is there");
    }
}
