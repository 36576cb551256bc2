//! Makes `src/trellis/levels.rs`: the levels of the trellis code at each rate, and the errors they leave.
//!
//! `cargo run --release -p fourier-kv-spectral --example trellis_levels` writes the file (some minutes; the seeds
//! stand below, so that it comes out the same). With `codes` after `--` it compares convolutional codes of 8, 16
//! and 32 states instead: all pairs of parities for 8, those of Ungerboeck's form for the others.

#![allow(clippy::print_stdout)] // its report is what it is for

mod gaussian;
mod scalar;
mod training;

use std::fmt::Write;
use std::path::Path;
use std::{fs, io};

use fourier_kv_spectral::trellis::{MAX_BITS, SUBSET, subsets};

use gaussian::Gaussian;
use scalar::lloyd_max;
use training::{distortion, train};

fn main() -> io::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("codes") {
        for bits in 1..=3 {
            compare_codes::<8>(bits);
            compare_codes::<16>(bits);
            compare_codes::<32>(bits);
        }
        return Ok(());
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/trellis/levels.rs");
    let beside = file.with_extension("rs.new");
    fs::write(&beside, constants())?;
    fs::rename(beside, file)
}

/// The text of `levels.rs`.
fn constants() -> String {
    let (training, measuring) = (Gaussian(1).samples(1 << 20), Gaussian(2).samples(1 << 21));
    let mut levels = String::new();
    let mut errors = vec![1.0];
    for bits in 1..=MAX_BITS as u8 {
        let trained = train(&SUBSET, bits, &training, 40);
        let error = distortion(&SUBSET, bits, &trained, &measuring);
        println!("{bits} bits: {error:.6}, {:.2} dB; Lloyd-Max {:.6}", decibels(error), lloyd_max(1 << bits).1);
        errors.push(error);
        writeln!(levels, "    &[").expect("a string");
        for row in trained.chunks(8) {
            let row: Vec<String> = row.iter().map(|l| format!("{l:?}")).collect();
            writeln!(levels, "        {},", row.join(", ")).expect("a string");
        }
        writeln!(levels, "    ],").expect("a string");
    }
    let errors: String = errors.iter().map(|e| format!("    {e:?},\n")).collect();
    format!(
        "//! Levels of the trellis code for a standard Gaussian. Made by the example `trellis_levels`; do not edit.\n\n\
         /// By bits, 0 to 8: the `2^(bits + 1)` levels, ascending; none for 0.\n\
         #[rustfmt::skip]\npub const LEVELS: [&[f32]; 9] = [\n    &[],\n{levels}];\n\n\
         /// By bits, 0 to 8: the mean squared error of a standard Gaussian, measured on other samples than were \
         trained on.\n\
         #[rustfmt::skip]\npub const DISTORTION: [f64; 9] = [\n{errors}];\n"
    )
}

/// Prints the six codes of `S` states with the least error.
fn compare_codes<const S: usize>(bits: u8) {
    let (training, measuring) = (Gaussian(3).samples(1 << 14), Gaussian(4).samples(1 << 16));
    let ungerboeck = |high: usize, low: usize| high & 1 == 1 && high & S != 0 && low & (S | 1) == 0;
    let mut found = Vec::new();
    for (high, low) in (1..2 * S).flat_map(|high| (1..2 * S).map(move |low| (high, low))) {
        if high != low && (S == 8 || ungerboeck(high, low)) {
            let subset = subsets::<S>(high, low);
            let levels = train(&subset, bits, &training, 10);
            found.push((distortion(&subset, bits, &levels, &measuring), high, low));
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (error, high, low) in found.iter().take(6) {
        println!("{bits} bits, {S} states: {error:.5}, {:.2} dB, parities {high:06b} {low:06b}", decibels(*error));
    }
}

fn decibels(error: f64) -> f64 {
    -10.0 * error.log10()
}
