//! The indices.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::problem::{Document, Problem};
use super::shapes::IndexObject;
use crate::domain::IndexQuote;

/// The indices whose level is known.
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
}

/// The levels of the indices
#[utoipa::path(get, path = "/v1/indices", tag = "market", responses(
    (status = 200, description = "The levels", body = IndicesAnswer),
    (status = 503, description = "The store does not answer", body = Document, content_type = "application/problem+json"),
))]
pub(super) async fn indices(State(api): State<Api>) -> Result<Json<IndicesAnswer>, Problem> {
    let now = (api.parts.clock)();
    let indices = match api.board.is_heard() {
        true => api.board.indices(now),
        false => api.parts.indices.indices().await?,
    };
    let level = |quote: IndexQuote| {
        let age = (now - quote.fetched_at).num_milliseconds();
        let age_ms = u64::try_from(age).unwrap_or(0);
        Level { quote, age_ms }
    };
    Ok(Json(IndicesAnswer {
        indices: indices.into_iter().map(level).collect(),
    }))
}
