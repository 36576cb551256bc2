//! Every weight format against the values that the Python `gguf` package reads from the same bytes
//! (`tools/goldens/quant_formats.py`), on every instruction set of this machine.

use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::quant::{Matrix, QuantError, WeightType, dequantise, dot};
use proptest::prelude::*;

struct Golden {
    ty: WeightType,
    bytes: Vec<u8>,
    values: Vec<f32>,
}

fn goldens() -> Vec<Golden> {
    let text = include_str!("goldens/quant_formats.json");
    let formats: serde_json::Value = serde_json::from_str(text).unwrap();
    let formats = formats.as_array().unwrap().iter();
    formats
        .map(|format| {
            let id = format["ggml_id"].as_u64().unwrap() as u32;
            let ty = WeightType::from_ggml_id(id).unwrap();
            assert_eq!(ty.to_string(), format["type"].as_str().unwrap());
            let values = format["values"].as_array().unwrap().iter();
            Golden {
                ty,
                bytes: from_hex(format["bytes"].as_str().unwrap()),
                values: values.map(|v| v.as_f64().unwrap() as f32).collect(),
            }
        })
        .collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn the_goldens_cover_every_type() {
    let types: Vec<_> = goldens().iter().map(|g| g.ty).collect();
    for ty in WeightType::ALL {
        assert!(types.contains(&ty), "{ty}");
    }
}

#[test]
fn dequantised_values_are_the_reference_values_exactly() {
    for golden in goldens() {
        for isa in Isa::available() {
            let mut out = vec![f32::NAN; golden.values.len()];
            dequantise(isa, golden.ty, &golden.bytes, &mut out).unwrap();
            for (i, (found, expected)) in out.iter().zip(&golden.values).enumerate() {
                assert_eq!(found, expected, "{} weight {i} on {isa}", golden.ty);
            }
        }
    }
}

#[test]
fn dot_is_the_dot_of_the_reference_values() {
    for golden in goldens() {
        let x: Vec<f32> = (0..golden.values.len()).map(|i| (i as f32 * 0.7).cos()).collect();
        assert_dots_agree(golden.ty, &golden.bytes, &golden.values, &x);
    }
}

/// The fused dot products of every instruction set against one in f64.
fn assert_dots_agree(ty: WeightType, row: &[u8], values: &[f32], x: &[f32]) {
    let products = || values.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x));
    let exact: f64 = products().sum();
    let size: f64 = products().map(f64::abs).sum();
    // a K block's weight is a difference of two rounded products, either of which can be much
    // larger than the weight itself
    let largest = values.iter().fold(0.0f32, |a, w| a.max(w.abs()));
    let inputs: f64 = x.iter().map(|x| f64::from(x.abs())).sum();
    let bound = 4e-6 * size + 4e-7 * f64::from(largest) * inputs;
    for isa in Isa::available() {
        let found = f64::from(dot(isa, ty, row, x));
        assert!((found - exact).abs() <= bound, "{ty} on {isa}: {found}, not {exact} ± {bound}");
    }
}

/// A type, and a row of random blocks with finite scales: as many golden blocks in random order.
fn rows() -> impl Strategy<Value = (usize, Vec<usize>, Vec<f32>)> {
    (0..WeightType::ALL.len(), prop::collection::vec(0usize..1000, 0..80)).prop_flat_map(|(which, picks)| {
        let cols = picks.len() * WeightType::ALL[which].block_len();
        let x = prop::collection::vec(-4f32..4.0, cols);
        (Just(which), Just(picks), x)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rows_of_any_length_agree((which, picks, x) in rows()) {
        let ty = WeightType::ALL[which];
        let golden = goldens().into_iter().find(|g| g.ty == ty).unwrap();
        let (bytes, len) = (ty.block_bytes(), ty.block_len());
        let blocks = golden.bytes.len() / bytes;
        let mut row = Vec::new();
        let mut values = Vec::new();
        for pick in picks {
            let b = pick % blocks;
            row.extend_from_slice(&golden.bytes[b * bytes..][..bytes]);
            values.extend_from_slice(&golden.values[b * len..][..len]);
        }
        assert_dots_agree(ty, &row, &values, &x);
        for isa in Isa::available() {
            let mut out = vec![f32::NAN; values.len()];
            dequantise(isa, ty, &row, &mut out).unwrap();
            prop_assert_eq!(&out, &values);
        }
    }
}

#[test]
fn a_matrix_hands_out_its_rows() {
    let golden = goldens().into_iter().find(|g| g.ty == WeightType::Q4_1).unwrap();
    let matrix = Matrix::new(golden.ty, 3, 32, &golden.bytes).unwrap();
    let x: Vec<f32> = (0..32).map(|i| 1.0 / (i + 1) as f32).collect();
    for isa in Isa::available() {
        let mut two = vec![0.0; 64];
        matrix.dequantise(isa, 1, &mut two).unwrap();
        assert_eq!(two, golden.values[32..]);
        for row in 0..3 {
            assert_eq!(matrix.row(row), &golden.bytes[20 * row..][..20]);
            let alone = dot(isa, golden.ty, matrix.row(row), &x);
            assert_eq!(matrix.dot(isa, row, &x), alone);
        }
    }
}

#[test]
fn lengths_that_disagree_are_errors() {
    let isa = Isa::portable();
    let mut out = [7.0; 32];
    let short = dequantise(isa, WeightType::Q8_0, &[0; 33], &mut out).unwrap_err();
    assert_eq!(short, QuantError::Length { ty: WeightType::Q8_0, weights: 32, expected: 34, found: 33 });
    assert_eq!(short.to_string(), "32 weights of Q8_0 take 34 bytes, not 33");
    let ragged = dequantise(isa, WeightType::Q6_K, &[0; 210], &mut out).unwrap_err();
    assert_eq!(ragged.to_string(), "Q6_K rows hold whole blocks of 256 weights, not 32 weights");
    assert_eq!(out, [7.0; 32], "left alone");
    assert!(Matrix::new(WeightType::Q8_0, 2, 32, &[0; 67]).is_err());
    assert!(Matrix::new(WeightType::F32, usize::MAX, 4, &[0; 16]).is_err());
    assert!(Matrix::new(WeightType::F32, 4, usize::MAX, &[0; 16]).is_err());
}

#[test]
#[should_panic(expected = "bytes of F16 rows for 4 activations")]
fn a_dot_of_unequal_lengths_says_so() {
    dot(Isa::portable(), WeightType::F16, &[0; 6], &[0.0; 4]);
}

#[test]
fn empty_rows_sum_to_nothing() {
    for ty in WeightType::ALL {
        for isa in Isa::available() {
            assert_eq!(dot(isa, ty, &[], &[]), 0.0);
        }
    }
}

#[test]
fn unknown_type_numbers_are_not_guessed() {
    // 4 and 5 were formats that no longer exist; 10, 11 are Q2_K, Q3_K
    for id in [4, 5, 9, 10, 11, 15, 29, 31, u32::MAX] {
        assert_eq!(WeightType::from_ggml_id(id), None, "{id}");
    }
}
