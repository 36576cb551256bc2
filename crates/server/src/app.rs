//! All that requests are answered with, and which address leads where.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use fourier_kv_engine::Engine;
use fourier_kv_engine::scheduler::{Client, Owner, Scheduler};

use crate::config::ServerConfig;
use crate::error::ApiError;
use crate::grammar::Grammars;
use crate::{api, base64, metrics, openapi, page};

/// What every request is answered with. Cloning copies nothing but pointers.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) grammars: Arc<Grammars>,
}

/// Who asks: found out before a request is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub(crate) owner: Owner,
    pub(crate) client: Client,
    pub(crate) arrived: Instant,
}

/// All addresses.
pub(crate) fn router(app: App) -> Router {
    let guarded = Router::new()
        .route("/v1/chat/completions", post(api::chat::answer))
        .route("/v1/completions", post(api::completions::answer))
        .route("/v1/models", get(api::models::list))
        .route("/v1/models/{model}", get(api::models::one))
        .route("/tokenize", post(api::tokens::tokenize))
        .route("/detokenize", post(api::tokens::detokenize))
        .route("/v1/sessions", get(api::sessions::list).post(api::sessions::create))
        .route("/v1/sessions/{id}", get(api::sessions::show).delete(api::sessions::delete))
        .route("/v1/sessions/{id}/save", post(api::sessions::save))
        .route("/v1/sessions/{id}/restore", post(api::sessions::restore))
        .route("/v1/sessions/{id}/delete", post(api::sessions::delete))
        .route("/v1/cache", get(api::cache::show))
        .route("/metrics", get(metrics::show))
        .route("/openapi.json", get(openapi::show))
        .route("/", get(page::html))
        .route("/page.css", get(page::css))
        .route("/page.js", get(page::script))
        .fallback(nowhere)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(app.clone(), admit));
    let open = Router::new().route("/health", get(api::health::show));
    guarded.merge(open).layer(middleware::from_fn_with_state(app.clone(), cross_origin)).with_state(app)
}

/// Lets in who has a key, if keys are asked for.
async fn admit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let Some(owner) = app.config.keys.owner(key(request.headers()).as_deref()) else {
        return ApiError::unauthorized().into_response();
    };
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let client = Client(format!("{}@{}", owner.0, peer.map(|ip| ip.to_string()).unwrap_or_default()));
    request.extensions_mut().insert(Asker { owner, client, arrived: Instant::now() });
    next.run(request).await
}

/// The key of a request: as programs send it, or as browsers send a password; any user name will do.
fn key(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    let pair = scheme.eq_ignore_ascii_case("basic").then(|| base64::decode(rest.trim()))??;
    Some(String::from_utf8(pair).ok()?.split_once(':')?.1.to_owned())
}

/// Says which pages of other origins may ask, as the Fetch standard wants it.
async fn cross_origin(State(app): State<App>, request: Request, next: Next) -> Response {
    let allowed = request.headers().get(header::ORIGIN).and_then(|origin| allowed(&app.config.cors, origin));
    let asks_first =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match asks_first && allowed.is_some() {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    if let Some(origin) = allowed {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if asks_first {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE"));
            let names = HeaderValue::from_static("authorization, content-type");
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
        }
    }
    response
}

/// What to allow to an origin.
fn allowed(origins: &[String], origin: &HeaderValue) -> Option<HeaderValue> {
    if origins.iter().any(|allowed| allowed == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

async fn nowhere() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
}

async fn wrong_method() -> ApiError {
    let message = "this address does not take this method";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
