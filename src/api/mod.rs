//! Health and metrics over HTTP, on loopback by default.

use std::fmt::Write as _;
use std::future::IntoFuture as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics::gauge;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::domain::{KrxTime, Seoul};
use crate::freshness::Freshness;
use crate::leadership::{Candidate, Post};
use crate::port::Leader;
use crate::setup::Parts;

/// Below this share of fresh prices in a session the daemon is not ready.
const READY_SHARE: f64 = 0.9;

/// Histograms are folded this often; without it they grow between two scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// An open connection is cut this long after the stop.
const GRACE: Duration = Duration::from_secs(1);

/// What the routes answer from.
#[derive(Clone)]
pub struct ApiState {
    /// Store, token, calendar, list.
    pub parts: Arc<Parts>,
    /// When each code was written.
    pub freshness: Arc<Freshness>,
    /// This process among those that may lead; `None` where it is alone.
    pub candidate: Option<Arc<Candidate>>,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// The calendar is not asked.
    pub always_open: bool,
}

/// Serves until `stop`.
///
/// # Errors
///
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    state: ApiState,
    stop: CancellationToken,
) -> io::Result<()> {
    let handle = state.metrics.clone();
    let router = Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(state);
    let server =
        axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let mut upkeep = interval(UPKEEP);
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let server = server.into_future();
    tokio::pin!(server);
    loop {
        tokio::select! {
            served = &mut server => return served,
            _ = upkeep.tick() => handle.run_upkeep(),
            () = stop.cancelled() => {
                // A scraper that keeps its connection open must not hold the process.
                return timeout(GRACE, server).await.unwrap_or(Ok(()));
            }
        }
    }
}

/// Ready: the store answers, and in a session who sweeps has a good token and a fresh list. Who
/// stands by is ready while the store answers and another one leads. Out of session a list that is
/// not fresh is no failure.
async fn ready(State(state): State<ApiState>) -> impl IntoResponse {
    let mut failing = Vec::new();
    if let Err(error) = state.parts.reader_store.ping().await {
        failing.push(error.to_string());
    }
    if let Some(broker) = &state.parts.broker
        && let Some(ban) = broker.rest.bans().in_force().await
    {
        failing.push(ban.to_string());
    }
    let post = state.candidate.as_ref().map(|candidate| candidate.post());
    let moment = state.parts.calendar.load().moment((state.parts.clock)());
    let sweeps = !matches!(post, Some(Post::Follows(_)));
    if sweeps && (state.always_open || moment.is_open()) {
        failing.extend(what_sweeps_lack(&state));
    }
    let leads = match &post {
        None => String::new(),
        Some(Post::Leads { leader, .. }) => format!("this process leads since {}\n", since(leader)),
        Some(Post::Follows(leader)) => format!(
            "standing by; {} leads since {}\n",
            leader.process,
            since(leader)
        ),
        Some(Post::Unknown) => "nobody is known to lead\n".to_owned(),
    };
    if failing.is_empty() {
        return (StatusCode::OK, format!("ready\n{leads}"));
    }
    let mut body = "not ready\n".to_owned();
    for reason in failing {
        // Writing to a String cannot fail.
        let _ = writeln!(body, "- {reason}");
    }
    (StatusCode::SERVICE_UNAVAILABLE, body + &leads)
}

/// What a process that sweeps must have in a session, and has not.
fn what_sweeps_lack(state: &ApiState) -> Vec<String> {
    let mut lacking = Vec::new();
    let broker = state.parts.broker.as_ref();
    if !broker.is_some_and(|broker| broker.auth.has_valid_token()) {
        lacking.push("there is no valid access token".to_owned());
    }
    let ttl = state.parts.settings.store.ttl;
    let fresh = state.freshness.of(&state.parts.universe.load(), ttl);
    if fresh.share < READY_SHARE {
        lacking.push(format!(
            "{:.1} % of the list have a live price, {:.0} % are needed",
            fresh.share * 100.0,
            READY_SHARE * 100.0
        ));
    }
    lacking
}

/// Since when a process leads, by the store's clock.
fn since(leader: &Leader) -> String {
    let since = chrono::DateTime::from_timestamp_millis(leader.since_ms);
    since.map_or_else(String::new, |since| {
        let since: KrxTime = since.with_timezone(&Seoul);
        since.format("%Y-%m-%d %H:%M:%S KST").to_string()
    })
}

async fn metrics(State(state): State<ApiState>) -> impl IntoResponse {
    let universe = state.parts.universe.load();
    let fresh = state
        .freshness
        .of(&universe, state.parts.settings.store.ttl);
    let tasks = Handle::current().metrics().num_alive_tasks();
    gauge!("sise_tasks").set(u32::try_from(tasks).unwrap_or(u32::MAX));
    gauge!("sise_universe_codes").set(u32::try_from(universe.len()).unwrap_or(u32::MAX));
    gauge!("sise_fresh_ratio").set(fresh.share);
    for (quantile, label) in [(0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99"), (1.0, "1")] {
        if let Some(age) = fresh.age(quantile) {
            gauge!("sise_price_age_seconds", "quantile" => label).set(age.as_secs_f64());
        }
    }
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (kind, state.metrics.render())
}

impl std::fmt::Debug for ApiState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiState")
            .field("always_open", &self.always_open)
            .finish_non_exhaustive()
    }
}
