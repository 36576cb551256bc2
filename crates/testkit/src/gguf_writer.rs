//! Writes GGUF files, and broken ones: nothing is checked here.

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // their names say it
pub enum Meta {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
    /// Any type number with any bytes.
    Raw(u32, Vec<u8>),
}

impl Meta {
    /// A text.
    pub fn text(text: &str) -> Meta {
        Meta::Text(text.to_owned())
    }

    fn type_id(&self) -> u32 {
        match self {
            Meta::U32(_) => 4,
            Meta::F32(_) => 6,
            Meta::Bool(_) => 7,
            Meta::Text(_) => 8,
            Meta::Texts(_) | Meta::I32s(_) | Meta::F32s(_) => 9,
            Meta::Raw(id, _) => *id,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Meta::U32(value) => out.extend(value.to_le_bytes()),
            Meta::F32(value) => out.extend(value.to_le_bytes()),
            Meta::Bool(value) => out.push(u8::from(*value)),
            Meta::Text(text) => write_text(out, text),
            Meta::Texts(texts) => {
                write_array_head(out, 8, texts.len());
                texts.iter().for_each(|text| write_text(out, text));
            }
            Meta::I32s(values) => {
                write_array_head(out, 5, values.len());
                values.iter().for_each(|value| out.extend(value.to_le_bytes()));
            }
            Meta::F32s(values) => {
                write_array_head(out, 6, values.len());
                values.iter().for_each(|value| out.extend(value.to_le_bytes()));
            }
            Meta::Raw(_, bytes) => out.extend(bytes),
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn write_array_head(out: &mut Vec<u8>, type_id: u32, len: usize) {
    out.extend(type_id.to_le_bytes());
    out.extend((len as u64).to_le_bytes());
}

/// A tensor to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct GgufTensor {
    /// Its name.
    pub name: String,
    /// Its dimensions in the file's order: fastest first, `[cols, rows]`.
    pub dims: Vec<u64>,
    /// The number of its type.
    pub type_id: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its offset, if not where its bytes are put.
    pub claimed_offset: Option<u64>,
}

/// A GGUF file in the making. All fields may be changed before it is finished.
#[derive(Debug, Clone, PartialEq)]
pub struct GgufWriter {
    /// The version written.
    pub version: u32,
    /// What tensors are aligned to; not written as metadata by itself.
    pub alignment: usize,
    /// The metadata pairs.
    pub pairs: Vec<(String, Meta)>,
    /// The tensors.
    pub tensors: Vec<GgufTensor>,
    /// The number of tensors written, if not the true one.
    pub claimed_tensors: Option<u64>,
    /// The number of pairs written, if not the true one.
    pub claimed_pairs: Option<u64>,
}

impl Default for GgufWriter {
    fn default() -> GgufWriter {
        GgufWriter::new()
    }
}

impl GgufWriter {
    /// An empty file of version 3.
    pub fn new() -> GgufWriter {
        GgufWriter {
            version: 3,
            alignment: 32,
            pairs: Vec::new(),
            tensors: Vec::new(),
            claimed_tensors: None,
            claimed_pairs: None,
        }
    }

    /// Adds a pair.
    pub fn pair(&mut self, key: &str, value: Meta) -> &mut GgufWriter {
        self.pairs.push((key.to_owned(), value));
        self
    }

    /// Replaces the value of a key, or adds it.
    pub fn set(&mut self, key: &str, value: Meta) -> &mut GgufWriter {
        self.remove(key).pair(key, value)
    }

    /// Removes the pairs with this key.
    pub fn remove(&mut self, key: &str) -> &mut GgufWriter {
        self.pairs.retain(|(found, _)| found != key);
        self
    }

    /// Adds a tensor; `shape` has the slowest dimension first.
    pub fn tensor(&mut self, name: &str, shape: &[usize], type_id: u32, bytes: Vec<u8>) -> &mut GgufWriter {
        let dims = shape.iter().rev().map(|&dim| dim as u64).collect();
        let name = name.to_owned();
        self.tensors.push(GgufTensor { name, dims, type_id, bytes, claimed_offset: None });
        self
    }

    /// The tensor with this name, to break it.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn tensor_mut(&mut self, name: &str) -> &mut GgufTensor {
        self.tensors.iter_mut().find(|t| t.name == name).expect("a tensor of that name")
    }

    /// The file's bytes.
    pub fn finish(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        let tensors = self.claimed_tensors.unwrap_or(self.tensors.len() as u64);
        out.extend(tensors.to_le_bytes());
        let pairs = self.claimed_pairs.unwrap_or(self.pairs.len() as u64);
        out.extend(pairs.to_le_bytes());
        for (key, value) in &self.pairs {
            write_text(&mut out, key);
            out.extend(value.type_id().to_le_bytes());
            value.write(&mut out);
        }
        let data = self.write_infos(&mut out);
        out.resize(out.len().next_multiple_of(self.alignment), 0);
        out.extend(data);
        out
    }

    /// Writes the tensors' entries; returns their bytes, each padded to the alignment.
    fn write_infos(&self, out: &mut Vec<u8>) -> Vec<u8> {
        let mut data = Vec::new();
        for tensor in &self.tensors {
            write_text(out, &tensor.name);
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
            out.extend(tensor.type_id.to_le_bytes());
            out.extend(tensor.claimed_offset.unwrap_or(data.len() as u64).to_le_bytes());
            data.extend(&tensor.bytes);
            data.resize(data.len().next_multiple_of(self.alignment), 0);
        }
        data
    }
}
