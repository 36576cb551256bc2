//! Where models come from, and in which order that is tried.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::error::{Attempt, Miss, PullError};

/// A place that a model can come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// A path that was given.
    Local,
    /// The folder of fetched models.
    Cache,
    /// The model hub, over HTTP.
    Hub,
    /// The Python package registry, through `pip`.
    Pip,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Cache => "cache",
            Self::Hub => "hub",
            Self::Pip => "pip",
        })
    }
}

/// Sources in the order in which they are tried; none twice, and at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceOrder(Vec<Source>);

impl Default for SourceOrder {
    fn default() -> Self {
        Self(vec![Source::Cache, Source::Hub, Source::Pip])
    }
}

impl fmt::Display for SourceOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(Source::to_string).collect();
        f.write_str(&names.join(","))
    }
}

/// What is wrong with the text of a source order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SourceOrderError {
    /// A word that names no source.
    #[error("a source is one of cache, hub, pip; got '{0}'")]
    Unknown(String),
    /// A source named twice.
    #[error("the source '{0}' is named twice")]
    Twice(Source),
}

impl FromStr for SourceOrder {
    type Err = SourceOrderError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut order = Vec::new();
        for word in text.split(',').map(str::trim) {
            let source = match word {
                "cache" => Source::Cache,
                "hub" => Source::Hub,
                "pip" => Source::Pip,
                _ => return Err(SourceOrderError::Unknown(word.to_owned())),
            };
            if order.contains(&source) {
                return Err(SourceOrderError::Twice(source));
            }
            order.push(source);
        }
        Ok(Self(order))
    }
}

impl SourceOrder {
    /// Asks one source after another until one has the model.
    ///
    /// # Errors
    /// [`PullError::NotFound`] with every source's reason, or the first failure that no other
    /// source could mend (a full disk, Ctrl-C).
    pub(super) fn first<T>(&self, model: &str, mut ask: impl FnMut(Source) -> Result<T, Miss>) -> Result<T, PullError> {
        let mut tried = Vec::new();
        for &source in &self.0 {
            match ask(source) {
                Ok(found) => return Ok(found),
                Err(Miss::Stop(error)) => return Err(*error),
                Err(Miss::PassOver { asked, reason }) => {
                    tracing::info!(%source, %asked, %reason, "source passed over");
                    tried.push(Attempt { source, asked, reason });
                }
            }
        }
        Err(PullError::NotFound { model: model.to_owned(), tried })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_and_printed() {
        let order: SourceOrder = "pip, cache".parse().unwrap();
        assert_eq!(order.to_string(), "pip,cache");
        assert_eq!(SourceOrder::default().to_string().parse(), Ok(SourceOrder::default()));
    }

    #[test]
    fn unknown_empty_and_repeated_sources_are_refused() {
        let read = |text: &str| text.parse::<SourceOrder>().unwrap_err();
        assert_eq!(read("cache,disk"), SourceOrderError::Unknown("disk".into()));
        assert_eq!(read(""), SourceOrderError::Unknown(String::new()));
        assert_eq!(read("hub,hub"), SourceOrderError::Twice(Source::Hub));
    }

    #[test]
    fn a_failure_lists_all_that_was_tried_in_order() {
        let order: SourceOrder = "pip,hub".parse().unwrap();
        let miss = |source: Source| Miss::pass_over(format!("at {source}"), format!("no {source}"));
        let error = order.first::<()>("m", |source| Err(miss(source))).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("pip: at pip: no pip\n  hub: at hub: no hub"), "{text}");
    }
}
