//! The processor, and what it can do.

use serde::Serialize;

/// The processor.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Cpu {
    /// What it calls itself, where the system says so.
    pub(crate) model: Option<String>,
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// Which of the instruction sets that matter here it has.
    pub(crate) features: Vec<Feature>,
}

/// An instruction set.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Feature {
    /// Its name.
    pub(crate) name: &'static str,
    /// Whether the processor has it and the system lets programs use it.
    pub(crate) present: bool,
}

impl Cpu {
    /// Asks the processor and the system.
    pub(super) fn read() -> Self {
        let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self {
            model: field(&information, "model name").map(str::to_owned),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            features: features(&information),
        }
    }
}

/// The value of the first line `name : value`.
fn field<'a>(information: &'a str, name: &str) -> Option<&'a str> {
    let lines = information.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(key, _)| key.trim() == name);
    values.next().map(|(_, value)| value.trim())
}

/// AMX has no stable way to ask the processor, so the system's list of flags answers.
#[cfg(target_arch = "x86_64")]
fn features(information: &str) -> Vec<Feature> {
    use std::arch::is_x86_feature_detected as has;
    let flags: Vec<&str> = field(information, "flags").unwrap_or("").split(' ').collect();
    let all = [
        ("avx2", has!("avx2")),
        ("fma", has!("fma")),
        ("f16c", has!("f16c")),
        ("avx512f", has!("avx512f")),
        ("avx512bw", has!("avx512bw")),
        ("avx512vnni", has!("avx512vnni")),
        ("avx512bf16", has!("avx512bf16")),
        ("avxvnni", has!("avxvnni")),
        ("amx-tile", flags.contains(&"amx_tile")),
        ("amx-int8", flags.contains(&"amx_int8")),
        ("amx-bf16", flags.contains(&"amx_bf16")),
    ];
    all.map(|(name, present)| Feature { name, present }).into()
}

/// None of the instruction sets that matter here exists on this processor.
#[cfg(not(target_arch = "x86_64"))]
fn features(_information: &str) -> Vec<Feature> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "processor\t: 0\nmodel\t\t: 2\nmodel name\t: A Good One\nflags\t: a b\n";
        assert_eq!(field(text, "model name"), Some("A Good One"));
        assert_eq!(field(text, "name"), None);
    }

    /// The system's own list of flags is the other witness.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    #[test]
    fn detection_agrees_with_the_system() {
        let text = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let flags: Vec<&str> = field(&text, "flags").unwrap().split(' ').collect();
        for (name, flag) in [("avx2", "avx2"), ("avx512f", "avx512f"), ("avx512vnni", "avx512_vnni")] {
            let feature = Cpu::read().features.into_iter().find(|feature| feature.name == name).unwrap();
            assert_eq!(feature.present, flags.contains(&flag), "{name}");
        }
    }
}
