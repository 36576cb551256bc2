//! Why a cache could not be parked, or a parked one not be taken up again.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use super::{PARK_VERSION, Tag};
use crate::plan::PlanError;
use crate::settings::SettingsError;
use crate::{CacheError, CacheShape};

/// Why a cache could not be parked, or a parked one not be taken up again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParkError {
    /// The file could not be read or written.
    #[error("cannot {action} the parked session {}", path.display())]
    Io {
        /// Read or write.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A stream that is no file could not be read or written.
    #[error("cannot read or write a parked session")]
    Stream(#[from] io::Error),
    /// It is no parked session.
    #[error("expected a parked session, got something else: it does not begin as one")]
    NotParked,
    /// It is of a version that this program does not know.
    #[error("expected a parked session of version {}, got version {got}", PARK_VERSION)]
    Version {
        /// The file's version.
        got: u32,
    },
    /// It ends too early.
    #[error("the parked session is not whole: it ends in the section `{}`", name(*section))]
    Truncated {
        /// The section that is cut.
        section: Tag,
    },
    /// It goes on after its end.
    #[error("the parked session is damaged: it goes on after its end")]
    GoesOn,
    /// Its bytes are not those that were written.
    #[error("the parked session is damaged: the checksum of the section `{}` is not that of its bytes", name(*section))]
    Checksum {
        /// The section.
        section: Tag,
    },
    /// It holds something that no cache of its kind holds.
    #[error("the parked session is damaged: expected {expected} in the section `{}`, got {got}", name(*section))]
    Content {
        /// The section.
        section: Tag,
        /// What would fit.
        expected: String,
        /// What came.
        got: String,
    },
    /// It was made with another model.
    #[error("the parked session was made with the model {made_with}, not with {model}")]
    OtherModel {
        /// Its model.
        made_with: String,
        /// The model at hand.
        model: String,
    },
    /// It was made with a model of other sizes.
    #[error("the parked session does not fit: expected {}, got {}", sizes(expected), sizes(got))]
    Shape {
        /// The model's.
        expected: Box<CacheShape>,
        /// The file's; its frequencies are not told.
        got: Box<CacheShape>,
    },
    /// Its cache is of a kind that this program does not know.
    #[error("the parked session has a cache that is not known: {0}")]
    Kind(#[from] SettingsError),
    /// Its plan cannot be used.
    #[error("the parked session has a plan that cannot be used: {0}")]
    Plan(#[from] PlanError),
    /// Its cache cannot be built.
    #[error("the parked session has a cache that cannot be built: {0}")]
    Cache(#[from] CacheError),
    /// The cache is of a kind that cannot be parked.
    #[error("a cache of the kind `{kind}` cannot be parked")]
    Unsupported {
        /// Its description.
        kind: String,
    },
    /// The cache's layers hold different numbers of tokens.
    #[error("expected a cache whose layers all hold {expected} tokens, got a layer of {got}: a pass is not complete")]
    Uneven {
        /// Tokens of the sequence.
        expected: usize,
        /// Tokens of a layer.
        got: usize,
    },
}

impl ParkError {
    /// An error of what a section says; for caches that check what they read.
    pub fn content(section: Tag, expected: impl Display, got: impl Display) -> Self {
        ParkError::Content { section, expected: expected.to_string(), got: got.to_string() }
    }

    /// An error of a stream becomes one of the file that it is.
    pub(super) fn at(self, action: &'static str, path: &Path) -> Self {
        match self {
            ParkError::Stream(source) => ParkError::Io { action, path: path.to_owned(), source },
            other => other,
        }
    }
}

/// A tag as people read it.
pub(super) fn name(tag: Tag) -> String {
    String::from_utf8_lossy(&tag).trim_end().escape_default().to_string()
}

fn sizes(shape: &CacheShape) -> String {
    let CacheShape { layers, heads, kv_heads, head_dim, .. } = shape;
    format!("{layers} layers of {heads} query heads and {kv_heads} key/value heads of {head_dim} dims")
}
