//! The errors of the API: each has a kind and is sent as a problem document (RFC 9457).

use axum::extract::Request;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::alerts::AlertRulesError;
use crate::clients::ClientsError;
use crate::movers::MoversError;
use crate::reader::ReadError;
use crate::watch::WatchListsError;
use sise_cache::CacheError;
use sise_port::StoreError;

/// Longest detail, in characters.
const LONGEST_DETAIL: usize = 1_000;

/// What is wrong with a request, or with what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The request cannot be understood.
    BadRequest,
    /// A text is not a stock code.
    BadCode,
    /// No access token, or one that is not known.
    Unauthorized,
    /// Requests from this place are not allowed.
    Forbidden,
    /// There is nothing under this path.
    NotFound,
    /// There is no price of this code.
    NoPrice,
    /// The path does not support the method.
    MethodNotAllowed,
    /// The request took too long to arrive or to be answered.
    TimedOut,
    /// The body is too large.
    TooLarge,
    /// The headers are too large.
    HeadersTooLarge,
    /// The body is of an unsupported type.
    UnsupportedMediaType,
    /// The body is well formed, but its content is not allowed.
    Unprocessable,
    /// The client asks more often than it may.
    TooManyRequests,
    /// The server failed.
    Internal,
    /// This set-up does not support it.
    NotAvailable,
    /// The store does not answer.
    StoreAway,
    /// The broker cannot be asked.
    BrokerAway,
}

impl Kind {
    /// All kinds.
    pub(super) const ALL: [Self; 17] = [
        Self::BadRequest,
        Self::BadCode,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::NoPrice,
        Self::MethodNotAllowed,
        Self::TimedOut,
        Self::TooLarge,
        Self::HeadersTooLarge,
        Self::UnsupportedMediaType,
        Self::Unprocessable,
        Self::TooManyRequests,
        Self::Internal,
        Self::NotAvailable,
        Self::StoreAway,
        Self::BrokerAway,
    ];

    /// Returns the end of the type URI, the status and the title.
    pub(super) fn parts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::BadRequest => (
                "bad-request",
                StatusCode::BAD_REQUEST,
                "The request cannot be understood",
            ),
            Self::BadCode => (
                "bad-code",
                StatusCode::BAD_REQUEST,
                "This is not a stock code",
            ),
            Self::Unauthorized => (
                "unauthorized",
                StatusCode::UNAUTHORIZED,
                "An access token is required",
            ),
            Self::Forbidden => (
                "forbidden",
                StatusCode::FORBIDDEN,
                "Requests from there are not allowed",
            ),
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "There is nothing here"),
            Self::NoPrice => (
                "no-price",
                StatusCode::NOT_FOUND,
                "There is no price of this code",
            ),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "The method is not allowed here",
            ),
            Self::TimedOut => (
                "timed-out",
                StatusCode::REQUEST_TIMEOUT,
                "The request took too long",
            ),
            Self::TooLarge => (
                "too-large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "The request is too large",
            ),
            Self::HeadersTooLarge => (
                "headers-too-large",
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "The headers are too large",
            ),
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body is of an unsupported type",
            ),
            Self::Unprocessable => (
                "unprocessable",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The content of the request is not allowed",
            ),
            Self::TooManyRequests => (
                "too-many-requests",
                StatusCode::TOO_MANY_REQUESTS,
                "Too many requests",
            ),
            Self::Internal => (
                "internal",
                StatusCode::INTERNAL_SERVER_ERROR,
                "The server failed",
            ),
            Self::NotAvailable => (
                "not-available",
                StatusCode::NOT_IMPLEMENTED,
                "This set-up does not support it",
            ),
            Self::StoreAway => (
                "store-away",
                StatusCode::SERVICE_UNAVAILABLE,
                "The store does not answer",
            ),
            Self::BrokerAway => (
                "broker-away",
                StatusCode::SERVICE_UNAVAILABLE,
                "The broker cannot be asked",
            ),
        }
    }

    /// Maps the status of an error that has no kind yet.
    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::REQUEST_TIMEOUT => Self::TimedOut,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Self::Unprocessable,
            StatusCode::TOO_MANY_REQUESTS => Self::TooManyRequests,
            status if status.is_client_error() => Self::BadRequest,
            _ => Self::Internal,
        }
    }

    /// Creates a problem with a detail, which is truncated if it quotes too much of what the client
    /// sent.
    pub(super) fn because(self, detail: impl Into<String>) -> Problem {
        let mut detail = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(LONGEST_DETAIL) {
            detail.truncate(end);
            detail.push_str("...");
        }
        Problem {
            kind: self,
            detail,
            retry_after: None,
        }
    }
}

/// A problem without the path where it happened.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    kind: Kind,
    detail: String,
    retry_after: Option<u64>,
}

/// A problem document.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Document {
    /// The kind of problem: `/problems/` and a stable name. The server explains it at that path.
    #[serde(rename = "type")]
    #[schema(example = "/problems/no-price")]
    pub(super) kind: String,
    /// The kind in words.
    pub(super) title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    pub(super) status: u16,
    /// What happened, and what to do.
    pub(super) detail: String,
    /// The path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instance: Option<String>,
}

impl Problem {
    /// Adds the number of seconds after which to retry.
    #[must_use]
    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Returns the document for a request to `instance`.
    #[must_use]
    pub(super) fn document(&self, instance: Option<&Uri>) -> Document {
        let (slug, status, title) = self.kind.parts();
        Document {
            kind: format!("/problems/{slug}"),
            title,
            status: status.as_u16(),
            detail: self.detail.clone(),
            instance: instance.map(|uri| uri.path().to_owned()),
        }
    }

    fn response(&self, instance: Option<&Uri>) -> Response {
        let (_, status, _) = self.kind.parts();
        let body = serde_json::to_vec(&self.document(instance)).unwrap_or_default();
        let json = HeaderValue::from_static("application/problem+json");
        let never = HeaderValue::from_static("no-store");
        let mut response =
            (status, [(CONTENT_TYPE, json), (CACHE_CONTROL, never)], body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.kind == Kind::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.response(None);
        // `dress` adds the path.
        response.extensions_mut().insert(self);
        response
    }
}

/// Turns every error into a problem document, including those from below the routes.
pub(super) async fn dress(request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let response = next.run(request).await;
    let status = response.status();
    // Apart from problems only `/ready` answers 503, and its body must stay as it is.
    let is_readiness = status == StatusCode::SERVICE_UNAVAILABLE;
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    if let Some(problem) = response.extensions().get::<Problem>() {
        return problem.response(Some(&uri));
    }
    let is_document = |value: &HeaderValue| value.as_bytes().ends_with(b"+json");
    if is_readiness
        || response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(is_document)
    {
        return response;
    }
    let kind = Kind::of(status);
    let allow = response.headers().get(ALLOW).cloned();
    let detail = match kind {
        Kind::NotFound => "see /docs for the routes",
        Kind::MethodNotAllowed => "the header Allow lists the allowed methods",
        Kind::TimedOut => "try again, or ask for less at once",
        Kind::TooLarge => "a body may have at most 64 kB",
        _ => status.canonical_reason().unwrap_or("the request failed"),
    };
    let mut dressed = kind.because(detail).response(Some(&uri));
    if let Some(allow) = allow {
        dressed.headers_mut().insert(ALLOW, allow);
    }
    dressed
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Kind::StoreAway.because(error.to_string()).retry_after(1)
    }
}

impl From<CacheError> for Problem {
    fn from(error: CacheError) -> Self {
        Kind::StoreAway.because(error.to_string()).retry_after(1)
    }
}

impl From<MoversError> for Problem {
    fn from(error: MoversError) -> Self {
        Kind::StoreAway.because(error.to_string()).retry_after(1)
    }
}

impl From<WatchListsError> for Problem {
    fn from(error: WatchListsError) -> Self {
        match error {
            WatchListsError::Invalid(why) => Kind::Unprocessable.because(why),
            WatchListsError::Cache(error) => error.into(),
        }
    }
}

impl From<AlertRulesError> for Problem {
    fn from(error: AlertRulesError) -> Self {
        match error {
            AlertRulesError::Invalid(why) => Kind::Unprocessable.because(why),
            AlertRulesError::Cache(error) => error.into(),
        }
    }
}

impl From<ClientsError> for Problem {
    fn from(error: ClientsError) -> Self {
        match error {
            ClientsError::Invalid(why) => Kind::Unprocessable.because(why),
            ClientsError::Random => Kind::Internal.because(error.to_string()),
            ClientsError::Cache(error) => error.into(),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Code(_) => Kind::BadCode.because(error.to_string()),
            _ => Kind::BrokerAway.because(error.to_string()).retry_after(1),
        }
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Kind::BadRequest.because(rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Kind::BadRequest.because(rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let kind = match &rejection {
            JsonRejection::JsonDataError(_) => Kind::Unprocessable,
            other => Kind::of(other.status()),
        };
        kind.because(rejection.body_text())
    }
}
