//! What the threads of a team have in common: the run that is going on, and how they wait for the next.
//!
//! **A run.** The caller writes down the job, then sets `claims`: the number of the run in the upper half, the tasks
//! that nobody has claimed yet in the lower. Whoever takes one off the lower half owns that task; and since the run
//! cannot end before the task has, the job that the owner then reads is that run's. (The number of the run is there
//! for a thread that is held up between reading the counter and changing it: if the run has changed, its change
//! fails.) The caller works too, and is done when `unfinished` has come down to zero.
//!
//! **Waiting.** First by looking again and again, then by looking and offering the core to others, then asleep. With
//! more threads than cores nobody looks without offering: the core is somebody's who has work.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Task;

/// How long threads look for work without offering their core: longer than the gap between two runs of a layer.
const LOOKING: Duration = Duration::from_micros(50);
/// How long they are awake in all: longer than the gap between two tokens.
const AWAKE: Duration = Duration::from_micros(300);
/// Looks between two readings of the clock.
const LOOKS: usize = 32;

type Panic = Box<dyn Any + Send>;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Shared {
    claims: Line<AtomicU64>,
    unfinished: Line<AtomicUsize>,
    job: JobSlot,
    /// What the first task that panicked in this run panicked with.
    panic: Mutex<Option<Panic>>,
    looking: Duration,
    closing: AtomicBool,
    /// Held while falling asleep, and while waking others.
    falling_asleep: Mutex<()>,
    sleeping_workers: AtomicUsize,
    work_came: Condvar,
    caller_sleeps: AtomicBool,
    run_ended: Condvar,
}

/// A value in cache lines of its own: who looks at one counter is not disturbed by changes of another.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

/// The tasks of the run that is going on, and what is done with each; nothing between runs.
struct JobSlot(UnsafeCell<(usize, Option<&'static Task<'static>>)>);

// SAFETY: written by the one caller that has a run to itself, while no task is claimed; read by owners of claimed tasks.
// `claims` orders the writing before the readings, `unfinished` the readings before the next writing.
unsafe impl Sync for JobSlot {}

impl std::fmt::Debug for JobSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JobSlot")
    }
}

impl Shared {
    /// `crowded`: there are more threads than cores.
    pub(super) fn new(crowded: bool) -> Self {
        Shared {
            claims: Line::default(),
            unfinished: Line::default(),
            job: JobSlot(UnsafeCell::new((0, None))),
            panic: Mutex::default(),
            looking: if crowded { Duration::ZERO } else { LOOKING },
            closing: AtomicBool::new(false),
            falling_asleep: Mutex::default(),
            sleeping_workers: AtomicUsize::new(0),
            work_came: Condvar::new(),
            caller_sleeps: AtomicBool::new(false),
            run_ended: Condvar::new(),
        }
    }

    /// Begins a run of `tasks` tasks.
    ///
    /// # Safety
    /// No other run is going on, and [`Shared::finish`] is called before `task` goes away.
    pub(super) unsafe fn begin(&self, tasks: u32, task: &Task<'_>) {
        // SAFETY: only the lifetime changes, and nobody uses the reference after `finish`, which forgets it.
        let task = unsafe { std::mem::transmute::<&Task<'_>, &'static Task<'static>>(task) };
        // SAFETY: no run is going on, so no task is claimed: nobody reads.
        unsafe { *self.job.0.get() = (tasks as usize, Some(task)) };
        self.unfinished.0.store(tasks as usize, Ordering::Relaxed);
        let run = (self.claims.0.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        // In one order with the counter of sleepers: either they see the work, or they are seen here.
        self.claims.0.store(run << 32 | u64::from(tasks), Ordering::SeqCst);
        let sleeping = self.sleeping_workers.load(Ordering::SeqCst);
        if sleeping > 0 {
            let _falling_asleep = locked(&self.falling_asleep);
            (1..tasks as usize).take(sleeping).for_each(|_| self.work_came.notify_one());
        }
    }

    /// Does one task of the run that is going on; false if there is none left to claim.
    pub(super) fn do_one(&self) -> bool {
        let Some(left) = self.claim() else { return false };
        // SAFETY: a task is claimed and unfinished: the job is written and stays as it is.
        let (tasks, task) = unsafe { *self.job.0.get() };
        let task = task.expect("a run has a task");
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| task(tasks - left))) {
            let mut first = locked(&self.panic);
            match first.is_none() {
                true => *first = Some(panic),
                // Dropping it could panic again.
                false => std::mem::forget(panic),
            }
        }
        if self.unfinished.0.fetch_sub(1, Ordering::SeqCst) == 1 && self.caller_sleeps.load(Ordering::SeqCst) {
            let _falling_asleep = locked(&self.falling_asleep);
            self.run_ended.notify_one();
        }
        true
    }

    /// Takes one of the tasks that are left, and says how many were.
    fn claim(&self) -> Option<usize> {
        let mut now = self.claims.0.load(Ordering::Relaxed);
        loop {
            let left = now as u32;
            if left == 0 {
                return None;
            }
            match self.claims.0.compare_exchange_weak(now, now - 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(left as usize),
                Err(changed) => now = changed,
            }
        }
    }

    /// Waits until every task has ended, forgets the job, and returns what a task panicked with.
    pub(super) fn finish(&self) -> Option<Panic> {
        let ended = || self.unfinished.0.load(Ordering::SeqCst) == 0;
        if !self.stay_awake(ended) {
            let mut guard = locked(&self.falling_asleep);
            self.caller_sleeps.store(true, Ordering::SeqCst);
            while !ended() {
                guard = self.run_ended.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
            self.caller_sleeps.store(false, Ordering::SeqCst);
        }
        // SAFETY: all tasks have ended, and none can be claimed: nobody reads.
        unsafe { *self.job.0.get() = (0, None) };
        locked(&self.panic).take()
    }

    /// A worker's life.
    pub(super) fn work(&self) {
        let called = || self.claims.0.load(Ordering::SeqCst) as u32 != 0 || self.closing.load(Ordering::SeqCst);
        while !self.closing.load(Ordering::SeqCst) {
            while self.do_one() {}
            if !self.stay_awake(called) {
                let mut guard = locked(&self.falling_asleep);
                self.sleeping_workers.fetch_add(1, Ordering::SeqCst);
                while !called() {
                    guard = self.work_came.wait(guard).unwrap_or_else(PoisonError::into_inner);
                }
                self.sleeping_workers.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    /// Sends the workers home.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        let _falling_asleep = locked(&self.falling_asleep);
        self.work_came.notify_all();
    }

    /// Waits for `ready` without sleeping; false if that takes too long.
    fn stay_awake(&self, ready: impl Fn() -> bool) -> bool {
        if ready() {
            return true;
        }
        let begun = Instant::now();
        loop {
            for _ in 0..LOOKS {
                if ready() {
                    return true;
                }
                std::hint::spin_loop();
            }
            let waited = begun.elapsed();
            if waited >= AWAKE {
                return false;
            }
            if waited >= self.looking {
                std::thread::yield_now();
            }
        }
    }
}

/// Locks; nothing that is held here can be left broken by a panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
