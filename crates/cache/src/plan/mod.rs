//! Plans: what calibration found out about a model once, kept in a file: for `fourier` which head dims become spectral,
//! for `spectral` how rates are shared out over layers.
//!
//! A plan is plain data: it can be read, printed and refused without the model. Using it is a second step.

mod file;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use file::{MAX_PLAN_BYTES, PLAN_VERSION};

use crate::CacheShape;
use crate::fourier::Band;
use crate::fourier::settings;
use crate::spectral::{CODES, Shares};

/// The spectral tracks of one key/value head: dims, or rotary pairs for keys in the carrier band; ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadPlan {
    /// Of the keys.
    pub keys: Vec<u16>,
    /// Of the values.
    pub values: Vec<u16>,
}

/// Which model a plan was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanModel {
    /// The model's name, for people.
    pub name: String,
    /// What identifies it: the same for every quantisation of one set of weights.
    pub fingerprint: String,
    /// Layers `L`.
    pub layers: usize,
    /// Key/value heads `G`.
    pub kv_heads: usize,
    /// Head dims `D`.
    pub head_dim: usize,
}

/// What a plan was made from, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanOrigin {
    /// Tokens of text that were looked at.
    pub tokens: usize,
    /// Sequences they were cut into.
    pub sequences: usize,
    /// SHA-256 of the text.
    pub text_sha256: String,
    /// Harmonics that reconstruction errors were measured with.
    pub harmonics: usize,
    /// `error` or `weighted`.
    pub rank: String,
}

/// A plan. It is for one kind of cache: `fourier` if it has no shares, else `spectral`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The model.
    pub model: PlanModel,
    /// The band that the keys' tracks are meant for.
    pub band: Band,
    /// Where it comes from.
    pub origin: PlanOrigin,
    /// `[L][G]`; none in a plan for `spectral`.
    pub heads: Vec<Vec<HeadPlan>>,
    /// How the keys and values of each layer share a rate, for `spectral`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<Shares>,
    /// Which codes those were measured with: [`CODES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codes: Option<u32>,
}

/// A plan that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The file could not be read or written.
    #[error("cannot {action} the plan {}", path.display())]
    Io {
        /// Read or write.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is larger than any plan.
    #[error("expected a plan of at most {most} bytes, got {got}")]
    TooLarge {
        /// The limit.
        most: u64,
        /// The size.
        got: u64,
    },
    /// It is not a plan, or not a whole one.
    #[error("expected a plan file, got something else: {0}")]
    Format(String),
    /// It is of a version this program does not know.
    #[error("expected a plan of version {}, got version {got}", PLAN_VERSION)]
    Version {
        /// The file's version.
        got: u64,
    },
    /// It was made for another model.
    #[error("the plan was made for the model {made_for}, not for {model}")]
    OtherModel {
        /// The plan's model.
        made_for: String,
        /// The model at hand.
        model: String,
    },
    /// Its sizes are not the model's, or its lists not those of a head.
    #[error("the plan does not fit: expected {expected}, got {got}")]
    Shape {
        /// What would fit.
        expected: String,
        /// What the plan says.
        got: String,
    },
    /// Its shares were measured with other codes.
    #[error(
        "the plan was made with {}, this program has version {CODES}: errors would be up to twice as large; make the \
         plan anew with `fourier-kv calibrate`",
        got.map_or("an older version of the codes".to_owned(), |got| format!("version {got} of the codes"))
    )]
    Codes {
        /// The plan's codes, if it says so.
        got: Option<u32>,
    },
    /// It was made for another band.
    #[error("the plan was made for band={made_for}, the cache has band={}", asked.name())]
    Band {
        /// The plan's band.
        made_for: &'static str,
        /// The cache's.
        asked: Band,
    },
    /// It was made for another kind of cache.
    #[error("the plan was made for the `{made_for}` cache, not for `{kind}`")]
    OtherKind {
        /// The plan's kind.
        made_for: &'static str,
        /// The cache's.
        kind: &'static str,
    },
    /// The cache has no use for a plan.
    #[error("a plan was given, but the `{kind}` cache has no use for one")]
    NoUse {
        /// The kind of cache.
        kind: &'static str,
    },
}

impl Plan {
    /// The tracks of one head.
    ///
    /// # Panics
    /// If there is no such head; [`Plan::check`] says whether there is.
    pub fn head(&self, layer: usize, head: usize) -> &HeadPlan {
        &self.heads[layer][head]
    }

    /// Whether it was made for the model with this fingerprint.
    ///
    /// # Errors
    /// [`PlanError::OtherModel`] if not.
    pub fn check_model(&self, fingerprint: &str, name: &str) -> Result<(), PlanError> {
        match self.model.fingerprint == fingerprint {
            true => Ok(()),
            false => Err(PlanError::OtherModel { made_for: self.model.name.clone(), model: name.to_owned() }),
        }
    }

    /// The kind of cache that it is for.
    pub fn kind(&self) -> &'static str {
        if self.shares.is_some() { "spectral" } else { "fourier" }
    }

    /// How rates are shared out, if it can serve `spectral` caches of this shape.
    ///
    /// # Errors
    /// [`PlanError::Shape`], [`PlanError::OtherKind`] or [`PlanError::Codes`] if not.
    pub fn check_shares(&self, shape: &CacheShape) -> Result<&Shares, PlanError> {
        self.check_lists()?;
        self.check_shape(shape)?;
        let shares = self.shares.as_ref().ok_or(PlanError::OtherKind { made_for: self.kind(), kind: "spectral" })?;
        match self.codes {
            Some(CODES) => Ok(shares),
            got => Err(PlanError::Codes { got }),
        }
    }

    /// Whether it can serve `fourier` caches of this shape and band.
    ///
    /// # Errors
    /// [`PlanError::Shape`], [`PlanError::Band`] or [`PlanError::OtherKind`] if not.
    pub fn check(&self, shape: &CacheShape, band: Band) -> Result<(), PlanError> {
        self.check_lists()?;
        self.check_shape(shape)?;
        if self.shares.is_some() {
            return Err(PlanError::OtherKind { made_for: self.kind(), kind: "fourier" });
        }
        match self.band == band {
            true => Ok(()),
            false => Err(PlanError::Band { made_for: self.band.name(), asked: band }),
        }
    }

    fn check_shape(&self, shape: &CacheShape) -> Result<(), PlanError> {
        let (ours, theirs) = (
            (shape.layers, shape.kv_heads, shape.head_dim),
            (self.model.layers, self.model.kv_heads, self.model.head_dim),
        );
        if ours != theirs {
            let sizes = |(l, g, d): (usize, usize, usize)| format!("{l} layers of {g} key/value heads of {d} dims");
            return Err(PlanError::Shape { expected: sizes(ours), got: sizes(theirs) });
        }
        Ok(())
    }

    /// Whether the lists are those of a model with the plan's own sizes.
    fn check_lists(&self) -> Result<(), PlanError> {
        let PlanModel { layers, kv_heads, head_dim, .. } = self.model;
        let wrong = |expected: String, got: String| Err(PlanError::Shape { expected, got });
        if head_dim == 0 || head_dim % 2 != 0 || head_dim > usize::from(u16::MAX) {
            return wrong("an even number of head dims".into(), head_dim.to_string());
        }
        if let Some(shares) = &self.shares {
            return match shares.check(layers) {
                Ok(()) if self.heads.is_empty() => Ok(()),
                Ok(()) => wrong("shares and no lists of dims".into(), "both".into()),
                Err(got) => wrong(format!("shares of {layers} layers"), got),
            };
        }
        if self.heads.len() != layers {
            return wrong(format!("{layers} layers"), self.heads.len().to_string());
        }
        let key_tracks = if self.band == settings::Band::Carrier { head_dim / 2 } else { head_dim };
        for (l, layer) in self.heads.iter().enumerate() {
            if layer.len() != kv_heads {
                return wrong(format!("{kv_heads} heads in layer {l}"), layer.len().to_string());
            }
            for head in layer {
                for (what, list, tracks) in [("key", &head.keys, key_tracks), ("value", &head.values, head_dim)] {
                    if !list.is_sorted_by(|a, b| a < b) || list.last().is_some_and(|&t| usize::from(t) >= tracks) {
                        let expected = format!("ascending {what} tracks below {tracks} in layer {l}");
                        return wrong(expected, format!("{list:?}"));
                    }
                }
            }
        }
        Ok(())
    }
}
