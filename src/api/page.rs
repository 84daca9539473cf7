//! The market on one page: files inside the program.

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::IntoResponse;
use axum::routing::get;

/// Nothing comes from elsewhere, and nothing runs that is not a file of these.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Name, type, content.
const FILES: [(&str, &str, &[u8]); 0] = [];

/// A route for each file.
pub(super) fn files<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES
        .iter()
        .fold(Router::new(), |router, (name, kind, content)| {
            let answer = move || async move {
                let headers = [
                    (CONTENT_TYPE, *kind),
                    (CONTENT_SECURITY_POLICY, POLICY),
                    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
                    (REFERRER_POLICY, "no-referrer"),
                    (CACHE_CONTROL, "no-cache"),
                ];
                (headers, *content).into_response()
            };
            router.route(name, get(answer))
        })
}
