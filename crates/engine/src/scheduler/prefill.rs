//! Reading a prompt, with steps of the running answers in between.

use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fourier_kv_cache::KvCache;
use fourier_kv_model::decoder::{ForwardError, LogitRows, Sequence};

use super::job::{Job, JobError, JobEvent, Sink};
use super::kept::KeptAs;
use super::session_store::{Past, SessionError};
use super::worker::{Head, Running, Worker};
use super::writer::Writer;
use crate::Constraint;

/// Prompts that are read each between two tiles of another.
const MOST_NESTED: usize = 3;
/// How many times shorter a prompt must be to be read between two tiles of another.
const SHORTER: usize = 4;
/// The time for prompts between two steps is that of a step, or this if that is longer.
const LEAST_SLICE: Duration = Duration::from_millis(25);

/// Tokens of an answer that room is made for when it begins.
const MOST_RESERVED: usize = 256;

/// A prompt whose past is whole, and the logits of its last token.
struct ReadPrompt {
    cache: Box<dyn KvCache>,
    logits: Vec<f32>,
}

impl<'e> Worker<'e> {
    /// Reads a job's prompt; its answers run from then on.
    pub(super) fn read(&mut self, mut job: Job) {
        let sink = std::mem::replace(&mut job.sink, Box::new(Nobody));
        let head = self.head(&mut job, sink);
        let needed = self.budget.of_job(&job);
        self.reserved_reading += needed;
        self.reading.push(Rc::clone(&head));
        let result = self.past(&job, &head).and_then(|past| self.read_prompt(&job, &head, past).map_err(Stopped::Pass));
        self.reading.pop();
        self.reserved_reading -= needed;
        match result {
            Ok(prompt) => self.begin_answers(job, &head, prompt),
            Err(Stopped::Session(error)) => self.fail(&head, error.into()),
            Err(Stopped::Pass(ForwardError::Stopped)) if head.is_over() => self.give_up(&head),
            Err(Stopped::Pass(ForwardError::Stopped)) => self.fail(&head, JobError::Stopping),
            Err(Stopped::Pass(error)) => self.fail(&head, JobError::Engine(error.to_string())),
        }
        self.keep_within_budget(0);
    }

    /// The past that the job goes on from, with its tokens: that of its session, or one that was kept.
    fn past(&mut self, job: &Job, head: &Head) -> Result<Option<Past>, Stopped> {
        if let Some(id) = &job.session {
            let past = self.sessions.take(self.engine, &job.owner, id).map_err(Stopped::Session)?;
            head.has_session.set(true);
            let goes_on = |past: &Past| past.0.len() < job.prompt.len() && job.prompt.starts_with(&past.0);
            if let Some(past) = past.filter(goes_on) {
                return Ok(Some(past));
            }
        }
        let tokens = self.kept.longest(&job.owner, &job.prompt);
        Ok(self.kept.take(&job.owner, &job.prompt).map(|cache| (job.prompt[..tokens].to_vec(), cache)))
    }

    fn read_prompt(&mut self, job: &Job, head: &Rc<Head>, past: Option<Past>) -> Result<ReadPrompt, ForwardError> {
        let prompt = &job.prompt;
        let common = self.beginning(job);
        let (mut done, mut cache) = match past {
            Some((tokens, cache)) => (tokens.len(), cache),
            None => (0, self.empty_cache()?),
        };
        head.tell(JobEvent::Began { reused: done });
        self.shared.count(|c| {
            c.reused_tokens += done as u64;
            c.prompt_tokens += (prompt.len() - done) as u64;
        });
        if common > done {
            self.pass_over(cache.as_mut(), &prompt[done..common], LogitRows::None, head)?;
            done = common;
            if let Some(beginning) = cache.fork() {
                self.kept.put(&job.owner, prompt[..common].to_vec(), beginning, KeptAs::Beginning);
            }
        }
        let logits = self.pass_over(cache.as_mut(), &prompt[done..], LogitRows::Last, head)?;
        Ok(ReadPrompt { cache, logits })
    }

    /// Tokens of the prompt's beginning that are worth keeping by themselves, as another prompt has them too.
    fn beginning(&mut self, job: &Job) -> usize {
        let Some(least) = self.options.least_kept else { return 0 };
        let entrance = self.shared.entrance();
        let waiting = entrance.queue.iter().map(|job| (&job.owner, job.prompt.as_slice()));
        let common = self.kept.in_common(&job.owner, &job.prompt, waiting);
        // What is left must be worth a pass of its own, or a conversation is only going on.
        if common >= least { common } else { 0 }
    }

    fn empty_cache(&self) -> Result<Box<dyn KvCache>, ForwardError> {
        let context = self.engine.cache_context().map_err(|e| match e {
            crate::EngineError::Forward(error) => error,
            _ => ForwardError::Stopped,
        })?;
        Ok(self.options.cache.build(context, self.options.plan.clone())?)
    }

    /// Appends tokens, compresses, and returns the logits asked for. Between two tiles others get their turn.
    fn pass_over(
        &mut self,
        cache: &mut dyn KvCache,
        tokens: &[u32],
        logits: LogitRows,
        head: &Rc<Head>,
    ) -> Result<Vec<f32>, ForwardError> {
        let engine = self.engine;
        let mut activations = engine.model().activations();
        let mut batch = [Sequence { tokens, cache, end_of_prompt: true, logits }];
        let watch = &mut |_| {
            self.between_tiles(tokens.len());
            match head.is_over() || self.must_stop() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let logits = engine.model().forward(&mut batch, engine.workspace(), &mut activations, watch)?;
        Ok(logits.rows.clone())
    }

    /// Between two tiles of a prompt: a step if one is due, and prompts that are much shorter.
    fn between_tiles(&mut self, tokens: usize) {
        let (ended, took) = self.last_step;
        if !self.running.is_empty() && ended.elapsed() >= took.max(LEAST_SLICE) {
            self.step();
        }
        while self.reading.len() < MOST_NESTED {
            let Some(job) = self.next_job(tokens / SHORTER) else { break };
            self.read(job);
        }
        self.follow_orders();
        self.show_now_and_then();
    }

    fn begin_answers(&mut self, mut job: Job, head: &Rc<Head>, prompt: ReadPrompt) {
        let mut constraints = std::mem::take(&mut job.constraints).into_iter();
        let mut cache = Some(prompt.cache);
        for answer in 0..job.answers {
            let last = answer + 1 == job.answers;
            let own = if last { cache.take() } else { cache.as_ref().and_then(|cache| cache.fork()) };
            let Some(own) = own else {
                let reason = "this cache cannot be had twice: ask for one answer at a time".to_owned();
                return self.fail(head, JobError::Engine(reason));
            };
            match self.answer(&job, head, answer, own, constraints.next()) {
                Ok(mut running) => {
                    let written = running.writer.write(&prompt.logits);
                    if let Some(running) = self.go_on(running, written) {
                        self.running.push(running);
                    }
                }
                Err(reason) => return self.fail(head, JobError::Engine(reason)),
            }
        }
    }

    fn answer(
        &mut self,
        job: &Job,
        head: &Rc<Head>,
        answer: usize,
        mut cache: Box<dyn KvCache>,
        constraint: Option<Box<dyn Constraint>>,
    ) -> Result<Running<'e>, String> {
        let writer = Writer::new(self.engine, &job.options, answer, job.prompt.len(), constraint)?;
        let reserved = self.budget.of_past(job.prompt.len(), cache.bytes().total(), job.options.max_tokens);
        cache.reserve(job.options.max_tokens.min(MOST_RESERVED), self.engine.workspace());
        Ok(Running {
            head: Rc::clone(head),
            answer,
            writer,
            cache,
            tokens: job.prompt.clone(),
            next: 0,
            reserved,
            last_token: Instant::now(),
        })
    }
}

/// Why a prompt was not read.
enum Stopped {
    /// Its session cannot be used.
    Session(SessionError),
    /// The pass ended early.
    Pass(ForwardError),
}

/// In the place of a sink that has moved on.
struct Nobody;

impl Sink for Nobody {
    fn event(&mut self, _: JobEvent) {}

    fn is_gone(&self) -> bool {
        false
    }
}
