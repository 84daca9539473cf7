//! Streams: changes as they happen, over WebSocket or Server-Sent Events (`docs/stream.md`).

mod frames;
mod hub;
mod message;
mod places;
mod subscriber;
mod subscription;
mod websocket;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, UPGRADE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::access::{Client, token};
use super::extract::{Params, codes};
use super::problem::{Document, Kind, Problem};
use super::room::Room;
pub(super) use hub::{Hub, Statistics};
use message::Wish;
use subscriber::Subscriber;

/// Header that turns off response buffering in nginx.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Maximum number of codes in the query.
const MOST_CODES: usize = 500;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Stock codes, separated by commas.
    #[param(
        pattern = "^Q?[0-9A-Z]{6}(,Q?[0-9A-Z]{6}){0,499}$",
        example = "005930,000660"
    )]
    codes: Option<String>,
    /// The codes of a watch list, as it is now.
    watchlist: Option<String>,
    /// All codes of a market: `KOSPI` or `KOSDAQ`.
    #[param(pattern = "^(KOSPI|KOSDAQ)$")]
    market: Option<String>,
    /// `1` for the indices.
    #[param(pattern = "^[01]$")]
    indices: Option<String>,
    /// `1` for alerts.
    #[param(pattern = "^[01]$")]
    alerts: Option<String>,
    /// `1` for all codes.
    #[param(pattern = "^[01]$")]
    all: Option<String>,
}

/// Changes as they happen
///
/// As a WebSocket if the request is an upgrade, otherwise as Server-Sent Events. A snapshot of the
/// subscribed codes comes first, then changes. See docs/stream.md for the messages.
#[utoipa::path(get, path = "/v1/stream", tag = "stream", params(Wanted), responses(
    (status = 101, description = "A WebSocket with the messages of version 1"),
    (status = 200, description = "The messages as events", content_type = "text/event-stream", body = String),
    (status = 400, description = "The query is not understood", body = Document, content_type = "application/problem+json"),
    (status = 404, description = "There is no such watch list", body = Document, content_type = "application/problem+json"),
    (status = 429, description = "This client has too many streams", body = Document, content_type = "application/problem+json"),
))]
pub(super) async fn stream(
    State(api): State<Api>,
    Extension(client): Extension<Client>,
    Extension(room): Extension<Room>,
    Params(wanted): Params<Wanted>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let wish = wanted.wish()?;
    let token = match &client {
        Client::User(_) => token(&headers),
        _ => None,
    };
    let is_upgrade = is_websocket(&headers);
    if is_upgrade {
        api.access.check_origin(&headers)?;
    }
    let mut subscriber = Subscriber::new(&api, client, token, room)?;
    if let Some(wish) = wish {
        subscriber.try_change(wish, true).await?;
    }
    if !is_upgrade {
        return Ok(events(subscriber));
    }
    websocket::upgrade(request, subscriber)
}

/// Whether the request is an upgrade to a WebSocket, and not to another protocol such as HTTP/2.
fn is_websocket(headers: &HeaderMap) -> bool {
    let values = headers.get_all(UPGRADE).into_iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let mut protocols = texts.flat_map(|text| text.split(','));
    protocols.any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

/// Streams the messages as Server-Sent Events.
fn events(subscriber: Subscriber) -> Response {
    let events = unfold(subscriber, |mut subscriber| async move {
        let message = match subscriber.next().await {
            Ok(message) => message,
            Err(over) => {
                subscriber.ends(over.as_str());
                return None;
            }
        };
        let event = format!(
            "id: {}\nevent: {}\ndata: {}\n\n",
            message.seq, message.kind, message.json
        );
        Some((Ok::<_, std::convert::Infallible>(event), subscriber))
    });
    let mut response = Body::from_stream(events).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // A proxy must neither buffer nor compress, which would hold the events back.
    let control = HeaderValue::from_static("no-store, no-transform");
    headers.insert(CACHE_CONTROL, control);
    headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
    response
}

impl Wanted {
    /// Returns the requested subscription; `None` if the query has none.
    fn wish(self) -> Result<Option<Wish>, Problem> {
        let is_on = |flag: &Option<String>| match flag.as_deref() {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(_) => Err(Kind::BadRequest.because("indices, alerts and all must be 0 or 1")),
        };
        let market = self.market.as_deref().map(|text| {
            let market = text.parse();
            market.map_err(|error: String| Kind::BadRequest.because(error))
        });
        let wish = Wish {
            indices: is_on(&self.indices)?,
            alerts: is_on(&self.alerts)?,
            all: is_on(&self.all)?,
            market: market.transpose()?,
            codes: match &self.codes {
                Some(texts) => codes(texts.split(','), MOST_CODES)?,
                None => Vec::new(),
            },
            watchlist: self.watchlist,
        };
        let is_nothing = wish.codes.is_empty()
            && wish.watchlist.is_none()
            && wish.market.is_none()
            && !(wish.indices || wish.alerts || wish.all);
        Ok((!is_nothing).then_some(wish))
    }
}
