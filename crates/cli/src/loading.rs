//! From the model that was named to one that can be used.

use std::num::NonZeroUsize;
use std::path::Path;

use fourier_kv_engine::{Engine, EngineOptions};

use crate::args::SourceArgs;
use crate::failure::Failure;
use crate::pull::{self, Pulled};
use crate::requests::{Device, Machine, PullRequest};
use crate::session::Session;

/// The model's place on the disk; fetches it if it is not there.
pub(crate) fn model(name: &str, sources: &SourceArgs, session: &Session) -> Result<Pulled, Failure> {
    let helpers = (session.progress, &session.cancel);
    let request = PullRequest::new(name, sources, &session.environment, helpers)?.for_use();
    Ok(pull::resolve(&request.model, &request.settings)?)
}

/// The model, ready to compute.
pub(crate) fn engine(path: &Path, machine: Machine) -> Result<Engine, Failure> {
    match machine.device {
        Device::Cpu => {
            let options = EngineOptions { threads: NonZeroUsize::new(machine.threads), isa: Some(machine.isa) };
            Engine::load(path, &options).map_err(Failure::open(path))
        }
    }
}
