//! GGUF files that are cut short, damaged, lying or unsupported: each is an error, none panics,
//! none makes the reader ask for much memory.

#[path = "shared/allocations.rs"]
mod allocations;

use fourier_kv_model::error::{ConfigError, ModelError, WeightsError};
use fourier_kv_model::gguf::GgufError;
use fourier_kv_model::source::ModelSource;
use fourier_kv_testkit::{Encoding, GgufWriter, Meta, RandomModel};

/// Far above what the small file needs, far below what its lies claim.
const MEMORY: usize = 1 << 20;

fn small() -> RandomModel {
    RandomModel { layers: 1, heads: 2, kv_heads: 1, head_dim: 4, width: 8, hidden: 8, ..RandomModel::llama() }
}

fn open(bytes: Vec<u8>) -> Result<ModelSource, ModelError> {
    let result = ModelSource::from_gguf(bytes.into());
    assert!(allocations::largest() < MEMORY, "asked for {} bytes", allocations::largest());
    result
}

/// The error of the small model after `change`.
#[track_caller]
fn refused(change: impl FnOnce(&mut GgufWriter)) -> ModelError {
    let mut writer = small().gguf(Encoding::F32);
    change(&mut writer);
    open(writer.finish()).expect_err("a broken file was accepted")
}

#[track_caller]
fn refused_gguf(change: impl FnOnce(&mut GgufWriter)) -> GgufError {
    match refused(change) {
        ModelError::Gguf(error) => error,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused_config(change: impl FnOnce(&mut GgufWriter)) -> ConfigError {
    match refused(change) {
        ModelError::Config(error) => error,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused_weights(change: impl FnOnce(&mut GgufWriter)) -> WeightsError {
    match refused(change) {
        ModelError::Weights(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_cut_short_anywhere_is_an_error() {
    let writer = small().gguf(Encoding::BF16);
    let whole = writer.finish();
    let last = writer.tensors.last().unwrap().bytes.len();
    let padding = last.next_multiple_of(writer.alignment) - last;
    for len in 0..whole.len() {
        let result = open(whole[..len].to_vec());
        assert_eq!(result.is_ok(), len >= whole.len() - padding, "{len} of {}", whole.len());
    }
}

#[test]
fn flipped_bits_never_panic() {
    let whole = small().gguf(Encoding::BF16).finish();
    let mut refused = 0;
    for byte in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[byte] ^= 1 << bit;
            refused += usize::from(open(bytes).is_err());
        }
    }
    // most of the file is weights and tokens, where a flipped bit is another weight or token
    assert!(refused > 1000, "{refused}");
}

#[test]
fn heads_that_are_not_gguf() {
    assert!(matches!(open(vec![]), Err(ModelError::Gguf(GgufError::Truncated { .. }))));
    assert!(matches!(open(vec![0; 64]), Err(ModelError::Gguf(GgufError::Magic))));
    assert_eq!(refused_gguf(|w| w.version = 1), GgufError::Version(1));
    assert_eq!(refused_gguf(|w| w.version = 4), GgufError::Version(4));
    assert_eq!(refused_gguf(|w| w.version = 3 << 24), GgufError::BigEndian);
    let mut writer = small().gguf(Encoding::F32);
    writer.version = 2;
    open(writer.finish()).unwrap();
}

#[test]
fn huge_counts() {
    for count in [1 << 20, 1 << 40, u64::MAX] {
        let error = refused_gguf(|w| w.claimed_tensors = Some(count));
        assert!(matches!(error, GgufError::Count { count: c, .. } if c == count), "{error}");
        let error = refused_gguf(|w| w.claimed_pairs = Some(count));
        assert!(matches!(error, GgufError::Count { count: c, .. } if c == count), "{error}");
        // an array of u64 (type 10) that claims `count` elements
        let array = [&10u32.to_le_bytes()[..], &count.to_le_bytes()].concat();
        let error = refused_gguf(|w| {
            w.pair("huge", Meta::Raw(9, array));
        });
        assert!(matches!(error, GgufError::Count { count: c, .. } if c == count), "{error}");
        // a text that claims `count` bytes
        let text = count.to_le_bytes().to_vec();
        let error = refused_gguf(|w| {
            w.pair("huge", Meta::Raw(8, text));
        });
        assert!(matches!(error, GgufError::Truncated { needed, .. } if needed == count), "{error}");
    }
    // one too few or many: what follows is read as something else
    refused(|w| w.claimed_pairs = Some(w.pairs.len() as u64 - 1));
    refused(|w| w.claimed_tensors = Some(w.tensors.len() as u64 + 1));
}

#[test]
fn arrays_in_arrays_have_a_bottom() {
    // each level: element type array (9), one element
    let level = [&9u32.to_le_bytes()[..], &1u64.to_le_bytes()].concat();
    let error = refused_gguf(|w| {
        w.pair("deep", Meta::Raw(9, level.repeat(10_000)));
    });
    assert!(matches!(error, GgufError::Nesting { .. }), "{error}");
    // two levels are read over
    let inner = [&0u32.to_le_bytes()[..], &2u64.to_le_bytes(), &[7, 7]].concat();
    let mut writer = small().gguf(Encoding::F32);
    writer.pair("pairs", Meta::Raw(9, [level, inner].concat()));
    open(writer.finish()).unwrap();
}

#[test]
fn metadata_that_is_not_what_it_should_be() {
    let error = refused_gguf(|w| {
        w.pair("odd", Meta::Raw(13, vec![0; 8]));
    });
    assert_eq!(error, GgufError::ValueType { key: "odd".to_owned(), id: 13 });
    let not_utf8 = [&2u64.to_le_bytes()[..], &[0xff, 0xfe]].concat();
    let error = refused_gguf(|w| {
        w.pair("text", Meta::Raw(8, not_utf8.clone()));
    });
    assert_eq!(error, GgufError::Text { what: "text".to_owned() });
    let error = refused_gguf(|w| {
        w.pair("general.name", Meta::text("twice"));
    });
    assert_eq!(error, GgufError::DuplicateKey { key: "general.name".to_owned() });
    for alignment in [0, 4, 33, u32::MAX] {
        let error = refused_gguf(|w| {
            w.pair("general.alignment", Meta::U32(alignment));
        });
        assert!(matches!(error, GgufError::Alignment { .. }), "{alignment}");
    }
    let error = refused_config(|w| {
        w.set("llama.block_count", Meta::text("two"));
    });
    assert_eq!(
        error.to_string(),
        "llama.block_count in the model's configuration is a text; an integer from 0 to 2^32 - 1 \
         was expected"
    );
    let bad_token = [&8u32.to_le_bytes()[..], &1u64.to_le_bytes(), &not_utf8].concat();
    let error = refused_config(|w| {
        w.set("tokenizer.ggml.tokens", Meta::Raw(9, bad_token));
    });
    assert!(matches!(error, ConfigError::Kind { .. }), "{error}");
}

#[test]
fn other_alignments_are_read() {
    let mut writer = small().gguf(Encoding::F32);
    writer.pair("general.alignment", Meta::U32(64));
    writer.alignment = 64;
    open(writer.finish()).unwrap();
}

#[test]
fn tensors_out_of_place() {
    for offset in [1, 32 * 1_000_000, u64::MAX - 31, u64::MAX] {
        let error = refused_gguf(|w| {
            w.tensor_mut("output_norm.weight").claimed_offset = Some(offset);
        });
        assert!(matches!(error, GgufError::Placement { .. }), "{offset}: {error}");
    }
    let twice = |w: &mut GgufWriter| {
        w.tensor("output_norm.weight", &[8], 0, vec![0; 32]);
    };
    let name = "output_norm.weight".to_owned();
    assert_eq!(refused_gguf(twice), GgufError::DuplicateTensor { name });
}

#[test]
fn impossible_dimensions() {
    let impossible: [&[u64]; 7] =
        [&[], &[0], &[8, 0], &[u64::MAX, u64::MAX], &[1 << 32, 1 << 32], &[1 << 62, 2], &[1, 1, 1, 1, 1]];
    for dims in impossible {
        let error = refused_gguf(|w| w.tensor_mut("output.weight").dims = dims.to_vec());
        assert!(matches!(error, GgufError::Dimensions { .. }), "{dims:?}: {error}");
    }
    // a row that is no whole number of blocks
    let error = refused_gguf(|w| w.tensor_mut("output.weight").type_id = 8);
    assert!(matches!(error, GgufError::Dimensions { .. }), "{error}");
    // more bytes than the file has
    let error = refused_gguf(|w| w.tensor_mut("output.weight").dims = vec![8, 1 << 40]);
    assert!(matches!(error, GgufError::Placement { .. }), "{error}");
}

#[test]
fn shapes_that_contradict_the_configuration() {
    let error = refused_weights(|w| w.tensor_mut("blk.0.attn_k.weight").dims = vec![4, 8]);
    assert_eq!(error.to_string(), "tensor blk.0.attn_k.weight has the shape [8, 4]; the configuration gives [4, 8]");
    for (key, value) in [
        ("llama.embedding_length", 16),
        ("llama.feed_forward_length", 16),
        ("llama.attention.head_count_kv", 2),
        ("llama.vocab_size", 95),
        ("llama.block_count", 2),
    ] {
        refused(|w| {
            w.set(key, Meta::U32(value));
        });
    }
    for key in ["llama.block_count", "llama.attention.head_count", "llama.embedding_length"] {
        for value in [0, u32::MAX] {
            refused_config(|w| {
                w.set(key, Meta::U32(value));
            });
        }
        let missing = refused_config(|w| {
            w.remove(key);
        });
        assert_eq!(missing, ConfigError::Missing { key: key.to_owned() });
    }
    let dims = refused(|w| w.tensor_mut("rope_freqs.weight").dims = vec![1, 2]);
    assert!(matches!(dims, ModelError::Weights(WeightsError::Shape { .. })), "{dims}");
    refused_config(|w| w.tensor_mut("rope_freqs.weight").bytes = vec![0; 8]);
}

#[test]
fn missing_tensors_are_named() {
    let names: Vec<String> = small().gguf(Encoding::F32).tensors.iter().map(|t| t.name.clone()).collect();
    // without an output matrix the embedding serves; without factors frequencies are not scaled
    let optional = ["output.weight", "rope_freqs.weight"];
    for name in names.into_iter().filter(|name| !optional.contains(&name.as_str())) {
        let error = refused_weights(|w| w.tensors.retain(|tensor| tensor.name != name));
        assert_eq!(error, WeightsError::Missing { name });
    }
}

#[test]
fn unsupported_types_matter_only_when_used() {
    // Q2_K, and one that does not exist
    for (id, name) in [(10, "Q2_K (number 10)"), (999, "an unknown type (number 999)")] {
        let error = refused_weights(|w| w.tensor_mut("blk.0.ffn_up.weight").type_id = id);
        let WeightsError::Type { name: tensor, found } = error else { panic!("{error:?}") };
        assert_eq!((tensor.as_str(), found.as_str()), ("blk.0.ffn_up.weight", name));
        let mut writer = small().gguf(Encoding::F32);
        writer.tensor("not.used", &[256], id, vec![0; 84]);
        open(writer.finish()).unwrap();
    }
}

#[test]
fn vectors_must_be_finite() {
    let infinite = f32::INFINITY.to_le_bytes();
    let error = refused_weights(|w| {
        w.tensor_mut("output_norm.weight").bytes[4..8].copy_from_slice(&infinite);
    });
    assert_eq!(
        error.to_string(),
        "tensor output_norm.weight holds inf at position 1; finite \
                                   numbers were expected"
    );
}

#[test]
fn what_is_not_supported_is_named() {
    let family = refused_config(|w| {
        w.set("general.architecture", Meta::text("mamba"));
    });
    assert_eq!(family.to_string(), "models of the \"mamba\" architecture are not supported; supported: llama, qwen2");
    let scaling = |w: &mut GgufWriter| {
        w.pair("llama.rope.scaling.type", Meta::text("yarn"));
    };
    assert_eq!(
        refused_config(scaling).to_string(),
        "RoPE scaling \"yarn\" is not supported; supported: none, linear, llama3"
    );
    let experts = |w: &mut GgufWriter| {
        w.pair("llama.expert_count", Meta::U32(8));
    };
    assert!(matches!(refused_config(experts), ConfigError::Feature { .. }));
    let window = |w: &mut GgufWriter| {
        w.pair("llama.attention.sliding_window", Meta::U32(64));
    };
    assert!(matches!(refused_config(window), ConfigError::Feature { .. }));
    let part = |w: &mut GgufWriter| {
        w.set("llama.rope.dimension_count", Meta::U32(2));
    };
    assert!(matches!(refused_config(part), ConfigError::Value { .. }));
    let split = refused(|w| {
        w.pair("split.count", Meta::Raw(2, vec![3, 0]));
    });
    assert!(matches!(split, ModelError::Split { count: 3 }), "{split}");
}
