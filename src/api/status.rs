//! The status: leader, sweeps, freshness of prices, and streams.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::Api;
use super::problem::{Document, Kind, Problem};
use super::shapes::StatusAnswer;
use super::stream::Statistics;
use crate::status::Status;

/// Number of sweeps in the answer.
const SWEEPS: usize = 5;

/// The status, and what only this process knows.
#[derive(Serialize)]
pub(super) struct Answer {
    #[serde(flatten)]
    status: Status,
    always_open: bool,
    stream: Statistics,
}

/// The status of all processes
///
/// The leader, what each process does, the last sweeps, coverage by minute, ages, calls, the next
/// run and why no sweeps run now, and the streams of this process.
#[utoipa::path(get, path = "/v1/status", tag = "health", responses(
    (status = 200, description = "The status", body = StatusAnswer),
    (status = 503, description = "The store does not answer", body = Document, content_type = "application/problem+json"),
))]
pub(super) async fn status(State(api): State<Api>) -> Result<Json<serde_json::Value>, Problem> {
    let status = Status::gather(&api.parts.status, SWEEPS).await?;
    let stream = api.hub.statistics();
    let answer = serde_json::to_value(Answer {
        status,
        always_open: api.is_always_open(),
        stream,
    });
    let internal = |error: serde_json::Error| Kind::Internal.because(error.to_string());
    Ok(Json(answer.map_err(internal)?))
}
