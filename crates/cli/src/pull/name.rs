//! What the text after `-m` means.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::PullError;
use crate::models::{self, KnownModel};

/// A model, as it was named.
#[derive(Debug, Clone)]
pub(super) enum ModelName {
    /// By a short name.
    Known(&'static KnownModel),
    /// By its place on the hub.
    Hub(HubId),
    /// By its path.
    Local(PathBuf),
}

/// `owner/name`, or `owner/name/file` for one of several models in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HubId {
    /// `owner/name`.
    pub(super) repository: String,
    /// Path of a file in it.
    pub(super) file: Option<String>,
}

impl fmt::Display for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        self.file.iter().try_for_each(|file| write!(f, "/{file}"))
    }
}

impl ModelName {
    /// A short name goes before a path of that name (which can be written `./smollm2`), and a
    /// path that is there before a hub id.
    ///
    /// # Errors
    /// [`PullError::NoSuchPath`] for what can only be a path, [`PullError::UnknownModel`] else.
    pub(super) fn parse(text: &str) -> Result<Self, PullError> {
        let path = Path::new(text);
        if let Some(entry) = models::by_alias(text) {
            return Ok(Self::Known(entry));
        }
        if !text.is_empty() && path.exists() {
            return Ok(Self::Local(path.to_owned()));
        }
        if let Some(id) = HubId::parse(text) {
            return Ok(Self::Hub(id));
        }
        if text.contains('/') || text.contains('\\') || text.ends_with(".gguf") {
            return Err(PullError::NoSuchPath(path.to_owned()));
        }
        Err(PullError::UnknownModel(text.to_owned()))
    }
}

impl HubId {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '/');
        let (owner, name) = (parts.next()?, parts.next()?);
        let file = parts.next();
        let is_model_file =
            |file: &str| is_safe_path(file) && (file.ends_with(".gguf") || file.ends_with(".safetensors"));
        // `models/small.gguf` is a path that is not there, not somebody's repository.
        let whole = is_word(owner) && is_word(name) && !name.ends_with(".gguf");
        (whole && file.is_none_or(is_model_file))
            .then(|| Self { repository: format!("{owner}/{name}"), file: file.map(str::to_owned) })
    }
}

/// Letters, digits, `-`, `_` and `.`, not starting with a dot: safe in paths and addresses.
fn is_word(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && !text.starts_with('.') && text.bytes().all(allowed)
}

/// Whether every part of a repository's path is a plain word.
pub(super) fn is_safe_path(path: &str) -> bool {
    path.split('/').all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_come_first() {
        assert!(matches!(ModelName::parse("smollm2"), Ok(ModelName::Known(_))));
    }

    #[test]
    fn hub_ids_have_an_owner_and_a_name() {
        let id = |text: &str| match ModelName::parse(text) {
            Ok(ModelName::Hub(id)) => Some((id.repository.clone(), id.file.clone(), id.to_string())),
            _ => None,
        };
        let whole = ("a/b".to_owned(), None, "a/b".to_owned());
        assert_eq!(id("a/b"), Some(whole));
        let file = ("a/b".to_owned(), Some("c/d.gguf".to_owned()), "a/b/c/d.gguf".to_owned());
        assert_eq!(id("a/b/c/d.gguf"), Some(file));
        for text in ["a/b/../d.gguf", "a/b/c.bin", "/a/b", "../a", "a b/c", "a/", "a/b.gguf", "~/a"] {
            assert_eq!(id(text), None, "{text}");
        }
    }

    #[test]
    fn paths_that_are_not_there_are_told_from_unknown_names() {
        for text in ["./nothing", "a/b.gguf", "nothing.gguf", "/nothing/at/all"] {
            assert!(matches!(ModelName::parse(text), Err(PullError::NoSuchPath(_))), "{text}");
        }
        for text in ["gpt-9", ""] {
            assert!(matches!(ModelName::parse(text), Err(PullError::UnknownModel(_))), "{text}");
        }
    }
}
