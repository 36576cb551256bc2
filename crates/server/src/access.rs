//! API keys.

use fourier_kv_engine::scheduler::Owner;
use sha2::{Digest, Sha256};

/// The shortest key that is accepted, in characters.
const LEAST: usize = 8;

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It could be guessed.
    #[error("expected an API key of at least {LEAST} characters, got one of {0}")]
    TooShort(usize),
    /// It cannot stand in a header.
    #[error("expected an API key of visible ASCII characters")]
    NotVisible,
}

/// The keys that are valid; only their SHA-256 is held.
#[derive(Clone, Debug, Default)]
pub struct AccessKeys(Vec<[u8; 32]>);

impl AccessKeys {
    /// Takes keys; none means that nobody is asked for one.
    ///
    /// # Errors
    /// If a key is too short, or cannot be sent.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<Self, KeyError> {
        let check = |key: &'a str| match key {
            key if key.chars().count() < LEAST => Err(KeyError::TooShort(key.chars().count())),
            key if !key.bytes().all(|b| b.is_ascii_graphic()) => Err(KeyError::NotVisible),
            key => Ok(Sha256::digest(key.as_bytes()).into()),
        };
        Ok(AccessKeys(keys.into_iter().map(check).collect::<Result<_, _>>()?))
    }

    /// Whether keys are asked for.
    pub fn are_needed(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whose request it is that came with this key; `None`: nobody's.
    ///
    /// Digests are compared, and all of them: how long that takes says nothing of a key.
    pub fn owner(&self, key: Option<&str>) -> Option<Owner> {
        if !self.are_needed() {
            return Some(Owner::default());
        }
        let digest: [u8; 32] = Sha256::digest(key?.as_bytes()).into();
        let found = self.0.iter().filter(|valid| **valid == digest).count() > 0;
        found.then(|| Owner(digest.iter().map(|byte| format!("{byte:02x}")).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_owners() {
        let keys = AccessKeys::new(["first-key-1", "second-key-2"]).unwrap();
        let (a, b) = (keys.owner(Some("first-key-1")).unwrap(), keys.owner(Some("second-key-2")).unwrap());
        assert!(a != b && a != Owner::default() && !a.0.contains("first"));
        for wrong in [None, Some(""), Some("first-key-"), Some("first-key-11"), Some("FIRST-KEY-1")] {
            assert_eq!(keys.owner(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn no_keys_ask_nobody() {
        let keys = AccessKeys::new([]).unwrap();
        assert_eq!((keys.owner(None), keys.owner(Some("x"))), (Some(Owner::default()), Some(Owner::default())));
    }

    #[test]
    fn keys_that_could_be_guessed_are_refused() {
        assert_eq!(AccessKeys::new(["short"]).unwrap_err(), KeyError::TooShort(5));
        assert_eq!(AccessKeys::new(["with a blank"]).unwrap_err(), KeyError::NotVisible);
    }
}
