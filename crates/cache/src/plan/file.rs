//! Plan files: JSON, versioned, written beside and renamed.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Plan, PlanError};
use crate::beside::write_beside;

/// The version that is written, and the only one that is read.
pub const PLAN_VERSION: u64 = 1;
/// No plan is larger: a model of 200 layers of 64 heads of 256 dims comes to half of it.
pub const MAX_PLAN_BYTES: u64 = 64 << 20;

const FORMAT: &str = "fourier-kv plan";

/// The head of a plan file: enough to refuse it by.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole<P> {
    format: String,
    version: u64,
    plan: P,
}

impl Plan {
    /// Reads a plan from the text of a file.
    ///
    /// # Errors
    /// If it is no plan, of another version, or inconsistent in itself.
    pub fn from_json(text: &[u8]) -> Result<Plan, PlanError> {
        let format = |e: serde_json::Error| PlanError::Format(e.to_string());
        let head: Head = serde_json::from_slice(text).map_err(format)?;
        if head.format != FORMAT {
            return Err(PlanError::Format(format!("its format is {:?}", head.format)));
        }
        if head.version != PLAN_VERSION {
            return Err(PlanError::Version { got: head.version });
        }
        let whole: Whole<Plan> = serde_json::from_slice(text).map_err(format)?;
        whole.plan.check_lists()?;
        Ok(whole.plan)
    }

    /// The text of the plan's file.
    pub fn to_json(&self) -> String {
        let whole = Whole { format: FORMAT.to_owned(), version: PLAN_VERSION, plan: self };
        serde_json::to_string(&whole).expect("a plan has no maps with odd keys") + "\n"
    }

    /// Reads a plan file.
    ///
    /// # Errors
    /// If it cannot be read, is too large, or [`Plan::from_json`] refuses it.
    pub fn read(path: &Path) -> Result<Plan, PlanError> {
        let io = |source| PlanError::Io { action: "read", path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let mut text = Vec::new();
        file.take(MAX_PLAN_BYTES + 1).read_to_end(&mut text).map_err(io)?;
        match text.len() as u64 {
            got if got > MAX_PLAN_BYTES => Err(PlanError::TooLarge { most: MAX_PLAN_BYTES, got }),
            _ => Plan::from_json(&text),
        }
    }

    /// Writes the plan beside `path` and renames it: the file is whole or not there.
    ///
    /// # Errors
    /// If it cannot be written; nothing is left behind then.
    pub fn write(&self, path: &Path) -> Result<(), PlanError> {
        let io = |source| PlanError::Io { action: "write", path: path.to_owned(), source };
        write_beside(path, |file| file.write_all(self.to_json().as_bytes())).map_err(io)
    }
}
