//! The transform of blocks: orthogonal, of known values, and the definition's.

use fourier_kv_spectral::dct::{BadBlock, Dct};

fn dct(length: usize) -> Dct {
    Dct::new(length).expect("a length that there is a transform for")
}

fn samples(n: usize) -> Vec<f64> {
    (0..n).map(|t| (t * t) as f64 * 0.37 % 2.9 - 1.3).collect()
}

#[test]
fn rows_are_orthonormal() {
    for length in 1..=64 {
        let dct = dct(length);
        let row = |n: usize| &dct.matrix()[n * length..(n + 1) * length];
        for (a, b) in (0..length).flat_map(|a| (0..length).map(move |b| (a, b))) {
            let product: f64 = row(a).iter().zip(row(b)).map(|(x, y)| x * y).sum();
            let expected = f64::from(u8::from(a == b));
            assert!((product - expected).abs() < 1e-13, "rows {a} and {b} of {length}: {product}");
        }
    }
}

#[test]
fn known_values() {
    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-14) && a.len() == b.len();
    let root = std::f64::consts::FRAC_1_SQRT_2;
    assert!(close(dct(1).matrix(), &[1.0]));
    assert!(close(dct(2).matrix(), &[root, root, root, -root]));
    // Of length 4: 1/2, then sqrt(1/2) cos(pi/8) and sqrt(1/2) cos(3 pi/8).
    let (a, b) = (0.653_281_482_438_188_3, 0.270_598_050_073_098_5);
    let four = [0.5, 0.5, 0.5, 0.5, a, b, -b, -a, 0.5, -0.5, -0.5, 0.5, b, -a, a, -b];
    assert!(close(dct(4).matrix(), &four));
    let constant = dct(16).forward(&[3.0; 16]);
    assert!((constant[0] - 12.0).abs() < 1e-13 && constant[1..].iter().all(|x| x.abs() < 1e-13));
}

#[test]
fn energy_is_kept_and_the_inverse_undoes() {
    for length in [1, 2, 7, 16, 64] {
        let (dct, x) = (dct(length), samples(length));
        let harmonics = dct.forward(&x);
        let energy = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
        assert!((energy(&harmonics) - energy(&x)).abs() < 1e-12);
        assert!(dct.inverse(&harmonics).iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-13));
    }
}

#[test]
fn other_lengths_are_refused() {
    for length in [0, 65, usize::MAX] {
        let error = Dct::new(length).expect_err("no such transform");
        assert_eq!(error, BadBlock { length });
        assert!(error.to_string().contains(&length.to_string()));
    }
}
