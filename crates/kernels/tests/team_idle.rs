//! An idle team takes none of the processor's time. A program of its own, since it counts that of the whole process.
#![cfg(target_os = "linux")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fourier_kv_kernels::team::Team;

/// Processor time of this process so far, in the system's ticks of 10 ms.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    // proc(5): utime and stime are fields 14 and 15, and the one after the name is the third.
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn an_idle_team_sleeps() {
    let team = Team::new(8).unwrap();
    let done = AtomicUsize::new(0);
    team.run(100, &|_| {
        done.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(done.into_inner(), 100);
    std::thread::sleep(Duration::from_millis(50));
    let before = ticks();
    std::thread::sleep(Duration::from_millis(500));
    let used = ticks() - before;
    assert!(used <= 2, "{used} ticks of 10 ms in half a second");
}
