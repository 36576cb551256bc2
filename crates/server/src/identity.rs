//! Names that nobody can guess.

/// `prefix` and 128 random bits, in hexadecimal digits.
pub(crate) fn random_id(prefix: &str) -> String {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    bytes.iter().fold(prefix.to_owned(), |id, byte| id + &format!("{byte:02x}"))
}

/// A seed for who gives none.
pub(crate) fn random_seed() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// The system's random numbers. Without them nothing may go on: an id that can be guessed is worse than none.
fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the system has random numbers");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_long_and_differ() {
        let ids: std::collections::HashSet<String> = (0..100).map(|_| random_id("session-")).collect();
        assert_eq!(ids.len(), 100);
        assert!(ids.iter().all(|id| id.len() == 8 + 32 && id.starts_with("session-")));
        assert_ne!(random_seed(), random_seed());
    }
}
