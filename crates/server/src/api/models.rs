//! `GET /v1/models`.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::check_model;
use crate::app::App;
use crate::error::ApiError;

/// The models that are served: one.
pub(crate) async fn list(State(app): State<App>) -> Json<Value> {
    Json(json!({"object": "list", "data": [object(&app)]}))
}

/// The model of this name.
pub(crate) async fn one(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    check_model(&app, Some(&name))?;
    Ok(Json(object(&app)))
}

fn object(app: &App) -> Value {
    let config = app.engine.model().config();
    json!({"id": app.config.model, "object": "model", "created": 0, "owned_by": "fourier-kv",
        "context_length": config.context_length, "cache": app.config.scheduler.cache.to_string()})
}
