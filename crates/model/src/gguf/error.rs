//! What can be wrong with the bytes of a GGUF file.

/// Why bytes are not a GGUF file that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The first four bytes are not `GGUF`.
    #[error("it does not start with the letters GGUF")]
    Magic,
    /// The file is big-endian.
    #[error("it is big-endian; little-endian was expected")]
    BigEndian,
    /// The version is not known here.
    #[error("it has version {0}; versions 2 and 3 were expected")]
    Version(u32),
    /// The file ends inside something.
    #[error("it ends inside {what}: {needed} more bytes were expected at byte {at}, {left} are left")]
    Truncated {
        /// What was being read.
        what: String,
        /// Where.
        at: usize,
        /// Bytes needed.
        needed: u64,
        /// Bytes left.
        left: usize,
    },
    /// A count is larger than the bytes left could hold.
    #[error("it claims {count} {what}, more than the {left} bytes left at byte {at} can hold")]
    Count {
        /// What is counted.
        what: String,
        /// The count.
        count: u64,
        /// Where.
        at: usize,
        /// Bytes left.
        left: usize,
    },
    /// A text is not UTF-8.
    #[error("{what} is not UTF-8 text")]
    Text {
        /// Which text.
        what: String,
    },
    /// A metadata value has a type number that does not exist.
    #[error("metadata value {key} has the unknown type {id}")]
    ValueType {
        /// The pair's key.
        key: String,
        /// The type's number.
        id: u32,
    },
    /// Arrays of arrays of arrays.
    #[error("metadata value {key} nests arrays more than {limit} deep")]
    Nesting {
        /// The pair's key.
        key: String,
        /// The deepest nesting accepted.
        limit: usize,
    },
    /// A metadata key occurs twice.
    #[error("metadata key {key} occurs twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A tensor's name occurs twice.
    #[error("it has two tensors called {name}")]
    DuplicateTensor {
        /// The name.
        name: String,
    },
    /// The alignment is unusable.
    #[error("general.alignment must be a power of two from 8 to {limit}")]
    Alignment {
        /// The largest alignment accepted.
        limit: u64,
    },
    /// A tensor's dimensions are unusable.
    #[error(
        "tensor {name} has the dimensions {dims:?}; one to four were expected, none zero, with a product that fits 64 bits, and rows of whole blocks"
    )]
    Dimensions {
        /// The tensor's name.
        name: String,
        /// Its dimensions as in the file, fastest first (only the first four are kept).
        dims: Vec<u64>,
    },
    /// A tensor's bytes lie outside the file or off the alignment.
    #[error(
        "tensor {name} lies at offset {offset} with {size} bytes; a multiple of {alignment} within the file's {available} bytes of tensors was expected"
    )]
    Placement {
        /// The tensor's name.
        name: String,
        /// Its offset from the start of the tensors' bytes.
        offset: u64,
        /// Its size in bytes (0 where the type is not known here).
        size: u64,
        /// The file's alignment.
        alignment: u64,
        /// Bytes of tensors in the file.
        available: u64,
    },
}
