//! Log lines, on the error stream.

use tracing_subscriber::EnvFilter;

/// Which log lines are shown, before `FOURIER_KV_LOG` has its say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verbosity {
    /// How often `-v` was given.
    pub(crate) verbose: u8,
    /// Whether `--quiet` was.
    pub(crate) quiet: bool,
}

/// Starts logging; `filter` is the text of `FOURIER_KV_LOG` and goes before `verbosity`.
///
/// # Errors
/// The filter's own complaint, when it cannot be read.
pub(crate) fn start(verbosity: Verbosity, filter: Option<&str>) -> Result<(), String> {
    let filter = match filter {
        Some(text) => EnvFilter::try_new(text).map_err(|error| error.to_string())?,
        None => EnvFilter::new(default_filter(verbosity)),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter);
    lines.with_writer(std::io::stderr).without_time().init();
    Ok(())
}

/// The crates of this project start with `fourier_kv`; others only warn.
fn default_filter(verbosity: Verbosity) -> &'static str {
    match (verbosity.quiet, verbosity.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "warn,fourier_kv=info",
        (false, 2) => "info,fourier_kv=debug",
        (false, _) => "debug,fourier_kv=trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_filter_can_be_read() {
        for verbose in 0..5 {
            for quiet in [false, true] {
                let text = default_filter(Verbosity { verbose, quiet });
                assert!(EnvFilter::try_new(text).is_ok(), "{text}");
            }
        }
    }
}
