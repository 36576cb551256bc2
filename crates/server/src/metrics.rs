//! `GET /metrics`, in the text format that Prometheus reads.

use std::fmt::Write;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use fourier_kv_engine::cache::CacheBytes;
use fourier_kv_engine::scheduler::{Histogram, PastInfo, Snapshot};

use crate::app::App;

/// All metrics.
pub(crate) async fn show(State(app): State<App>) -> Response {
    let text = text(&app.scheduler.snapshot());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// A metric's name without the prefix, what kind it is, what it means, and its samples: labels and values.
fn metric(out: &mut String, name: &str, kind: &str, help: &str, samples: &[(&str, f64)]) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "# HELP fourier_kv_{name} {help}\n# TYPE fourier_kv_{name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(out, "fourier_kv_{name}{labels} {value}");
    }
}

fn histogram(out: &mut String, name: &str, help: &str, seen: &Histogram) {
    let _ = writeln!(out, "# HELP fourier_kv_{name} {help}\n# TYPE fourier_kv_{name} histogram");
    for (bound, count) in seen.cumulative() {
        let _ = writeln!(out, "fourier_kv_{name}_bucket{{le=\"{bound}\"}} {count}");
    }
    let _ = writeln!(out, "fourier_kv_{name}_bucket{{le=\"+Inf\"}} {}", seen.count);
    let _ = writeln!(out, "fourier_kv_{name}_sum {}\nfourier_kv_{name}_count {}", seen.sum, seen.count);
}

fn text(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    gauges(&mut out, snapshot);
    counters(&mut out, snapshot);
    histogram(
        &mut out,
        "first_token_seconds",
        "From taking a request to its first token.",
        &snapshot.counters.first_token,
    );
    histogram(&mut out, "token_gap_seconds", "Between two tokens of an answer.", &snapshot.counters.gap);
    let largest = [("", snapshot.counters.gap.largest)];
    metric(&mut out, "token_gap_seconds_max", "gauge", "The longest time between two tokens of an answer.", &largest);
    out
}

fn gauges(out: &mut String, snapshot: &Snapshot) {
    let of = |pasts: &[PastInfo]| pasts.iter().map(|past| past.bytes.total()).sum::<usize>() as f64;
    let mut kinds = CacheBytes::default();
    let all = || snapshot.running.iter().chain(&snapshot.kept).chain(&snapshot.held);
    all().for_each(|past| kinds += past.bytes);
    let exact = all().map(|past| past.exact_bytes).sum::<usize>() as f64;
    let bytes = [
        ("{state=\"running\"}", of(&snapshot.running)),
        ("{state=\"kept\"}", of(&snapshot.kept)),
        ("{state=\"session\"}", of(&snapshot.held)),
    ];
    metric(out, "cache_bytes", "gauge", "Bytes that pasts hold.", &bytes);
    let by_kind = [
        ("{kind=\"tokens\"}", kinds.tokens as f64),
        ("{kind=\"exact_dims\"}", kinds.exact_dims as f64),
        ("{kind=\"coefficients\"}", kinds.coefficients as f64),
        ("{kind=\"codes\"}", kinds.codes as f64),
        ("{kind=\"bookkeeping\"}", kinds.bookkeeping as f64),
    ];
    metric(out, "cache_kind_bytes", "gauge", "The same bytes by what they are for.", &by_kind);
    metric(out, "cache_exact_bytes", "gauge", "What exact 16-bit keys and values would take.", &[("", exact)]);
    metric(out, "cache_budget_bytes", "gauge", "Bytes that pasts may hold.", &[("", snapshot.budget as f64)]);
    let reserved = [("", snapshot.reserved as f64)];
    metric(out, "cache_reserved_bytes", "gauge", "Bytes that running requests may come to hold.", &reserved);
    metric(out, "requests_queued", "gauge", "Requests that wait.", &[("", snapshot.queued as f64)]);
    metric(out, "prompts_reading", "gauge", "Prompts that are being read.", &[("", snapshot.reading as f64)]);
    metric(out, "answers_running", "gauge", "Answers that are being made.", &[("", snapshot.running.len() as f64)]);
    metric(out, "pasts_kept", "gauge", "Pasts that are kept for later.", &[("", snapshot.kept.len() as f64)]);
}

fn counters(out: &mut String, snapshot: &Snapshot) {
    let c = &snapshot.counters;
    let ends = [
        ("{result=\"done\"}", c.done),
        ("{result=\"left\"}", c.left),
        ("{result=\"timeout\"}", c.timed_out),
        ("{result=\"failed\"}", c.failed),
        ("{result=\"refused_queue_full\"}", c.refused_full),
        ("{result=\"refused\"}", c.refused_other),
    ]
    .map(|(labels, value)| (labels, value as f64));
    metric(out, "requests_total", "counter", "Requests by what became of them.", &ends);
    let tokens = [
        ("{kind=\"prompt\"}", c.prompt_tokens as f64),
        ("{kind=\"prompt_reused\"}", c.reused_tokens as f64),
        ("{kind=\"generated\"}", c.generated_tokens as f64),
    ];
    metric(out, "tokens_total", "counter", "Tokens read, not read again, and made.", &tokens);
    metric(out, "steps_total", "counter", "Passes that made tokens.", &[("", c.steps as f64)]);
    metric(out, "evicted_total", "counter", "Kept pasts that gave way.", &[("", c.evicted as f64)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_belongs_to_a_metric_that_is_described() {
        let mut snapshot = Snapshot { budget: 1000, ..Snapshot::default() };
        snapshot.counters.gap.add(0.02);
        let text = text(&snapshot);
        let mut described = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                described.push(rest.split(' ').next().unwrap().to_owned());
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                value.parse::<f64>().unwrap();
                let name = name.split('{').next().unwrap();
                assert!(described.iter().any(|d| name.starts_with(d.as_str())), "{line}");
            }
        }
        assert!(text.contains("\nfourier_kv_cache_budget_bytes 1000\n"));
        assert!(text.contains("\nfourier_kv_token_gap_seconds_bucket{le=\"0.025\"} 1\n"));
        assert_eq!(described.len(), described.iter().collect::<std::collections::HashSet<_>>().len());
    }
}
