//! `GET /health`: the one address that asks for no key.

use axum::Json;
use serde_json::{Value, json};

/// That the server answers.
pub(crate) async fn show() -> Json<Value> {
    Json(json!({"status": "ok"}))
}
