//! How much memory there is.

use serde::Serialize;

/// The machine's memory.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Memory {
    /// All of it, in bytes.
    pub(crate) total_bytes: u64,
    /// What can be had now without swapping, in bytes.
    pub(crate) available_bytes: u64,
}

impl Memory {
    /// Asks the system; `None` where it does not say.
    pub(crate) fn read() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/meminfo").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
            kibibytes.checked_mul(1024)
        };
        Some(Self { total_bytes: bytes("MemTotal")?, available_bytes: bytes("MemAvailable")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_text_is_read() {
        let memory = Memory::parse("MemTotal:  8 kB\nMemFree: 1 kB\nMemAvailable:  2 kB\n").unwrap();
        assert_eq!((memory.total_bytes, memory.available_bytes), (8192, 2048));
        assert!(Memory::parse("MemTotal: 8 pages\n").is_none());
    }
}
