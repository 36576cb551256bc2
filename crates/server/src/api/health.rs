//! `GET /health`: the one address that asks for no key.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::app::App;
use crate::error::ApiError;

/// That the server answers, and that there is an engine to answer with.
pub(crate) async fn show(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    match app.scheduler.is_alive() {
        true => Ok(Json(json!({"status": "ok"}))),
        false => Err(ApiError::from(fourier_kv_engine::scheduler::Refused::Stopping)),
    }
}
