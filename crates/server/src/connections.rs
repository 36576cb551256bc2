//! Connections: no more at a time than there may be, none that dawdles over its request, and an end that lets answers
//! finish.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// How long to wait when the system has no more files to open for connections.
const OUT_OF_FILES: Duration = Duration::from_millis(500);

/// What connections may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// Connections at a time; further ones wait until one is closed.
    pub most: usize,
    /// Time for the head of a request, and between two requests of a connection.
    pub head_time: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Connections { most: 512, head_time: Duration::from_secs(30) }
    }
}

/// Answers what comes over connections to `listener` until `stopping` is ready, and then what is being answered.
pub(crate) async fn answer(
    listener: TcpListener,
    app: Router,
    limits: Connections,
    stopping: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_time);
    let (places, ending) = (Arc::new(Semaphore::new(limits.most)), GracefulShutdown::new());
    let mut stopping = pin!(stopping);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, accept(&listener).await)
        };
        let (place, (stream, address)) = tokio::select! {
            next = next => next,
            () = &mut stopping => break,
        };
        let connection = http.serve_connection(TokioIo::new(stream), service(app.clone(), address));
        let connection = ending.watch(connection);
        tokio::spawn(async move {
            // An error is a client that went away or sent no HTTP.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    ending.shutdown().await;
}

/// The next connection.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Tokens are small and should leave at once; where that cannot be said they leave a little later.
                let _ = stream.set_nodelay(true);
                return (stream, address);
            }
            Err(error) => {
                tracing::warn!("a connection was not accepted: {error}");
                tokio::time::sleep(OUT_OF_FILES).await;
            }
        }
    }
}

/// The application, told who asks.
fn service(
    app: Router,
    address: SocketAddr,
) -> impl Service<
    hyper::Request<Incoming>,
    Response = axum::response::Response,
    Error = std::convert::Infallible,
    Future: Send + 'static,
> {
    let app = TowerToHyperService::new(app);
    service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(address));
        app.call(request)
    })
}
