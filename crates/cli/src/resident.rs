//! The most memory that this process has held.

/// Peak resident bytes of this process since it began; `None` where the system does not say.
pub(crate) fn peak_resident_bytes() -> Option<u64> {
    peak(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The line `VmHWM:   12345 kB` of Linux's process status.
fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_its_line() {
        assert_eq!(peak("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 5 kB\n"), Some(2 << 20));
        assert_eq!(peak("VmHWM: many"), None);
        assert_eq!(peak(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_holds_something() {
        let held = std::hint::black_box(vec![1_u8; 32 << 20]);
        assert!(peak_resident_bytes().unwrap() >= held.len() as u64);
    }
}
