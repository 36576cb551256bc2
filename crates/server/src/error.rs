//! Errors as OpenAI's clients expect them.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fourier_kv_engine::EngineError;
use fourier_kv_engine::scheduler::{JobError, Refused};
use serde_json::{Value, json};

/// Why a request was not answered: a status, and a body with `error.message`, `.type`, `.param` and `.code`.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    status: StatusCode,
    message: String,
    code: &'static str,
    param: Option<&'static str>,
    retry_after: Option<Duration>,
}

impl ApiError {
    /// An error with a status, a word for programs, and a sentence for people.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        ApiError { status, message: message.into(), code, param: None, retry_after: None }
    }

    /// A part of the request that makes no sense.
    pub fn invalid(param: &'static str, message: impl Into<String>) -> Self {
        ApiError { param: Some(param), ..ApiError::new(StatusCode::BAD_REQUEST, "invalid_value", message) }
    }

    /// Something that this server does not do.
    pub fn unsupported(param: &'static str, message: impl Into<String>) -> Self {
        ApiError { param: Some(param), ..ApiError::new(StatusCode::BAD_REQUEST, "unsupported_value", message) }
    }

    /// A model that is not served.
    pub fn unknown_model(asked: &str, served: &str) -> Self {
        let message = format!("the model '{asked}' is not served here; '{served}' is");
        ApiError { param: Some("model"), ..ApiError::new(StatusCode::NOT_FOUND, "model_not_found", message) }
    }

    /// A key that is missing or wrong.
    pub fn unauthorized() -> Self {
        let message = "expected a valid API key, as 'Authorization: Bearer KEY' or as the password of a browser";
        ApiError::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
    }

    /// Something that should not have happened.
    pub fn internal(message: impl Into<String>) -> Self {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The body.
    pub fn body(&self) -> Value {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        json!({"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}})
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.body())).into_response();
        if let Some(after) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // The second makes browsers ask for a password, which is how a person opens the page.
            for way in ["Bearer", "Basic realm=\"fourier-kv: the password is an API key\", charset=\"UTF-8\""] {
                response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(way));
            }
        }
        response
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let (status, code, param) = match &refused {
            Refused::QueueFull { .. } => (StatusCode::TOO_MANY_REQUESTS, "queue_full", None),
            Refused::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping", None),
            Refused::TooLong { .. } => (StatusCode::BAD_REQUEST, "context_length_exceeded", Some("messages")),
            Refused::TooLarge { .. } => (StatusCode::BAD_REQUEST, "cache_memory_exceeded", Some("messages")),
            Refused::Sampler(_) => (StatusCode::BAD_REQUEST, "invalid_value", Some("temperature")),
            _ => (StatusCode::BAD_REQUEST, "invalid_value", Some("messages")),
        };
        let retry_after = match &refused {
            Refused::QueueFull { retry_after, .. } => Some(*retry_after),
            Refused::Stopping => Some(Duration::from_secs(5)),
            _ => None,
        };
        ApiError { status, message: refused.to_string(), code, param, retry_after }
    }
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        let (status, code) = match &error {
            JobError::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            JobError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            JobError::Session(error) => return error.clone().into(),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "engine_error"),
        };
        ApiError::new(status, code, error.to_string())
    }
}

/// Errors on the way from a request to tokens: what was asked cannot be put to this model.
impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Chat(_) | EngineError::NoChatTemplate | EngineError::Tokenizer(_) => {
                ApiError::invalid("messages", error.to_string())
            }
            other => ApiError::internal(other.to_string()),
        }
    }
}
