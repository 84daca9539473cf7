//! The market on one page: files inside the program.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::routing::get;

use super::encoded::Encoded;

/// Nothing comes from elsewhere, and nothing runs that is not a file of these.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

macro_rules! file {
    ($path:literal, $kind:literal, $name:literal) => {
        ($path, $kind, include_bytes!(concat!("page/", $name)))
    };
}

/// Path, type, content.
const FILES: &[(&str, &str, &[u8])] = &[
    file!("/alerts.js", "text/javascript; charset=utf-8", "alerts.js"),
    file!("/api.js", "text/javascript; charset=utf-8", "api.js"),
    file!("/base.css", "text/css; charset=utf-8", "base.css"),
    file!(
        "/colours.js",
        "text/javascript; charset=utf-8",
        "colours.js"
    ),
    file!(
        "/columns.js",
        "text/javascript; charset=utf-8",
        "columns.js"
    ),
    file!(
        "/d3-hierarchy.js",
        "text/javascript; charset=utf-8",
        "d3-hierarchy.js"
    ),
    file!(
        "/d3-hierarchy.licence.txt",
        "text/plain; charset=utf-8",
        "d3-hierarchy.licence.txt"
    ),
    file!("/detail.js", "text/javascript; charset=utf-8", "detail.js"),
    file!("/dom.js", "text/javascript; charset=utf-8", "dom.js"),
    file!("/feed.js", "text/javascript; charset=utf-8", "feed.js"),
    file!("/finder.js", "text/javascript; charset=utf-8", "finder.js"),
    file!("/frame.js", "text/javascript; charset=utf-8", "frame.js"),
    file!("/hangul.js", "text/javascript; charset=utf-8", "hangul.js"),
    file!(
        "/headline.js",
        "text/javascript; charset=utf-8",
        "headline.js"
    ),
    file!("/health.js", "text/javascript; charset=utf-8", "health.js"),
    file!("/icon.svg", "image/svg+xml", "icon.svg"),
    file!("/", "text/html; charset=utf-8", "index.html"),
    file!(
        "/indices.js",
        "text/javascript; charset=utf-8",
        "indices.js"
    ),
    file!("/layout.js", "text/javascript; charset=utf-8", "layout.js"),
    file!("/legend.js", "text/javascript; charset=utf-8", "legend.js"),
    file!("/line.js", "text/javascript; charset=utf-8", "line.js"),
    file!("/main.js", "text/javascript; charset=utf-8", "main.js"),
    file!("/map.js", "text/javascript; charset=utf-8", "map.js"),
    file!("/market.js", "text/javascript; charset=utf-8", "market.js"),
    file!(
        "/minutes.js",
        "text/javascript; charset=utf-8",
        "minutes.js"
    ),
    file!("/movers.js", "text/javascript; charset=utf-8", "movers.js"),
    file!(
        "/numbers.js",
        "text/javascript; charset=utf-8",
        "numbers.js"
    ),
    file!("/parts.css", "text/css; charset=utf-8", "parts.css"),
    file!("/points.js", "text/javascript; charset=utf-8", "points.js"),
    file!("/ranks.js", "text/javascript; charset=utf-8", "ranks.js"),
    file!("/scope.js", "text/javascript; charset=utf-8", "scope.js"),
    file!("/search.js", "text/javascript; charset=utf-8", "search.js"),
    file!(
        "/sequence.js",
        "text/javascript; charset=utf-8",
        "sequence.js"
    ),
    file!(
        "/settings.js",
        "text/javascript; charset=utf-8",
        "settings.js"
    ),
    file!("/stream.js", "text/javascript; charset=utf-8", "stream.js"),
    file!("/table.js", "text/javascript; charset=utf-8", "table.js"),
    file!("/tip.js", "text/javascript; charset=utf-8", "tip.js"),
    file!("/token.js", "text/javascript; charset=utf-8", "token.js"),
    file!(
        "/treemap.js",
        "text/javascript; charset=utf-8",
        "treemap.js"
    ),
    file!(
        "/uplot.licence.txt",
        "text/plain; charset=utf-8",
        "uplot.licence.txt"
    ),
    file!("/uplot.min.css", "text/css; charset=utf-8", "uplot.min.css"),
    file!(
        "/uplot.min.js",
        "text/javascript; charset=utf-8",
        "uplot.min.js"
    ),
    file!("/words.js", "text/javascript; charset=utf-8", "words.js"),
];

/// A route for each file.
pub(super) fn files<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES
        .iter()
        .fold(Router::new(), |router, (path, kind, content)| {
            let file = Arc::new(Encoded::of(kind, Bytes::from_static(content)));
            let answer = move |asked: HeaderMap| {
                let file = Arc::clone(&file);
                async move {
                    let headers = [
                        (CONTENT_SECURITY_POLICY, POLICY),
                        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
                        (REFERRER_POLICY, "no-referrer"),
                    ];
                    (headers, file.respond(&asked))
                }
            };
            router.route(path, get(answer))
        })
}
