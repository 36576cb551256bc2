//! The run itself: documents, methods, questions.

use std::ops::ControlFlow;

use fourier_kv_engine::Engine;

use super::ask::{answer, log_probability};
use super::journal::{Journal, Key};
use super::prefill::{Held, prefill};
use super::prompt::{EngineTokens, Prompt, prompt};
use super::score::score;
use super::{Method, RunError, Step, Watch, When, exact_method, passages};
use crate::item::{Document, Question};
use crate::prediction::Prediction;
use crate::report::Failure;
use crate::tasks::{Metric, Passage, Task, TaskError};

/// Asks and keeps.
pub struct Runner<'a> {
    engine: &'a Engine,
    /// Exact attention first.
    methods: Vec<Method>,
    when: When,
    journal: &'a mut Journal,
    failures: &'a mut Vec<Failure>,
}

/// What a passage's row says was asked.
const CONTINUATION: &str = "continuation";

/// Is asked between passes.
type Pass<'a> = dyn FnMut() -> ControlFlow<()> + Send + 'a;

/// Where a prediction belongs.
#[derive(Clone, Copy)]
struct Place<'a> {
    task: &'a str,
    document: &'a str,
    question: &'a str,
}

impl std::fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("methods", &self.methods).field("when", &self.when).finish_non_exhaustive()
    }
}

impl<'a> Runner<'a> {
    /// Compares `methods`, and exact attention whether or not it is among them. Predictions go to `journal`, whatever
    /// is there already is not done again; what fails is named in `failures`.
    pub fn new(
        engine: &'a Engine,
        methods: &[Method],
        when: When,
        journal: &'a mut Journal,
        failures: &'a mut Vec<Failure>,
    ) -> Self {
        let exact = exact_method();
        let others = methods.iter().filter(|m| m.kind != exact.kind).cloned();
        Runner { engine, methods: std::iter::once(exact.clone()).chain(others).collect(), when, journal, failures }
    }

    /// Asks all questions of a task that have not been answered.
    ///
    /// # Errors
    /// If the run was stopped or its file cannot be written; what fails by itself is put among the failures.
    pub fn task(&mut self, task: &dyn Task, watch: &mut Watch<'_>) -> Result<(), RunError> {
        let (name, of) = (task.name(), task.count());
        for index in 0..of {
            let watch: &mut Pass<'_> = &mut || watch(Step { task: &name, done: index, of });
            let document = match task.document(index, &EngineTokens(self.engine)) {
                Ok(document) => document,
                Err(error) => {
                    self.fail((&name, &format!("number {}", index + 1), "", ""), error.into())?;
                    continue;
                }
            };
            match self.when {
                When::AfterContext => self.after_context(task, &document, watch)?,
                When::AfterPrompt => self.after_prompt(task, &document, watch)?,
            }
        }
        Ok(())
    }

    /// Lets all methods continue the passages of a text that they have not; `task` is its name, `ppl:TEXT`.
    ///
    /// # Errors
    /// As [`Runner::task`].
    pub fn passages(
        &mut self,
        task: &str,
        passages: Result<Vec<Passage>, TaskError>,
        watch: &mut Watch<'_>,
    ) -> Result<(), RunError> {
        let passages = match passages {
            Ok(passages) => passages,
            Err(error) => return self.fail((task, "", "", ""), error.into()),
        };
        for (index, passage) in passages.iter().enumerate() {
            let step = Step { task, done: index, of: passages.len() };
            if let Err(error) = self.passage(task, passage, &mut || watch(step)) {
                self.fail((task, &passage.id, CONTINUATION, ""), error)?;
            }
        }
        Ok(())
    }

    fn passage(&mut self, task: &str, passage: &Passage, watch: &mut Pass<'_>) -> Result<(), RunError> {
        let methods = self.missing(task, &passage.id, &[CONTINUATION]);
        if methods.is_empty() {
            return Ok(());
        }
        let (&last, context) = passage.prefix.split_last().ok_or(RunError::EmptyContext)?;
        // Exact attention is what the others are compared with: it runs whether or not its own row is missing.
        let compared: Vec<Method> = methods.into_iter().filter(|m| *m != self.methods[0]).collect();
        let held = prefill(self.engine, &compared, context, watch)?;
        let bytes: Vec<usize> = held.iter().map(|h| h.bytes).collect();
        let values = passages::continue_all(self.engine.workspace().team(), held, last, &passage.continuation, watch)?;
        let names = std::iter::once(self.methods[0].clone()).chain(compared);
        for ((method, bytes), values) in names.zip(bytes).zip(values) {
            let place = Place { task, document: &passage.id, question: CONTINUATION };
            let prediction = Prediction { values, ..self.prediction(place, &method, context.len(), bytes) };
            if !self.journal.has(&Key::from(&prediction)) {
                self.journal.add(prediction)?;
            }
        }
        Ok(())
    }

    fn after_context(&mut self, task: &dyn Task, document: &Document, watch: &mut Pass<'_>) -> Result<(), RunError> {
        let name = task.name();
        let ids: Vec<&str> = document.questions.iter().map(|q| q.id.as_str()).collect();
        let methods = self.missing(&name, &document.id, &ids);
        if methods.is_empty() {
            return Ok(());
        }
        // Contexts are long: they are made into tokens once a question, not once a question and method.
        let prompts: Result<Vec<Prompt>, _> =
            document.questions.iter().map(|question| prompt(self.engine, document, question)).collect();
        let read = prompts.map_err(RunError::from).and_then(|prompts| {
            let context = prompts.first().map_or(&[][..], |prompt| &prompt.context);
            Ok((self.read(&methods, context, watch)?, prompts))
        });
        let (held, prompts) = match read {
            Ok(read) => read,
            Err(error) => return self.fail((&name, &document.id, "", ""), error),
        };
        for (held, method) in held.iter().zip(&methods) {
            for (question, prompt) in document.questions.iter().zip(&prompts) {
                let asked = (held, method);
                if let Err(error) = self.ask((task, &document.id), question, asked, &prompt.question, watch) {
                    self.fail((&name, &document.id, &question.id, &method.name), error)?;
                }
            }
        }
        Ok(())
    }

    fn after_prompt(&mut self, task: &dyn Task, document: &Document, watch: &mut Pass<'_>) -> Result<(), RunError> {
        let name = task.name();
        for question in &document.questions {
            let methods = self.missing(&name, &document.id, &[&question.id]);
            if methods.is_empty() {
                continue;
            }
            let read = prompt(self.engine, document, question).map_err(RunError::from).and_then(|prompt| {
                let all = [prompt.context, prompt.question].concat();
                let (&last, before) = all.split_last().ok_or(RunError::EmptyContext)?;
                Ok((self.read(&methods, before, watch)?, last))
            });
            let (held, last) = match read {
                Ok(read) => read,
                Err(error) => {
                    self.fail((&name, &document.id, &question.id, ""), error)?;
                    continue;
                }
            };
            for (held, method) in held.iter().zip(&methods) {
                if let Err(error) = self.ask((task, &document.id), question, (held, method), &[last], watch) {
                    self.fail((&name, &document.id, &question.id, &method.name), error)?;
                }
            }
        }
        Ok(())
    }

    /// Reads a context for `methods`, in their order.
    fn read(&self, methods: &[Method], context: &[u32], watch: &mut Pass<'_>) -> Result<Vec<Held<'a>>, RunError> {
        if context.is_empty() {
            return Err(RunError::EmptyContext);
        }
        let with_exact = methods.first() == self.methods.first();
        let compared = &methods[usize::from(with_exact)..];
        let mut held = prefill(self.engine, compared, context, watch)?;
        if !with_exact {
            held.remove(0);
        }
        Ok(held)
    }

    /// Asks one method, unless it has answered.
    fn ask(
        &mut self,
        (task, document): (&dyn Task, &str),
        question: &Question,
        (held, method): (&Held<'_>, &Method),
        tokens: &[u32],
        watch: &mut Pass<'_>,
    ) -> Result<(), RunError> {
        let name = task.name();
        let place = Place { task: &name, document, question: &question.id };
        if self.journal.has(&self.key(place, method)) {
            return Ok(());
        }
        let fork = || held.session.fork().ok_or_else(|| RunError::Fork { method: method.name.clone() });
        let text = answer(self.engine, fork()?, tokens, question, watch)?;
        let mut values = score(task.metric(), task.first_line(), &text, question);
        if let Some(one) = one_answer(task.metric(), question) {
            let said = format!(" {one}");
            values.insert("log_probability".to_owned(), log_probability(self.engine, fork()?, tokens, &said)?);
        }
        let prediction = Prediction {
            text,
            answers: question.answers.clone(),
            labels: question.labels.clone(),
            values,
            ..self.prediction(place, method, held.session.tokens().len(), held.bytes)
        };
        self.journal.add(prediction)
    }

    /// A prediction that nothing has been said in yet.
    fn prediction(&self, place: Place<'_>, method: &Method, tokens: usize, bytes: usize) -> Prediction {
        let exact_bytes = self.engine.model().cache_shape().exact_bytes(tokens, size_of::<u16>());
        Prediction {
            task: place.task.to_owned(),
            document: place.document.to_owned(),
            question: place.question.to_owned(),
            method: method.name.clone(),
            budget: method.budget,
            when: self.when.name().to_owned(),
            tokens,
            bytes,
            exact_bytes,
            ..Prediction::default()
        }
    }

    fn key(&self, place: Place<'_>, method: &Method) -> Key {
        Key {
            task: place.task.to_owned(),
            document: place.document.to_owned(),
            question: place.question.to_owned(),
            method: method.name.clone(),
            when: self.when.name().to_owned(),
        }
    }

    /// The methods that have not answered all of a document's questions.
    fn missing(&self, task: &str, document: &str, questions: &[&str]) -> Vec<Method> {
        let open = |method: &&Method| {
            questions.iter().any(|question| !self.journal.has(&self.key(Place { task, document, question }, method)))
        };
        self.methods.iter().filter(open).cloned().collect()
    }

    /// Names a failure, or ends the run if every further item would meet it too.
    fn fail(&mut self, at: (&str, &str, &str, &str), error: RunError) -> Result<(), RunError> {
        if error.ends_the_run() {
            return Err(error);
        }
        let [task, document, question, method] = [at.0, at.1, at.2, at.3].map(str::to_owned);
        self.failures.push(Failure { task, document, question, method, reason: error.to_string() });
        Ok(())
    }
}

/// What a right prediction says, if there is one way of saying it.
fn one_answer(metric: Metric, question: &Question) -> Option<&String> {
    match (metric, question.answers.as_slice()) {
        (Metric::NeedleV1 | Metric::NeedleV2, [keyword, ..]) | (_, [keyword]) => Some(keyword),
        _ => None,
    }
}
