//! What to do when a model, a plan or a cache does not do.

use fourier_kv_engine::EngineError;
use fourier_kv_engine::SamplerError;
use fourier_kv_engine::cache::park::ParkError;
use fourier_kv_engine::cache::plan::PlanError;
use fourier_kv_engine::cache::{CacheError, CacheKind, SettingsError};
use fourier_kv_engine::model::chat::ChatError;
use fourier_kv_engine::model::decoder::ForwardError;
use fourier_kv_engine::model::error::{ConfigError, ModelError, WeightsError};
use fourier_kv_engine::model::gguf::GgufError;
use fourier_kv_engine::model::tokenizer::TokenizerError;

const FETCH_AGAIN: &str =
    "the file is damaged or not whole: fetch it again ('fourier-kv pull MODEL' checks what it fetches)";
const OTHER_FILE: &str = "use another file of this model, for example a Q4_K_M or Q8_0 .gguf";
const OTHER_MODEL: &str = "use a model of the llama or qwen2 family, for example -m smollm2";
const OTHER_TOKENIZER: &str = "the model's tokenizer is damaged or of a kind that is not supported: fetch the model \
    again, or use another";

/// What to do about an error of the engine.
pub(super) fn hint(error: &EngineError) -> Option<String> {
    let text = match error {
        EngineError::Model(error) => model(error),
        EngineError::Tokenizer(error) => tokenizer(error),
        EngineError::Chat(error) => chat(error),
        EngineError::NoChatTemplate => "add --raw to give the model the text as it is",
        EngineError::Cache(error) => return cache(error),
        EngineError::Plan(error) => return Some(plan(error)),
        EngineError::Park(error) => return Some(park(error)),
        EngineError::NoFurtherTurn => "add --raw to go on with the text as it is",
        EngineError::Sampler(error) => sampler(error),
        EngineError::Forward(error) => return forward(error),
        EngineError::Threads { .. } => "try a smaller --threads",
        #[cfg(feature = "cuda")]
        EngineError::Cuda(error) => return gpu(error),
        #[cfg(feature = "cuda")]
        EngineError::DeviceCache(error) => gpu_cache(error),
        EngineError::EmptyPrompt => "give a question, a text with --file FILE, or both",
        EngineError::PromptTooLong { tokens, context } => return Some(too_long(*tokens, *context)),
        EngineError::ShortText { .. } => "give more text, or a cache with a smaller window: --cache fourier:window=256",
        EngineError::ShortSequence { .. } => {
            "give a larger --sequence, or a cache with a smaller window: --cache fourier:window=256,harmonics=128"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// What to do about a cache that a GPU cannot keep.
#[cfg(feature = "cuda")]
pub(super) fn gpu_cache(error: &fourier_kv_engine::device::DeviceCacheError) -> &'static str {
    use fourier_kv_engine::device::DeviceCacheError;
    match error {
        DeviceCacheError::Kind(_) => "use --cache exact, spectral or fourier, or leave --device out for the CPU",
        DeviceCacheError::Setting { .. } => "leave the setting out, or leave --device out for the CPU",
        DeviceCacheError::Heads { .. } => "make a plan with 'fourier-kv calibrate', or leave --device out for the CPU",
    }
}

/// What to do about a GPU.
#[cfg(feature = "cuda")]
fn gpu(error: &fourier_kv_engine::device::CudaError) -> Option<String> {
    use fourier_kv_engine::device::CudaError;
    let text = match error {
        CudaError::Memory { .. } => {
            "end other programs on the GPU ('fourier-kv doctor' shows what is free), give a shorter text or a smaller \
             model, or leave --device out for the CPU"
        }
        CudaError::NoCompiler { .. } | CudaError::NoBlas { .. } => {
            "install NVIDIA's CUDA libraries, version 12 or 13, where the system finds them (LD_LIBRARY_PATH), or leave \
             --device out for the CPU"
        }
        CudaError::Lost { .. } => "the driver's log (dmesg) says why; start again, or leave --device out for the CPU",
        CudaError::Shape { .. } | CudaError::TooOld { .. } => "leave --device out for the CPU",
        CudaError::File { .. } => "set XDG_CACHE_HOME to a folder that you may write to",
        _ => return None,
    };
    Some(text.to_owned())
}

fn too_long(tokens: usize, context: usize) -> String {
    let over = (tokens + 1).saturating_sub(context);
    format!(
        "leave out at least {over} tokens (of English text about {} words) and as many as the answer may have, use a \
         model with a longer context, or go beyond what this one was trained for with --past-context",
        over * 3 / 4 + 1
    )
}

/// What to do about a `--cache` that cannot be made out.
pub(super) fn settings(error: &SettingsError) -> String {
    match error {
        SettingsError::Kind { .. } => {
            let kinds = CacheKind::DESCRIPTIONS.map(|(name, what)| format!("\n  {name}: {what}"));
            format!("the kinds are{}", kinds.concat())
        }
        SettingsError::Key { kind: "exact", .. } => "for example --cache exact:f32".to_owned(),
        SettingsError::Value { key, .. } => format!("change {key}, or leave it out"),
        SettingsError::Key { kind, .. } if *kind != "fourier" => {
            let usual = kind.parse::<CacheKind>().map_or_else(|_| (*kind).to_owned(), |usual| usual.to_string());
            format!("without any setting it is --cache {usual}")
        }
        _ => "for example --cache fourier:window=256,harmonics=128".to_owned(),
    }
}

fn model(error: &ModelError) -> &'static str {
    match error {
        ModelError::Io { .. } => "check the path, and that you may read it",
        ModelError::TooLarge { .. } => "check that this is the right file",
        ModelError::Gguf(GgufError::Magic) => "give a model in GGUF form, or a folder with safetensors",
        ModelError::Gguf(_) | ModelError::Safetensors { .. } | ModelError::Json { .. } => FETCH_AGAIN,
        ModelError::Split { .. } => {
            "join the parts into one file first, for example with llama.cpp's gguf-split --merge"
        }
        ModelError::ShardName { .. } => "check where the model comes from: its index points outside its folder",
        ModelError::Config(error) => config(error),
        ModelError::Weights(error) => weights(error),
        _ => FETCH_AGAIN,
    }
}

fn config(error: &ConfigError) -> &'static str {
    match error {
        ConfigError::Family { .. } | ConfigError::RopeScaling { .. } | ConfigError::Feature { .. } => OTHER_MODEL,
        _ => FETCH_AGAIN,
    }
}

fn weights(error: &WeightsError) -> &'static str {
    match error {
        WeightsError::Type { .. } => OTHER_FILE,
        _ => FETCH_AGAIN,
    }
}

fn tokenizer(error: &TokenizerError) -> &'static str {
    match error {
        TokenizerError::NoBos => "leave --raw out, or use another model",
        TokenizerError::TooLarge { what, .. } if what.contains("white space") => {
            "take the long run of white space out of the text"
        }
        _ => OTHER_TOKENIZER,
    }
}

fn chat(error: &ChatError) -> &'static str {
    match error {
        ChatError::Refused(_) => "leave --system out, or add --raw to do without the template",
        _ => "add --raw to do without the model's chat template",
    }
}

fn cache(error: &CacheError) -> Option<String> {
    match error {
        CacheError::Settings(error) => Some(settings(error)),
        CacheError::Plan(error) => Some(plan(error)),
        CacheError::Budget { least, .. } => Some(format!(
            "give at least --cache-memory {}, a shorter text or a smaller --max-tokens, or keep fewer of the last tokens \
             exact, for example with --cache spectral:auto,window=256",
            typed(*least)
        )),
        _ => None,
    }
}

/// A size that can be typed, and is no less: in tenths of a megabyte, or bytes where those are fewer.
fn typed(bytes: usize) -> String {
    match bytes.div_ceil(100_000) {
        0..10 => format!("{bytes}B"),
        tenths => format!("{}.{}MB", tenths / 10, tenths % 10),
    }
}

fn plan(error: &PlanError) -> String {
    let text = match error {
        PlanError::Io { action: "write", .. } => "check that the folder may be written to and the disk is not full",
        PlanError::Io { .. } => "check the path, and that you may read it",
        PlanError::OtherModel { .. } | PlanError::Shape { .. } => {
            "leave --plan out, or make a plan for this model: fourier-kv calibrate -m MODEL --text FILE -o OUT.plan"
        }
        PlanError::Band { made_for, .. } => {
            return format!("use --cache fourier:band={made_for}, or make a plan with the --cache that you use");
        }
        PlanError::NoUse { .. } => "leave --plan out, or use --cache spectral or --cache fourier",
        PlanError::OtherKind { made_for, .. } => return format!("use --cache {made_for}, or leave --plan out"),
        PlanError::Version { .. } => "make the plan again with this version: fourier-kv calibrate",
        _ => "give a file that 'fourier-kv calibrate' made",
    };
    text.to_owned()
}

fn park(error: &ParkError) -> String {
    let text = match error {
        ParkError::Io { action: "write", .. } => "check that the folder may be written to and the disk is not full",
        ParkError::Io { .. } => "check the path, and that you may read it",
        ParkError::NotParked => "give a file that 'fourier-kv run --save-session FILE' wrote",
        ParkError::OtherModel { .. } | ParkError::Shape { .. } => {
            "use -m with the model that the session was made with"
        }
        ParkError::Version { .. } | ParkError::Kind(_) => {
            "use the version of fourier-kv that wrote it, or read the text again without --session"
        }
        ParkError::Unsupported { .. } => "use a cache that 'fourier-kv inspect' lists",
        _ => "the file cannot be trusted: restore it from a copy, or read the text again without --session",
    };
    text.to_owned()
}

fn sampler(error: &SamplerError) -> &'static str {
    match error {
        SamplerError::NoLogits => FETCH_AGAIN,
        _ => "change it, or leave it out",
    }
}

fn forward(error: &ForwardError) -> Option<String> {
    match error {
        ForwardError::Token { .. } => Some(OTHER_TOKENIZER.to_owned()),
        ForwardError::Weights(_) | ForwardError::Quant(_) => Some(FETCH_AGAIN.to_owned()),
        ForwardError::Cache(error) => cache(error),
        _ => None,
    }
}
