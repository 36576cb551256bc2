//! `/v1/sessions`: pasts with a name.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use fourier_kv_engine::scheduler::{SessionError, SessionInfo, SessionOrder, SessionPlace};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::app::{App, Asker};
use crate::error::ApiError;
use crate::identity::random_id;

type Answer = Result<Json<Value>, ApiError>;

/// `POST /v1/sessions`: a new one.
pub(crate) async fn create(State(app): State<App>, Extension(asker): Extension<Asker>) -> Answer {
    one(&app, asker, SessionOrder::Create(random_id("session-"))).await
}

/// `GET /v1/sessions`: all of this key.
pub(crate) async fn list(State(app): State<App>, Extension(asker): Extension<Asker>) -> Answer {
    let all: Vec<Value> = order(&app, asker, SessionOrder::List).await?.iter().map(object).collect();
    Ok(Json(json!({"object": "list", "data": all})))
}

/// `GET /v1/sessions/{id}`.
pub(crate) async fn show(State(app): State<App>, Extension(asker): Extension<Asker>, Path(id): Path<String>) -> Answer {
    one(&app, asker, SessionOrder::Show(id)).await
}

/// `POST /v1/sessions/{id}/save`.
pub(crate) async fn save(State(app): State<App>, Extension(asker): Extension<Asker>, Path(id): Path<String>) -> Answer {
    one(&app, asker, SessionOrder::Save(id)).await
}

/// `POST /v1/sessions/{id}/restore`.
pub(crate) async fn restore(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
) -> Answer {
    one(&app, asker, SessionOrder::Restore(id)).await
}

/// `POST /v1/sessions/{id}/delete`, and `DELETE /v1/sessions/{id}`.
pub(crate) async fn delete(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
) -> Answer {
    order(&app, asker, SessionOrder::Delete(id.clone())).await?;
    Ok(Json(json!({"id": id, "object": "session.deleted", "deleted": true})))
}

async fn one(app: &App, asker: Asker, what: SessionOrder) -> Answer {
    let infos = order(app, asker, what).await?;
    let info = infos.first().ok_or_else(|| ApiError::internal("the session was lost"))?;
    Ok(Json(object(info)))
}

async fn order(app: &App, asker: Asker, what: SessionOrder) -> Result<Vec<SessionInfo>, ApiError> {
    let (told, reply) = oneshot::channel();
    app.scheduler.order(asker.owner, what, move |result| {
        // Whoever asked may have left.
        let _ = told.send(result);
    });
    Ok(reply.await.unwrap_or(Err(SessionError::Stopping))?)
}

fn object(info: &SessionInfo) -> Value {
    let state = match info.place {
        SessionPlace::Empty => "empty",
        SessionPlace::Held => "held",
        SessionPlace::Busy => "busy",
        SessionPlace::Parked => "parked",
    };
    json!({"id": info.id, "object": "session", "state": state, "tokens": info.tokens, "bytes": info.bytes,
        "file_bytes": info.file_bytes})
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        let (status, code) = match &error {
            SessionError::Unknown(_) => (StatusCode::NOT_FOUND, "session_not_found"),
            SessionError::Busy => (StatusCode::CONFLICT, "session_busy"),
            SessionError::Empty => (StatusCode::BAD_REQUEST, "session_empty"),
            SessionError::NoFolder => (StatusCode::BAD_REQUEST, "sessions_not_parked"),
            SessionError::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too_many_sessions"),
            SessionError::NoRoom(_) => (StatusCode::TOO_MANY_REQUESTS, "cache_memory_exceeded"),
            SessionError::Damaged(_) => (StatusCode::GONE, "session_damaged"),
            SessionError::DiskFull(_) => (StatusCode::INSUFFICIENT_STORAGE, "disk_full"),
            SessionError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "session_file"),
        };
        ApiError::new(status, code, error.to_string())
    }
}
