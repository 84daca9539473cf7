//! Trading days and hours.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, NaiveDateTime, TimeZone as _};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::extract::Params;
use super::problem::{Document, Kind, Problem};
use super::shapes::CalendarAnswer;
use sise_domain::{KrxTime, Outlook, Seoul};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// An instant; now if omitted. Without a zone it is Seoul time.
    #[param(example = "2026-11-20T10:00:00")]
    at: Option<String>,
}

/// Whether the exchange is open, and when it opens and closes
#[utoipa::path(get, path = "/v1/calendar", tag = "market", params(Asked), responses(
    (status = 200, description = "What the calendar says", body = CalendarAnswer),
    (status = 400, description = "No time", body = Document, content_type = "application/problem+json"),
))]
pub(super) async fn calendar(
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Json<Outlook>, Problem> {
    let at = match &asked.at {
        Some(text) => parse(text).ok_or_else(|| {
            Kind::BadRequest.because(format!(
                "'{}' is no time of this age: write 2026-11-20T10:00:00 (Seoul) or 2026-11-20T01:00:00Z",
                text.escape_debug()
            ))
        })?,
        None => (api.parts.clock)(),
    };
    let calendar = api.parts.calendar.load();
    Ok(Json(Outlook::new(&calendar, &calendar.moment(at))))
}

fn parse(text: &str) -> Option<KrxTime> {
    // In a query a plus sign is a space.
    let text = text.replace(' ', "+");
    let at = match DateTime::parse_from_rfc3339(&text) {
        Ok(time) => time.with_timezone(&Seoul),
        Err(_) => {
            let naive = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S").ok()?;
            Seoul.from_local_datetime(&naive).earliest()?
        }
    };
    let year = chrono::Datelike::year(&at);
    (1970..=9998).contains(&year).then_some(at)
}
