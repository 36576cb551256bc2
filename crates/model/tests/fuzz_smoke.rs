//! The fuzz targets' entry points under every kept seed and many random changes of it, without a
//! fuzzer: nothing may panic, whatever the bytes.
//!
//! `UPDATE_SEEDS=1 cargo test -p fourier-kv-model --test fuzz_smoke` writes the seeds that are made
//! from random models again.

#[path = "shared/allocations.rs"]
mod allocations;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fourier_kv_cache::park::{Parked, ToPark, park_to};
use fourier_kv_cache::plan::Plan;
use fourier_kv_cache::{
    AttnRows, CacheContext, CacheKind, CacheShape, KvCache, KvRows, PromptSize, QueryRows, Workspace,
};
use fourier_kv_kernels::isa::Isa;
use fourier_kv_model::safetensors_dir::check_file;
use fourier_kv_model::source::ModelSource;
use fourier_kv_model::tokenizer::{EncodeOptions, Tokenizer};
use fourier_kv_testkit::parked_file::reseal;
use fourier_kv_testkit::{Encoding, Meta, RandomModel, random_model::fnv1a64};

/// How long each target's seeds are changed.
const TIME: Duration = Duration::from_secs(2);
/// No changed seed of a few kilobytes needs more.
const MEMORY: usize = 1 << 20;

fn seeds_folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target)
}

/// The smallest model that has every kind of tensor.
fn tiny(family: RandomModel) -> RandomModel {
    let shape = RandomModel { layers: 1, heads: 1, kv_heads: 1, ..family };
    RandomModel { head_dim: 2, width: 2, hidden: 2, vocabulary: 4, ..shape }
}

fn tiny_gguf(model: RandomModel) -> Vec<u8> {
    let mut writer = tiny(model).gguf(Encoding::F32);
    for key in ["tokenizer.ggml.merges", "tokenizer.chat_template"] {
        writer.remove(key);
    }
    let tokens = ["a", "b", "ab", "<|end|>"].map(str::to_owned).to_vec();
    writer.set("tokenizer.ggml.tokens", Meta::Texts(tokens));
    writer.set("tokenizer.ggml.token_type", Meta::I32s(vec![1, 1, 1, 3]));
    writer.finish()
}

fn tiny_safetensors() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    tiny(RandomModel::qwen2()).write_safetensors(folder.path(), Encoding::BF16, 1).unwrap();
    fs::read(folder.path().join("model.safetensors")).unwrap()
}

/// The bytes of all kept seeds of a target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(seeds_folder(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| from_hex(&fs::read_to_string(path).unwrap())).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.chars().filter(|c| !c.is_whitespace());
    let digits: Vec<u8> = digits.map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// That a seed made from a model is kept as it is made now.
fn assert_kept(target: &str, name: &str, bytes: &[u8]) {
    let path = seeds_folder(target).join(name);
    let mut hex = String::new();
    for line in bytes.chunks(48) {
        line.iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
        hex.push('\n');
    }
    if std::env::var_os("UPDATE_SEEDS").is_some() {
        fs::write(&path, &hex).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == hex, "{} is not kept", path.display());
}

/// A stream of random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Changes a few places: bits, bytes, numbers of eight bytes, pieces cut out or doubled.
fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    const NUMBERS: [u64; 7] = [0, 1, 7, 1 << 31, 1 << 32, 1 << 63, u64::MAX];
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let end = (at + 1 + random.below(16)).min(bytes.len());
        match random.below(6) {
            _ if bytes.is_empty() => bytes.push(random.next() as u8),
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => {
                let number = NUMBERS[random.below(NUMBERS.len())].to_le_bytes();
                let len = (bytes.len() - at).min(8);
                bytes[at..at + len].copy_from_slice(&number[..len]);
            }
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..end)),
            _ => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

/// Runs an entry point over the seeds and changes of them; returns how many changes it refused.
fn run(target: &str, entry: impl Fn(Vec<u8>) -> bool) -> (usize, usize) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "no seeds for {target}");
    for seed in &seeds {
        entry(seed.clone());
    }
    let mut random = Random(fnv1a64(target.as_bytes()));
    let (mut accepted, mut refused) = (0, 0);
    let start = Instant::now();
    while start.elapsed() < TIME {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        change(&mut bytes, &mut random);
        match entry(bytes) {
            true => accepted += 1,
            false => refused += 1,
        }
        assert!(allocations::largest() < MEMORY, "asked for {} bytes", allocations::largest());
    }
    (accepted, refused)
}

#[test]
fn gguf() {
    assert_kept("gguf", "llama.hex", &tiny_gguf(RandomModel::llama()));
    assert_kept("gguf", "qwen2.hex", &tiny_gguf(RandomModel::qwen2()));
    let (accepted, refused) = run("gguf", |bytes| match ModelSource::from_gguf(bytes.into()) {
        Ok(source) => source.fingerprint().is_ok(),
        Err(error) => error.to_string().is_empty(),
    });
    assert!(accepted > 50 && refused > 500, "{accepted} accepted, {refused} refused");
}

#[test]
fn safetensors_header() {
    assert_kept("safetensors_header", "qwen2.hex", &tiny_safetensors());
    let (accepted, refused) = run("safetensors_header", |bytes| match check_file(bytes) {
        Ok(_) => true,
        Err(error) => error.to_string().is_empty(),
    });
    assert!(accepted > 50 && refused > 500, "{accepted} accepted, {refused} refused");
}

/// Text formats: few changes leave JSON whole, so most are refused at once, and some are not.
#[test]
fn tokenizers_survive() {
    let (_, refused) = run("tokenizer", |bytes| {
        let Ok(tokenizer) = Tokenizer::from_json(&bytes) else { return false };
        let options = EncodeOptions { add_bos: false, parse_special: true };
        let ids = tokenizer.encode("Two words, 23.\n\n  x", options).unwrap_or_default();
        tokenizer.decode(&ids, false);
        true
    });
    assert!(refused > 0);
}

#[test]
fn plans_survive() {
    let (_, refused) = run("plan", |bytes| match Plan::from_json(&bytes) {
        Ok(plan) => {
            assert_eq!(Plan::from_json(plan.to_json().as_bytes()).unwrap(), plan);
            true
        }
        Err(_) => false,
    });
    assert!(refused > 0);
}

#[test]
fn cache_kinds_survive() {
    let shape =
        CacheShape { layers: 2, heads: 4, kv_heads: 2, head_dim: 8, rope_frequencies: vec![1.0, 0.1, 0.01, 0.001] };
    let prompt = PromptSize { tokens: 5_000, tile: 512 };
    let (_, refused) = run("cache_kind", |bytes| match std::str::from_utf8(&bytes).map(str::parse::<CacheKind>) {
        Ok(Ok(kind)) => {
            assert_eq!(kind.to_string().parse::<CacheKind>().unwrap(), kind);
            let _ = kind.expected_bytes(&shape, None, prompt);
            true
        }
        _ => false,
    });
    assert!(refused > 100, "{refused}");
}

/// The smallest shape that every cache takes.
fn parked_context() -> CacheContext {
    let rope_frequencies = vec![1.0, 0.01];
    CacheContext::uniform(CacheShape { layers: 1, heads: 2, kv_heads: 1, head_dim: 4, rope_frequencies })
}

/// A few tokens more, attended to.
fn go_on(cache: &mut dyn KvCache, tokens: usize) {
    let ws = Workspace::new(Isa::portable());
    for token in 0..tokens {
        let row: Vec<f32> = (0..8).map(|i| ((token * 8 + i) as f32 * 0.7).sin()).collect();
        cache.append(0, KvRows { q: &row, k: &row[..4], v: &row[4..], tokens: 1 }, &ws).unwrap();
        cache.attend(0, QueryRows { q: &row, tokens: 1 }, &ws, &mut AttnRows::new(2, 4)).unwrap();
        if token == 11 || token > 15 {
            cache.seal(0, &ws).unwrap();
        }
    }
}

fn parked_seed(kind: &str) -> Vec<u8> {
    let mut cache = kind.parse::<CacheKind>().unwrap().build(&parked_context(), None).unwrap();
    go_on(cache.as_mut(), 16);
    let (mut file, tokens) = (Vec::new(), [3; 16]);
    park_to(&mut file, ToPark { model: "m", fingerprint: "f", tokens: &tokens, cache: cache.as_ref() }).unwrap();
    file
}

/// Whether it was a cache; checksums are made right every second time, or nothing behind them would be reached.
#[test]
fn parked_sessions_survive() {
    for (name, kind) in [
        ("exact", "exact"),
        ("fourier", "fourier:window=2,sink=1,harmonics=2,capacity=32,least-middle=4"),
        ("carrier", "fourier:window=2,sink=1,harmonics=2,capacity=32,least-middle=4,band=carrier"),
        ("streaming", "streaming:tokens=5,sink=1"),
        ("snapkv", "snapkv:tokens=5,window=2"),
        ("int4", "int4:residual=2,group=2"),
        ("q8_0", "q8_0"),
        ("lowrank", "lowrank:rank=2,residual=1"),
    ] {
        assert_kept("parked_session", &format!("{name}.hex"), &parked_seed(kind));
    }
    let count = std::cell::Cell::new(0);
    let (accepted, refused) = run("parked_session", |mut bytes| {
        count.set(count.get() + 1);
        if count.get() % 2 == 0 {
            reseal(&mut bytes);
        }
        let Ok(parked) = Parked::read(bytes.as_slice(), bytes.len() as u64) else { return false };
        // Settings say how much working memory is used, in files as on a command line.
        if parked.head().kind.to_string().split(|c: char| !c.is_ascii_digit()).any(|number| number.len() > 2) {
            return false;
        }
        parked.unpark(&parked_context()).is_ok_and(|(mut cache, _)| {
            go_on(cache.as_mut(), 3);
            true
        })
    });
    assert!(accepted > 50 && refused > 500, "{accepted} accepted, {refused} refused");
}
