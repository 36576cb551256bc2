//! The text that the model is given: files, then the question.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::RequestError;
use super::text::{read_text, text_of};

/// Where a text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TextSource {
    /// A file.
    File(PathBuf),
    /// Standard input.
    StandardInput,
}

impl fmt::Display for TextSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::StandardInput => f.write_str("standard input"),
        }
    }
}

/// Where the prompt comes from; not read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// Texts that come first, in order.
    pub(crate) texts: Vec<TextSource>,
    /// The question, which comes last; may be empty where there are texts.
    pub(crate) question: String,
}

impl Prompt {
    /// Understands `--file` and the words of the prompt.
    pub(super) fn new(files: &[PathBuf], words: &[String]) -> Result<Self, RequestError> {
        let texts: Vec<TextSource> = files.iter().map(|path| source(path)).collect();
        let question = words.join(" ").trim().to_owned();
        let inputs = texts.iter().filter(|&text| *text == TextSource::StandardInput).count();
        match inputs {
            2.. => Err(RequestError::StandardInputTwice(inputs)),
            _ if texts.is_empty() && question.is_empty() => Err(RequestError::EmptyPrompt),
            _ => Ok(Self { texts, question }),
        }
    }

    /// Reads the texts and puts everything together, with an empty line between the parts.
    ///
    /// # Errors
    /// [`RequestError::Text`] for what cannot be read, [`RequestError::NotText`] for what is not
    /// UTF-8, and [`RequestError::EmptyPrompt`] where there is nothing but white space.
    pub(crate) fn read(&self, mut input: impl Read) -> Result<String, RequestError> {
        let mut parts = Vec::new();
        for source in &self.texts {
            let text = match source {
                TextSource::File(path) => read_text(path)?,
                TextSource::StandardInput => text_of(&source.to_string(), &mut input)?,
            };
            parts.push(text.trim_end().to_owned());
        }
        parts.push(self.question.clone());
        parts.retain(|part| !part.is_empty());
        match parts.is_empty() {
            true => Err(RequestError::EmptyPrompt),
            false => Ok(parts.join("\n\n")),
        }
    }
}

fn source(path: &Path) -> TextSource {
    match path == Path::new("-") {
        true => TextSource::StandardInput,
        false => TextSource::File(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(files: &[&str], words: &[&str]) -> Result<Prompt, RequestError> {
        let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Prompt::new(&files, &words)
    }

    #[test]
    fn files_come_before_the_question() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.txt");
        std::fs::write(&file, "From a file.\n").unwrap();
        let prompt = prompt(&[file.to_str().unwrap(), "-"], &["And", "why?"]).unwrap();
        let text = prompt.read("From input.\n\n".as_bytes()).unwrap();
        assert_eq!(text, "From a file.\n\nFrom input.\n\nAnd why?");
    }

    #[test]
    fn nothing_is_not_a_prompt() {
        assert!(matches!(prompt(&[], &[]), Err(RequestError::EmptyPrompt)));
        assert!(matches!(prompt(&[], &[" "]), Err(RequestError::EmptyPrompt)));
        let blank = prompt(&["-"], &[]).unwrap().read(" \n".as_bytes());
        assert!(matches!(blank, Err(RequestError::EmptyPrompt)));
    }

    #[test]
    fn standard_input_is_read_once() {
        let twice = prompt(&["-", "-"], &[]);
        assert!(matches!(twice, Err(RequestError::StandardInputTwice(2))));
    }

    #[test]
    fn what_is_missing_or_not_text_is_named() {
        let missing = prompt(&["no/such/file"], &[]).unwrap().read(std::io::empty()).unwrap_err();
        assert!(missing.to_string().contains("no/such/file"));
        let bytes = prompt(&["-"], &["why"]).unwrap().read(&[b'a', 0xff_u8, 0xfe][..]).unwrap_err();
        assert!(bytes.to_string().starts_with("standard input is not UTF-8 text: the byte at position 1"));
    }
}
