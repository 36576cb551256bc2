//! Sizes in bytes as people write them.

use super::RequestError;

/// `512MB`, `2GiB`, `1000000`.
pub(super) fn bytes(option: &'static str, text: &str) -> Result<usize, RequestError> {
    const UNITS: [(&str, u64); 10] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("K", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("B", 1),
    ];
    let trimmed = text.trim();
    let (number, unit) =
        UNITS.iter().find_map(|(end, unit)| Some((trimmed.strip_suffix(end)?, *unit))).unwrap_or((trimmed, 1));
    let number: Option<f64> = number.trim().parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0);
    let bytes = number.map(|number| number * unit as f64).filter(|bytes| (1.0..1e15).contains(bytes));
    let expected = "a size, such as 512MB or 2GiB";
    bytes.map(|bytes| bytes as usize).ok_or_else(|| RequestError::OutOfRange {
        option,
        expected,
        got: format!("'{text}'"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, size) in [("512MB", 512_000_000), ("2GiB", 2 << 30), ("1.5K", 1500), ("7", 7), ("1 MiB", 1 << 20)] {
            assert_eq!(bytes("--max-body", text).unwrap(), size, "{text}");
        }
        for wrong in ["", "MB", "-1MB", "1TB", "nan", "infGB", "1e30"] {
            assert!(bytes("--max-body", wrong).is_err(), "{wrong}");
        }
    }
}
