//! Sessions of the API: access tokens.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use chrono::Utc;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::access::{Client, token};
use super::extract::Body;
use super::problem::{Document, Kind, Problem};
use crate::clients::Listed;

/// Life of a token if none is requested: 30 days.
const LIFE_S: u64 = 30 * 86_400;

/// A session to begin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Begin {
    /// The user. Required if no token is sent; otherwise it must be the user of the token, because
    /// a session cannot be begun for another user.
    #[schema(example = "page")]
    user: Option<String>,
    /// Life of the token in seconds; 30 days if omitted. It ends no later than the token that is
    /// sent.
    #[schema(minimum = 60, maximum = 34_560_000)]
    life_s: Option<u64>,
}

/// A new session. It holds the token, so it has no `Debug`.
#[derive(Serialize, ToSchema)]
pub(super) struct Begun {
    /// The access token. It is shown only here.
    token: String,
    /// The user.
    user: String,
    /// When it ends.
    #[schema(value_type = String)]
    until: chrono::DateTime<Utc>,
}

/// Sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionsAnswer {
    /// Oldest first.
    #[schema(value_type = Vec<SessionObject>)]
    sessions: Vec<Listed>,
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionObject {
    /// Id that is unique among the user's sessions.
    id: String,
    /// The user.
    user: String,
    /// When it began.
    since: String,
    /// When it ends.
    until: String,
}

/// Begins a session
///
/// If a token is sent, the session is of the same user and ends with that token.
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", request_body = Begin, responses(
    (status = 201, description = "Begun", body = Begun),
    (status = 400, description = "The body is not understood", body = Document, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Document, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Document, content_type = "application/problem+json"),
    (status = 422, description = "Name or life are not allowed", body = Document, content_type = "application/problem+json"),
    (status = 503, description = "The store does not answer", body = Document, content_type = "application/problem+json"),
))]
pub(super) async fn begin(
    State(api): State<Api>,
    headers: HeaderMap,
    Body(body): Body<Begin>,
) -> Result<(StatusCode, Json<Begun>), Problem> {
    let life = Duration::from_secs(body.life_s.unwrap_or(LIFE_S));
    let now = (api.parts.clock)().with_timezone(&Utc);
    let (token, user, grant) = if let Some(own) = token(&headers) {
        if let Some(other) = body.user
            && api.access.user_of(own).await?.as_ref() != Some(&other)
        {
            return Err(Kind::Unprocessable.because("a token only begins sessions of its user"));
        }
        let begun = api.clients.add_under(own, life, now).await?;
        begun
            .ok_or_else(|| Kind::Unauthorized.because("the access token that is sent has ended"))?
    } else {
        let user = body.user;
        let user = user.ok_or_else(|| Kind::Unprocessable.because("name the user"))?;
        let (token, grant) = api.clients.add(&user, life, now).await?;
        (token, user, grant)
    };
    let begun = Begun {
        token: token.expose_secret().to_owned(),
        user,
        until: grant.until,
    };
    Ok((StatusCode::CREATED, Json(begun)))
}

/// The sessions: your own, or all if no tokens are required
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", responses(
    (status = 200, description = "The sessions", body = SessionsAnswer),
    (status = 503, description = "The store does not answer", body = Document, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(api): State<Api>,
    Extension(client): Extension<Client>,
) -> Result<Json<SessionsAnswer>, Problem> {
    let user = match &client {
        Client::User(user) => Some(user.as_str()),
        _ => None,
    };
    let sessions = api.clients.list(user).await?;
    Ok(Json(SessionsAnswer { sessions }))
}

/// Ends the session of the token that is sent, and those that it began
#[utoipa::path(delete, path = "/v1/sessions", tag = "sessions", responses(
    (status = 204, description = "It has ended"),
    (status = 404, description = "No token is sent, or it has no session", body = Document, content_type = "application/problem+json"),
    (status = 503, description = "The store does not answer", body = Document, content_type = "application/problem+json"),
))]
pub(super) async fn end(State(api): State<Api>, headers: HeaderMap) -> Result<StatusCode, Problem> {
    let nothing = || Kind::NotFound.because("no token is sent, or it has no session");
    let token = token(&headers).ok_or_else(nothing)?;
    let ended = api.clients.remove(token).await?;
    api.access.forget();
    ended.then_some(StatusCode::NO_CONTENT).ok_or_else(nothing)
}
