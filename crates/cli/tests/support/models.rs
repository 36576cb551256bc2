//! Models for the program to run: tiny random ones, and SmolLM2.

use std::path::PathBuf;
use std::process::{Command, Output};

use fourier_kv_testkit::{Encoding, GgufWriter, RandomModel};
use tempfile::TempDir;

use super::{assert_fails, fourier_kv, json};

/// Settings under which a hundred tokens are already compressed.
pub const SMALL_FOURIER: &str = "fourier:window=16,harmonics=4,least-middle=8";

/// A folder with a model in it, and what else a test writes there.
pub struct Place {
    folder: TempDir,
    model: PathBuf,
}

impl Place {
    /// A .gguf file of the family.
    pub fn gguf(model: &RandomModel) -> Self {
        Self::changed_gguf(model, |_| ())
    }

    /// A .gguf file after a change.
    pub fn changed_gguf(model: &RandomModel, change: impl FnOnce(&mut GgufWriter)) -> Self {
        let mut writer = model.gguf(Encoding::F32);
        change(&mut writer);
        Self::bytes(&writer.finish())
    }

    /// A .gguf file of these bytes.
    pub fn bytes(bytes: &[u8]) -> Self {
        let folder = TempDir::new().unwrap();
        let model = folder.path().join("m.gguf");
        std::fs::write(&model, bytes).unwrap();
        Self { folder, model }
    }

    /// A folder with safetensors.
    pub fn safetensors(model: &RandomModel) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("model");
        model.write_safetensors(&path, Encoding::F32, 2).unwrap();
        Self { folder, model: path }
    }

    /// The model's file or folder.
    pub fn model(&self) -> &str {
        self.model.to_str().unwrap()
    }

    /// The place of a file beside the model.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file beside the model.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// Names in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The program, asked to do `command` with the model.
    pub fn command(&self, command: &str, words: &[&str]) -> Command {
        let mut program = fourier_kv(self.folder.path());
        program.args([command, "-m", self.model()]).args(words);
        program
    }

    /// Runs it.
    pub fn run(&self, command: &str, words: &[&str]) -> Output {
        self.command(command, words).output().unwrap()
    }

    /// Runs it with `--json`, and expects it to work.
    pub fn json(&self, command: &str, words: &[&str]) -> serde_json::Value {
        let output = self.command(command, words).arg("--json").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        json(&output)
    }

    /// Runs it and expects that it fails so.
    #[track_caller]
    pub fn fails(&self, command: &str, words: &[&str], code: i32, message: &str) {
        assert_fails(&self.run(command, words), code, message);
    }
}

/// The program, asked to run the default model, which has been fetched.
pub fn smollm2(words: &[&str]) -> Command {
    smollm2_command("run", words)
}

/// The program, asked to do `command` with the default model.
pub fn smollm2_command(command: &str, words: &[&str]) -> Command {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).unwrap_or_default();
    let model = cache.join("fourier-kv-models/smollm2-135m-instruct-q4_1.gguf");
    assert!(model.exists(), "{} is not there: fetch it with 'fourier-kv pull smollm2'", model.display());
    let mut program = fourier_kv(&cache);
    program.args([command, "-m", "smollm2", "--source-order", "cache"]).args(words);
    program
}

/// Paragraphs that are all a little different; about 24 tokens of SmolLM2 each.
pub fn paragraphs(count: usize) -> String {
    let things = ["lamp", "bell", "rope", "boat", "ladder", "window", "door"];
    let states = ["was cleaned", "is worn", "was painted white", "needs oil", "is as good as new"];
    let line = |i: usize| {
        format!("On day {i} the keeper wrote that the {} {} and that the sea was calm.", things[i % 7], states[i % 5])
    };
    (0..count).map(line).collect::<Vec<_>>().join("\n")
}
