//! A request for a model on the disk.

use super::RequestError;
use crate::args::SourceArgs;
use crate::cancel::Cancel;
use crate::environment::Environment;
use crate::progress::Progress;
use crate::pull::{CachedCheck, Hub, PullSettings, SourceOrder};

/// A model, and how it is got.
#[derive(Debug, Clone)]
pub(crate) struct PullRequest {
    /// The model, as it was typed.
    pub(crate) model: String,
    /// How it is got.
    pub(crate) settings: PullSettings,
}

impl PullRequest {
    /// Understands what was typed together with the surroundings.
    pub(crate) fn new(
        model: &str,
        sources: &SourceArgs,
        environment: &Environment,
        (progress, cancel): (Progress, &Cancel),
    ) -> Result<Self, RequestError> {
        let cache = environment.model_cache.clone().ok_or(RequestError::NoCacheFolder)?;
        let hub = Hub { address: environment.hub.clone(), token: environment.hub_token.clone() };
        let settings = PullSettings {
            cache,
            hub,
            program_folders: environment.program_folders.clone(),
            order: source_order(sources, environment)?,
            check: CachedCheck::Sha256,
            progress,
            cancel: cancel.clone(),
        };
        Ok(Self { model: model.to_owned(), settings })
    }

    /// The same for a command that only uses the model: a cached file is not read to check it.
    pub(crate) fn for_use(mut self) -> Self {
        self.settings.check = CachedCheck::Length;
        self
    }
}

/// The option goes before the variable, the variable before the default.
pub(super) fn source_order(sources: &SourceArgs, environment: &Environment) -> Result<SourceOrder, RequestError> {
    let read = |origin, text: &String| {
        text.parse::<SourceOrder>().map_err(|error| RequestError::SourceOrder { origin, message: error.to_string() })
    };
    match (&sources.source_order, &environment.sources) {
        (Some(text), _) => read("--source-order", text),
        (None, Some(text)) => read("FOURIER_KV_SOURCES", text),
        (None, None) => Ok(SourceOrder::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(option: Option<&str>, variable: Option<&str>) -> Result<String, String> {
        let environment = Environment { sources: variable.map(str::to_owned), ..Environment::read() };
        let sources = SourceArgs { source_order: option.map(str::to_owned) };
        let order = source_order(&sources, &environment);
        order.map(|order| order.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_option_goes_before_the_variable() {
        assert_eq!(order(Some("pip"), Some("hub")), Ok("pip".into()));
        assert_eq!(order(None, Some("hub")), Ok("hub".into()));
        assert_eq!(order(None, None), Ok("cache,hub,pip".into()));
    }

    #[test]
    fn a_wrong_order_names_where_it_came_from() {
        assert!(order(Some("x"), None).unwrap_err().starts_with("--source-order: "));
        assert!(order(None, Some("x")).unwrap_err().starts_with("FOURIER_KV_SOURCES: "));
    }
}
