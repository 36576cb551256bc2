//! `kind:key=value,key=value`: how caches are named on a command line and in reports.

/// A cache's description could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// No such kind of cache.
    #[error("expected a cache of kind {known}, got `{got}`")]
    Kind {
        /// The kinds there are.
        known: String,
        /// What came.
        got: String,
    },
    /// No such setting.
    #[error("expected one of the settings {known} of the `{kind}` cache, got `{got}`")]
    Key {
        /// The kind of cache.
        kind: &'static str,
        /// Its settings.
        known: String,
        /// What came.
        got: String,
    },
    /// A value that the setting cannot have.
    #[error("expected `{key}` to be {expected}, got `{got}`")]
    Value {
        /// The setting.
        key: &'static str,
        /// What it may be.
        expected: String,
        /// What came.
        got: String,
    },
}

/// Splits `a=1,b=2`; a bare word `w` is read as `=w`, the value without a key.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(|s| s.split_once('=').unwrap_or(("", s)))
}

/// The largest whole number of a setting: larger ones are mistakes, and would overflow sums of sizes.
pub(crate) const MOST: usize = 1 << 24;

/// Reads a whole number from 0 or 1 up.
pub(crate) fn number(key: &'static str, value: &str, least: usize) -> Result<usize, SettingsError> {
    value.parse().ok().filter(|n| (least..=MOST).contains(n)).ok_or_else(|| SettingsError::Value {
        key,
        expected: format!("a whole number from {least} to {MOST}"),
        got: value.to_owned(),
    })
}

/// Reads one of a few words.
pub(crate) fn word<T: Copy>(key: &'static str, value: &str, known: &[(&str, T)]) -> Result<T, SettingsError> {
    known.iter().find(|(name, _)| *name == value).map(|(_, v)| *v).ok_or_else(|| SettingsError::Value {
        key,
        expected: known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" or "),
        got: value.to_owned(),
    })
}

/// How many times smaller: a number from 1 to 1,000.
pub(crate) fn ratio(value: &str) -> Result<f64, SettingsError> {
    value.parse().ok().filter(|r| (1.0..=1000.0).contains(r)).ok_or_else(|| SettingsError::Value {
        key: "ratio",
        expected: "a number from 1 to 1000".to_owned(),
        got: value.to_owned(),
    })
}
