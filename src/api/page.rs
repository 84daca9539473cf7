//! The market on one page: files embedded in the program.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use axum::routing::get;

use super::encoded::Encoded;

/// Content security policy: nothing is loaded from other hosts, and only these files run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Lists the name and content of each file.
macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_bytes!(concat!("page/", $name)))),*]
    };
}

const FILES: &[(&str, &[u8])] = files! {
    "alert-words.js"
    "alerts.js"
    "api.js"
    "balance.js"
    "base.css"
    "colours.js"
    "columns.js"
    "d3-hierarchy.js"
    "d3-hierarchy.licence.txt"
    "detail.js"
    "dom.js"
    "feed.js"
    "figures.js"
    "finder.js"
    "fit.js"
    "frame.js"
    "hangul.js"
    "hatch.js"
    "headline.js"
    "health.js"
    "icon.svg"
    "index.html"
    "indices.js"
    "layout.js"
    "legend.js"
    "line.js"
    "main.js"
    "map.js"
    "market.js"
    "minutes.js"
    "movers.js"
    "numbers.js"
    "parts.css"
    "points.js"
    "ranks.js"
    "scope.js"
    "search.js"
    "sequence.js"
    "settings.js"
    "sorting.js"
    "standing.js"
    "stream.js"
    "table.js"
    "tabs.js"
    "tip.js"
    "token.js"
    "treemap.js"
    "uplot.licence.txt"
    "uplot.min.css"
    "uplot.min.js"
    "words.js"
};

/// Returns a route for each file.
pub(super) fn files<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |router, (name, content)| {
        let file = Arc::new(Encoded::of(kind(name), Bytes::from_static(content)));
        let answer = move |asked: HeaderMap| {
            let file = Arc::clone(&file);
            async move {
                let headers = [
                    (CONTENT_SECURITY_POLICY, POLICY),
                    (REFERRER_POLICY, "no-referrer"),
                ];
                (headers, file.respond(&asked))
            }
        };
        let path = match *name {
            "index.html" => "/".to_owned(),
            name => format!("/{name}"),
        };
        router.route(&path, get(answer))
    })
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}
