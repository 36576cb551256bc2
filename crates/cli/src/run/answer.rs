//! The answer as it comes: a bar while the prompt is read, then text.

use std::io::{self, Write};
use std::ops::ControlFlow;

use fourier_kv_engine::model::decoder::{ForwardError, Progress};
use fourier_kv_engine::{self as engine, Engine, EngineError, Event, GenerateOptions, Predictor};
use indicatif::ProgressBar;

use crate::cancel::Cancel;
use crate::failure::Failure;
use crate::session::Session;

/// Shows what happens, and ends it after Ctrl-C or when nobody reads any more.
struct Viewer<'a> {
    bar: ProgressBar,
    prompt_tokens: usize,
    cancel: &'a Cancel,
    streams: bool,
    ends_line: bool,
    error: Option<io::Error>,
}

/// Answers, and streams the text to standard output unless one JSON object is wanted there.
///
/// # Errors
/// [`Failure::Interrupted`] when Ctrl-C came before there was an answer; later, the answer is what there is.
pub(crate) fn answer(
    engine: &Engine,
    sequence: &mut dyn Predictor,
    prompt: &[u32],
    options: &GenerateOptions,
    session: &Session,
) -> Result<engine::Generation, Failure> {
    let mut viewer = Viewer {
        bar: session.progress.tokens("reading", prompt.len()),
        prompt_tokens: prompt.len(),
        cancel: &session.cancel,
        streams: !session.output.json,
        ends_line: true,
        error: None,
    };
    let result = engine.generate(sequence, prompt, options, &mut |event| viewer.see(event));
    viewer.bar.finish_and_clear();
    viewer.end_line();
    match (result, viewer.error) {
        (_, Some(error)) => Err(Failure::Output(error)),
        (Err(EngineError::Forward(ForwardError::Stopped)), None) => Err(Failure::Interrupted),
        (result, None) => Ok(result?),
    }
}

impl Viewer<'_> {
    fn see(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Prompt(progress) => self.bar.set_position(tokens_done(progress, self.prompt_tokens)),
            Event::PromptDone => self.bar.finish_and_clear(),
            Event::Text(text) => self.write(text),
            Event::Token => {}
        }
        match self.cancel.is_raised() || self.error.is_some() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn write(&mut self, text: &str) {
        if self.streams && self.error.is_none() {
            let mut out = io::stdout();
            let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            self.error = written.err();
            self.ends_line = text.ends_with('\n');
        }
    }

    /// What follows the answer begins on a line of its own.
    fn end_line(&mut self) {
        if !self.ends_line {
            self.write("\n");
        }
    }
}

/// Tokens of the prompt that the work done so far amounts to; it goes layer by layer.
fn tokens_done(progress: Progress, tokens: usize) -> u64 {
    let share = progress.done as f64 / progress.total.max(1) as f64;
    (share * tokens as f64) as u64
}
