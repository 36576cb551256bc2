//! Metadata: keys with typed values.

use std::collections::BTreeMap;

use super::GgufError;
use super::cursor::Cursor;
use crate::error::ConfigError;

/// The least bytes of a pair: an empty key, a type, a value of one byte.
pub(super) const LEAST_PAIR_BYTES: u64 = 8 + 4 + 1;
/// Arrays in arrays: nothing known uses more than one in one.
const MAX_NESTING: usize = 4;

/// A kind of metadata value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // their names say it
pub enum ValueKind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

impl ValueKind {
    fn from_id(id: u32) -> Option<ValueKind> {
        use ValueKind::*;
        const BY_ID: [ValueKind; 13] = [U8, I8, U16, I16, U32, I32, F32, Bool, Text, Array, U64, I64, F64];
        BY_ID.get(id as usize).copied()
    }

    /// Bytes of a value; for texts and arrays the least.
    fn least_bytes(self) -> u64 {
        match self {
            ValueKind::U8 | ValueKind::I8 | ValueKind::Bool => 1,
            ValueKind::U16 | ValueKind::I16 => 2,
            ValueKind::U32 | ValueKind::I32 | ValueKind::F32 => 4,
            ValueKind::U64 | ValueKind::I64 | ValueKind::F64 | ValueKind::Text => 8,
            ValueKind::Array => 12,
        }
    }

    fn is_plain(self) -> bool {
        !matches!(self, ValueKind::Text | ValueKind::Array)
    }
}

/// A metadata value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// An unsigned integer of any width.
    Unsigned(u64),
    /// A signed integer of any width.
    Signed(i64),
    /// A 32-bit float.
    F32(f32),
    /// A 64-bit float.
    F64(f64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(&'a str),
    /// An array.
    Array(Array<'a>),
}

/// A metadata array, still in the file's bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Array<'a> {
    kind: ValueKind,
    len: u64,
    bytes: &'a [u8],
}

impl<'a> Value<'a> {
    fn read(cursor: &mut Cursor<'a>, kind: ValueKind, key: &str) -> Result<Self, GgufError> {
        if kind == ValueKind::Text {
            return cursor.text(key).map(Value::Text);
        }
        if kind == ValueKind::Array {
            return Array::read(cursor, key, MAX_NESTING).map(Value::Array);
        }
        let bytes = cursor.take(kind.least_bytes(), key)?;
        Ok(Value::plain(kind, bytes))
    }

    /// A value of a plain kind from its bytes, of which there are exactly as many as it has.
    fn plain(kind: ValueKind, bytes: &[u8]) -> Value<'a> {
        let mut wide = [0; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        let unsigned = u64::from_le_bytes(wide);
        match kind {
            ValueKind::I8 => Value::Signed(i64::from(unsigned as i8)),
            ValueKind::I16 => Value::Signed(i64::from(unsigned as i16)),
            ValueKind::I32 => Value::Signed(i64::from(unsigned as i32)),
            ValueKind::I64 => Value::Signed(unsigned as i64),
            ValueKind::F32 => Value::F32(f32::from_bits(unsigned as u32)),
            ValueKind::F64 => Value::F64(f64::from_bits(unsigned)),
            ValueKind::Bool => Value::Bool(unsigned != 0),
            _ => Value::Unsigned(unsigned),
        }
    }

    /// The value as an unsigned integer, if it is an integer and not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Value::Unsigned(value) => Some(value),
            Value::Signed(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }

    /// The value in words, for errors.
    fn describe(&self) -> String {
        match self {
            Value::Unsigned(value) => format!("the integer {value}"),
            Value::Signed(value) => format!("the integer {value}"),
            Value::F32(value) => format!("the float {value}"),
            Value::F64(value) => format!("the float {value}"),
            Value::Bool(value) => format!("the truth value {value}"),
            Value::Text(_) => "a text".to_owned(),
            Value::Array(array) => format!("an array of {} {:?}", array.len, array.kind),
        }
    }
}

impl<'a> Array<'a> {
    /// Reads past an array, keeping where its bytes are.
    fn read(cursor: &mut Cursor<'a>, key: &str, depth: usize) -> Result<Array<'a>, GgufError> {
        let too_deep = || GgufError::Nesting { key: key.to_owned(), limit: MAX_NESTING };
        let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
        let kind = read_kind(cursor, key)?;
        let len = cursor.u64(key)?;
        cursor.check_count(len, key, kind.least_bytes())?;
        let mut ahead = cursor.clone();
        match kind {
            ValueKind::Text => {
                for _ in 0..len {
                    ahead.text_bytes(key)?;
                }
            }
            ValueKind::Array => {
                for _ in 0..len {
                    Array::read(&mut ahead, key, depth)?;
                }
            }
            // cannot overflow: the count was checked against the bytes left
            plain => drop(ahead.take(len * plain.least_bytes(), key)?),
        }
        let bytes = cursor.take((ahead.position() - cursor.position()) as u64, key)?;
        Ok(Array { kind, len, bytes })
    }

    /// The kind of its elements.
    pub fn kind(&self) -> ValueKind {
        self.kind
    }

    /// The number of its elements.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements, if they are of a plain kind (no texts, no arrays).
    pub fn plain(&self) -> Option<impl Iterator<Item = Value<'a>> + use<'a>> {
        let kind = self.kind;
        let elements = self.bytes.chunks_exact(kind.least_bytes() as usize);
        kind.is_plain().then(|| elements.map(move |bytes| Value::plain(kind, bytes)))
    }

    /// The elements, if they are texts; those that are not UTF-8 as `None`.
    pub fn texts(&self) -> Option<impl Iterator<Item = Option<&'a str>> + use<'a>> {
        let mut cursor = Cursor::new(self.bytes);
        let next = move |_| cursor.text("a text").ok();
        (self.kind == ValueKind::Text).then(|| (0..self.len).map(next))
    }
}

fn read_kind(cursor: &mut Cursor<'_>, key: &str) -> Result<ValueKind, GgufError> {
    let id = cursor.u32(key)?;
    ValueKind::from_id(id).ok_or_else(|| GgufError::ValueType { key: key.to_owned(), id })
}

/// A file's metadata, with getters that say what is wrong.
///
/// Getters give `Ok(None)` where the key is missing and an error where its value is of another
/// kind; [`Metadata::require`] turns the former into an error too.
#[derive(Debug, Clone, Default)]
pub struct Metadata<'a>(BTreeMap<&'a str, Value<'a>>);

impl<'a> Metadata<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>, count: u64) -> Result<Metadata<'a>, GgufError> {
        let mut pairs = BTreeMap::new();
        for _ in 0..count {
            let key = cursor.text("a metadata key")?;
            let kind = read_kind(cursor, key)?;
            let value = Value::read(cursor, kind, key)?;
            if pairs.insert(key, value).is_some() {
                return Err(GgufError::DuplicateKey { key: key.to_owned() });
            }
        }
        Ok(Metadata(pairs))
    }

    /// All pairs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &Value<'a>)> {
        self.0.iter().map(|(&key, value)| (key, value))
    }

    /// A value of any kind.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.0.get(key)
    }

    /// Turns the absence of a value that a getter found into an error.
    ///
    /// # Errors
    ///
    /// If `found` is `None`.
    pub fn require<T>(&self, key: &str, found: Option<T>) -> Result<T, ConfigError> {
        found.ok_or_else(|| ConfigError::Missing { key: key.to_owned() })
    }

    fn typed<T>(
        &self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => {
                let (key, found) = (key.to_owned(), value.describe());
                Err(ConfigError::Kind { key, expected, found })
            }
        }
    }

    /// An integer from 0 to 2^32 - 1, of any integer kind.
    ///
    /// # Errors
    ///
    /// If the value is anything else.
    pub fn get_u32(&self, key: &str) -> Result<Option<u32>, ConfigError> {
        self.typed(key, "an integer from 0 to 2^32 - 1", |value| {
            value.as_u64().and_then(|value| u32::try_from(value).ok())
        })
    }

    /// A float of either width.
    ///
    /// # Errors
    ///
    /// If the value is anything else.
    pub fn get_f32(&self, key: &str) -> Result<Option<f32>, ConfigError> {
        self.typed(key, "a float", |value| match *value {
            Value::F32(value) => Some(value),
            Value::F64(value) => Some(value as f32),
            _ => None,
        })
    }

    /// A truth value.
    ///
    /// # Errors
    ///
    /// If the value is anything else.
    pub fn get_bool(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        self.typed(key, "a truth value", |value| match *value {
            Value::Bool(value) => Some(value),
            _ => None,
        })
    }

    /// A text.
    ///
    /// # Errors
    ///
    /// If the value is anything else.
    pub fn get_str(&self, key: &str) -> Result<Option<&'a str>, ConfigError> {
        self.typed(key, "a text", |value| match *value {
            Value::Text(value) => Some(value),
            _ => None,
        })
    }

    /// An array of texts.
    ///
    /// # Errors
    ///
    /// If the value is anything else, or one of the texts is not UTF-8.
    pub fn get_strings(&self, key: &str) -> Result<Option<Vec<String>>, ConfigError> {
        self.typed(key, "an array of UTF-8 texts", |value| match value {
            Value::Array(array) => array.texts()?.map(|text| text.map(str::to_owned)).collect(),
            _ => None,
        })
    }

    /// An array of 32-bit floats.
    ///
    /// # Errors
    ///
    /// If the value is anything else.
    pub fn get_f32s(&self, key: &str) -> Result<Option<Vec<f32>>, ConfigError> {
        let element = |value| match value {
            Value::F32(value) => Some(value),
            _ => None,
        };
        self.typed(key, "an array of floats", |value| match value {
            Value::Array(array) => array.plain()?.map(element).collect(),
            _ => None,
        })
    }

    /// An array of integers that fit 32 bits with a sign.
    ///
    /// # Errors
    ///
    /// If the value is anything else.
    pub fn get_i32s(&self, key: &str) -> Result<Option<Vec<i32>>, ConfigError> {
        let element = |value| match value {
            Value::Signed(value) => i32::try_from(value).ok(),
            Value::Unsigned(value) => i32::try_from(value).ok(),
            _ => None,
        };
        self.typed(key, "an array of integers", |value| match value {
            Value::Array(array) => array.plain()?.map(element).collect(),
            _ => None,
        })
    }
}
