//! `GET /v1/cache`: what the pasts hold, for people who look.

use axum::extract::State;
use axum::{Extension, Json};
use fourier_kv_engine::scheduler::PastInfo;
use serde_json::{Value, json};

use crate::app::{App, Asker};

/// Bytes by kind and by past, beside what exact keys and values would take. Of the pasts of others only the sum is told.
pub(crate) async fn show(State(app): State<App>, Extension(asker): Extension<Asker>) -> Json<Value> {
    let snapshot = app.scheduler.snapshot();
    let own =
        |pasts: &[PastInfo]| -> Value { pasts.iter().filter(|past| past.owner == asker.owner).map(object).collect() };
    Json(json!({
        "cache": app.config.scheduler.cache.to_string(),
        "budget_bytes": snapshot.budget,
        "bytes": snapshot.bytes(),
        "reserved_bytes": snapshot.reserved,
        "queued": snapshot.queued,
        "reading": snapshot.reading,
        "running": own(&snapshot.running),
        "kept": own(&snapshot.kept),
        "sessions": own(&snapshot.held),
    }))
}

fn object(past: &PastInfo) -> Value {
    json!({"tokens": past.tokens, "bytes": past.bytes.total(), "by_kind": past.bytes, "exact_bytes": past.exact_bytes})
}
