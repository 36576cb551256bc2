//! Bodies as JSON, with errors in OpenAI's form.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::error::ApiError;

/// A body of JSON, of a length within the limit.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request<Body>, app: &App) -> Result<Self, ApiError> {
        let limit = app.config.limits.body_bytes;
        let announced = request.headers().get("content-length").and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large(limit));
        }
        let bytes = to_bytes(request.into_body(), limit).await.map_err(|_| too_large(limit))?;
        let parsed = serde_json::from_slice(&bytes);
        parsed.map(JsonBody).map_err(|e| {
            let message = format!("the body is not the JSON that is expected here: {e}");
            ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message)
        })
    }
}

fn too_large(limit: usize) -> ApiError {
    let message = format!("expected a body of at most {limit} bytes, got a longer one, or one that ended early");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}
