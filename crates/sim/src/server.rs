//! The simulated broker over HTTP: its paths, tokens and symbol files.

use std::io;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CONTENT_TYPE, DATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::Utc;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::answer::Refusal;
use super::broker::{JSON, Sim};
use super::connections;
use super::feed::{self, Mishap};
use super::keys::{Keys, TokenRefusal};
use super::options::{Clock, MarketSource, SimOptions};
use super::stats::{Counters, KeyStats};
use sise_domain::SIMULATOR_HEADER;

/// The simulator's name.
const NAME: &str = concat!("sise/", env!("CARGO_PKG_VERSION"));

/// Header of every answer, so that no client mistakes simulated prices for real ones.
const SIMULATOR: HeaderName = HeaderName::from_static(SIMULATOR_HEADER);

/// Serves a simulated broker on `listener` until `stop`.
///
/// # Errors
///
/// Returns an error if the options are wrong (a [`SimError`](super::SimError) inside) or the
/// listener fails.
pub async fn serve(
    listener: TcpListener,
    options: SimOptions,
    clock: Clock,
    stop: CancellationToken,
) -> io::Result<()> {
    let sim = Sim::new(options, clock).map_err(io::Error::other)?;
    sim.serve(listener, stop).await
}

impl Sim {
    /// Serves on `listener` until `stop`; running answers then have a second to finish.
    ///
    /// # Errors
    ///
    /// Returns an error if the listener fails.
    pub async fn serve(&self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        let serving = connections::serve(listener, self.router(), stop.clone());
        // Sessions of the live feed would otherwise never end.
        let ending = async {
            stop.cancelled().await;
            self.feed().end_sessions();
        };
        let (served, ()) = tokio::join!(serving, ending);
        served
    }

    /// Returns the routes: those of the broker, the symbol files under any path, and `/sim/..`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/oauth2/tokenP", post(grant_token))
            .route("/oauth2/revokeP", post(revoke_token))
            .route("/oauth2/Approval", post(approve))
            .route("/uapi/domestic-stock/v1/quotations/{name}", get(quotation))
            .route("/uapi/domestic-stock/v1/ranking/{name}", get(ranking))
            .route("/sim", get(itself))
            .route("/sim/stats", get(stats))
            .route("/sim/prices", get(prices))
            .route("/sim/tokens", get(tokens))
            .route("/sim/tokens/kill", post(kill_tokens))
            .route("/sim/feed/{mishap}", post(strike))
            .fallback(other)
            .layer(middleware::from_fn_with_state(self.clone(), sign))
            .with_state(self.clone())
    }
}

async fn quotation(
    State(sim): State<Sim>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    sim.quote(&name, &headers, query.as_deref().unwrap_or_default())
        .await
}

async fn ranking(
    State(sim): State<Sim>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let name = format!("ranking/{name}");
    sim.quote(&name, &headers, query.as_deref().unwrap_or_default())
        .await
}

/// The body of all token calls; missing fields are empty.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenRequest {
    grant_type: String,
    appkey: String,
    appsecret: String,
    secretkey: String,
    token: String,
}

async fn grant_token(State(sim): State<Sim>, body: Bytes) -> Response {
    sim.counters().token_asked();
    let latency = sim.options().latency;
    if !latency.is_zero() {
        sleep(latency).await;
    }
    token_answer(&sim, &body, |request, keys, counters| {
        match request.grant_type.as_str() {
            "client_credentials" => {}
            "" => return Err(TokenRefusal::NO_GRANT),
            _ => return Err(TokenRefusal::WRONG_GRANT),
        }
        let now = sim.now();
        let grant = keys.grant(&request.appkey, &request.appsecret, now, counters)?;
        // Always the lifetime of a new token, even for an old one: clients must go by the expiry
        // (contract 2.1).
        Ok(json!({
            "access_token": grant.token,
            "access_token_token_expired": grant.expires_at.format("%Y-%m-%d %H:%M:%S").to_string(),
            "token_type": "Bearer",
            "expires_in": keys.validity().as_secs(),
        }))
    })
}

async fn approve(State(sim): State<Sim>, body: Bytes) -> Response {
    let latency = sim.options().latency;
    if !latency.is_zero() {
        sleep(latency).await;
    }
    token_answer(&sim, &body, |request, keys, counters| {
        let now = sim.now();
        // This call names the secret differently.
        keys.approve(&request.appkey, &request.secretkey, now, counters)?;
        Ok(json!({"approval_key": sim.feed().approve(&request.appkey, now)}))
    })
}

async fn strike(State(sim): State<Sim>, Path(mishap): Path<String>) -> StatusCode {
    match Mishap::named(&mishap) {
        Some(mishap) => {
            sim.feed().strike(mishap);
            StatusCode::NO_CONTENT
        }
        None => StatusCode::NOT_FOUND,
    }
}

async fn revoke_token(State(sim): State<Sim>, body: Bytes) -> Response {
    token_answer(&sim, &body, |request, keys, _| {
        keys.revoke(&request.appkey, &request.appsecret, &request.token)?;
        Ok(json!({"code": 200, "message": "접근토큰 폐기에 성공하였습니다"}))
    })
}

fn token_answer(
    sim: &Sim,
    body: &[u8],
    answer: impl FnOnce(TokenRequest, &mut Keys, &Counters) -> Result<serde_json::Value, TokenRefusal>,
) -> Response {
    let answer = serde_json::from_slice(body)
        .map_err(|_| TokenRefusal::BAD_REQUEST)
        .and_then(|request| answer(request, &mut sim.keys(), sim.counters()));
    let (status, body) = match answer {
        Ok(body) => (StatusCode::OK, body),
        Err(TokenRefusal { code, text }) => (
            StatusCode::FORBIDDEN,
            json!({"error_description": text, "error_code": code}),
        ),
    };
    (status, [(CONTENT_TYPE, JSON)], body.to_string()).into_response()
}

/// Answers with the name and kind of this simulator.
async fn itself(State(sim): State<Sim>) -> Response {
    let options = sim.options();
    let body = json!({
        "simulator": NAME,
        "mode": options.mode.as_str(),
        "market": match &options.market {
            MarketSource::Walk => "random walk",
            MarketSource::Replay { .. } => "replay of a recorded day",
        },
        "day": sim.market().day(sim.now()),
    });
    ([(CONTENT_TYPE, JSON)], body.to_string()).into_response()
}

async fn stats(State(sim): State<Sim>) -> Response {
    let stats = sim.stats();
    let of_key = |(end, stats): (String, KeyStats)| {
        let stats = json!({
            "calls": stats.calls,
            "over_limit": stats.over_limit,
            "max_calls_per_second_window": stats.max_calls_per_second_window,
        });
        (end, stats)
    };
    let by_key: serde_json::Map<_, _> = sim.stats_by_key().into_iter().map(of_key).collect();
    let feed = sim.feed_stats();
    let body = json!({
        "calls": stats.calls,
        "ok": stats.ok,
        "refused": stats.refused,
        "over_limit": stats.over_limit,
        "unauthorized": stats.unauthorized,
        "rejected": stats.rejected,
        "faults": stats.faults,
        "token_requests": stats.token_requests,
        "tokens_issued": stats.tokens_issued,
        "calls_while_banned": stats.calls_while_banned,
        "max_calls_per_second_window": stats.max_calls_per_second_window,
        "by_key": by_key,
        "feed": {
            "approvals": feed.approvals,
            "connections": feed.connections,
            "max_connections_per_minute": feed.max_connections_per_minute,
            "sessions": feed.sessions,
            "registrations": feed.registrations,
            "max_registrations": feed.max_registrations,
            "refused": feed.refused,
            "frames": feed.frames,
            "trades": feed.trades,
            "mishaps": feed.mishaps,
        },
    });
    ([(CONTENT_TYPE, JSON)], body.to_string()).into_response()
}

async fn prices(State(sim): State<Sim>) -> Response {
    let prices = sim.prices();
    let body: serde_json::Map<_, _> = prices
        .into_iter()
        .map(|(code, price)| (code.as_str().to_owned(), price.into()))
        .collect();
    let body = serde_json::Value::Object(body).to_string();
    ([(CONTENT_TYPE, JSON)], body).into_response()
}

async fn tokens(State(sim): State<Sim>) -> Response {
    let body = json!(sim.keys().living(sim.now())).to_string();
    ([(CONTENT_TYPE, JSON)], body).into_response()
}

async fn kill_tokens(State(sim): State<Sim>) -> StatusCode {
    sim.kill_tokens();
    StatusCode::NO_CONTENT
}

/// Serves the live feed and the symbol files under any path; the gateway knows no other.
async fn other(
    State(sim): State<Sim>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request<Body>,
) -> Response {
    if let Ok(upgrade) = upgrade {
        return upgrade.on_upgrade(move |socket| feed::serve(sim, socket));
    }
    match sim.masters().at(request.uri().path()) {
        Some(file) => ([(CONTENT_TYPE, "application/zip")], file).into_response(),
        None => sim.reply(
            StatusCode::NOT_FOUND,
            request.headers(),
            "",
            Refusal::NO_ROUTE.body(),
        ),
    }
}

/// Stamps every response with the name of the simulator and its time, by which clients check their
/// clocks.
async fn sign(State(sim): State<Sim>, request: Request<Body>, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let now = sim.now().with_timezone(&Utc);
    let now = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(now) = HeaderValue::from_str(&now) {
        headers.insert(DATE, now);
    }
    headers.insert(SIMULATOR, HeaderValue::from_static(NAME));
    response
}
