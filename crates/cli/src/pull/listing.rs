//! What a repository on the hub holds, and which of it is a model.

use serde::Deserialize;

use super::error::PullError;
use super::name::HubId;
use super::part_file::Expected;

/// A file of a repository.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    /// Path inside the repository.
    pub(super) path: String,
    /// What the hub says of it: its length always, its SHA-256 where the file is large.
    pub(super) expected: Expected,
}

/// One entry of the hub's answer; small files have no `lfs`.
#[derive(Deserialize)]
struct Entry {
    r#type: String,
    path: String,
    size: u64,
    lfs: Option<LargeFile>,
}

#[derive(Deserialize)]
struct LargeFile {
    /// SHA-256, in lower-case hex.
    oid: String,
    size: u64,
}

/// Reads the hub's answer.
///
/// # Errors
/// What the JSON lacks.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Listed>, String> {
    let entries: Vec<Entry> = serde_json::from_slice(text).map_err(|error| format!("not a list of files: {error}"))?;
    let files = entries.into_iter().filter(|entry| entry.r#type == "file");
    Ok(files.map(Listed::from).collect())
}

impl From<Entry> for Listed {
    fn from(entry: Entry) -> Self {
        let (bytes, sha256) = match entry.lfs {
            Some(large) => (large.size, Some(large.oid)),
            None => (entry.size, None),
        };
        Self { path: entry.path, expected: Expected { bytes: Some(bytes), sha256 } }
    }
}

/// What of a repository is to be fetched.
#[derive(Debug)]
pub(super) enum Choice {
    /// One file.
    Gguf(Listed),
    /// The files of a safetensors folder.
    Folder(Vec<Listed>),
}

/// The model that `id` means among `files`; `None` where there is no such model.
///
/// # Errors
/// [`PullError::Ambiguous`] where there are several and the id names none of them.
pub(super) fn choose(id: &HubId, files: Vec<Listed>) -> Result<Option<Choice>, PullError> {
    if let Some(wanted) = id.file.as_deref().filter(|file| file.ends_with(".gguf")) {
        return Ok(files.into_iter().find(|file| file.path == wanted).map(Choice::Gguf));
    }
    let is_gguf = |file: &&Listed| file.path.ends_with(".gguf");
    let mut gguf: Vec<Listed> = files.iter().filter(is_gguf).cloned().collect();
    let folder: Vec<Listed> = files.into_iter().filter(|file| is_folder_file(&file.path)).collect();
    let weights = folder.iter().find(|file| file.path.ends_with(".safetensors"));
    let weights = weights.map(|file| file.path.clone());
    match (weights, gguf.len(), &id.file) {
        (Some(_), 0, _) | (Some(_), _, Some(_)) => Ok(Some(Choice::Folder(folder))),
        (None, 0, _) | (None, _, Some(_)) => Ok(None),
        (None, 1, None) => Ok(gguf.pop().map(Choice::Gguf)),
        (weights, _, None) => {
            let paths = gguf.into_iter().map(|file| file.path).chain(weights);
            let choices = paths.map(|path| format!("{}/{path}", id.repository)).collect();
            Err(PullError::Ambiguous { repository: id.repository.clone(), choices })
        }
    }
}

/// Whether a file at the root of a repository belongs to its safetensors model.
fn is_folder_file(path: &str) -> bool {
    let tokenizer = path.starts_with("tokenizer") && path.ends_with(".json");
    let weights = path.ends_with(".safetensors") || path.ends_with(".safetensors.index.json");
    let named = ["config.json", "generation_config.json", "chat_template.jinja"].contains(&path);
    !path.contains('/') && (tokenizer || weights || named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(file: Option<&str>) -> HubId {
        HubId { repository: "a/b".into(), file: file.map(str::to_owned) }
    }

    fn listed(paths: &[&str]) -> Vec<Listed> {
        let file = |path: &&str| Listed { path: (*path).into(), expected: Expected::default() };
        paths.iter().map(file).collect()
    }

    fn chosen(file: Option<&str>, paths: &[&str]) -> Result<Vec<String>, Vec<String>> {
        match choose(&id(file), listed(paths)) {
            Ok(Some(Choice::Gguf(one))) => Ok(vec![one.path]),
            Ok(Some(Choice::Folder(files))) => Ok(files.into_iter().map(|f| f.path).collect()),
            Ok(None) => Ok(vec![]),
            Err(PullError::Ambiguous { choices, .. }) => Err(choices),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn large_files_bring_their_sha256() {
        let text = br#"[{"type":"directory","path":"d","size":0,"oid":"x"},
            {"type":"file","path":"config.json","size":7,"oid":"y"},
            {"type":"file","path":"m.gguf","size":130,"lfs":{"oid":"ab","size":9,"pointerSize":1}}]"#;
        let files = parse(text).unwrap();
        assert_eq!(files.len(), 2);
        assert_eq!((files[0].expected.bytes, &files[0].expected.sha256), (Some(7), &None));
        assert_eq!(files[1].expected.bytes, Some(9));
        assert_eq!(files[1].expected.sha256.as_deref(), Some("ab"));
        assert!(parse(b"{\"error\":\"no\"}").is_err());
    }

    #[test]
    fn one_model_is_chosen_and_several_are_listed() {
        assert_eq!(chosen(None, &["README.md", "m.gguf"]), Ok(vec!["m.gguf".into()]));
        assert_eq!(chosen(Some("n.gguf"), &["m.gguf", "n.gguf"]), Ok(vec!["n.gguf".into()]));
        assert_eq!(chosen(Some("o.gguf"), &["m.gguf"]), Ok(vec![]));
        assert_eq!(chosen(None, &["README.md"]), Ok(vec![]));
        let both = Err(vec!["a/b/m.gguf".to_owned(), "a/b/x.safetensors".to_owned()]);
        assert_eq!(chosen(None, &["m.gguf", "x.safetensors"]), both);
    }

    #[test]
    fn a_safetensors_model_is_a_set_of_files() {
        let all = ["config.json", "tokenizer.json", "x.safetensors", "x.bin", "onnx/config.json"];
        let files = Ok(all[..3].iter().map(|path| (*path).to_owned()).collect());
        assert_eq!(chosen(None, &all), files);
        let with_gguf = [&all[..], &["m.gguf"]].concat();
        assert_eq!(chosen(Some("x.safetensors"), &with_gguf), files);
    }
}
