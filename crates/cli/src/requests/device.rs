//! What computes, and with how many threads.

use super::RequestError;
use crate::args::DeviceArgs;

/// Most threads that are believed; far more than any machine has cores.
const MOST_THREADS: usize = 4096;

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    /// The processor.
    Cpu,
}

/// What computes, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    /// What computes.
    pub(crate) device: Device,
    /// Threads, at least one.
    pub(crate) threads: usize,
}

impl Machine {
    /// Understands `--device` and `--threads`.
    pub(super) fn new(args: &DeviceArgs) -> Result<Self, RequestError> {
        let device = match args.device.as_str() {
            "cpu" => Device::Cpu,
            other if other == "cuda" || other.starts_with("cuda:") => {
                return Err(RequestError::DeviceNotBuilt(other.to_owned()));
            }
            other => return Err(RequestError::UnknownDevice(other.to_owned())),
        };
        Ok(Self { device, threads: threads(args.threads)? })
    }
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
        Machine::new(&DeviceArgs { device: device.to_owned(), threads })
    }

    #[test]
    fn only_the_cpu_computes() {
        assert_eq!(machine("cpu", Some(3)).unwrap(), Machine { device: Device::Cpu, threads: 3 });
        assert!(machine("cpu", None).unwrap().threads >= 1);
        assert!(matches!(machine("cuda", None), Err(RequestError::DeviceNotBuilt(_))));
        assert!(matches!(machine("cuda:1", None), Err(RequestError::DeviceNotBuilt(_))));
        assert!(matches!(machine("tpu", None), Err(RequestError::UnknownDevice(_))));
    }

    #[test]
    fn threads_have_a_range() {
        for wrong in [0, MOST_THREADS + 1] {
            assert!(matches!(threads(Some(wrong)), Err(RequestError::OutOfRange { .. })));
        }
    }
}
