//! One HTTP request whose silence has an end.
//!
//! A request runs on a thread of its own and hands its bytes over in blocks, so that whoever
//! waits for them can give up at a moment it chooses: five seconds after the start when nothing
//! has come, some seconds after the last block, or at Ctrl-C. No single time limit of a client
//! covers name look-up, connecting, redirects, and the first byte together.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::error::{Miss, PullError};
use crate::cancel::Cancel;

/// From the start of a request to the first byte of its answer's body.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// From one block to the next.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(10);
/// How often Ctrl-C is looked at while nothing comes.
const POLL: Duration = Duration::from_millis(50);
/// Bytes handed over at a time.
const BLOCK: usize = 1 << 18;
/// Blocks that may wait: the network is read no faster than the disk is written.
const BLOCKS_AHEAD: usize = 8;

/// What the thread reports.
enum Event {
    Head { status: u16, length: Option<u64> },
    Block(Vec<u8>),
    End,
    Failed(String),
}

/// The body of an answer, as it comes.
pub(super) struct Body {
    events: Receiver<Event>,
    cancel: Cancel,
    deadline: Instant,
    limit: Duration,
    /// Its length, where the server says it.
    pub(super) length: Option<u64>,
}

/// Sends a GET request and waits for the head of the answer.
///
/// # Errors
/// Passes over a server that does not answer in time or answers with a failure.
pub(super) fn get(url: &str, token: Option<&str>, cancel: &Cancel) -> Result<Body, Miss> {
    let (sender, events) = sync_channel(BLOCKS_AHEAD);
    let (address, token) = (url.to_owned(), token.map(str::to_owned));
    std::thread::spawn(move || request(&address, token.as_deref(), &sender));
    let deadline = Instant::now() + ANSWER_LIMIT;
    let cancel = cancel.clone();
    let mut body = Body { events, cancel, deadline, limit: ANSWER_LIMIT, length: None };
    match body.next_event().map_err(|miss| miss.of(url))? {
        Event::Head { status: 200, length } => {
            body.length = length;
            Ok(body)
        }
        Event::Head { status, .. } => Err(Miss::pass_over(url, status_text(status))),
        Event::Failed(reason) => Err(Miss::pass_over(url, reason)),
        Event::Block(_) | Event::End => Err(Miss::pass_over(url, "an answer without a head")),
    }
}

impl Body {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// Passes the server over when it falls silent or breaks off; stops on Ctrl-C.
    pub(super) fn next_block(&mut self) -> Result<Option<Vec<u8>>, Miss> {
        match self.next_event()? {
            Event::Block(bytes) => {
                self.limit = STALL_LIMIT;
                self.deadline = Instant::now() + STALL_LIMIT;
                Ok(Some(bytes))
            }
            Event::End => Ok(None),
            Event::Failed(reason) => Err(Miss::pass_over("", reason)),
            Event::Head { .. } => Err(Miss::pass_over("", "a second head")),
        }
    }

    /// All of it, if it is no longer than `limit` bytes.
    pub(super) fn read_all(&mut self, limit: usize) -> Result<Vec<u8>, Miss> {
        let mut all = Vec::new();
        while let Some(block) = self.next_block()? {
            if all.len() + block.len() > limit {
                return Err(Miss::pass_over("", format!("an answer of more than {limit} bytes")));
            }
            all.extend_from_slice(&block);
        }
        Ok(all)
    }

    fn next_event(&mut self) -> Result<Event, Miss> {
        loop {
            if self.cancel.is_raised() {
                return Err(PullError::Interrupted.into());
            }
            match self.events.recv_timeout(POLL) {
                Ok(event) => return Ok(event),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Miss::pass_over("", "the connection ended"));
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() >= self.deadline => {
                    let seconds = self.limit.as_secs();
                    return Err(Miss::pass_over("", format!("no answer for {seconds} seconds")));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

fn status_text(status: u16) -> String {
    match status {
        401 | 403 => format!("HTTP {status}: not allowed (is HF_TOKEN needed?)"),
        404 => "HTTP 404: not there".to_owned(),
        _ => format!("HTTP {status}"),
    }
}

/// The thread's work. A receiver that has gone away ends it.
fn request(url: &str, token: Option<&str>, sender: &SyncSender<Event>) {
    let last = match transfer(url, token, sender) {
        Ok(()) => Event::End,
        Err(error) => Event::Failed(error.to_string()),
    };
    let _ = sender.send(last);
}

fn transfer(url: &str, token: Option<&str>, sender: &SyncSender<Event>) -> Result<(), ureq::Error> {
    let mut request = agent().get(url);
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let response = request.call()?;
    let length = response.body().content_length();
    let head = Event::Head { status: response.status().as_u16(), length };
    let mut reader = response.into_body().into_reader();
    let mut event = head;
    while sender.send(event).is_ok() {
        let mut block = vec![0; BLOCK];
        let read = reader.read(&mut block)?;
        if read == 0 {
            break;
        }
        block.truncate(read);
        event = Event::Block(block);
    }
    Ok(())
}

/// The limits here only end threads that nobody waits for any more.
fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .redirect_auth_headers(ureq::config::RedirectAuthHeaders::SameHost)
        .user_agent(concat!("fourier-kv/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(ANSWER_LIMIT))
        .timeout_per_read(Some(2 * STALL_LIMIT));
    config.build().new_agent()
}
