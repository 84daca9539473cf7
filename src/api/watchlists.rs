//! Watch lists: codes that are refreshed more often than the rest.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::extract::{Body, Name, codes};
use super::problem::{Document, Kind, Problem};
use super::shapes::StockCode;
use sise_domain::Symbol;

/// Maximum number of codes in a list.
const MOST: usize = 500;

/// All watch lists.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WatchlistsAnswer {
    /// By name.
    watchlists: Vec<Watchlist>,
}

/// A watch list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Watchlist {
    /// Its name.
    name: String,
    /// Its codes, in order.
    #[schema(value_type = Vec<String>)]
    codes: Vec<Symbol>,
}

/// The codes of a list.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Codes {
    /// Up to 500 stock codes.
    #[schema(value_type = Vec<StockCode>, min_items = 1, max_items = 500, example = json!(["005930", "000660"]))]
    codes: Vec<String>,
}

/// All watch lists
#[utoipa::path(get, path = "/v1/watchlists", tag = "watch lists", responses(
    (status = 200, description = "The lists", body = WatchlistsAnswer),
    (status = 503, description = "The store does not answer", body = Document, content_type = "application/problem+json"),
))]
pub(super) async fn all(State(api): State<Api>) -> Result<Json<WatchlistsAnswer>, Problem> {
    let mut watchlists = Vec::new();
    for name in api.watch_lists.names().await? {
        let codes = api.watch_lists.codes(&name).await?.into_keys().collect();
        watchlists.push(Watchlist { name, codes });
    }
    Ok(Json(WatchlistsAnswer { watchlists }))
}

/// One watch list
#[utoipa::path(get, path = "/v1/watchlists/{name}", tag = "watch lists",
    params(("name" = String, Path, description = "Name of the list: letters, digits, '-', '_' and '.'", min_length = 1, max_length = 64, example = "mine")),
    responses(
        (status = 200, description = "The list", body = Watchlist),
        (status = 404, description = "There is no such list", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The store does not answer", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn one(
    State(api): State<Api>,
    Name(name): Name,
) -> Result<Json<Watchlist>, Problem> {
    let codes: Vec<Symbol> = api.watch_lists.codes(&name).await?.into_keys().collect();
    if codes.is_empty() {
        return Err(Kind::NotFound.because("there is no watch list with this name"));
    }
    Ok(Json(Watchlist { name, codes }))
}

/// Replaces the codes of a watch list
#[utoipa::path(put, path = "/v1/watchlists/{name}", tag = "watch lists",
    params(("name" = String, Path, description = "Name of the list: letters, digits, '-', '_' and '.'", min_length = 1, max_length = 64, example = "mine")),
    request_body = Codes,
    responses(
        (status = 200, description = "The list", body = Watchlist),
        (status = 400, description = "The body is not understood, or contains a text that is not a code", body = Document, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Document, content_type = "application/problem+json"),
        (status = 415, description = "The body is not JSON", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "Name or number of codes are not allowed", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The store does not answer", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn put(
    State(api): State<Api>,
    Name(name): Name,
    Body(body): Body<Codes>,
) -> Result<Json<Watchlist>, Problem> {
    let wanted = codes(body.codes.iter().map(String::as_str), MOST)?;
    let held = api.watch_lists.codes(&name).await?;
    let gone: Vec<Symbol> = held
        .into_keys()
        .filter(|code| !wanted.contains(code))
        .collect();
    // New codes are added first if old and new fit together: otherwise the list would be empty, and
    // thus missing, in between.
    let both = gone.len() + wanted.len();
    if both > MOST {
        api.watch_lists.remove(&name, &gone).await?;
    }
    api.watch_lists
        .add(&name, &wanted, (api.parts.clock)())
        .await?;
    if !gone.is_empty() && both <= MOST {
        api.watch_lists.remove(&name, &gone).await?;
    }
    let codes = api.watch_lists.codes(&name).await?.into_keys().collect();
    Ok(Json(Watchlist { name, codes }))
}

/// Removes a watch list
#[utoipa::path(delete, path = "/v1/watchlists/{name}", tag = "watch lists",
    params(("name" = String, Path, description = "Name of the list: letters, digits, '-', '_' and '.'", min_length = 1, max_length = 64, example = "mine")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such list", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "This is not a valid name of a list", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The store does not answer", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn delete(
    State(api): State<Api>,
    Name(name): Name,
) -> Result<StatusCode, Problem> {
    if api.watch_lists.clear(&name).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Kind::NotFound.because("there is no watch list with this name"))
    }
}
