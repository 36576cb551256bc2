//! Numbers in JSON that may be infinite or none: JSON has no words for them, and a score that is lost on the way to
//! the file looks like one that was never measured. They are written as text: `"NaN"`, `"inf"`, `"-inf"`.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes a number, or its name where JSON has no number for it.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Number(*value).serialize(serializer)
}

/// Reads what [`serialize`] wrote.
///
/// # Errors
/// If it is neither a number nor one of the three names.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Number::deserialize(deserializer)?.0)
}

/// How such a number is written, in JSON and in a table: `NaN`, `inf`, `-inf`; nothing for a finite one.
pub fn name_of(value: f64) -> Option<&'static str> {
    match value {
        v if v.is_nan() => Some("NaN"),
        f64::INFINITY => Some("inf"),
        f64::NEG_INFINITY => Some("-inf"),
        _ => None,
    }
}

/// The same for maps of numbers by name.
pub mod map {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::Number;

    /// Writes a map of numbers.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(values: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(name, value)| (name, Number(*value))))
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// If a value is neither a number nor one of the three names.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
        let map = BTreeMap::<String, Number>::deserialize(deserializer)?;
        Ok(map.into_iter().map(|(name, value)| (name, value.0)).collect())
    }
}

struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match name_of(self.0) {
            Some(name) => serializer.serialize_str(name),
            None => serializer.serialize_f64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, \"NaN\", \"inf\" or \"-inf\"")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Number, E> {
        Ok(Number(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Number, E> {
        Ok(Number(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
        Ok(Number(value as f64))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        match text {
            "NaN" => Ok(Number(f64::NAN)),
            "inf" => Ok(Number(f64::INFINITY)),
            "-inf" => Ok(Number(f64::NEG_INFINITY)),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Holder {
        #[serde(with = "super")]
        one: f64,
        #[serde(with = "super::map")]
        many: BTreeMap<String, f64>,
    }

    fn there_and_back(one: f64) -> (String, Holder) {
        let many = [("a".to_owned(), one), ("b".to_owned(), 2.0)].into();
        let text = serde_json::to_string(&Holder { one, many }).unwrap();
        let back = serde_json::from_str(&text).unwrap();
        (text, back)
    }

    #[test]
    fn numbers_that_json_lacks_are_text() {
        let (text, back) = there_and_back(f64::INFINITY);
        assert_eq!(text, r#"{"one":"inf","many":{"a":"inf","b":2.0}}"#);
        assert_eq!((back.one, back.many["a"]), (f64::INFINITY, f64::INFINITY));
        assert_eq!(there_and_back(f64::NEG_INFINITY).1.one, f64::NEG_INFINITY);
        assert!(there_and_back(f64::NAN).1.many["a"].is_nan());
    }

    #[test]
    fn finite_numbers_stay_numbers_and_whole_ones_are_read() {
        let (text, back) = there_and_back(0.25);
        assert_eq!(text, r#"{"one":0.25,"many":{"a":0.25,"b":2.0}}"#);
        assert_eq!(back.one, 0.25);
        let whole: Holder = serde_json::from_str(r#"{"one":3,"many":{"a":-1}}"#).unwrap();
        assert_eq!((whole.one, whole.many["a"]), (3.0, -1.0));
    }

    #[test]
    fn other_text_is_refused() {
        let error = serde_json::from_str::<Holder>(r#"{"one":"many","many":{}}"#).err().unwrap().to_string();
        assert!(error.contains("many") && error.contains("NaN"), "{error}");
    }
}
