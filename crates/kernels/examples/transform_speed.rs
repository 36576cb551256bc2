//! Microseconds of a lane transform on one core, by period, harmonics and length, beside realfft's.
//!
//! `cargo run --release -p fourier-kv-kernels --example transform_speed`

#![allow(clippy::print_stdout)] // its report is what it is for

use std::time::Instant;

use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::transform::{LaneScratch, LaneTransform, TimeScratch, TimeTransform};
use fourier_kv_spectral::fft::Fft;

fn main() {
    let isa = Isa::detect();
    println!(
        "{:>7} {:>9} {:>7} {:>11} {:>11}   (microseconds, best of many, {isa})",
        "period", "harmonics", "length", "inverse", "forward"
    );
    for (period, harmonics) in
        [(4_096, 512), (6_912, 512), (18_432, 512), (36_864, 512), (147_456, 512), (6_912, 3_457), (36_864, 18_433)]
    {
        let x: Vec<f32> = (0..period).map(|t| (t as f32 * 0.37).sin()).collect();
        let mut spectrum = vec![0.5f32; 2 * harmonics];
        let mut out = vec![0.0f32; period];
        let chosen = LaneTransform::<f32>::new(period, harmonics).length();
        for length in (48..=1_200).filter(|&q| (period / 32).is_multiple_of(q)) {
            let plan = LaneTransform::<f32>::with_length(period, harmonics, length);
            let mut scratch = LaneScratch::default();
            let inverse = best(|| plan.inverse(isa, &spectrum, 1.0, &mut out, &mut scratch));
            let forward = best(|| plan.forward(isa, &x, &mut spectrum, &mut scratch));
            let mark = if length == chosen { "*" } else { "" };
            println!("{period:>7} {harmonics:>9} {length:>7} {inverse:>11.2} {forward:>11.2} {mark}");
        }
        if let TimeTransform::Grid(grid) = TimeTransform::<f32>::new(period, harmonics) {
            let (points, plan) = (grid.points(), TimeTransform::Grid(grid));
            let mut scratch = TimeScratch::default();
            let inverse = best(|| plan.inverse(isa, &spectrum, 1.0, &mut out, &mut scratch));
            let forward = best(|| plan.forward(isa, &x, &mut spectrum, &mut scratch));
            println!("{period:>7} {harmonics:>9} {inverse:>19.2} {forward:>11.2} by a grid of {points}");
        }
        let fft = Fft::<f32>::new(period);
        let mut scratch = fft.scratch();
        let inverse = best(|| fft.synthesise(&spectrum, &mut out, &mut scratch));
        let forward = best(|| fft.analyse(&x, &mut spectrum, &mut scratch));
        println!("{period:>7} {harmonics:>9} {:>7} {inverse:>11.2} {forward:>11.2}", "realfft");
    }
}

fn best(mut run: impl FnMut()) -> f64 {
    let timed = (0..300).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    timed.fold(f64::INFINITY, f64::min) * 1e6
}
