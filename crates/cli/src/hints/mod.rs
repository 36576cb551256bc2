//! What to do about each failure. Libraries say what went wrong; only this folder says what to try.

mod engine;

use fourier_kv_eval::evaluate::EvaluationError;
use fourier_kv_server::ServeError;

use crate::doctor::DoctorError;
use crate::failure::Failure;
use crate::models;
use crate::pull::PullError;
use crate::requests::RequestError;

/// What to do about `failure`, if there is something to do.
pub(crate) fn hint(failure: &Failure) -> Option<String> {
    match failure {
        Failure::Usage { hint, .. } => Some(hint.clone()),
        Failure::Request(error) => Some(request(error)),
        Failure::Pull(error) => pull(error),
        Failure::Doctor(DoctorError::Threads(_)) => Some("try a smaller --threads".to_owned()),
        Failure::Doctor(DoctorError::Interrupted) => None,
        Failure::Output(_) => Some("look whether the disk it goes to is full".to_owned()),
        Failure::Engine(error) | Failure::Open { source: error, .. } => engine::hint(error),
        Failure::Evaluation(EvaluationError::OtherRun { .. }) => {
            Some("give another folder with --output, or remove this one".to_owned())
        }
        Failure::Evaluation(_) => Some("look whether --output can be written, or give another folder".to_owned()),
        Failure::Listen { .. } => Some("give another --port (0 takes a free one), or another --host".to_owned()),
        Failure::Serve(ServeError::Engine(error)) => engine::hint(error),
        Failure::Serve(_) => None,
        Failure::CtrlC(_) | Failure::Interrupted => None,
    }
}

fn request(error: &RequestError) -> String {
    let text = match error {
        RequestError::OutOfRange { option, .. } => {
            return format!("change {option}; 'fourier-kv COMMAND --help' describes it");
        }
        RequestError::NoEffect { option: "--top-p" | "--top-k", .. } => {
            "add --temperature, for example --temperature 0.8"
        }
        RequestError::Cache(error) => return engine::settings(error),
        RequestError::Key(_) => "make long random keys, for example with 'openssl rand -hex 24'",
        RequestError::Task(_) => "'fourier-kv eval --help' lists the tasks",
        RequestError::NothingToPlan(_) => "leave --cache out, or use --cache spectral or --cache fourier",
        RequestError::NoEffect { option, .. } => return format!("leave {option} out"),
        #[cfg(not(feature = "cuda"))]
        RequestError::DeviceNotBuilt(_) => "leave --device out, or build with --features cuda",
        #[cfg(feature = "cuda")]
        RequestError::Gpu { .. } => "'fourier-kv doctor' shows which GPUs there are; leave --device out for the CPU",
        #[cfg(feature = "cuda")]
        RequestError::GpuCommand(_) => "leave --device out, or use --device cpu",
        #[cfg(feature = "cuda")]
        RequestError::GpuCache { source, .. } => engine::gpu_cache(source),
        #[cfg(feature = "cuda")]
        RequestError::GpuSession { .. } => "leave it out, or leave --device out for the CPU",
        RequestError::UnknownDevice(_) => "use --device cpu",
        RequestError::NoSuchInstructions(_) => {
            "leave --cpu out to take the best that this machine has; 'fourier-kv doctor' shows what that is"
        }
        RequestError::SourceOrder { .. } => "give the sources in the order to try, for example cache,pip",
        RequestError::NoCacheFolder => "set XDG_CACHE_HOME to a folder for fetched models",
        RequestError::EmptyPrompt => "give a question, a text with --file FILE, or both",
        RequestError::StandardInputTwice(_) => "give --file - once",
        RequestError::Text { .. } => "check the path, and that you may read it",
        RequestError::NotText { .. } => "give a plain text file; convert other files to UTF-8 text first",
        RequestError::NoSuchFile { .. } => "check the path",
        RequestError::LogFilter(_) => "try FOURIER_KV_LOG=fourier_kv=debug, or unset it",
    };
    text.to_owned()
}

fn pull(error: &PullError) -> Option<String> {
    let text = match error {
        PullError::UnknownModel(_) => {
            let aliases = models::aliases();
            return Some(format!("use a short name ({aliases}), a .gguf file, a folder, or owner/name on the hub"));
        }
        PullError::NoSuchPath(_) => "check the path; owner/name would mean a model on the hub",
        PullError::NotAModel { .. } => "give a .gguf file, or a model's folder",
        PullError::Ambiguous { .. } => "name one of them in full",
        PullError::NotFound { .. } => {
            "check the network, set HF_ENDPOINT or HF_TOKEN, choose other sources with \
             --source-order, or fetch the file yourself and give its path"
        }
        PullError::DiskFull { .. } => "free some space, or set XDG_CACHE_HOME to a folder on a larger disk",
        PullError::Write { .. } => "set XDG_CACHE_HOME to a folder that you may write to",
        PullError::Read { .. } => "check that you may read it",
        PullError::Interrupted => return None,
    };
    Some(text.to_owned())
}
