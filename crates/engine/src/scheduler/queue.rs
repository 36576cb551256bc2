//! Jobs that wait: clients take turns, and each client's jobs come in their order.

use std::collections::{BTreeMap, VecDeque};

use super::job::{Client, Job};

/// How often a job that does not fit is passed over for one that does, before all wait for it.
const MOST_PASSED: usize = 16;

/// Jobs that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<Client, VecDeque<Job>>,
    /// Clients with jobs, the next one's turn first.
    turns: VecDeque<Client>,
    /// How often the first was passed over.
    passed: usize,
}

impl Queue {
    /// Jobs that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    pub(super) fn push(&mut self, job: Job) {
        let jobs = self.waiting.entry(job.client.clone()).or_default();
        if jobs.is_empty() {
            self.turns.push_back(job.client.clone());
        }
        jobs.push_back(job);
    }

    /// All jobs, each client's in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.waiting.values().flatten()
    }

    /// The job whose turn it is among those that `fits` lets pass. One that does not fit is passed over some times, then
    /// waited for.
    pub(super) fn take(&mut self, mut fits: impl FnMut(&Job) -> bool) -> Option<Job> {
        let among = if self.passed < MOST_PASSED { self.turns.len() } else { 1 };
        let first_of = |client: &Client| self.waiting.get(client).and_then(VecDeque::front);
        let turn = self.turns.iter().take(among).position(|client| first_of(client).is_some_and(&mut fits))?;
        self.passed = if turn == 0 { 0 } else { self.passed + 1 };
        let client = self.turns.remove(turn)?;
        let jobs = self.waiting.get_mut(&client)?;
        let job = jobs.pop_front();
        match jobs.is_empty() {
            true => drop(self.waiting.remove(&client)),
            false => self.turns.push_back(client),
        }
        job
    }

    /// Takes out all jobs for which `out` holds.
    pub(super) fn remove(&mut self, mut out: impl FnMut(&Job) -> bool) -> Vec<Job> {
        let mut removed = Vec::new();
        for jobs in self.waiting.values_mut() {
            let (gone, left): (VecDeque<Job>, VecDeque<Job>) = jobs.drain(..).partition(&mut out);
            *jobs = left;
            removed.extend(gone);
        }
        self.waiting.retain(|_, jobs| !jobs.is_empty());
        self.turns.retain(|client| self.waiting.contains_key(client));
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::super::job::{AnswerOptions, JobEvent, Owner, Sink};
    use super::*;

    struct Nobody;

    impl Sink for Nobody {
        fn event(&mut self, _: JobEvent) {}
        fn is_gone(&self) -> bool {
            false
        }
    }

    /// A job whose prompt has this many tokens.
    fn job(client: &str, tokens: usize) -> Job {
        Job {
            client: Client(client.into()),
            owner: Owner::default(),
            prompt: vec![1; tokens],
            answers: 1,
            options: AnswerOptions::default(),
            session: None,
            constraints: Vec::new(),
            taken: std::time::Instant::now(),
            deadline: None,
            sink: Box::new(Nobody),
        }
    }

    fn order(queue: &mut Queue) -> Vec<usize> {
        std::iter::from_fn(|| queue.take(|_| true)).map(|job| job.prompt.len()).collect()
    }

    #[test]
    fn clients_take_turns() {
        let mut queue = Queue::default();
        for (client, tokens) in [("a", 1), ("a", 2), ("a", 3), ("b", 11), ("c", 21), ("b", 12)] {
            queue.push(job(client, tokens));
        }
        assert_eq!(queue.len(), 6);
        assert_eq!(order(&mut queue), [1, 11, 21, 2, 12, 3]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_job_that_does_not_fit_is_passed_over_but_not_for_ever() {
        let mut queue = Queue::default();
        queue.push(job("large", 100));
        (0..2 * MOST_PASSED).for_each(|_| queue.push(job("small", 1)));
        let small = |job: &Job| job.prompt.len() < 10;
        let taken = std::iter::from_fn(|| queue.take(small)).count();
        assert_eq!(taken, MOST_PASSED, "then all wait for the large one");
        assert_eq!(queue.take(|_| true).map(|job| job.prompt.len()), Some(100));
        assert_eq!(std::iter::from_fn(|| queue.take(small)).count(), MOST_PASSED);
    }

    #[test]
    fn jobs_are_taken_out() {
        let mut queue = Queue::default();
        for (client, tokens) in [("a", 1), ("b", 2), ("a", 3), ("b", 4)] {
            queue.push(job(client, tokens));
        }
        let removed = queue.remove(|job| job.client.0 == "a" || job.prompt.len() == 2);
        assert_eq!(removed.len(), 3);
        assert_eq!(order(&mut queue), [4]);
    }
}
