//! `serve`: the model over HTTP.

use std::net::TcpListener;
use std::sync::Arc;

use fourier_kv_engine::cache::plan::Plan;
use fourier_kv_engine::scheduler::SchedulerOptions;
use fourier_kv_server::ServerConfig;
use serde::Serialize;

use crate::args::ServeArgs;
use crate::doctor::Memory;
use crate::failure::Failure;
use crate::loading;
use crate::output::megabytes;
use crate::requests::ServeRequest;
use crate::session::Session;

/// The budget where the system does not say how much memory is free.
const LEAST_BUDGET: u64 = 1 << 30;

/// What is printed once requests are answered: the address above all, for programs that wait for it.
#[derive(Debug, Serialize)]
struct Serving {
    url: String,
    model: String,
    cache: String,
    cache_memory_bytes: usize,
}

/// Serves until Ctrl-C or SIGTERM.
pub(crate) fn serve(args: &ServeArgs, session: &Session) -> Result<(), Failure> {
    let request = ServeRequest::new(args, session.environment.api_key.as_deref())?;
    let plan = request.cache.plan.as_deref().map(Plan::read).transpose()?.map(Arc::new);
    let (host, port) = &request.address;
    let at = format!("{host}:{port}");
    let listener = TcpListener::bind((host.as_str(), *port)).map_err(|source| Failure::Listen { at, source })?;
    let pulled = loading::model(&request.model, &request.sources, session)?;
    let engine = Arc::new(loading::engine(&pulled.path, request.machine)?);
    let config = config(&request, plan);
    announce(&request, &config, &listener, session)?;
    let cancel = session.cancel.clone();
    Ok(fourier_kv_server::serve(engine, config, listener, move || cancel.is_raised())?)
}

fn config(request: &ServeRequest, plan: Option<Arc<Plan>>) -> ServerConfig {
    let half_of_free = || Memory::read().map_or(LEAST_BUDGET, |memory| memory.available_bytes / 2);
    ServerConfig {
        model: request.name.clone(),
        scheduler: SchedulerOptions {
            cache: request.cache.kind.clone(),
            plan,
            cache_bytes: request.cache_bytes.unwrap_or_else(|| usize::try_from(half_of_free()).unwrap_or(usize::MAX)),
            most_running: request.parallel,
            most_queued: request.queue,
            least_kept: request.least_kept,
            session_folder: request.session_folder.clone(),
            park_after: request.park_after,
        },
        keys: request.keys.clone(),
        cors: request.cors.clone(),
        limits: request.limits,
        connections: request.connections,
        grace: request.grace,
    }
}

fn announce(
    request: &ServeRequest,
    config: &ServerConfig,
    listener: &TcpListener,
    session: &Session,
) -> Result<(), Failure> {
    let address = listener.local_addr().map_err(Failure::Output)?;
    let serving = Serving {
        url: format!("http://{address}"),
        model: request.name.clone(),
        cache: config.scheduler.cache.to_string(),
        cache_memory_bytes: config.scheduler.cache_bytes,
    };
    let memory = megabytes(config.scheduler.cache_bytes as u64);
    let text = format!("serving {} at {} ({memory} for pasts, {})", serving.model, serving.url, serving.cache);
    session.output.result(&text, &serving).map_err(Failure::Output)
}
