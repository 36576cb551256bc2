//! A request for a plan file.

use std::path::{Path, PathBuf};

use fourier_kv_engine::cache::CacheKind;
use fourier_kv_engine::{CalibrateOptions, HarmOptions};

use super::run_request::cache_kind;
use super::{Machine, RequestError};
use crate::args::{CalibrateArgs, SourceArgs};

/// A plan to be made.
#[derive(Debug, Clone)]
pub(crate) struct CalibrateRequest {
    /// The model, as it was typed.
    pub(crate) model: String,
    /// Where the model may come from.
    pub(crate) sources: SourceArgs,
    /// Text files, each of which is there, in order; folders are already opened.
    pub(crate) texts: Vec<PathBuf>,
    /// Plan file to write; its folder is there.
    pub(crate) output: PathBuf,
    /// What is calibrated.
    pub(crate) work: Work,
    /// What computes.
    pub(crate) machine: Machine,
}

/// The cache that a plan is for, and how it is made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Work {
    /// For `fourier`.
    Dims(CalibrateOptions),
    /// For `spectral`.
    Shares(HarmOptions),
}

/// Tokens whose predictions show what an error does.
const CONTINUATION: usize = 256;

impl CalibrateRequest {
    /// Understands what was typed.
    pub(crate) fn new(args: &CalibrateArgs) -> Result<Self, RequestError> {
        for (option, number) in [("--tokens", args.tokens), ("--sequence", Some(args.sequence))] {
            if number == Some(0) {
                return Err(RequestError::OutOfRange { option, expected: "1 or more", got: "0".to_owned() });
            }
        }
        check_output("--output", &args.output)?;
        Ok(Self {
            model: args.model.model.clone(),
            sources: args.model.sources.clone(),
            texts: text_files(&args.text)?,
            output: args.output.clone(),
            work: work(args)?,
            machine: Machine::of_cpu(&args.device)?,
        })
    }
}

fn work(args: &CalibrateArgs) -> Result<Work, RequestError> {
    match cache_kind(&args.cache)? {
        CacheKind::Fourier(settings) => {
            let usual = CalibrateOptions::default();
            let tokens = args.tokens.unwrap_or(usual.tokens);
            Ok(Work::Dims(CalibrateOptions { settings, tokens, sequence: args.sequence }))
        }
        CacheKind::Spectral(settings) => {
            let tokens = args.tokens.unwrap_or(4096);
            let enough = CONTINUATION + settings.sink + settings.window + settings.least_middle;
            match tokens.checked_sub(CONTINUATION) {
                Some(left) if tokens >= enough => {
                    Ok(Work::Shares(HarmOptions { settings, tokens: left, continuation: CONTINUATION }))
                }
                _ => Err(RequestError::OutOfRange {
                    option: "--tokens",
                    expected: "more tokens than window, least-middle and 256 for the comparison",
                    got: tokens.to_string(),
                }),
            }
        }
        other => Err(RequestError::NothingToPlan(other.name())),
    }
}

/// Minutes of work must not end with a file that cannot be written.
pub(super) fn check_output(option: &'static str, output: &Path) -> Result<(), RequestError> {
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder.unwrap_or(Path::new(".")) {
        folder if folder.is_dir() && !output.is_dir() => Ok(()),
        folder => Err(RequestError::OutOfRange {
            option,
            expected: "a file in a folder that is there",
            got: match output.is_dir() {
                true => format!("the folder {}", output.display()),
                false => format!("the missing folder {}", folder.display()),
            },
        }),
    }
}

/// Files as they are given; of a folder its .txt and .md files, in the order of their names.
fn text_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, RequestError> {
    let mut files = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => files.extend(folder_texts(path)?),
            false => files.push(path.clone()),
        }
    }
    match files.iter().find(|file| !file.is_file()) {
        Some(path) => Err(RequestError::NoSuchFile { option: "--text", path: path.clone() }),
        None => Ok(files),
    }
}

fn folder_texts(folder: &Path) -> Result<Vec<PathBuf>, RequestError> {
    let failed = |source| RequestError::Text { what: folder.display().to_string(), source };
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let is_text = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "txt" || ending == "md");
    let mut texts: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(is_text).collect();
    texts.sort();
    match texts.is_empty() {
        true => Err(RequestError::NoSuchFile { option: "--text", path: folder.join("*.txt") }),
        false => Ok(texts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        calibrate: CalibrateArgs,
    }

    fn read(folder: &Path, words: &str) -> Result<CalibrateRequest, RequestError> {
        let words = words.replace('@', folder.to_str().unwrap());
        let words = std::iter::once("test").chain(words.split_whitespace());
        CalibrateRequest::new(&Typed::try_parse_from(words).unwrap().calibrate)
    }

    fn folder_with(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        names.iter().for_each(|name| std::fs::write(folder.path().join(name), "text").unwrap());
        folder
    }

    #[test]
    fn a_folder_is_its_texts_in_order() {
        let folder = folder_with(&["b.txt", "a.md", "c.bin"]);
        let request = read(folder.path(), "--text @ --text @/c.bin -o @/out.plan").unwrap();
        let names = request.texts.iter().map(|path| path.file_name().unwrap().to_str().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["a.md", "b.txt", "c.bin"]);
    }

    #[test]
    fn what_cannot_work_is_refused_before_it_starts() {
        let folder = folder_with(&["a.txt"]);
        let missing = ["--text @/no.txt -o @/p"];
        let wrong =
            ["--text @ -o @/no/p", "--text @ -o @", "--text @ -o @/p --tokens 0", "--text @ -o @/p --sequence 0"];
        for words in missing {
            let result = read(folder.path(), words);
            assert!(matches!(result, Err(RequestError::NoSuchFile { .. })), "{words}");
        }
        for words in wrong {
            let result = read(folder.path(), words);
            assert!(matches!(result, Err(RequestError::OutOfRange { .. })), "{words}");
        }
        let exact = read(folder.path(), "--text @ -o @/p --cache exact");
        assert!(matches!(exact, Err(RequestError::NothingToPlan("exact"))));
        let empty = read(folder_with(&[]).path(), "--text @ -o @/p");
        assert!(matches!(empty, Err(RequestError::NoSuchFile { .. })));
    }
}
