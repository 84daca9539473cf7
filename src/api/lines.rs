//! Today's price line of one code.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::extract::Code;
use super::problem::{Document, Problem};

/// The prices of one code over a day, one a minute.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LineAnswer {
    /// Stock code.
    code: String,
    /// The day.
    #[schema(value_type = Option<String>)]
    date: Option<chrono::NaiveDate>,
    /// When the session of that day begins, `HH:MM`.
    opens_at: Option<String>,
    /// When it ends.
    closes_at: Option<String>,
    /// Whether the prices come from a simulated broker and are not the market's.
    simulated: bool,
    /// Minute (`HH:MM`) and last price within it, won. Minutes without a price are left out.
    #[schema(value_type = Vec<Vec<serde_json::Value>>)]
    points: Vec<(String, i64)>,
}

/// Today's line
///
/// One price a minute, as far back as known. A server that started during the session only has the
/// prices since then, unless earlier ones were stored.
#[utoipa::path(get, path = "/v1/lines/{code}", tag = "prices",
    params(("code" = String, Path, description = "Stock code", pattern = "^Q?[0-9A-Z]{6}$", example = "005930")),
    responses(
        (status = 200, description = "The line; without points if nothing is known", body = LineAnswer),
        (status = 400, description = "No stock code", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn line(
    State(api): State<Api>,
    Code(code): Code,
) -> Result<Json<LineAnswer>, Problem> {
    let line = api.board.line(code);
    let date = line.as_ref().map(|line| line.date);
    let session = date.and_then(|date| api.parts.calendar.load().session(date));
    let time = |time: sise_domain::KrxTime| time.format("%H:%M").to_string();
    let points = line.map(|line| line.points).unwrap_or_default();
    let point = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    // Points do not record their broker: take it from the price on the board, or else from the
    // store.
    let simulated = match api.board.latest(code, (api.parts.clock)()) {
        Some((posted, _)) => posted.quote.simulated,
        None if points.is_empty() => false,
        None => match api.parts.origin.broker().await {
            Ok(broker) => broker.is_some_and(|broker| broker.simulated == Some(true)),
            Err(_) => false,
        },
    };
    Ok(Json(LineAnswer {
        code: code.to_string(),
        date,
        opens_at: session.map(|(open, _)| time(open)),
        closes_at: session.map(|(_, close)| time(close)),
        simulated,
        points: points
            .into_iter()
            .map(|at| (point(at.minute), at.price))
            .collect(),
    }))
}
