//! Every kernel compiles for the oldest and the newest processors that it is written for, without a warning and without
//! a register that does not fit. No GPU is needed, NVRTC is: `cargo xtask test` fetches it and names it in
//! FOURIER_KV_NVRTC; where there is none, nothing is compiled.

mod support;

use fourier_kv_cuda::{CudaError, Nvrtc, Source};

/// Each kernel file with the sizes of the models that people have, and the ends of what is allowed.
fn sources() -> Vec<Source> {
    let mut sources = vec![Source::random(), Source::rows(), Source::product()];
    sources.extend([32, 64, 96, 128].map(Source::append));
    // Llama 3 8B, Llama 3 70B and Qwen2.5 7B, SmolLM2, Qwen2.5 0.5B, heads of their own.
    let heads = [(128, 4), (128, 8), (128, 7), (64, 3), (64, 7), (64, 1), (96, 1)];
    for (head_dim, group) in heads {
        sources.push(Source::exact(head_dim, group));
        sources.push(Source::prompt(head_dim, group));
        sources.push(Source::spectral(head_dim, group, if group <= 4 { 2 } else { 1 }));
    }
    for (head_dim, value_heads) in [(128, 2), (128, 1), (64, 1), (64, 2), (96, 2), (32, 8)] {
        sources.push(Source::encode(head_dim, value_heads));
    }
    // The paper's budgets of the first, middle and last layers, the 76 %, everything, and one dim.
    for (head_dim, group) in [(128, 4), (128, 8), (64, 3), (64, 7)] {
        for (key_percent, value_percent) in [(90, 95), (80, 80), (50, 70), (76, 76), (100, 100), (1, 1)] {
            let tracks = [key_percent, value_percent].map(|percent: usize| (head_dim * percent).div_ceil(100));
            let harmonics = if key_percent == 80 { 256 } else { 512 };
            sources.push(Source::fourier(head_dim, group, harmonics, tracks));
            sources.push(Source::seal(head_dim, harmonics, tracks));
        }
    }
    sources
}

/// The compiler, where there is one.
fn compiler() -> Option<Nvrtc> {
    let path = support::compiler_path();
    match Nvrtc::load(path.as_deref()) {
        Err(CudaError::NoCompiler { .. }) if path.is_none() => {
            support::say("no NVRTC here: nothing was compiled");
            None
        }
        loaded => Some(loaded.expect("the library that FOURIER_KV_NVRTC names")),
    }
}

/// Whether a line of the compiler's log says that registers were kept in memory.
fn spills(line: &str) -> bool {
    let before = |what: &str| {
        let number = line.split(what).next()?.split_whitespace().last()?;
        number.parse::<u64>().ok().filter(|_| line.contains(what))
    };
    [" bytes stack frame", " bytes spill stores", " bytes spill loads"].iter().any(|w| before(w).is_some_and(|n| n > 0))
}

#[test]
fn spills_are_recognised() {
    assert!(!spills("ptxas . 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"));
    assert!(spills("ptxas . 8 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"));
    assert!(spills("0 bytes stack frame, 0 bytes spill stores, 16 bytes spill loads"));
    assert!(!spills("ptxas info : Used 96 registers"));
}

#[test]
fn kernels_compile_without_warnings_or_spills() {
    let Some(nvrtc) = compiler() else { return };
    let mut compiled = 0;
    for source in sources() {
        for arch in ["sm_80", "sm_90"] {
            let made = nvrtc.compile(&source, arch).unwrap_or_else(|error| panic!("{source:?}: {error}"));
            assert!(made.log.contains("registers"), "the compiler says nothing of registers: {}", made.log);
            for line in made.log.lines() {
                assert!(!line.contains("warning"), "{source:?} for {arch}: {line}\n{}", made.log);
                assert!(!spills(line), "{source:?} for {arch}: {line}");
            }
            compiled += 1;
        }
    }
    support::say(&format!("{compiled} programs compiled by NVRTC {:?}", nvrtc.version()));
}

#[test]
fn an_error_names_the_kernel_and_says_what_the_compiler_said() {
    let Some(nvrtc) = compiler() else { return };
    let error = nvrtc.compile(&Source::exact(128, 4), "sm_1").unwrap_err().to_string();
    assert!(error.contains("exact.cu") && error.contains("sm_1") && error.contains("gpu-architecture"), "{error}");
}

#[test]
fn a_missing_compiler_is_named() {
    let error = Nvrtc::load(Some("/nowhere/libnvrtc.so".as_ref())).unwrap_err().to_string();
    assert!(error.contains("/nowhere/libnvrtc.so"), "{error}");
}
