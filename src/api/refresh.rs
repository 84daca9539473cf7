//! Refreshes of prices from the broker, within the rate limit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::Api;
use super::access::Client;
use super::extract::{Body, Name, codes};
use super::problem::{Document, Kind, Problem};
use super::shapes::StockCode;
use crate::sweep::Task;
use sise_cache::{Cached, Life};
use sise_domain::{Symbol, Urgency};
use sise_net::unique;

/// Maximum number of codes in a refresh.
const MOST: usize = 100;

/// Maximum number of refreshes under way, in total and per client.
const UNDER_WAY: usize = 8;
const OF_CLIENT: usize = 2;

/// Longest time of a refresh.
const WITHIN: Duration = Duration::from_secs(30);

/// Number of refreshes under way per client.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    counts: Mutex<HashMap<Client, usize>>,
}

/// A refresh under way, counted until it is dropped.
#[derive(Debug)]
struct Begun {
    under_way: Arc<UnderWay>,
    client: Client,
}

impl UnderWay {
    /// Begins a refresh for a client, or returns why there is no room for it.
    fn begin(self: &Arc<Self>, client: Client) -> Result<Begun, String> {
        let mut counts = self.counts();
        let of_client = counts.get(&client).copied().unwrap_or_default();
        if of_client >= OF_CLIENT {
            return Err(format!(
                "{OF_CLIENT} refreshes of this client are under way, which is the limit"
            ));
        }
        if counts.values().sum::<usize>() >= UNDER_WAY {
            return Err(format!(
                "{UNDER_WAY} refreshes are under way, which is the limit"
            ));
        }
        counts.insert(client.clone(), of_client + 1);
        drop(counts);
        let under_way = Arc::clone(self);
        Ok(Begun { under_way, client })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Client, usize>> {
        // Every change is a single step, so a poisoned lock is safe to use.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut counts = self.under_way.counts();
        let of_client = counts.get(&self.client).copied().unwrap_or_default();
        match of_client {
            0 | 1 => counts.remove(&self.client),
            more => counts.insert(self.client.clone(), more - 1),
        };
    }
}

/// The codes to refresh.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Codes {
    /// Up to 100 stock codes.
    #[schema(value_type = Vec<StockCode>, min_items = 1, max_items = 100, example = json!(["005930", "000660"]))]
    codes: Vec<String>,
}

/// A refresh and its results.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(super) struct Refresh {
    /// Id of the refresh; its result is kept for ten minutes.
    id: String,
    /// `waiting` or `done`.
    state: String,
    /// The result of each code; empty while waiting.
    results: Vec<Outcome>,
}

/// The result of one code.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(super) struct Outcome {
    /// Stock code.
    #[schema(value_type = String)]
    code: Symbol,
    /// `written`, or why there is no new price: `unknown`, `refused`, `not_reached`, `not_stored`.
    outcome: String,
    /// Details, if there is no new price.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    detail: String,
    /// The new price, won.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price: Option<i64>,
}

impl Cached for Refresh {
    type Id = String;
    const KIND: &'static str = "refresh";
    const LIFE: Life = Life::of(Duration::from_secs(600));
}

/// Fetches new prices of these codes from the broker
///
/// The calls keep to the rate limit and go before those of sweeps, unless a code is not in the
/// universe. The answer comes at once; the result is available under its id.
#[utoipa::path(post, path = "/v1/refresh", tag = "prices", request_body = Codes, responses(
    (status = 202, description = "Under way", body = Refresh, headers(("Location" = String, description = "Where its result will be"))),
    (status = 400, description = "The body is not understood, or contains a text that is not a code", body = Document, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Document, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Document, content_type = "application/problem+json"),
    (status = 422, description = "Too many codes", body = Document, content_type = "application/problem+json"),
    (status = 429, description = "Too many refreshes are under way", body = Document, content_type = "application/problem+json"),
    (status = 501, description = "There is no app key", body = Document, content_type = "application/problem+json"),
    (status = 503, description = "The store does not answer, or the broker banned the app key", body = Document, content_type = "application/problem+json"),
))]
pub(super) async fn refresh(
    State(api): State<Api>,
    Extension(client): Extension<Client>,
    Body(body): Body<Codes>,
) -> Result<(StatusCode, [(&'static str, String); 1], Json<Refresh>), Problem> {
    let codes = codes(body.codes.iter().map(String::as_str), MOST)?;
    let Some(sweeper) = api.parts.sweeper.clone() else {
        let why = "this process has no app key to ask the broker with: set KIS_APP_KEY and KIS_APP_SECRET";
        return Err(Kind::NotAvailable.because(why));
    };
    // Reported at once instead of in the result.
    if let Some(broker) = &api.parts.broker
        && let Some(ban) = broker.rest.bans().in_force().await
    {
        return Err(Kind::BrokerAway.because(ban.to_string()));
    }
    let begun = api.refreshes.begin(client);
    let begun = begun.map_err(|why| Kind::TooManyRequests.because(why).retry_after(1))?;
    let id = format!("{:016x}{:016x}", unique::number(), unique::number());
    let waiting = Refresh {
        id: id.clone(),
        state: "waiting".to_owned(),
        results: Vec::new(),
    };
    api.parts.cache.set(&id, &waiting).await?;
    let location = format!("/v1/refresh/{id}");
    let stop = api.stop.child_token();
    api.tasks.clone().brief("refresh", async move {
        let done = api.make_refresh(id, codes, &sweeper, &stop).await;
        if let Err(error) = api.parts.cache.set(&done.id, &done).await {
            tracing::debug!(%error, "the result of a refresh could not be stored");
        }
        drop(begun);
    });
    Ok((
        StatusCode::ACCEPTED,
        [("location", location)],
        Json(waiting),
    ))
}

/// The result of a refresh
#[utoipa::path(get, path = "/v1/refresh/{id}", tag = "prices",
    params(("id" = String, Path, description = "Id of the refresh")),
    responses(
        (status = 200, description = "The refresh", body = Refresh),
        (status = 404, description = "There is no refresh with this id, or its ten minutes are over", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The store does not answer", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn result(
    State(api): State<Api>,
    Name(id): Name,
) -> Result<Json<Refresh>, Problem> {
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let found = match is_id {
        true => api.parts.cache.try_get::<Refresh>(&id).await?,
        false => None,
    };
    let gone = "there is no refresh with this id, or its ten minutes are over";
    found.map(Json).ok_or_else(|| Kind::NotFound.because(gone))
}

impl Api {
    async fn make_refresh(
        &self,
        id: String,
        codes: Vec<Symbol>,
        sweeper: &crate::sweep::Sweeper,
        stop: &CancellationToken,
    ) -> Refresh {
        let universe = self.parts.universe.load();
        let is_listed = |code: &Symbol| universe.get(*code).is_some();
        let task = Task {
            // Codes outside the universe may be anything, so they go after the sweep.
            urgency: match codes.iter().all(is_listed) {
                true => Urgency::Reader,
                false => Urgency::Sweep,
            },
            symbols: codes,
            kept: None,
            deadline: WITHIN,
        };
        let prices = std::sync::Mutex::new(std::collections::HashMap::new());
        let observe = |step: crate::sweep::Step<'_>| {
            let mut prices = prices
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            prices.extend(
                step.written
                    .iter()
                    .map(|quote| (quote.stock_code, quote.price)),
            );
        };
        let report = sweeper.sweep(&task, &observe, stop).await;
        let prices = prices
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let outcome =
            |code: &Symbol| match report.missing.iter().find(|missing| missing.code == *code) {
                Some(missing) => Outcome {
                    code: *code,
                    outcome: missing.reason.slug().to_owned(),
                    detail: missing.detail.clone(),
                    price: None,
                },
                None => Outcome {
                    code: *code,
                    outcome: "written".to_owned(),
                    detail: String::new(),
                    price: prices.get(code).copied(),
                },
            };
        Refresh {
            id,
            state: "done".to_owned(),
            results: task.symbols.iter().map(outcome).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn one_client_takes_no_more_than_its_share_of_the_refreshes() {
        let under_way = Arc::new(UnderWay::default());
        let begin = |last| under_way.begin(Client::Address(IpAddr::from([192, 0, 2, last])));
        let mut begun = vec![begin(1).unwrap(), begin(1).unwrap()];
        assert!(begin(1).unwrap_err().contains("2 refreshes of this client"));
        for last in 2..=4 {
            begun.extend([begin(last).unwrap(), begin(last).unwrap()]);
        }
        assert!(begin(5).unwrap_err().starts_with("8 refreshes"));
        begun.remove(0);
        begun.push(begin(5).unwrap());
        assert!(begin(1).is_err());
        begun.clear();
        assert!(under_way.counts().is_empty());
    }
}
