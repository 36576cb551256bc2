//! Teams under stress: every task once, panics, runs inside runs, callers side by side, endings.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fourier_kv_kernels::parts::Chunks;
use fourier_kv_kernels::team::Team;

/// Teams of one thread, of two, and of more than any machine that tests run on has cores to spare for.
fn teams() -> Vec<Team> {
    [0, 1, 2, 3, 17].into_iter().map(|threads| Team::new(threads).unwrap()).collect()
}

/// How often each task was called.
fn calls(team: &Team, tasks: usize) -> Vec<usize> {
    let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
    team.run(tasks, &|i| {
        counts[i].fetch_add(1, Ordering::Relaxed);
    });
    counts.into_iter().map(AtomicUsize::into_inner).collect()
}

#[test]
fn every_task_is_done_once() {
    for team in teams() {
        for tasks in [0, 1, 2, 3, 16, 1000] {
            assert_eq!(calls(&team, tasks), vec![1; tasks], "{} threads", team.threads());
        }
    }
    assert_eq!(Team::alone().threads(), 1);
    assert_eq!(Team::new(0).unwrap().threads(), 1);
    assert_eq!(Team::new(5).unwrap().threads(), 5);
}

/// Runs one after another with nothing between them: a task of one run must never be taken for one of another.
#[test]
fn runs_follow_one_another_without_mixing() {
    for team in teams() {
        let runs = if team.threads() > 4 { 2_000 } else { 50_000 };
        for run in 0..runs {
            let tasks = 2 + run % 5;
            let sum = AtomicUsize::new(0);
            team.run(tasks, &|i| {
                assert!(i < tasks);
                sum.fetch_add(run * tasks + i + 1, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), tasks * run * tasks + tasks * (tasks + 1) / 2);
        }
    }
}

/// Pauses longer than a team stays awake: threads must be woken, and caller and workers sleep in turn.
#[test]
fn sleepers_are_woken() {
    let team = Team::new(3).unwrap();
    for pause in [0, 1, 100, 400, 2_000, 20_000].map(Duration::from_micros) {
        for _ in 0..5 {
            std::thread::sleep(pause);
            let done = AtomicUsize::new(0);
            team.run(7, &|i| {
                if i % 3 == 0 {
                    std::thread::sleep(pause);
                }
                done.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(done.into_inner(), 7);
        }
    }
}

/// Two tasks that each wait for the other can only end on two threads.
#[test]
fn tasks_run_side_by_side() {
    for threads in [2, 4] {
        let team = Team::new(threads).unwrap();
        for pause in [0, 5] {
            std::thread::sleep(Duration::from_millis(pause));
            let here = AtomicUsize::new(0);
            team.run(threads, &|_| {
                here.fetch_add(1, Ordering::SeqCst);
                while here.load(Ordering::SeqCst) < threads {
                    std::thread::yield_now();
                }
            });
        }
    }
}

#[test]
fn a_panic_reaches_the_caller_when_all_tasks_have_ended() {
    for team in teams() {
        for round in 0..200 {
            let ended = AtomicUsize::new(0);
            let caught = catch_unwind(AssertUnwindSafe(|| {
                team.run(20, &|i| {
                    if i % 7 == 3 {
                        ended.fetch_add(1, Ordering::SeqCst);
                        std::panic::resume_unwind(Box::new(format!("task of round {round}")));
                    }
                    ended.fetch_add(1, Ordering::SeqCst);
                });
            }));
            let text = caught.unwrap_err().downcast::<String>().unwrap();
            assert_eq!((text.as_str(), ended.into_inner()), (&*format!("task of round {round}"), 20));
            // And the team works on, with nothing left of the panic.
            assert_eq!(calls(&team, 9), vec![1; 9]);
        }
    }
}

#[test]
fn a_run_inside_a_task_is_done_by_its_thread() {
    for team in teams() {
        let counts: Vec<AtomicUsize> = (0..12 * 5).map(|_| AtomicUsize::new(0)).collect();
        team.run(12, &|i| {
            let outer = std::thread::current().id();
            team.run(5, &|j| {
                assert_eq!(std::thread::current().id(), outer);
                team.run(1, &|_| {
                    counts[i * 5 + j].fetch_add(1, Ordering::Relaxed);
                });
            });
        });
        assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
    }
}

#[test]
fn callers_side_by_side_all_get_their_tasks_done() {
    let team = Team::new(3).unwrap();
    std::thread::scope(|scope| {
        for caller in 0..6 {
            let team = &team;
            scope.spawn(move || {
                for run in 0..3_000 {
                    let tasks = 2 + (caller + run) % 6;
                    assert_eq!(calls(team, tasks), vec![1; tasks]);
                }
            });
        }
    });
}

#[test]
fn what_tasks_wrote_is_seen_by_the_next_run() {
    let team = Team::new(4).unwrap();
    let mut numbers = vec![0u64; 1000];
    for round in 1..=30 {
        team.for_parts(Chunks::new(&mut numbers, 37), |i, chunk| {
            chunk.iter_mut().for_each(|x| *x = *x * 3 + i as u64);
        });
        let expected = |i: u64| (0..round).fold(0, |x, _| x * 3 + i / 37);
        assert!((0..).zip(&numbers).all(|(i, &x)| x == expected(i)), "round {round}");
    }
}

#[test]
fn the_error_of_the_first_part_is_returned() {
    for team in teams() {
        let mut slice = [0u8; 40];
        for _ in 0..100 {
            let result = team.try_for_parts(Chunks::new(&mut slice, 4), |i, chunk| {
                chunk.fill(i as u8);
                if i == 3 || i == 8 { Err(i) } else { Ok(()) }
            });
            assert_eq!(result, Err(3));
        }
        assert_eq!(slice[39], 9, "parts after an error are done, too");
        assert_eq!(team.try_for_parts(Chunks::new(&mut slice, 1), |_, _| Ok::<(), ()>(())), Ok(()));
    }
}

#[test]
fn dropping_ends_the_threads() {
    let names = Mutex::new(Vec::new());
    for pause in [0, 5] {
        let team = Team::new(6).unwrap();
        let here = AtomicUsize::new(0);
        team.run(6, &|_| {
            here.fetch_add(1, Ordering::SeqCst);
            while here.load(Ordering::SeqCst) < 6 {
                std::thread::yield_now();
            }
            names.lock().unwrap().push(std::thread::current().name().unwrap_or_default().to_owned());
        });
        std::thread::sleep(Duration::from_millis(pause));
        drop(team);
    }
    let mut names = names.into_inner().unwrap();
    names.retain(|name| name.starts_with("fourier-kv-"));
    names.sort_unstable();
    let expected: Vec<String> = (1..6).flat_map(|i| [format!("fourier-kv-{i}"), format!("fourier-kv-{i}")]).collect();
    assert_eq!(names, expected);
    // Many teams that never worked.
    for _ in 0..100 {
        drop(Team::new(3).unwrap());
    }
}
