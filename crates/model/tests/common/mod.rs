//! The vocabulary and template of a cached GGUF model, read without the crate's own reader.
#![allow(dead_code)] // each test binary uses its part

use fourier_kv_model::tokenizer_source::GgufVocabulary;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;

/// A cached model's file, if it has been fetched.
pub(crate) fn cached_model(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("fourier-kv-models").join(name)).filter(|path| path.exists())
}

/// A metadata value, as far as tokenizers need it.
#[derive(Debug, Clone)]
pub(crate) enum Field {
    Number(f64),
    Text(String),
    List(Vec<Field>),
}

pub(crate) struct Metadata(HashMap<String, Field>);

impl Metadata {
    pub(crate) fn read(path: &PathBuf) -> Metadata {
        let mut reader = BufReader::new(File::open(path).unwrap());
        let _magic_and_version: [u8; 8] = bytes(&mut reader);
        let _tensors = u64::from_le_bytes(bytes(&mut reader));
        let count = u64::from_le_bytes(bytes(&mut reader));
        let fields = (0..count).map(|_| {
            let key = text(&mut reader);
            let kind = u32::from_le_bytes(bytes(&mut reader));
            (key, field(&mut reader, kind))
        });
        Metadata(fields.collect())
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        match self.0.get(key)? {
            Field::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    fn number(&self, key: &str) -> Option<f64> {
        match self.0.get(key)? {
            Field::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn list<T>(&self, key: &str, item: impl Fn(&Field) -> Option<T>) -> Vec<T> {
        match self.0.get(key) {
            Some(Field::List(items)) => items.iter().filter_map(item).collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn vocabulary(&self) -> GgufVocabulary {
        let key = |name: &str| format!("tokenizer.ggml.{name}");
        let texts = |name| {
            self.list(&key(name), |f| match f {
                Field::Text(text) => Some(text.clone()),
                _ => None,
            })
        };
        let numbers = |name| {
            self.list(&key(name), |f| match f {
                Field::Number(number) => Some(*number),
                _ => None,
            })
        };
        let id = |name| self.number(&key(name)).map(|n| n as u32);
        let flag = |name| self.number(&key(name)).map(|n| n != 0.0);
        GgufVocabulary {
            model: self.text(&key("model")).unwrap_or_default(),
            pre: self.text(&key("pre")).unwrap_or_default(),
            tokens: texts("tokens"),
            merges: texts("merges"),
            scores: numbers("scores").into_iter().map(|n| n as f32).collect(),
            token_types: numbers("token_type").into_iter().map(|n| n as i32).collect(),
            bos: id("bos_token_id"),
            eos: id("eos_token_id"),
            add_bos: flag("add_bos_token"),
            add_space_prefix: flag("add_space_prefix"),
            unknown: id("unknown_token_id"),
        }
    }
}

fn bytes<const N: usize>(reader: &mut impl Read) -> [u8; N] {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).unwrap();
    bytes
}

fn text(reader: &mut impl Read) -> String {
    let length = u64::from_le_bytes(bytes(reader));
    let mut text = vec![0; length as usize];
    reader.read_exact(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

fn field(reader: &mut impl Read, kind: u32) -> Field {
    Field::Number(match kind {
        0 | 7 => f64::from(u8::from_le_bytes(bytes(reader))),
        1 => f64::from(i8::from_le_bytes(bytes(reader))),
        2 => f64::from(u16::from_le_bytes(bytes(reader))),
        3 => f64::from(i16::from_le_bytes(bytes(reader))),
        4 => f64::from(u32::from_le_bytes(bytes(reader))),
        5 => f64::from(i32::from_le_bytes(bytes(reader))),
        6 => f64::from(f32::from_le_bytes(bytes(reader))),
        10 => u64::from_le_bytes(bytes(reader)) as f64,
        11 => i64::from_le_bytes(bytes(reader)) as f64,
        12 => f64::from_le_bytes(bytes(reader)),
        8 => return Field::Text(text(reader)),
        9 => {
            let kind = u32::from_le_bytes(bytes(reader));
            let count = u64::from_le_bytes(bytes(reader));
            return Field::List((0..count).map(|_| field(reader, kind)).collect());
        }
        other => panic!("metadata kind {other}"),
    })
}
