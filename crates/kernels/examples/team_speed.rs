//! What a run of a team costs: empty tasks, one a thread, one run after another.
//!
//!     cargo run --release -p fourier-kv-kernels --example team_speed [THREADS]
#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use fourier_kv_kernels::team::Team;

const RUNS: usize = 10_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = match std::env::args().nth(1) {
        Some(threads) => threads.parse()?,
        None => std::thread::available_parallelism()?.get(),
    };
    let team = Team::new(threads)?;
    for tasks in [threads, 4 * threads, 20 * threads] {
        let mut times: Vec<Duration> = (0..RUNS).map(|_| time(&team, tasks)).collect();
        times.sort_unstable();
        let at = |share: f64| times[(share * RUNS as f64) as usize].as_secs_f64() * 1e6;
        println!("{threads} threads, {tasks} tasks: median {:.2} us, 90 % within {:.2} us", at(0.5), at(0.9));
    }
    let mut times: Vec<Duration> = (0..200)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(2));
            time(&team, threads)
        })
        .collect();
    times.sort_unstable();
    println!("{threads} threads, asleep: median {:.1} us", times[100].as_secs_f64() * 1e6);
    Ok(())
}

fn time(team: &Team, tasks: usize) -> Duration {
    let begun = Instant::now();
    team.run(tasks, &|i| {
        black_box(i);
    });
    begun.elapsed()
}
