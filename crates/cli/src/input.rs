//! Standard input that Ctrl-C can interrupt.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::cancel::Cancel;

/// Read at a time.
const BLOCK: usize = 1 << 16;
/// How often Ctrl-C is looked for while nothing comes.
const WAIT: Duration = Duration::from_millis(50);

/// Reads standard input on a thread of its own: a read that waits for a terminal or a pipe does not end by itself.
#[derive(Debug)]
pub(crate) struct Input {
    cancel: Cancel,
    blocks: Option<Receiver<io::Result<Vec<u8>>>>,
    rest: Vec<u8>,
}

impl Input {
    /// Nothing is read before it is asked for.
    pub(crate) fn new(cancel: &Cancel) -> Self {
        Self { cancel: cancel.clone(), blocks: None, rest: Vec::new() }
    }

    fn next_block(&mut self) -> io::Result<Vec<u8>> {
        let blocks = self.blocks.get_or_insert_with(start_reading);
        loop {
            match blocks.recv_timeout(WAIT) {
                Ok(block) => return block,
                Err(RecvTimeoutError::Disconnected) => return Ok(Vec::new()),
                // Not `ErrorKind::Interrupted`, after which readers try again.
                Err(RecvTimeoutError::Timeout) if self.cancel.is_raised() => {
                    return Err(io::Error::other("interrupted"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Read for Input {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.next_block()?;
        }
        let count = self.rest.len().min(out.len());
        out[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

/// Blocks until the end, which is an empty one or none.
fn start_reading() -> Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = sync_channel(4);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut block = vec![0; BLOCK];
            let result = input.read(&mut block).map(|count| {
                block.truncate(count);
                block
            });
            let last = !matches!(&result, Ok(block) if !block.is_empty());
            // When nobody listens any more, there is nothing left to do.
            if sender.send(result).is_err() || last {
                return;
            }
        }
    });
    receiver
}
