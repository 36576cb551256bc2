//! The library's products against the plain kernel, and that against `f64`. Where there is no GPU, nothing is computed.

mod support;

use fourier_kv_cuda::product::{Matrix, Output, PlainProduct, Products};
use half::bf16;
use support::{Numbers, distance};

/// `y = x w^T`, plus what was there if it is added.
fn expected(x: &[bf16], w: &[bf16], (rows, cols): (usize, usize), before: Option<&[f32]>) -> Vec<f64> {
    let mut y = Vec::new();
    for x in x.chunks(cols) {
        for w in w.chunks(cols) {
            let dot: f64 = x.iter().zip(w).map(|(a, b)| a.to_f64() * b.to_f64()).sum();
            y.push(dot + before.map_or(0.0, |before| f64::from(before[y.len()])));
        }
    }
    assert_eq!(y.len() % rows, 0);
    y
}

#[test]
fn products_are_those_of_the_plain_kernel_and_of_f64() {
    let Some(device) = support::device() else { return };
    let products = Products::new(&device, None).expect("cuBLASLt");
    let plain = PlainProduct::new(&device).unwrap();
    let mut numbers = Numbers(5);
    // Widths of SmolLM2, Qwen2.5 and Llama; as many rows as steps and tiles have.
    for (n, rows, cols) in [
        (1, 960, 576),
        (1, 72, 4104),
        (1, 4096, 1000),
        (3, 72, 64),
        (16, 1152, 896),
        (37, 264, 576),
        (300, 136, 4096),
        (1, 7, 8),
    ] {
        let (x, w) = (numbers.bf16(n * cols, 1.0), numbers.bf16(rows * cols, 0.1));
        let before = numbers.f32(2 * n * rows, 1.0);
        let (input, weight) = (device.upload(&x).unwrap(), device.upload(&w).unwrap());
        let matrix = Matrix { numbers: &weight, rows, cols };
        let exact = expected(&x, &w, (rows, cols), None);
        let added = expected(&x, &w, (rows, cols), Some(&before[n * rows..]));

        let poison = vec![f32::NAN; n * rows];
        let mut wide = device.upload(&poison).unwrap();
        plain.multiply(&device, matrix, &input, n, (&mut wide, false)).unwrap();
        assert!(distance(&wide.read().unwrap(), &exact) < 1e-5, "plain {n} {rows} {cols}");
        let mut plain_added = device.upload(&before[n * rows..]).unwrap();
        plain.multiply(&device, matrix, &input, n, (&mut plain_added, true)).unwrap();
        assert!(distance(&plain_added.read().unwrap(), &added) < 1e-5, "plain, added {n} {rows} {cols}");

        wide.write(&poison).unwrap();
        products.multiply(&device, matrix, &input, n, Output::Wide(&mut wide)).unwrap();
        assert!(distance(&wide.read().unwrap(), &exact) < 1e-5, "wide {n} {rows} {cols}");
        let mut sum = device.upload(&before).unwrap();
        products.multiply(&device, matrix, &input, n, Output::Added(&mut sum, n)).unwrap();
        let sum = sum.read().unwrap();
        assert_eq!(sum[..n * rows], before[..n * rows], "rows before the first are not touched");
        assert!(distance(&sum[n * rows..], &added) < 1e-5, "added {n} {rows} {cols}");
        let mut narrow = device.upload(&vec![bf16::NAN; n * rows]).unwrap();
        products.multiply(&device, matrix, &input, n, Output::Narrow(&mut narrow)).unwrap();
        let narrow: Vec<f32> = narrow.read().unwrap().iter().map(|x| x.to_f32()).collect();
        assert!(distance(&narrow, &exact) < 4e-3, "narrow {n} {rows} {cols}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let Some(device) = support::device() else { return };
    let products = Products::new(&device, None).expect("cuBLASLt");
    let (w, x) = (device.upload(&[bf16::ONE; 64]).unwrap(), device.upload(&[bf16::ONE; 16]).unwrap());
    let mut y = device.upload(&[0f32; 16]).unwrap();
    let mut refused = |rows, cols, n| {
        let matrix = Matrix { numbers: &w, rows, cols };
        products.multiply(&device, matrix, &x, n, Output::Wide(&mut y)).is_err()
    };
    assert!(!refused(8, 8, 2));
    for (rows, cols, n) in [(8, 12, 1), (9, 8, 1), (8, 8, 3), (8, 8, 0), (0, 8, 1), (8, 0, 1)] {
        assert!(refused(rows, cols, n), "{rows} {cols} {n}");
    }
    let missing = Products::new(&device, Some("/nowhere/libcublasLt.so".as_ref())).unwrap_err().to_string();
    assert!(missing.contains("/nowhere/libcublasLt.so"), "{missing}");
}
