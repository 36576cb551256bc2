//! The findings, as people read them and as JSON.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::bandwidth::Bandwidth;
use super::cpu::Cpu;
use super::graphics::Graphics;
use super::matrix_rate::MatrixRate;
use super::memory::Memory;
use super::model_cache::ModelCache;
use crate::output::megabytes;

/// What this machine has, and what would be used.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// The processor.
    pub(crate) cpu: Cpu,
    /// Its memory, where the system says so.
    pub(crate) memory: Option<Memory>,
    /// How fast that is.
    pub(crate) bandwidth: Bandwidth,
    /// How fast matrices are multiplied.
    pub(crate) matrix_rate: MatrixRate,
    /// GPUs.
    pub(crate) graphics: Graphics,
    /// Fetched models; `None` where there is no place for them.
    pub(crate) models: Option<ModelCache>,
    /// What the package registry is reached through.
    pub(crate) python: Python,
    /// What would be used, and why.
    pub(crate) choices: Vec<Choice>,
}

/// What the package registry is reached through.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Python {
    /// The interpreter.
    pub(crate) python: Option<PathBuf>,
    /// How `pip` is started.
    pub(crate) pip: Option<String>,
    /// What it says of itself.
    pub(crate) pip_version: Option<String>,
}

/// Something that would be used.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Choice {
    /// What is chosen.
    pub(crate) what: &'static str,
    /// The choice.
    pub(crate) choice: String,
    /// Its reason.
    pub(crate) why: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_cpu(f)?;
        self.write_speed(f)?;
        self.write_graphics(f)?;
        self.write_models(f)?;
        self.write_python(f)?;
        writeln!(f, "\nwould be used")?;
        for Choice { what, choice, why } in &self.choices {
            writeln!(f, "  {what}: {choice} ({why})")?;
        }
        Ok(())
    }
}

impl Report {
    fn write_cpu(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = self.cpu.model.as_deref().unwrap_or("not named by the system");
        writeln!(f, "processor   {model}, {} cores", self.cpu.cores)?;
        for (title, present) in [("has", true), ("has not", false)] {
            let names = self.cpu.features.iter().filter(|feature| feature.present == present);
            let names: Vec<&str> = names.map(|feature| feature.name).collect();
            if !names.is_empty() {
                writeln!(f, "  {title:<10}{}", names.join(" "))?;
            }
        }
        match &self.memory {
            Some(memory) => writeln!(
                f,
                "memory      {}, {} available",
                megabytes(memory.total_bytes),
                megabytes(memory.available_bytes)
            ),
            None => writeln!(f, "memory      not told by the system"),
        }
    }

    fn write_speed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bandwidth { read_bytes_per_second, copy_bytes_per_second, buffer_bytes, threads, method } = self.bandwidth;
        writeln!(
            f,
            "  read      {:.1} GB/s\n  copy      {:.1} GB/s\n  measured  {}, {threads} threads: {method}",
            read_bytes_per_second / 1e9,
            copy_bytes_per_second / 1e9,
            megabytes(buffer_bytes),
        )?;
        let MatrixRate { operations_per_second, size, threads, method } = self.matrix_rate;
        writeln!(
            f,
            "matrices    {:.1} GFLOP/s in f32\n  measured  {size}x{size}, {threads} threads: {method}",
            operations_per_second / 1e9,
        )
    }

    fn write_graphics(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let graphics = &self.graphics;
        let found = match (&graphics.problem, graphics.nvidia_driver) {
            (Some(problem), _) => problem,
            (None, true) => "an NVIDIA driver is loaded",
            (None, false) => "no NVIDIA driver found",
        };
        let built = if graphics.built { "models compute on the CPU" } else { "this program computes on the CPU only" };
        match graphics.gpus.as_slice() {
            [] => writeln!(f, "GPU         none used: {built} ({found})"),
            gpus => {
                let compiler = graphics.compiler.as_deref().unwrap_or_default();
                writeln!(f, "GPU         none used: {built}; kernels would be compiled by {compiler}")?;
                gpus.iter().try_for_each(|gpu| {
                    writeln!(
                        f,
                        "  {}, compute capability {}, {} multiprocessors, {}, {} free",
                        gpu.name,
                        gpu.capability,
                        gpu.multiprocessors,
                        megabytes(gpu.memory_bytes),
                        megabytes(gpu.free_bytes)
                    )
                })
            }
        }
    }

    fn write_models(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(cache) = &self.models else {
            return writeln!(f, "models      no folder: neither XDG_CACHE_HOME nor HOME is set");
        };
        let free =
            cache.free_bytes.map_or("free space not known".to_owned(), |bytes| format!("{} free", megabytes(bytes)));
        writeln!(f, "models      {} ({free})", cache.folder.display())?;
        for model in &cache.models {
            writeln!(f, "  {} ({})", model.name, megabytes(model.bytes))?;
        }
        if cache.models.is_empty() {
            writeln!(f, "  none yet: 'fourier-kv pull smollm2' fetches one")?;
        }
        Ok(())
    }

    fn write_python(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.python.python {
            Some(path) => writeln!(f, "python      {}", path.display())?,
            None => writeln!(f, "python      not found")?,
        }
        match (&self.python.pip, &self.python.pip_version) {
            (Some(pip), Some(version)) => writeln!(f, "  {pip}: {version}"),
            _ => writeln!(f, "  no pip: models cannot come from the package registry"),
        }
    }
}
