//! What the scheduler's thread and everybody else share.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::SchedulerOptions;
use super::job::{Job, JobError, JobEvent, Refused};
use super::orders::Ordered;
use super::queue::Queue;
use super::session_store::SessionError;
use super::snapshot::{Counters, Snapshot};

/// The queue, the orders to stop, and what is shown.
#[derive(Debug)]
pub(super) struct Shared {
    most_queued: usize,
    most_running: usize,
    entrance: Mutex<Entrance>,
    /// Something came to the entrance.
    changed: Condvar,
    shown: Mutex<Snapshot>,
    counters: Mutex<Counters>,
}

/// Where jobs come in.
#[derive(Debug, Default)]
pub(super) struct Entrance {
    pub(super) queue: Queue,
    /// What is to be done with sessions.
    pub(super) orders: VecDeque<Ordered>,
    /// When whatever still runs is given up; no job is taken from the moment it is set.
    pub(super) stop_at: Option<Instant>,
    closed: bool,
}

impl Shared {
    pub(super) fn new(options: &SchedulerOptions) -> Self {
        Shared {
            most_queued: options.most_queued,
            most_running: options.most_running.max(1),
            entrance: Mutex::default(),
            changed: Condvar::new(),
            shown: Mutex::new(Snapshot { budget: options.cache_bytes, ..Snapshot::default() }),
            counters: Mutex::default(),
        }
    }

    pub(super) fn push(&self, job: Job) -> Result<(), Refused> {
        let mut entrance = self.entrance();
        if entrance.closed || entrance.stop_at.is_some() {
            return Err(Refused::Stopping);
        }
        let queued = entrance.queue.len();
        if queued >= self.most_queued {
            let rounds = queued.div_ceil(self.most_running) as u64;
            return Err(Refused::QueueFull { queued, retry_after: Duration::from_secs(rounds.clamp(1, 60)) });
        }
        self.count(|c| c.taken += 1);
        entrance.queue.push(job);
        self.changed.notify_all();
        Ok(())
    }

    pub(super) fn order(&self, ordered: Ordered) {
        let mut entrance = self.entrance();
        if entrance.closed {
            drop(entrance);
            return (ordered.reply)(Err(SessionError::Stopping));
        }
        entrance.orders.push_back(ordered);
        self.changed.notify_all();
    }

    pub(super) fn stop(&self, at: Instant) {
        let mut entrance = self.entrance();
        entrance.stop_at.get_or_insert(at);
        self.changed.notify_all();
    }

    /// Whether the thread has not ended.
    pub(super) fn is_open(&self) -> bool {
        !self.entrance().closed
    }

    /// The entrance, for a moment.
    pub(super) fn entrance(&self) -> MutexGuard<'_, Entrance> {
        locked(&self.entrance)
    }

    /// Waits for a job or an order, for as long at most.
    pub(super) fn wait(&self, most: Duration) {
        let entrance = self.entrance();
        if entrance.queue.len() == 0 && entrance.orders.is_empty() && entrance.stop_at.is_none() {
            // Who wakes for nothing looks and waits again.
            drop(self.changed.wait_timeout(entrance, most));
        }
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut locked(&self.counters));
    }

    pub(super) fn show(&self, snapshot: Snapshot) {
        *locked(&self.shown) = snapshot;
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let queued = self.entrance().queue.len();
        let counters = locked(&self.counters).clone();
        Snapshot { queued, counters, ..locked(&self.shown).clone() }
    }

    /// Something that, when it is dropped, sees to it that nobody waits for a thread that has ended.
    pub(super) fn closed_at_end(&self) -> ClosedAtEnd<'_> {
        ClosedAtEnd(self)
    }
}

/// See [`Shared::closed_at_end`].
pub(super) struct ClosedAtEnd<'a>(&'a Shared);

impl Drop for ClosedAtEnd<'_> {
    fn drop(&mut self) {
        let (left, orders) = {
            let mut entrance = self.0.entrance();
            entrance.closed = true;
            (entrance.queue.remove(|_| true), std::mem::take(&mut entrance.orders))
        };
        orders.into_iter().for_each(|ordered| (ordered.reply)(Err(SessionError::Stopping)));
        for mut job in left {
            job.sink.event(JobEvent::Failed(JobError::Stopping));
        }
    }
}

/// Nothing that is locked here is left half changed by a panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
