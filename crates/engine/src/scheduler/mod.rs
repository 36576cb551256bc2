//! Many conversations at once, in a given number of bytes.
//!
//! A [`Scheduler`] owns a thread that computes for all jobs:
//!
//! - **Decoding is continuous**: every step computes the next token of all running answers in one pass, so weights are
//!   read once a step; answers join and leave between steps.
//! - **Prompts are read between steps.** A prompt goes layer by layer, 512 tokens at a time; between two such tiles the
//!   running answers get a step when one is due, and a much shorter prompt is read at once. A prompt's exact keys and
//!   values so exist for one layer at a time, as when it is read alone.
//! - **Admission is by bytes**: a job begins when what its cache is foretold to hold at its largest fits into the budget
//!   beside what the others may come to hold. What waits stands in a bounded queue that clients take turns in.
//! - **A session** is a past with a name. It is parked on disk when it is idle, when its memory is needed, and at the end.
//! - **A past is kept** when its job has ended, and beginnings that several prompts have in common are kept by themselves;
//!   jobs of the same owner go on from them. Pasts that nobody uses give way, the least recently used first.

mod budget;
mod job;
mod kept;
mod orders;
mod prefill;
mod queue;
mod session_store;
mod shared;
mod snapshot;
mod step;
mod worker;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fourier_kv_cache::CacheKind;
use fourier_kv_cache::plan::Plan;

pub use job::{AnswerOptions, Client, Job, JobError, JobEvent, Logprobs, Owner, Piece, Refused, Sink};
pub use orders::{SessionOrder, SessionReply};
pub use session_store::{SessionError, SessionInfo, SessionPlace};
pub use snapshot::{Counters, Histogram, PastInfo, Snapshot};

use crate::{Engine, EngineError};
use budget::Budget;
use shared::Shared;
use worker::Worker;

/// How jobs are scheduled.
#[derive(Clone, Debug)]
pub struct SchedulerOptions {
    /// How pasts are kept.
    pub cache: CacheKind,
    /// The plan of the cache, if it takes one.
    pub plan: Option<Arc<Plan>>,
    /// Bytes that all pasts together may hold.
    pub cache_bytes: usize,
    /// Answers that are computed together at most.
    pub most_running: usize,
    /// Jobs that wait at most.
    pub most_queued: usize,
    /// The shortest past, in tokens, that is kept for later jobs; `None`: none is.
    pub least_kept: Option<usize>,
    /// The folder that sessions are parked in; `None`: none is.
    pub session_folder: Option<PathBuf>,
    /// How long a session may be idle before it is parked.
    pub park_after: Duration,
}

/// Computes jobs on a thread of its own. Dropping it stops at once what runs.
#[derive(Debug)]
pub struct Scheduler {
    shared: Arc<Shared>,
    budget: Budget,
    context: usize,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Scheduler {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the cache or its plan do not fit the model, or the thread cannot be started.
    pub fn start(engine: Arc<Engine>, options: SchedulerOptions) -> Result<Self, EngineError> {
        // What makes no sense fails here and not with the first job.
        drop(engine.session(&options.cache, options.plan.clone())?);
        let context = engine.model().config().context_length;
        let budget = Budget::new(&engine, &options);
        let shared = Arc::new(Shared::new(&options));
        let (theirs, bytes) = (Arc::clone(&shared), budget.clone());
        let run = move || {
            let _closed = theirs.closed_at_end();
            Worker::new(&engine, &theirs, options, bytes).run();
        };
        let thread = std::thread::Builder::new().name("scheduler".into()).spawn(run);
        let thread = thread.map_err(|e| EngineError::Threads { threads: 1, reason: e.to_string() })?;
        Ok(Scheduler { shared, budget, context, thread: Mutex::new(Some(thread)) })
    }

    /// Takes a job. Its sink hears of all that becomes of it.
    ///
    /// # Errors
    /// If the job can never be done, or not now: the queue is full, or the scheduler is stopping.
    pub fn submit(&self, job: Job) -> Result<(), Refused> {
        let result = self.check(&job).and_then(|()| self.shared.push(job));
        if let Err(refused) = &result {
            self.shared.count(|c| match refused {
                Refused::QueueFull { .. } => c.refused_full += 1,
                _ => c.refused_other += 1,
            });
        }
        result
    }

    /// Does something with sessions, and tells `reply` what came of it, on the scheduler's thread.
    pub fn order(&self, owner: Owner, order: SessionOrder, reply: impl FnOnce(SessionReply) + Send + 'static) {
        self.shared.order(orders::Ordered { owner, order, reply: Box::new(reply) });
    }

    /// How things stand, a tenth of a second ago at most while anything runs.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// Whether its thread works: not once it was stopped, or has panicked.
    pub fn is_alive(&self) -> bool {
        self.shared.is_open()
    }

    /// Takes no more jobs, refuses those that wait, lets what runs end for as long as `grace`, parks the sessions that are
    /// in memory, and waits for all that.
    pub fn stop(&self, grace: Duration) {
        self.shared.stop(Instant::now() + grace);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the thread has been reported by its sinks' being dropped.
            let _ = thread.join();
        }
    }

    fn check(&self, job: &Job) -> Result<(), Refused> {
        let (tokens, context) = (job.prompt.len(), self.context);
        if tokens == 0 {
            return Err(Refused::EmptyPrompt);
        }
        if tokens >= context {
            return Err(Refused::TooLong { tokens, context });
        }
        if job.answers == 0 || job.options.max_tokens == 0 {
            return Err(Refused::NoAnswer);
        }
        if job.session.is_some() && job.answers != 1 {
            return Err(Refused::SessionAnswers);
        }
        let constraints = job.constraints.len();
        if constraints != 0 && constraints != job.answers {
            return Err(Refused::Constraints { expected: job.answers, got: constraints });
        }
        crate::Sampler::new(job.options.sampling)?;
        let (needed, budget) = (self.budget.of_job(job), self.budget.total);
        if needed > budget {
            return Err(Refused::TooLarge { needed, budget });
        }
        Ok(())
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}
