//! Everything the program takes from its surroundings: the one file that reads environment
//! variables. What it finds is passed down as a plain struct.
//!
//! Two libraries read a few variables of their own: the HTTP client the usual proxy ones, and
//! `pip`, a program of its own, whatever configures it.

use std::io::IsTerminal;
use std::path::PathBuf;

/// The hub that is asked when `HF_ENDPOINT` names no other.
const DEFAULT_HUB: &str = "https://huggingface.co";

/// The surroundings of one run.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// Folder of fetched models; `None` where neither `XDG_CACHE_HOME` nor `HOME` is set.
    pub(crate) model_cache: Option<PathBuf>,
    /// Address of the model hub, without a slash at its end.
    pub(crate) hub: String,
    /// Token sent to the hub, for gated models.
    pub(crate) hub_token: Option<String>,
    /// `FOURIER_KV_SOURCES`: where models come from, in order.
    pub(crate) sources: Option<String>,
    /// `FOURIER_KV_API_KEY`: a key that requests to the server must have.
    pub(crate) api_key: Option<String>,
    /// `FOURIER_KV_LOG`: which log lines are shown.
    pub(crate) log: Option<String>,
    /// Whether somebody watches the error stream (progress bars are drawn only then).
    pub(crate) stderr_is_terminal: bool,
    /// Folders that programs are found in.
    pub(crate) program_folders: Vec<PathBuf>,
}

impl Environment {
    /// Reads the real one.
    pub(crate) fn read() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self {
            model_cache: model_cache(text("XDG_CACHE_HOME"), text("HOME")),
            hub: hub_address(text("HF_ENDPOINT")),
            hub_token: text("HF_TOKEN"),
            sources: text("FOURIER_KV_SOURCES"),
            api_key: text("FOURIER_KV_API_KEY"),
            log: text("FOURIER_KV_LOG"),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            program_folders: std::env::split_paths(&path).collect(),
        }
    }
}

/// A relative `XDG_CACHE_HOME` is passed over, as the XDG base directory specification asks.
fn model_cache(xdg: Option<String>, home: Option<String>) -> Option<PathBuf> {
    let base = match xdg.map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(folder) => folder,
        None => PathBuf::from(home?).join(".cache"),
    };
    Some(base.join("fourier-kv-models"))
}

fn hub_address(endpoint: Option<String>) -> String {
    let address = endpoint.unwrap_or_else(|| DEFAULT_HUB.to_owned());
    address.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(xdg: Option<&str>, home: Option<&str>) -> Option<PathBuf> {
        model_cache(xdg.map(str::to_owned), home.map(str::to_owned))
    }

    #[test]
    fn the_cache_folder_follows_xdg_then_home() {
        let expected = |path: &str| Some(PathBuf::from(path));
        assert_eq!(cache(Some("/x"), Some("/h")), expected("/x/fourier-kv-models"));
        assert_eq!(cache(Some("rel"), Some("/h")), expected("/h/.cache/fourier-kv-models"));
        assert_eq!(cache(None, None), None);
    }

    #[test]
    fn the_hub_address_has_no_slash_at_its_end() {
        assert_eq!(hub_address(Some("http://127.0.0.1:1//".into())), "http://127.0.0.1:1");
        assert_eq!(hub_address(None), DEFAULT_HUB);
    }
}
