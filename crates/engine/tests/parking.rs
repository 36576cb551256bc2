//! Sessions on disk: the same answers after coming back, and nothing but an error from files that are not whole.

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use fourier_kv_engine::cache::park::ParkError;
use fourier_kv_engine::model::decoder::LogitRows;
use fourier_kv_engine::{Engine, EngineError, Event, GenerateOptions, Session};
use fourier_kv_testkit::RandomModel;

const KINDS: [&str; 6] = [
    "exact",
    "fourier:window=16,least-middle=16,harmonics=4,capacity=64",
    "int4:residual=16,group=16",
    "q8_0",
    "snapkv:tokens=40,window=8",
    "lowrank:residual=16",
];

fn prompted<'e>(engine: &'e Engine, kind: &str, prompt: &[u32]) -> Session<'e> {
    let mut session = engine.session(&kind.parse().unwrap(), None).unwrap();
    session.prompt(prompt, LogitRows::Last, &mut |_| ControlFlow::Continue(())).unwrap();
    session
}

/// The bits of the logits of a few steps.
fn steps(session: &mut Session<'_>, tokens: &[u32]) -> Vec<u32> {
    tokens
        .iter()
        .flat_map(|&token| session.step(token).unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        .collect()
}

fn refused(engine: &Engine, path: &Path) -> ParkError {
    match engine.unpark(path) {
        Err(EngineError::Park(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("{} was taken", path.display()),
    }
}

#[test]
fn another_engine_goes_on_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let prompt: Vec<u32> = (0..90).map(|i| 3 + i * 7 % 90).collect();
    for kind in KINDS {
        let path = folder.path().join("a.fkvs");
        let (engine, other) = (common::tiny(&RandomModel::llama()), common::tiny(&RandomModel::llama()));
        let mut session = prompted(&engine, kind, &prompt);
        assert_eq!(session.park(&path).unwrap(), fs::metadata(&path).unwrap().len());
        let mut again = other.unpark(&path).unwrap();
        assert_eq!((again.tokens(), again.cache().describe()), (prompt.as_slice(), session.cache().describe()));
        let more: Vec<u32> = (0..80).map(|i| 5 + i * 11 % 90).collect();
        assert_eq!(steps(&mut session, &more), steps(&mut again, &more), "{kind}");
        // Over the old file, and back into the first engine.
        again.park(&path).unwrap();
        let mut third = engine.unpark(&path).unwrap();
        assert_eq!(steps(&mut session, &more), steps(&mut third, &more), "{kind}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn an_empty_session_can_be_parked() {
    let folder = tempfile::tempdir().unwrap();
    let engine = common::tiny(&RandomModel::qwen2());
    for kind in KINDS {
        let path = folder.path().join("empty.fkvs");
        engine.session(&kind.parse().unwrap(), None).unwrap().park(&path).unwrap();
        let mut again = engine.unpark(&path).unwrap();
        assert!(again.tokens().is_empty() && again.step(7).unwrap().iter().all(|x| x.is_finite()), "{kind}");
    }
}

#[test]
fn another_model_and_broken_sessions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.fkvs");
    let (engine, other) = (common::tiny(&RandomModel::llama()), common::tiny(&RandomModel::qwen2()));
    let mut session = prompted(&engine, "exact", &[1, 2, 3]);
    session.park(&path).unwrap();
    assert!(matches!(refused(&other, &path), ParkError::OtherModel { .. }));
    let stop = &mut |_: Event<'_>| ControlFlow::Break(());
    engine.generate(&mut session, &[4, 5], &GenerateOptions::default(), stop).unwrap_err();
    let before = fs::read(&path).unwrap();
    assert!(matches!(session.park(&path), Err(EngineError::Broken)));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn what_cannot_be_read_or_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let engine = common::tiny(&RandomModel::llama());
    let session = prompted(&engine, "exact", &[1, 2, 3]);
    let nowhere = folder.path().join("no/such/folder/a.fkvs");
    for (error, action) in
        [(session.park(&nowhere).unwrap_err(), "write"), (EngineError::Park(refused(&engine, &nowhere)), "read")]
    {
        let text = error.to_string();
        assert!(text.contains(action) && text.contains("no/such/folder/a.fkvs"), "{text}");
    }
    let path = folder.path().join("a.fkvs");
    session.park(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(refused(&engine, &path), ParkError::Truncated { .. }));
    let mut longer = whole;
    longer.push(0);
    fs::write(&path, &longer).unwrap();
    assert!(matches!(refused(&engine, &path), ParkError::GoesOn));
}

/// A device that is always full stands in for a disk that is: the error names the file, and nothing is left.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let engine = common::tiny(&RandomModel::llama());
    let session = prompted(&engine, "exact", &[1, 2, 3]);
    let path = folder.path().join("a.fkvs");
    fs::write(&path, "what was there").unwrap();
    let beside = folder.path().join(format!("a.fkvs.{}.part", std::process::id()));
    symlink("/dev/full", &beside).unwrap();
    let error = session.park(&path).unwrap_err();
    assert!(error.to_string().contains("a.fkvs"), "{error}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("No space left"), "{source}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(&path).unwrap(), "what was there");
}

/// The real model: a prompt of a thousand tokens, parked, and gone on with by an engine that has seen nothing.
#[test]
fn smollm2_goes_on_with_what_it_read() {
    let folder = tempfile::tempdir().unwrap();
    let text = common::report(2_000);
    for kind in ["fourier:window=128,harmonics=64", "int4"] {
        let path = folder.path().join("a.fkvs");
        let first = common::smollm2();
        let mut prompt = first.text_prompt(&text).unwrap();
        prompt.truncate(1_000);
        let (document, question) = prompt.split_at(980);
        let mut session = prompted(&first, kind, document);
        session.park(&path).unwrap();
        let ask = |engine: &Engine, session: &mut Session<'_>| {
            let options = GenerateOptions { max_tokens: Some(40), ignore_end: true, ..GenerateOptions::default() };
            engine.generate(session, question, &options, &mut |_| ControlFlow::Continue(())).unwrap().tokens
        };
        let expected = ask(&first, &mut session);
        drop(session);
        drop(first);
        let second = common::smollm2();
        let mut again = second.unpark(&path).unwrap();
        assert_eq!(ask(&second, &mut again), expected, "{kind}");
    }
}
