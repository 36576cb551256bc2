//! Parked sessions from strangers: whatever the bytes, an error that says what is wrong, or a cache that works.

mod common;

use std::path::Path;

use common::{Tape, context, shape, workspace};
use fourier_kv_cache::park::{ParkError, Parked, ToPark, park_file, park_to};
use fourier_kv_cache::plan::{HeadPlan, Plan, PlanModel, PlanOrigin};
use fourier_kv_cache::{CacheContext, CacheKind, CacheShape, KvCache};
use fourier_kv_testkit::parked_file::{reseal, sections};
use proptest::prelude::*;

/// Kinds with every kind of section, in sizes that forty tokens cross.
const KINDS: [&str; 9] = [
    "exact:f32",
    "fourier:window=4,sink=1,harmonics=2,capacity=32,least-middle=4",
    "fourier:window=4,sink=1,harmonics=2,capacity=32,least-middle=4,band=carrier,exact=f16,coefficients=f32",
    "streaming:tokens=9,sink=2",
    "snapkv:tokens=9,window=3",
    "int3:residual=4,group=4,keys=unrotated",
    "q4_0:hadamard=on",
    "lowrank:rank=3,residual=2",
    "spectral:3,window=4,sink=1,least-middle=4,block=4,values=2",
];

fn build(kind: &str) -> Box<dyn KvCache> {
    kind.parse::<CacheKind>().unwrap().build(&context(), None).unwrap()
}

fn file_of(cache: &dyn KvCache) -> Vec<u8> {
    let tokens: Vec<u32> = (0..cache.len() as u32).collect();
    let mut file = Vec::new();
    park_to(&mut file, ToPark { model: "some model", fingerprint: "f00d", tokens: &tokens, cache }).unwrap();
    file
}

/// Files of a cache before and after the end of a prompt.
fn files(kind: &str, tokens: usize) -> [Vec<u8>; 2] {
    let (tape, ws, mut cache) = (Tape::new(shape(), "strangers"), workspace(), build(kind));
    (0..2).for_each(|layer| drop(tape.step(cache.as_mut(), &ws, layer, 0, tokens)));
    let before = file_of(cache.as_ref());
    (0..2).for_each(|layer| cache.seal(layer, &ws).unwrap());
    [before, file_of(cache.as_ref())]
}

fn unpark(file: &[u8]) -> Result<Box<dyn KvCache>, ParkError> {
    Ok(Parked::read(file, file.len() as u64)?.unpark(&context())?.0)
}

/// The error that a file is refused with.
fn refusal(file: &[u8]) -> Option<ParkError> {
    unpark(file).err()
}

/// Takes a file that somebody made, and if it is a cache, uses it in every way there is.
fn use_if_taken(file: &[u8]) -> bool {
    let Ok(mut cache) = unpark(file) else { return false };
    let (tape, ws) = (Tape::new(shape(), "use"), workspace());
    let from = cache.len();
    cache.bytes();
    cache.reserve(10, &ws);
    for token in from..from + 6 {
        tape.decode(cache.as_mut(), &ws, token);
    }
    for layer in 0..2 {
        tape.step(cache.as_mut(), &ws, layer, from + 6, from + 90);
        cache.seal(layer, &ws).unwrap();
    }
    tape.decode(cache.as_mut(), &ws, from + 90);
    file_of(cache.as_ref());
    true
}

#[test]
fn every_flipped_bit_is_found() {
    for kind in KINDS {
        for mut file in files(kind, 16) {
            assert!(refusal(&file).is_none(), "{kind}");
            for at in 0..file.len() {
                for bit in 0..8 {
                    file[at] ^= 1 << bit;
                    assert!(refusal(&file).is_some(), "{kind}: bit {bit} of byte {at} of {}", file.len());
                    file[at] ^= 1 << bit;
                }
            }
        }
    }
}

#[test]
fn every_cut_is_found() {
    for kind in KINDS {
        let [_, file] = files(kind, 40);
        for length in 0..file.len() {
            let error = refusal(&file[..length]).expect("it is not whole");
            let told = if length < 8 {
                matches!(error, ParkError::NotParked)
            } else {
                matches!(error, ParkError::Truncated { .. })
            };
            assert!(told, "{kind}, {length} of {} bytes: {error}", file.len());
            // A stream that says it is longer than it is.
            let longer = Parked::read(&file[..length], file.len() as u64).and_then(|parked| parked.unpark(&context()));
            assert!(longer.is_err(), "{kind}, {length} bytes");
        }
        let mut longer = file.clone();
        longer.push(7);
        assert!(matches!(refusal(&longer), Some(ParkError::GoesOn)));
    }
}

/// One byte changed, everywhere, and the checksums made right: no panic, whatever it is taken for.
#[test]
fn right_checksums_do_not_make_a_cache() {
    for kind in KINDS {
        let mut taken = 0;
        for file in files(kind, 40) {
            let mut plain = file.clone();
            reseal(&mut plain);
            assert!(plain == file, "{kind}: checksums are those of the format's description");
            for at in (0..file.len()).filter(|at| at % 3 == 0 || in_layout(&file, *at)) {
                let mut changed = file.clone();
                changed[at] ^= [0x01, 0x80, 0xFF, 0x05][at % 4];
                reseal(&mut changed);
                taken += usize::from(unpark(&changed).is_ok_and(|_| !in_layout(&file, at) || use_if_taken(&changed)));
            }
        }
        // Numbers may be any: those files are caches.
        assert!(taken > 10, "{kind}: {taken}");
    }
}

/// Whether a byte is part of a section that says how the cache is divided.
fn in_layout(file: &[u8], at: usize) -> bool {
    let begin = sections(file).into_iter().take_while(|&begin| begin <= at).last();
    begin.is_some_and(|begin| [b"layr", b"span", b"ktrk", b"vtrk"].iter().any(|tag| file[begin..].starts_with(*tag)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Several changes anywhere, sections lost and doubled.
    #[test]
    fn hand_made_files_do_no_harm(
        kind in 0..KINDS.len(),
        sealed in 0usize..2,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..8), 1..6),
    ) {
        let mut file = files(KINDS[kind], 40)[sealed].clone();
        for (index, value, how) in changes {
            let begins = sections(&file);
            let begin = begins[index.index(begins.len())];
            let end = begins.iter().copied().find(|&b| b > begin).unwrap_or(file.len());
            let section = file[begin..end].to_vec();
            match how {
                0 => drop(file.drain(begin..end)),
                1 => drop(file.splice(begin..begin, section)),
                // The count, or a number in the layout.
                2 | 3 if begin + 13 < file.len() => file[begin + 5 + usize::from(value % 8)] = value >> 3,
                4 if begin + 17 < end => file[begin + 17] = value,
                _ => {
                    let at = index.index(file.len());
                    file[at] = value;
                }
            }
            reseal(&mut file);
        }
        use_if_taken(&file);
    }

    /// Bytes that were never a session.
    #[test]
    fn noise_is_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200), head in any::<bool>()) {
        if head {
            bytes.splice(0..0, b"FKVPARK\n\x01\0\0\0name\x01".iter().copied());
        }
        prop_assert!(refusal(&bytes).is_some());
        reseal(&mut bytes);
        prop_assert!(refusal(&bytes).is_some());
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let [_, file] = files("exact", 5);
    let told = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut file = file.clone();
        change(&mut file);
        refusal(&file).expect("it is refused").to_string()
    };
    assert!(told(&|f| f[0] = b'G').contains("expected a parked session, got something else"));
    assert!(told(&|f| f[8] = 9).contains("expected a parked session of version 1, got version 9"));
    let last = file.len() - 30;
    assert!(told(&|f| f[last] ^= 1).contains("checksum of the section"));
    let kind = *sections(&file).get(2).unwrap() + 13 + 4;
    let unknown = told(&|f| {
        f[kind..kind + 5].copy_from_slice(b"magic");
        reseal(f);
    });
    assert!(unknown.contains("not known") && unknown.contains("magic"), "{unknown}");
    let count = *sections(&file).get(5).unwrap() + 5;
    let absurd = told(&|f| f[count..count + 8].copy_from_slice(&u64::MAX.to_le_bytes()));
    assert!(absurd.contains("expected 40 numbers"), "{absurd}");

    let other = CacheShape { layers: 3, ..shape() };
    let error = Parked::read(file.as_slice(), file.len() as u64).unwrap().unpark(&CacheContext::uniform(other));
    assert!(error.err().unwrap().to_string().contains("expected 3 layers"));
    let parked = Parked::read(file.as_slice(), file.len() as u64).unwrap();
    assert!(parked.check_model("f00d", "x").is_ok());
    let error = parked.check_model("beef", "this one").unwrap_err().to_string();
    assert_eq!(error, "the parked session was made with the model some model, not with this one");
    assert_eq!((parked.head().tokens.len(), parked.head().kind.name()), (5, "exact"));
}

/// A token count that would need more memory than the file can fill is refused before memory is asked for.
#[test]
fn absurd_counts_ask_for_no_memory() {
    let [_, file] = files("exact", 5);
    for count in [1u64 << 20, 1 << 40, u64::MAX] {
        let mut file = file.clone();
        let tokens = sections(&file)[4] + 5;
        file[tokens..tokens + 8].copy_from_slice(&count.to_le_bytes());
        assert!(matches!(refusal(&file), Some(ParkError::Truncated { .. })), "{count}");
    }
}

/// A plan that has not been used yet comes back with the cache, and decides.
#[test]
fn plans_come_back() {
    let kind = "fourier:window=8,sink=2,harmonics=4,least-middle=8,band=carrier";
    let model = PlanModel { name: "m".into(), fingerprint: "f".into(), layers: 2, kv_heads: 2, head_dim: 8 };
    let origin = PlanOrigin { tokens: 9, sequences: 1, text_sha256: "0".into(), harmonics: 4, rank: "weighted".into() };
    let head = HeadPlan { keys: vec![1, 3], values: vec![0, 2, 5] };
    let band = fourier_kv_cache::fourier::Band::Carrier;
    let plan = Plan {
        model,
        band,
        origin,
        heads: vec![vec![head.clone(), HeadPlan::default()]; 2],
        shares: None,
        codes: None,
    };
    let mut cache = kind.parse::<CacheKind>().unwrap().build(&context(), Some(plan.into())).unwrap();
    let (tape, ws) = (Tape::new(shape(), "plan"), workspace());
    let mut again = unpark(&file_of(cache.as_ref())).unwrap();
    for cache in [&mut cache, &mut again] {
        tape.prompt(cache.as_mut(), &ws, 100, 30);
    }
    assert!(cache.bytes().coefficients > 0);
    for token in 100..140 {
        assert_eq!(tape.decode(cache.as_mut(), &ws, token), tape.decode(again.as_mut(), &ws, token), "{token}");
        again = unpark(&file_of(again.as_ref())).unwrap();
    }
}

/// A long past of numbers that have a pattern takes less than what it holds, and never more than a little.
#[test]
fn files_are_smaller_than_what_they_hold() {
    let (tape, ws) = (Tape::new(shape(), "smaller"), workspace());
    for kind in ["exact", "exact:f32", "int8", "q4_0", "lowrank", "fourier:window=64,harmonics=16"] {
        let mut cache = build(kind);
        tape.prompt(cache.as_mut(), &ws, 3_000, 500);
        let numbers = cache.bytes().total() - cache.bytes().bookkeeping;
        let stored = file_of(cache.as_ref()).len();
        assert!(stored < numbers + 6_000, "{kind}: {stored} for {numbers}");
        if kind == "exact" {
            assert!(stored * 10 < numbers * 9, "{kind}: {stored} for {numbers}");
        }
    }
}

#[test]
fn files_are_whole_or_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.fkvs");
    let cache = build("exact");
    let session = |tokens| ToPark { model: "m", fingerprint: "f", tokens, cache: cache.as_ref() };
    let bytes = park_file(&path, session(&[])).unwrap();
    assert_eq!(bytes, std::fs::metadata(&path).unwrap().len());
    assert!(Parked::open(&path).unwrap().unpark(&context()).is_ok());
    // Two tokens that the cache has not seen.
    assert!(matches!(park_file(&path, session(&[1, 2])), Err(ParkError::Uneven { expected: 2, got: 0 })));
    assert!(Parked::open(&path).is_ok());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = Parked::open(Path::new("/no/such/file")).err().unwrap();
    assert!(matches!(error, ParkError::Io { action: "read", .. }), "{error}");
}
