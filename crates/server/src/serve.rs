//! From a listener to its end.

use std::sync::Arc;
use std::time::Duration;

use fourier_kv_engine::scheduler::Scheduler;
use fourier_kv_engine::{Engine, EngineError};
use tokio::net::TcpListener;

use crate::app::{App, router};
use crate::config::ServerConfig;
use crate::connections;
use crate::grammar::Grammars;

/// How long connections may take to write what is left once all answers have ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why a server ended, or did not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The scheduler.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The runtime or the listener.
    #[error("cannot serve: {0}")]
    Io(#[from] std::io::Error),
}

/// Answers requests on `listener` until `stop` is ready; then what runs may end within the grace that `config` gives,
/// and what waits is refused. Blocks the calling thread.
///
/// # Errors
/// If the scheduler or the runtime cannot be started.
pub fn serve(
    engine: Arc<Engine>,
    config: ServerConfig,
    listener: std::net::TcpListener,
    stop: impl Fn() -> bool + Send + 'static,
) -> Result<(), ServeError> {
    let scheduler = Arc::new(Scheduler::start(Arc::clone(&engine), config.scheduler.clone())?);
    let (grace, connections) = (config.grace, config.connections);
    let grammars = Arc::new(Grammars::new(Arc::clone(&engine)));
    let app = App { engine, scheduler: Arc::clone(&scheduler), config: Arc::new(config), grammars };
    // Requests cost little besides what the scheduler's threads do.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result: Result<(), ServeError> = runtime.block_on(async move {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let (ended, end) = tokio::sync::oneshot::channel();
        let stopping = async move {
            until(stop).await;
            let stopped = tokio::task::spawn_blocking(move || scheduler.stop(grace)).await;
            // A failure to stop is a panic of the scheduler's, which its sinks have told.
            drop(stopped);
            let _ = ended.send(());
        };
        tokio::select! {
            () = connections::answer(listener, router(app), connections, stopping) => {}
            () = after(end) => {}
        }
        Ok(())
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// Ready when `stop` says so.
async fn until(stop: impl Fn() -> bool) {
    while !stop() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Ready some time after `end`: a connection that nobody reads must not keep the program alive.
async fn after(end: tokio::sync::oneshot::Receiver<()>) {
    // Whoever was to tell has gone: that is an end, too.
    let _ = end.await;
    tokio::time::sleep(LAST_WORDS).await;
}
