//! Spelling of header names as the broker writes them.
//!
//! The broker's own headers are in lower case (`tr_id`), all others have capitals as in the
//! standards (`Content-Type`). The meaning of a name does not depend on case, but the broker's own
//! samples tell its headers apart by it.

use std::convert::Infallible;
use std::io;

use axum::http::{Extensions, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

/// Header names in lower case; all others are capitalised.
const SMALL: [&str; 3] = ["tr_id", "tr_cont", "gt_uid"];

/// Returns extensions that make the server spell header names like the broker.
///
/// hyper accepts spellings only from a request that it has read. So this reads one request whose
/// headers are spelled like the broker's.
///
/// # Errors
///
/// Returns an error if the request cannot be read.
pub(super) async fn of_the_broker() -> io::Result<Extensions> {
    let (mut asking, answering) = tokio::io::duplex(1024);
    let names: String = SMALL.iter().map(|name| format!("{name}: -\r\n")).collect();
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{names}\r\n");
    asking.write_all(request.as_bytes()).await?;
    let (tell, mut told) = mpsc::channel(1);
    let service = service_fn(|request: Request<Incoming>| {
        // There is one request, and the channel has room for it.
        let _ = tell.try_send(request.extensions().clone());
        async { Ok::<_, Infallible>(Response::new(String::new())) }
    });
    http1::Builder::new()
        .preserve_header_case(true)
        .serve_connection(TokioIo::new(answering), service)
        .await
        .map_err(io::Error::other)?;
    told.try_recv().map_err(io::Error::other)
}
