//! The scheduler's thread: what it has in hand, and what it does next.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use fourier_kv_cache::KvCache;
use fourier_kv_model::decoder::Activations;

use super::SchedulerOptions;
use super::budget::Budget;
use super::job::{Job, JobError, JobEvent, Owner, Sink};
use super::kept::Kept;
use super::session_store::SessionStore;
use super::shared::Shared;
use super::snapshot::{PastInfo, Snapshot};
use super::writer::Writer;
use crate::Engine;

/// How old what is shown may become.
const SHOWN_EVERY: Duration = Duration::from_millis(50);

/// How often idle sessions are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What all answers of a job have in common.
pub(super) struct Head {
    pub(super) owner: Owner,
    pub(super) session: Option<String>,
    pub(super) taken: Instant,
    deadline: Option<Instant>,
    sink: RefCell<Box<dyn Sink>>,
    /// Whether the session is busy with this job.
    pub(super) has_session: Cell<bool>,
    /// Answers that have not ended.
    pub(super) open: RefCell<usize>,
}

impl Head {
    pub(super) fn tell(&self, event: JobEvent) {
        self.sink.borrow_mut().event(event);
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_gone() || self.is_late()
    }

    fn is_gone(&self) -> bool {
        self.sink.borrow().is_gone()
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// An answer that is being made.
pub(super) struct Running<'e> {
    pub(super) head: Rc<Head>,
    pub(super) answer: usize,
    pub(super) writer: Writer<'e>,
    pub(super) cache: Box<dyn KvCache>,
    /// Tokens that the cache holds.
    pub(super) tokens: Vec<u32>,
    /// The token that was chosen last.
    pub(super) next: u32,
    /// Bytes it may come to hold.
    pub(super) reserved: usize,
    pub(super) last_token: Instant,
}

/// The scheduler's thread.
pub(super) struct Worker<'e> {
    pub(super) engine: &'e Engine,
    pub(super) shared: &'e Shared,
    pub(super) options: SchedulerOptions,
    pub(super) budget: Budget,
    pub(super) running: Vec<Running<'e>>,
    pub(super) kept: Kept,
    pub(super) sessions: SessionStore,
    /// Those of steps; each prompt has its own.
    pub(super) activations: Activations,
    /// Bytes that prompts which are being read may come to hold, answers included.
    pub(super) reserved_reading: usize,
    /// Prompts that are being read, each between two tiles of the one before.
    pub(super) reading: Vec<Rc<Head>>,
    /// When the last step ended, and how long it took.
    pub(super) last_step: (Instant, Duration),
    last_shown: Instant,
}

impl<'e> Worker<'e> {
    pub(super) fn new(engine: &'e Engine, shared: &'e Shared, options: SchedulerOptions, budget: Budget) -> Self {
        let sessions = SessionStore::open(options.session_folder.clone());
        Worker {
            engine,
            shared,
            sessions,
            options,
            budget,
            running: Vec::new(),
            kept: Kept::default(),
            activations: engine.model().activations(),
            reserved_reading: 0,
            reading: Vec::new(),
            last_step: (Instant::now(), Duration::ZERO),
            last_shown: Instant::now(),
        }
    }

    /// Works until it is told to stop.
    pub(super) fn run(mut self) {
        while !self.is_stopped() {
            self.follow_orders();
            while let Some(job) = self.next_job(usize::MAX) {
                self.read(job);
            }
            match self.running.is_empty() {
                true => {
                    self.sessions.park_idle(self.engine, self.options.park_after);
                    self.show();
                    self.shared.wait(LOOK_EVERY);
                }
                false => self.step(),
            }
        }
        for running in std::mem::take(&mut self.running) {
            self.fail(&running.head, JobError::Stopping);
        }
        self.sessions.park_idle(self.engine, Duration::ZERO);
        self.show();
    }

    /// Whether the work is at its end: what waits is refused as soon as that is ordered, what runs may end in time.
    fn is_stopped(&mut self) -> bool {
        let (stop_at, waiting) = {
            let mut entrance = self.shared.entrance();
            let stop_at = entrance.stop_at;
            (stop_at, stop_at.map(|_| entrance.queue.remove(|_| true)).unwrap_or_default())
        };
        waiting.into_iter().for_each(|mut job| {
            self.shared.count(|c| c.failed += 1);
            job.sink.event(JobEvent::Failed(JobError::Stopping));
        });
        stop_at.is_some_and(|at| self.running.is_empty() || Instant::now() >= at)
    }

    /// Whether prompts that are being read must be given up.
    pub(super) fn must_stop(&self) -> bool {
        self.shared.entrance().stop_at.is_some_and(|at| Instant::now() >= at)
    }

    /// The next job, with a prompt of at most so many tokens, that there is room for.
    pub(super) fn next_job(&mut self, most_tokens: usize) -> Option<Job> {
        self.drop_waiting();
        let answers = self.running.len() + self.reading.iter().map(|head| *head.open.borrow()).sum::<usize>();
        let places = self.options.most_running.saturating_sub(answers);
        let idle = answers == 0;
        let free = self.budget.total.saturating_sub(self.reserved());
        let (budget, shared) = (&self.budget, self.shared);
        // A job with more answers than there are places begins when nothing else runs.
        let has_place = |job: &Job| job.answers <= places || idle;
        let fits = |job: &Job| job.prompt.len() <= most_tokens && has_place(job) && budget.of_job(job) <= free;
        let job = shared.entrance().queue.take(fits)?;
        let needed = self.budget.of_job(&job);
        self.keep_within_budget(needed);
        Some(job)
    }

    /// Drops kept pasts until there is room for `more` bytes beside all that is in hand.
    pub(super) fn keep_within_budget(&mut self, more: usize) {
        while self.reserved() + more + self.kept.bytes() + self.sessions.bytes() > self.budget.total {
            if !self.kept.evict() && !self.sessions.make_room(self.engine) {
                break;
            }
            self.shared.count(|c| c.evicted += 1);
        }
    }

    /// Bytes that jobs in hand may come to hold.
    pub(super) fn reserved(&self) -> usize {
        self.reserved_reading + self.running.iter().map(|running| running.reserved).sum::<usize>()
    }

    /// Forgets jobs that nobody waits for any more.
    fn drop_waiting(&mut self) {
        let now = Instant::now();
        let late = |job: &Job| job.deadline.is_some_and(|deadline| now >= deadline);
        let over = self.shared.entrance().queue.remove(|job| job.sink.is_gone() || late(job));
        for mut job in over {
            let gone = job.sink.is_gone();
            self.shared.count(|c| if gone { c.left += 1 } else { c.timed_out += 1 });
            job.sink.event(JobEvent::Failed(JobError::Timeout));
        }
    }

    /// A job's head, once it leaves the queue.
    pub(super) fn head(&self, job: &mut Job, sink: Box<dyn Sink>) -> Rc<Head> {
        Rc::new(Head {
            owner: job.owner.clone(),
            session: job.session.clone(),
            taken: job.taken,
            deadline: job.deadline,
            sink: RefCell::new(sink),
            has_session: Cell::new(false),
            open: RefCell::new(job.answers),
        })
    }

    /// Ends a job that nobody waits for, or whose time is over.
    pub(super) fn give_up(&mut self, head: &Head) {
        if *head.open.borrow() == 0 {
            return;
        }
        *head.open.borrow_mut() = 0;
        self.empty_session(head);
        let gone = head.is_gone();
        self.shared.count(|c| if gone { c.left += 1 } else { c.timed_out += 1 });
        head.tell(JobEvent::Failed(JobError::Timeout));
    }

    /// Ends a job that cannot go on.
    pub(super) fn fail(&mut self, head: &Head, error: JobError) {
        if std::mem::take(&mut *head.open.borrow_mut()) > 0 {
            self.empty_session(head);
            self.shared.count(|c| c.failed += 1);
            head.tell(JobEvent::Failed(error));
        }
    }

    /// A session whose job did not end has no past: what was said comes again with the next request.
    fn empty_session(&mut self, head: &Head) {
        if let Some(id) = head.session.as_ref().filter(|_| head.has_session.get()) {
            self.sessions.put(id, None);
        }
    }

    /// Shows how things stand, if that was long ago.
    pub(super) fn show_now_and_then(&mut self) {
        if self.last_shown.elapsed() >= SHOWN_EVERY {
            self.show();
        }
    }

    fn show(&mut self) {
        self.last_shown = Instant::now();
        let info = |owner: &Owner, tokens: usize, cache: &dyn KvCache| PastInfo {
            owner: owner.clone(),
            tokens,
            bytes: cache.bytes(),
            exact_bytes: cache.shape().exact_bytes(tokens, 2),
        };
        self.shared.show(Snapshot {
            budget: self.budget.total,
            reserved: self.reserved(),
            reading: self.reading.len(),
            running: self.running.iter().map(|r| info(&r.head.owner, r.tokens.len(), r.cache.as_ref())).collect(),
            kept: self.kept.iter().map(|p| info(&p.owner, p.tokens.len(), p.cache.as_ref())).collect(),
            held: self.sessions.held().map(|(owner, (t, c))| info(owner, t.len(), c.as_ref())).collect(),
            ..Snapshot::default()
        });
    }
}
