//! How numbers are written in tables and figures.

use crate::number::name_of;

/// With so many decimals; `NaN`, `inf` and `-inf` by name. What rounds to zero has no sign.
pub fn decimals(value: f64, digits: usize) -> String {
    if let Some(name) = name_of(value) {
        return name.to_owned();
    }
    let text = format!("{value:.digits$}");
    let is_zero = text.bytes().all(|b| matches!(b, b'-' | b'0' | b'.'));
    if is_zero { text.trim_start_matches('-').to_owned() } else { text }
}

/// With so many significant digits, in the plain notation from 0.001 to a million and as `1.2e-5` outside of it.
pub fn significant(value: f64, digits: usize) -> String {
    if let Some(name) = name_of(value) {
        return name.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{:.*e}", digits.max(1) - 1, value);
    let exponent: i32 = scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    if !(-3..6).contains(&exponent) {
        return scientific;
    }
    let after_point = (digits as i32 - 1 - exponent).max(0) as usize;
    format!("{value:.after_point$}")
}

/// As [`significant`], without zeros at the end: for ticks.
pub fn short(value: f64, digits: usize) -> String {
    let text = significant(value, digits);
    let (mantissa, exponent) = match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text.as_str(), None),
    };
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    exponent.map_or_else(|| mantissa.to_owned(), |e| format!("{mantissa}e{e}"))
}

/// Bytes in binary units: `512 KiB`, `1.5 MiB`.
pub fn bytes(count: f64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = count;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{} {}", short(value, if value >= 1000.0 { 4 } else { 3 }), UNITS[unit])
}

/// Tokens: `16k` for whole multiples of 1024 from there on, the number elsewhere.
pub fn tokens(count: f64) -> String {
    let thousands = count / 1024.0;
    if thousands >= 1.0 && thousands.fract() == 0.0 { format!("{thousands}k") } else { short(count, 6) }
}

/// How much smaller: `4.02`, three digits.
pub fn ratio(value: f64) -> String {
    significant(value, 3)
}

/// A nominal budget: `4x`.
pub fn budget(value: f64) -> String {
    format!("{}x", short(value, 4))
}

/// At most so many characters, the cut marked by an ellipsis.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn significant_digits() {
        assert_eq!(significant(0.012_345, 3), "0.0123");
        assert_eq!(significant(9.996, 3), "10.0");
        assert_eq!(significant(123_456.0, 3), "123456");
        assert_eq!(significant(0.000_012_34, 2), "1.2e-5");
        assert_eq!(significant(-1.5, 2), "-1.5");
        assert_eq!(significant(0.0, 3), "0");
        assert_eq!(significant(f64::NAN, 3), "NaN");
    }

    #[test]
    fn decimals_have_no_negative_zero() {
        assert_eq!(decimals(-0.001, 2), "0.00");
        assert_eq!(decimals(-0.01, 2), "-0.01");
        assert_eq!(decimals(f64::NEG_INFINITY, 2), "-inf");
    }

    #[test]
    fn short_forms() {
        assert_eq!(short(0.10, 3), "0.1");
        assert_eq!(short(100.0, 3), "100");
        assert_eq!(short(1e-5, 2), "1e-5");
        assert_eq!(bytes(512.0 * 1024.0), "512 KiB");
        assert_eq!(bytes(1.5 * 1024.0 * 1024.0), "1.5 MiB");
        assert_eq!(bytes(1023.0), "1023 B");
        assert_eq!(tokens(16384.0), "16k");
        assert_eq!(tokens(16000.0), "16000");
        assert_eq!(tokens(512.0), "512");
        assert_eq!(budget(4.0), "4x");
        assert_eq!(budget(2.5), "2.5x");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("äöü", 3), "äöü");
    }
}
