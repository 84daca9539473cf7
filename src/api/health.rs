//! Liveness and readiness of the process.

use std::fmt::Write as _;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;

use super::{Api, Sweeping};
use crate::leadership::LeadState;
use sise_domain::{KrxTime, Seoul, percent};
use sise_port::Leader;

/// Smallest share of fresh prices in a session for the daemon to be ready.
const READY_SHARE: f64 = 0.9;

/// Liveness of the process
#[utoipa::path(get, path = "/live", tag = "health", responses(
    (status = 200, description = "The process is alive", content_type = "text/plain", body = String),
))]
pub(super) async fn live() -> &'static str {
    "live\n"
}

/// Readiness of the process
///
/// Ready means that the store answers and, in a session, that a sweeping process has a valid broker
/// token and fresh prices. A standby is ready while the store answers and another process leads. A
/// process that only serves is ready while it receives the store's changes. Out of session, stale
/// prices are not a failure.
#[utoipa::path(get, path = "/ready", tag = "health", responses(
    (status = 200, description = "Ready", content_type = "text/plain", body = String),
    (status = 503, description = "Not ready, and why", content_type = "text/plain", body = String),
))]
pub(super) async fn ready(
    State(api): State<Api>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
) -> (StatusCode, String) {
    let is_due = api.access.count_monitor(address.ip());
    api.readiness.get(is_due, readiness(&api)).await
}

async fn readiness(api: &Api) -> (StatusCode, String) {
    let mut failing = Vec::new();
    let parts = &api.parts;
    if let Err(error) = parts.store.ping().await {
        failing.push(error.to_string());
    }
    if let Some(redis) = &parts.redis {
        let lacking = redis.lacking_rights().await;
        if !lacking.is_empty() {
            failing.push(format!(
                "the Redis user {} lacks rights: {}",
                redis.user(),
                lacking.join(" ")
            ));
        }
    }
    if let Some(broker) = &parts.broker
        && let Some(ban) = broker.rest.bans().in_force().await
    {
        failing.push(ban.to_string());
    }
    let leads = match &api.sweeping {
        Some(sweeping) => sweeper(api, sweeping, &mut failing),
        None => {
            if !api.board.is_heard() {
                failing.push("changes in the store are not received".to_owned());
            }
            String::new()
        }
    };
    if failing.is_empty() {
        return (StatusCode::OK, format!("ready\n{leads}"));
    }
    let mut body = "not ready\n".to_owned();
    for reason in failing {
        // Writing to a `String` cannot fail.
        let _ = writeln!(body, "- {reason}");
    }
    (StatusCode::SERVICE_UNAVAILABLE, body + &leads)
}

/// Adds what a daemon lacks to `failing`, and returns a line about the leader.
fn sweeper(api: &Api, sweeping: &Sweeping, failing: &mut Vec<String>) -> String {
    let parts = &api.parts;
    let post = sweeping
        .candidate
        .as_ref()
        .map(|candidate| candidate.post());
    let moment = parts.calendar.load().moment((parts.clock)());
    let sweeps = !matches!(post, Some(LeadState::Follows(_)));
    if sweeps && (sweeping.always_open || moment.is_open()) {
        failing.extend(what_sweeps_lack(api, sweeping));
    }
    match &post {
        None => String::new(),
        Some(LeadState::Leads { leader, .. }) => {
            format!("this process leads since {}\n", since(leader))
        }
        Some(LeadState::Follows(leader)) => format!(
            "standing by; {} leads since {}\n",
            leader.process,
            since(leader)
        ),
        Some(LeadState::Unknown) => "no process is known to lead\n".to_owned(),
    }
}

/// Lists what a sweeping process must have in a session but lacks.
fn what_sweeps_lack(api: &Api, sweeping: &Sweeping) -> Vec<String> {
    let mut lacking = Vec::new();
    let broker = api.parts.broker.as_ref();
    if !broker.is_some_and(|broker| broker.auth.has_valid_token()) {
        lacking.push("there is no valid access token".to_owned());
    }
    let ttl = api.parts.ttl;
    let fresh = sweeping.freshness.of(&api.parts.universe.load(), ttl);
    if fresh.share < READY_SHARE {
        lacking.push(format!(
            "{} of the list have a live price, {:.0} % are needed",
            percent(fresh.share),
            READY_SHARE * 100.0
        ));
    }
    lacking
}

/// The time since which a process leads, by the store's clock.
fn since(leader: &Leader) -> String {
    let since = chrono::DateTime::from_timestamp_millis(leader.since_ms);
    since.map_or_else(String::new, |since| {
        let since: KrxTime = since.with_timezone(&Seoul);
        since.format("%Y-%m-%d %H:%M:%S KST").to_string()
    })
}
