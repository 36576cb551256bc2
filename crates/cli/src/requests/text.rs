//! Reading texts, with errors that name what was read.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::RequestError;

/// The text of a file.
///
/// # Errors
/// [`RequestError::Text`] if it cannot be read, [`RequestError::NotText`] if it is not UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String, RequestError> {
    let what = path.display().to_string();
    match File::open(path) {
        Ok(file) => text_of(&what, file),
        Err(source) => Err(RequestError::Text { what, source }),
    }
}

/// Everything that `input` has; `what` names it.
///
/// # Errors
/// As [`read_text`].
pub(super) fn text_of(what: &str, mut input: impl Read) -> Result<String, RequestError> {
    let mut bytes = Vec::new();
    let what = what.to_owned();
    match input.read_to_end(&mut bytes) {
        Ok(_) => String::from_utf8(bytes)
            .map_err(|error| RequestError::NotText { what, position: error.utf8_error().valid_up_to() }),
        Err(source) => Err(RequestError::Text { what, source }),
    }
}
