//! Index levels.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::problem::{Document, Problem};
use super::shapes::IndexObject;
use sise_domain::IndexQuote;

/// The indices with a known level.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IndicesAnswer {
    /// KOSPI, KOSDAQ, KOSPI200.
    #[schema(value_type = Vec<IndexObject>)]
    indices: Vec<Level>,
}

/// A level and its age.
#[derive(Debug, Serialize)]
struct Level {
    #[serde(flatten)]
    quote: IndexQuote,
    age_ms: u64,
    live: bool,
}

/// The levels of the indices
///
/// The live levels, or the last known ones with `live` false.
#[utoipa::path(get, path = "/v1/indices", tag = "market", responses(
    (status = 200, description = "The levels", body = IndicesAnswer),
    (status = 503, description = "The store does not answer", body = Document, content_type = "application/problem+json"),
))]
pub(super) async fn indices(State(api): State<Api>) -> Result<Json<IndicesAnswer>, Problem> {
    let now = (api.parts.clock)();
    let indices = match api.board.is_heard() {
        true => api.board.indices(),
        false => api.parts.indices.latest_indices().await?,
    };
    let ttl = u64::try_from(api.parts.ttl.as_millis()).unwrap_or(u64::MAX);
    let level = |quote: IndexQuote| {
        let age = (now - quote.fetched_at).num_milliseconds();
        let age_ms = u64::try_from(age).unwrap_or(0);
        let live = age_ms <= ttl;
        Level {
            quote,
            age_ms,
            live,
        }
    };
    Ok(Json(IndicesAnswer {
        indices: indices.into_iter().map(level).collect(),
    }))
}
