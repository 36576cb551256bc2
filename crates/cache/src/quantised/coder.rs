//! How a head's keys and values become codes and floats again.

use fourier_kv_kernels::attention::Queries;
use fourier_kv_kernels::isa::Isa;

use super::coding::{Coding, Decode};
use super::hadamard::Hadamard;
use super::settings::{QuantisedSettings, Scheme};
use crate::rotary::{Rotary, Way};
use crate::{CacheShape, KeysAs};

/// Tokens that are rebuilt at a time, or the next lower number of whole groups: as floats they stay in a core's caches.
const BLOCK: usize = 256;

/// What is done to rows before they are coded, and undone when they are attended to; the same for all heads.
#[derive(Clone, Debug)]
pub(super) struct Coder {
    dim: usize,
    keys: Coding,
    values: Coding,
    /// Set if keys are coded as they were before RoPE.
    rotary: Option<Rotary>,
    hadamard: Option<Hadamard>,
}

/// Codes of consecutive tokens of one head.
#[derive(Clone, Copy, Debug)]
pub(super) struct CodedRows<'a> {
    pub(super) keys: &'a [u8],
    pub(super) values: &'a [u8],
}

/// Tokens of a block whose groups are whole.
fn block_of(coding: Coding) -> usize {
    BLOCK / coding.unit() * coding.unit()
}

impl Coder {
    /// For settings that were checked.
    pub(super) fn new(settings: &QuantisedSettings, shape: &CacheShape) -> Self {
        let keys = settings.key_coding();
        let rotary = is_unrotated(settings).then(|| Rotary::new(&shape.rope_frequencies, block_of(keys)));
        let hadamard = matches!(settings.scheme, Scheme::Blocks { hadamard: true, .. });
        Coder {
            dim: shape.head_dim,
            keys,
            values: settings.value_coding(),
            rotary,
            hadamard: hadamard.then(|| Hadamard::new(shape.head_dim)),
        }
    }

    /// Tokens of a block.
    pub(super) fn block(&self) -> usize {
        block_of(self.keys)
    }

    /// Tokens of a group.
    pub(super) fn unit(&self) -> usize {
        self.keys.unit()
    }

    /// Bytes of the codes of so many tokens, whole groups: keys and values.
    pub(super) fn code_bytes(&self, tokens: usize) -> [usize; 2] {
        [self.keys, self.values].map(|coding| coding.bytes(tokens, self.dim))
    }

    /// Codes rows, `[T][D]` each and whole groups, of the tokens from `first` on; the rows are turned on the way.
    pub(super) fn encode(&self, first: usize, rows: [&mut [f32]; 2], codes: [&mut Vec<u8>; 2]) {
        let ([keys, values], [key_codes, value_codes]) = (rows, codes);
        if let Some(rotary) = &self.rotary {
            rotary.turn(keys, first, Way::Back);
        }
        if let Some(hadamard) = self.hadamard {
            hadamard.turn(keys);
            hadamard.turn(values);
        }
        self.keys.encode(self.dim, keys, key_codes);
        self.values.encode(self.dim, values, value_codes);
    }

    /// Rebuilds `tokens` tokens as they are to be attended to with [`Coder::queries`].
    pub(super) fn decode(&self, isa: Isa, tokens: usize, codes: CodedRows<'_>, rows: [&mut Vec<f32>; 2]) {
        let [keys, values] = rows;
        keys.resize(tokens * self.dim, 0.0);
        values.resize(tokens * self.dim, 0.0);
        isa.run(Decode { coding: self.keys, dim: self.dim, codes: codes.keys, rows: keys });
        isa.run(Decode { coding: self.values, dim: self.dim, codes: codes.values, rows: values });
        if let Some(rotary) = &self.rotary {
            // Counted from the block's first token: the queries are turned by the rest.
            rotary.turn(keys, 0, Way::Forward);
        }
    }

    /// Queries as they meet the keys of a block that begins with token `first`; turned ones lie in `own`.
    pub(super) fn queries<'a>(&self, q: Queries<'a, f32>, first: usize, own: &'a mut Vec<f32>) -> Queries<'a, f32> {
        if self.rotary.is_none() && self.hadamard.is_none() {
            return q;
        }
        own.clear();
        own.extend_from_slice(q.rows);
        if let Some(rotary) = &self.rotary {
            rotary.turn_all(own, first, Way::Back);
        }
        if let Some(hadamard) = self.hadamard {
            hadamard.turn(own);
        }
        Queries { rows: own, ..q }
    }

    /// Turns outputs, sums of coded values, `[..][D]`, into those of values.
    pub(super) fn turn_outputs(&self, outputs: &mut [f32]) {
        if let Some(hadamard) = self.hadamard {
            hadamard.turn(outputs);
        }
    }

    /// Heap bytes.
    pub(super) fn bytes(&self) -> usize {
        self.rotary.as_ref().map_or(0, Rotary::bytes)
    }
}

fn is_unrotated(settings: &QuantisedSettings) -> bool {
    matches!(settings.scheme, Scheme::Groups { keys: KeysAs::Unrotated, .. })
}
