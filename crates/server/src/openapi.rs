//! `GET /openapi.json`.

use axum::Json;
use serde_json::Value;

/// The API's own description, OpenAPI 3.1.
///
/// # Panics
/// Never: the document is part of the program, and a test reads it.
pub fn document() -> Value {
    serde_json::from_str(include_str!("openapi.json")).expect("the document is JSON")
}

/// The document.
pub(crate) async fn show() -> Json<Value> {
    Json(document())
}
