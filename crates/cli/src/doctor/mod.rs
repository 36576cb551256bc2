//! What this machine has, how fast it measures, and what would be used and why.

mod bandwidth;
mod cpu;
mod fastest;
mod graphics;
mod matrix_rate;
mod memory;
mod model_cache;
mod report;

use fourier_kv_engine::kernels::isa::Isa;
use fourier_kv_engine::kernels::team::Team;
use fourier_kv_engine::kernels::workspace::Workspace;

use crate::cancel::Cancel;
use crate::environment::Environment;
use crate::pull::pip::{Pip, find_program};
pub(crate) use memory::Memory;
use report::{Choice, Python, Report};

/// Why the machine could not be examined.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DoctorError {
    /// Threads could not be started.
    #[error("cannot start the threads: {0}")]
    Threads(std::io::Error),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// The processor's name, as it says itself.
pub(crate) fn processor() -> String {
    cpu::Cpu::read().model.unwrap_or_else(|| "an unnamed processor".to_owned())
}

/// Looks at everything and measures with `threads` threads; takes about a second.
///
/// # Errors
/// [`DoctorError`]; what the system does not tell is missing from the report instead.
pub(crate) fn examine(threads: usize, environment: &Environment, cancel: &Cancel) -> Result<Report, DoctorError> {
    let team = Team::new(threads).map_err(DoctorError::Threads)?;
    let workspace = Workspace::with_team(Isa::detect(), team);
    let memory = Memory::read();
    let bandwidth = bandwidth::measure(workspace.team(), memory.as_ref());
    check(cancel)?;
    let matrix_rate = matrix_rate::measure(&workspace);
    check(cancel)?;
    let cpu = cpu::Cpu::read();
    let graphics = graphics::Graphics::read();
    Ok(Report {
        choices: choices(&graphics, workspace.team()),
        cpu,
        memory,
        bandwidth,
        matrix_rate,
        graphics,
        models: environment.model_cache.as_deref().map(model_cache::ModelCache::read),
        python: python(environment),
    })
}

fn check(cancel: &Cancel) -> Result<(), DoctorError> {
    match cancel.is_raised() {
        true => Err(DoctorError::Interrupted),
        false => Ok(()),
    }
}

fn python(environment: &Environment) -> Python {
    let folders = &environment.program_folders;
    let python = find_program("python3", folders).or_else(|| find_program("python", folders));
    let pip = Pip::find(folders);
    Python { python, pip: pip.as_ref().map(Pip::name), pip_version: pip.map(|pip| pip.version) }
}

fn choices(graphics: &graphics::Graphics, team: &Team) -> Vec<Choice> {
    let device_reason = match graphics.nvidia_driver || !graphics.gpus.is_empty() {
        true => {
            "what is not asked to use the GPU here computes on the CPU ('run' and 'bench' with --device cuda --cache exact)"
        }
        false => "no GPU was found",
    };
    let choice = |what, choice: &str, why: &str| Choice { what, choice: choice.to_owned(), why: why.to_owned() };
    vec![
        choice("device", "cpu", device_reason),
        choice("threads", &team.threads().to_string(), "--threads, or one a core"),
        choice("instructions", &Isa::detect().to_string(), "--cpu, or the best that this machine has"),
    ]
}
