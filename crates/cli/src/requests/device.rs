//! What computes, and with how many threads.

use fourier_kv_engine::cache::CacheKind;
use fourier_kv_engine::kernels::isa::{Isa, Level};

use super::RequestError;
use crate::args::DeviceArgs;

/// Most threads that are believed; far more than any machine has cores.
const MOST_THREADS: usize = 4096;

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    /// The processor.
    Cpu,
    /// The GPU of this number, which is there.
    #[cfg(feature = "cuda")]
    Cuda(usize),
}

/// What computes, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    /// What computes.
    pub(crate) device: Device,
    /// Instructions to compute with, which this machine has.
    pub(crate) isa: Isa,
    /// Threads, at least one.
    pub(crate) threads: usize,
}

impl Machine {
    /// Understands `--device`, `--cpu` and `--threads` of a command that computes on GPUs, too.
    pub(super) fn new(args: &DeviceArgs) -> Result<Self, RequestError> {
        let device = match args.device.as_str() {
            "cpu" => Device::Cpu,
            other => match gpu_number(other) {
                Some(number) => gpu(other, number)?,
                None => return Err(RequestError::UnknownDevice(other.to_owned())),
            },
        };
        Ok(Self { device, isa: instructions(&args.cpu, &Isa::available())?, threads: threads(args.threads)? })
    }

    /// The same of a command that computes on the CPU alone.
    pub(super) fn of_cpu(args: &DeviceArgs) -> Result<Self, RequestError> {
        let machine = Self::new(args)?;
        match machine.device {
            Device::Cpu => Ok(machine),
            #[cfg(feature = "cuda")]
            Device::Cuda(_) => Err(RequestError::GpuCommand(args.device.clone())),
        }
    }
}

impl Machine {
    /// Refuses caches that are not there on what computes, which `args` asked for.
    #[cfg_attr(not(feature = "cuda"), allow(clippy::unnecessary_wraps, clippy::unused_self, unused_variables))]
    pub(super) fn check_cache(&self, args: &DeviceArgs, kind: &CacheKind) -> Result<(), RequestError> {
        match self.device {
            Device::Cpu => Ok(()),
            #[cfg(feature = "cuda")]
            Device::Cuda(_) => fourier_kv_engine::device::check(kind)
                .map_err(|source| RequestError::GpuCache { asked: args.device.clone(), source }),
        }
    }
}

/// The number in `cuda:N`; 0 for `cuda` alone; `None` for anything else.
fn gpu_number(asked: &str) -> Option<usize> {
    match asked.strip_prefix("cuda")? {
        "" => Some(0),
        number => number.strip_prefix(':')?.parse().ok(),
    }
}

/// The GPU, if it is there.
#[cfg(feature = "cuda")]
fn gpu(asked: &str, number: usize) -> Result<Device, RequestError> {
    let looked = fourier_kv_cuda::device::look(number);
    looked.map(|_| Device::Cuda(number)).map_err(|source| RequestError::Gpu { asked: asked.to_owned(), source })
}

/// Why a GPU cannot be computed on.
#[cfg(not(feature = "cuda"))]
fn gpu(asked: &str, _: usize) -> Result<Device, RequestError> {
    Err(RequestError::DeviceNotBuilt(asked.to_owned()))
}

/// The best of the instruction sets `available`, slowest first, that `--cpu` allows.
fn instructions(asked: &str, available: &[Isa]) -> Result<Isa, RequestError> {
    let fits = |level: Level| match asked {
        "auto" => Some(true),
        "scalar" => Some(level == Level::Portable),
        "avx2" => Some(level == Level::Avx2),
        // Whatever is above AVX2 is AVX-512 with more or less of its parts.
        "avx512" => Some(!matches!(level, Level::Portable | Level::Avx2)),
        _ => None,
    };
    if fits(Level::Portable).is_none() {
        let expected = "auto, scalar, avx2 or avx512";
        return Err(RequestError::OutOfRange { option: "--cpu", expected, got: format!("'{asked}'") });
    }
    let best = available.iter().rev().find(|isa| fits(isa.level()) == Some(true));
    best.copied().ok_or_else(|| RequestError::NoSuchInstructions(asked.to_owned()))
}

/// The number of threads: as asked, or one a core.
pub(crate) fn threads(asked: Option<usize>) -> Result<usize, RequestError> {
    match asked {
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
        Some(threads @ 1..=MOST_THREADS) => Ok(threads),
        Some(got) => Err(RequestError::OutOfRange { option: "--threads", expected: "1 to 4096", got: got.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(device: &str, threads: Option<usize>) -> Result<Machine, RequestError> {
        Machine::new(&DeviceArgs { device: device.to_owned(), cpu: "auto".to_owned(), threads })
    }

    #[test]
    fn devices_are_there_or_refused() {
        assert_eq!(machine("cpu", Some(3)).unwrap(), Machine { device: Device::Cpu, isa: Isa::detect(), threads: 3 });
        assert!(machine("cpu", None).unwrap().threads >= 1);
        for gpu in ["cuda", "cuda:1"] {
            // Where there is a GPU, commands of the CPU refuse it.
            let args = DeviceArgs { device: gpu.to_owned(), cpu: "auto".to_owned(), threads: None };
            let refused = Machine::of_cpu(&args).unwrap_err().to_string();
            assert!(refused.contains(&format!("--device {gpu}")), "{refused}");
        }
        for wrong in ["tpu", "cuda:", "cuda:x", "cuda:-1", "cudas", "CUDA"] {
            assert!(matches!(machine(wrong, None), Err(RequestError::UnknownDevice(_))), "{wrong}");
        }
    }

    #[test]
    fn instructions_are_those_asked_for_or_none() {
        let available = Isa::available();
        assert_eq!(instructions("auto", &available).unwrap(), Isa::detect());
        assert_eq!(instructions("scalar", &available).unwrap(), Isa::portable());
        for (asked, name) in [("avx2", "AVX2"), ("avx512", "AVX-512")] {
            match instructions(asked, &available) {
                Ok(isa) => assert!(isa.to_string().starts_with(name), "{asked}: {isa}"),
                Err(_) => assert!(!available.iter().any(|isa| isa.to_string().starts_with(name)), "{asked}"),
            }
            let refused = instructions(asked, &[Isa::portable()]);
            assert!(matches!(refused, Err(RequestError::NoSuchInstructions(got)) if got == asked));
        }
        for wrong in ["", "AVX2", "sse", "avx10"] {
            assert!(matches!(instructions(wrong, &available), Err(RequestError::OutOfRange { .. })), "{wrong}");
        }
    }

    #[test]
    fn threads_have_a_range() {
        for wrong in [0, MOST_THREADS + 1] {
            assert!(matches!(threads(Some(wrong)), Err(RequestError::OutOfRange { .. })));
        }
    }
}
