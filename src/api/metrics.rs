//! Metrics for Prometheus.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics::{counter, gauge, histogram};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::Instrument as _;
use tracing::field::Empty;

use super::Api;
use crate::leadership::LeadState;
use sise_net::spans;

/// Metrics in Prometheus' text format
#[utoipa::path(get, path = "/metrics", tag = "health", responses(
    (status = 200, description = "The metrics", content_type = "text/plain", body = String),
))]
pub(super) async fn metrics(
    State(api): State<Api>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
) -> impl IntoResponse {
    let is_due = api.access.count_monitor(address.ip());
    let text = api.scrape.get(is_due, async { collect(&api) }).await;
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, text)
}

/// Renders the current metrics.
fn collect(api: &Api) -> Bytes {
    metrics_process::Collector::default().collect();
    let universe = api.parts.universe.load();
    let tasks = Handle::current().metrics().num_alive_tasks();
    gauge!("sise_tasks").set(u32::try_from(tasks).unwrap_or(u32::MAX));
    gauge!("sise_universe_codes").set(u32::try_from(universe.len()).unwrap_or(u32::MAX));
    let moment = api.parts.calendar.load().moment((api.parts.clock)());
    gauge!("sise_market_open").set(u32::from(moment.is_open()));
    gauge!("sise_call_limit_per_second").set(api.parts.rate_per_second);
    if let Some(broker) = &api.parts.broker {
        gauge!("sise_rate_share_ratio").set(broker.pacer.share());
        // Updated here because outside trading hours no call would update it.
        let shown = broker.rest.breaker_shown(api.parts.interval);
        gauge!("sise_breaker_state").set(shown as u32);
    }
    if let Some(sweeping) = &api.sweeping {
        // A process that runs alone leads.
        let leads = sweeping
            .candidate
            .as_ref()
            .is_none_or(|candidate| matches!(candidate.post(), LeadState::Leads { .. }));
        gauge!("sise_leading").set(u32::from(leads));
        let fresh = sweeping.freshness.of(&universe, api.parts.ttl);
        gauge!("sise_fresh_ratio").set(fresh.share);
        for (percent, label) in [(50, "50"), (90, "90"), (99, "99"), (100, "100")] {
            if let Some(age) = fresh.age(percent) {
                gauge!("sise_price_age_seconds", "percentile" => label).set(age.as_secs_f64());
            }
        }
    }
    api.metrics.render().into()
}

/// Counts, times and traces every request by route.
pub(super) async fn measure(request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = request.extensions().get::<MatchedPath>();
    // Made-up paths would create an unlimited number of metrics.
    let route = route.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!(
        target: spans::TARGET,
        "http_request",
        method = %request.method(),
        route,
        status = Empty,
    );
    let response = next.run(request).instrument(span.clone()).await;
    span.record("status", response.status().as_u16());
    let status = response.status().as_str().to_owned();
    counter!("sise_http_requests_total", "route" => route.clone(), "status" => status).increment(1);
    histogram!("sise_http_request_duration_seconds", "route" => route).record(start.elapsed());
    response
}
