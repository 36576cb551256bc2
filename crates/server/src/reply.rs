//! What the scheduler says, as a body: whole, or as server-sent events.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use fourier_kv_engine::Finish;
use fourier_kv_engine::scheduler::{JobEvent, Piece, Sink};
use futures_core::Stream;
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::error::ApiError;

/// Events that wait for a slow reader beside those in the connection's own buffers.
const WAITING: usize = 32;
/// How long a reader may take none.
const STALL: Duration = Duration::from_secs(60);
/// A line that means nothing is sent so often while nothing else is.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The scheduler's end of a reply. What it says waits for its reader: at most an answer's tokens, whose number is
/// limited.
pub(crate) struct ReplySink(UnboundedSender<JobEvent>);

/// The server's end.
pub(crate) type ReplyEvents = UnboundedReceiver<JobEvent>;

/// Both ends of a reply.
pub(crate) fn reply() -> (Box<dyn Sink>, ReplyEvents) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Box::new(ReplySink(sender)), receiver)
}

impl Sink for ReplySink {
    fn event(&mut self, event: JobEvent) {
        // Nobody listens: `is_gone` says so, too.
        let _ = self.0.send(event);
    }

    fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}

/// One whole answer.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    pub(crate) text: String,
    /// The pieces that were tokens.
    pub(crate) pieces: Vec<Piece>,
    pub(crate) finish: Option<Finish>,
}

/// Tokens that a reply took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) prompt: usize,
    pub(crate) reused: usize,
    pub(crate) answers: usize,
}

impl Usage {
    pub(crate) fn json(self) -> Value {
        json!({"prompt_tokens": self.prompt, "completion_tokens": self.answers,
            "total_tokens": self.prompt + self.answers, "prompt_tokens_details": {"cached_tokens": self.reused}})
    }
}

/// Waits for all answers.
pub(crate) async fn whole(mut events: ReplyEvents, answers: usize, usage: &mut Usage) -> Result<Vec<Whole>, ApiError> {
    let mut all: Vec<Whole> = (0..answers).map(|_| Whole::default()).collect();
    let mut open = answers;
    while open > 0 {
        match next(&mut events).await? {
            JobEvent::Began { reused } => usage.reused = reused,
            JobEvent::Piece { answer, piece } => {
                all[answer].text += &piece.text;
                all[answer].pieces.push(piece);
            }
            JobEvent::Finished { answer, finish, tokens } => {
                all[answer].finish = Some(finish);
                usage.answers += tokens;
                open -= 1;
            }
            JobEvent::Failed(error) => return Err(error.into()),
        }
    }
    Ok(all)
}

async fn next(events: &mut ReplyEvents) -> Result<JobEvent, ApiError> {
    events.recv().await.ok_or_else(|| ApiError::internal("the engine was lost"))
}

/// How a kind of answer looks in pieces.
pub(crate) trait Chunks: Send + 'static {
    /// What comes first.
    fn begin(&mut self) -> Vec<Value>;
    /// A part of an answer.
    fn piece(&mut self, answer: usize, piece: Piece) -> Vec<Value>;
    /// The end of an answer.
    fn finished(&mut self, answer: usize, finish: &Finish) -> Vec<Value>;
    /// The tokens that it took, if they are to be told.
    fn usage(&mut self, usage: Usage) -> Option<Value>;
}

/// Answers in pieces. Waits for the work to begin, so that what fails before has a status of its own.
pub(crate) async fn stream(
    mut events: ReplyEvents,
    answers: usize,
    usage: Usage,
    chunks: impl Chunks,
) -> Result<Response, ApiError> {
    let reused = match next(&mut events).await? {
        JobEvent::Began { reused } => reused,
        JobEvent::Failed(error) => return Err(error.into()),
        _ => return Err(ApiError::internal("the engine answered before it began")),
    };
    let (frames, body) = mpsc::channel(WAITING);
    let usage = Usage { reused, ..usage };
    tokio::spawn(Streaming { events, open: answers, usage, frames }.run(chunks));
    let mut response = Response::new(Body::from_stream(Frames(body)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// A reply that is being sent in pieces.
struct Streaming {
    events: ReplyEvents,
    open: usize,
    usage: Usage,
    frames: mpsc::Sender<String>,
}

/// The reader has gone, or takes nothing.
struct Gone;

impl Streaming {
    async fn run(mut self, mut chunks: impl Chunks) {
        // Whoever has gone needs no end; the scheduler notices as `events` is dropped.
        let _ = self.send_all(&mut chunks).await;
    }

    async fn send_all(&mut self, chunks: &mut impl Chunks) -> Result<(), Gone> {
        self.send(chunks.begin()).await?;
        while self.open > 0 {
            let event = match tokio::time::timeout(KEEP_ALIVE, next(&mut self.events)).await {
                Err(_) => {
                    self.frame(": still here\n\n".to_owned()).await?;
                    continue;
                }
                Ok(Err(error)) => return self.send(vec![error.body()]).await,
                Ok(Ok(event)) => event,
            };
            match event {
                JobEvent::Began { .. } => {}
                JobEvent::Piece { answer, piece } => self.send(chunks.piece(answer, piece)).await?,
                JobEvent::Finished { answer, finish, tokens } => {
                    self.usage.answers += tokens;
                    self.open -= 1;
                    self.send(chunks.finished(answer, &finish)).await?;
                }
                JobEvent::Failed(error) => return self.send(vec![ApiError::from(error).body()]).await,
            }
        }
        self.send(chunks.usage(self.usage).into_iter().collect()).await?;
        self.frame("data: [DONE]\n\n".to_owned()).await
    }

    async fn send(&self, objects: Vec<Value>) -> Result<(), Gone> {
        for object in objects {
            self.frame(format!("data: {object}\n\n")).await?;
        }
        Ok(())
    }

    async fn frame(&self, frame: String) -> Result<(), Gone> {
        match tokio::time::timeout(STALL, self.frames.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }
}

/// Frames as a body takes them.
struct Frames(mpsc::Receiver<String>);

impl Stream for Frames {
    type Item = Result<String, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}
