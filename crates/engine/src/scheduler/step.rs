//! One token more for every answer that runs.

use std::ops::ControlFlow;
use std::time::Instant;

use fourier_kv_kernels::parts::Chunks;
use fourier_kv_model::decoder::{LogitRows, Sequence};

use super::job::{JobError, JobEvent};
use super::kept::KeptAs;
use super::worker::{Running, Worker};
use super::writer::Written;

/// Steps after which what an answer may come to hold is foretold anew.
const FORETOLD_EVERY: usize = 64;

impl Worker<'_> {
    /// Computes the next token of all running answers in one pass.
    pub(super) fn step(&mut self) {
        self.drop_over();
        if self.running.is_empty() {
            return;
        }
        let begun = Instant::now();
        let passed = self.pass();
        self.last_step = (Instant::now(), begun.elapsed());
        self.shared.count(|c| c.steps += 1);
        match passed {
            Ok(()) => self.take_rows(),
            Err(reason) => self.fail_all(&reason),
        }
        self.keep_within_budget(0);
        self.show_now_and_then();
    }

    fn drop_over(&mut self) {
        let (over, left) = std::mem::take(&mut self.running).into_iter().partition(|r: &Running| r.head.is_over());
        self.running = left;
        let over: Vec<Running<'_>> = over;
        over.iter().for_each(|running| self.give_up(&running.head));
        // Answers of a job that has failed meanwhile.
        self.running.retain(|running| *running.head.open.borrow() > 0);
    }

    fn pass(&mut self) -> Result<(), String> {
        // The longest past first: none is left to one thread at the end, while the others wait.
        self.running.sort_by_key(|running| std::cmp::Reverse(running.tokens.len()));
        let mut batch: Vec<Sequence<'_>> = Vec::with_capacity(self.running.len());
        for Running { cache, next, .. } in &mut self.running {
            let tokens = std::slice::from_ref(&*next);
            batch.push(Sequence { tokens, cache: cache.as_mut(), end_of_prompt: false, logits: LogitRows::Last });
        }
        let (model, workspace) = (self.engine.model(), self.engine.workspace());
        let go_on = &mut |_| ControlFlow::Continue(());
        model.forward(&mut batch, workspace, &mut self.activations, go_on).map_err(|e| e.to_string())?;
        Ok(())
    }

    /// Gives each answer its row of logits. What has ended leaves.
    fn take_rows(&mut self) {
        self.running.iter_mut().for_each(|running| running.tokens.push(running.next));
        let written = self.write_rows();
        let all = std::mem::take(&mut self.running).into_iter().zip(written);
        for (running, written) in all.collect::<Vec<_>>() {
            if let Some(running) = self.go_on(running, written) {
                self.running.push(running);
            }
        }
    }

    /// Chooses the next token of every answer.
    fn write_rows(&mut self) -> Vec<Result<Written, String>> {
        let logits = self.activations.logits();
        let rows = self.running.iter_mut().map(|running| (&mut running.writer, Ok(Written::default())));
        let mut rows: Vec<_> = rows.collect();
        self.engine.workspace().team().for_parts(Chunks::new(&mut rows, 1), |i, row| {
            let (writer, written) = &mut row[0];
            *written = writer.write(logits.row(i));
        });
        rows.into_iter().map(|(_, written)| written).collect()
    }

    /// Tells what was written; the answer, if it goes on.
    pub(super) fn go_on<'e>(
        &mut self,
        mut running: Running<'e>,
        written: Result<Written, String>,
    ) -> Option<Running<'e>> {
        if *running.head.open.borrow() == 0 {
            return None;
        }
        let Written { piece, next, finish } = match written {
            Ok(written) => written,
            Err(reason) => {
                self.fail(&running.head, JobError::Engine(reason));
                return None;
            }
        };
        self.count_token(&mut running);
        if piece.token.is_some() || !piece.text.is_empty() {
            running.head.tell(JobEvent::Piece { answer: running.answer, piece });
        }
        if let (Some(next), None) = (next, &finish) {
            running.next = next;
            self.foretell(&mut running);
            return Some(running);
        }
        let (answer, tokens) = (running.answer, running.writer.tokens());
        let finish = finish.unwrap_or(crate::Finish::End);
        running.head.tell(JobEvent::Finished { answer, finish, tokens });
        self.end(running);
        None
    }

    fn count_token(&self, running: &mut Running<'_>) {
        let first = running.writer.tokens() == 1;
        let since = if first { running.head.taken } else { running.last_token };
        let seconds = since.elapsed().as_secs_f64();
        running.last_token = Instant::now();
        self.shared.count(|c| {
            c.generated_tokens += 1;
            if first { c.first_token.add(seconds) } else { c.gap.add(seconds) }
        });
    }

    /// What it may still come to hold, now and then: less than at first, as caches compress.
    fn foretell(&self, running: &mut Running<'_>) {
        if running.writer.tokens().is_multiple_of(FORETOLD_EVERY) {
            let (tokens, bytes) = (running.tokens.len(), running.cache.bytes().total());
            running.reserved = running.reserved.min(self.budget.of_past(tokens, bytes, running.writer.left()));
        }
    }

    /// An answer has ended: its past may serve again.
    fn end(&mut self, running: Running<'_>) {
        let Running { head, cache, tokens, .. } = running;
        let open = *head.open.borrow() - 1;
        *head.open.borrow_mut() = open;
        if open == 0 {
            self.shared.count(|c| c.done += 1);
        }
        if let Some(id) = &head.session {
            return self.sessions.put(id, Some((tokens, cache)));
        }
        if self.options.least_kept.is_some_and(|least| tokens.len() >= least) {
            self.kept.put(&head.owner, tokens, cache, KeptAs::Conversation);
        }
    }

    /// A pass failed in the middle: no cache that it had is whole.
    fn fail_all(&mut self, reason: &str) {
        for running in std::mem::take(&mut self.running) {
            self.fail(&running.head, JobError::Engine(reason.to_owned()));
        }
    }
}
