//! How the broker writes the names of its headers: its own small (`tr_id`), all others as the standards
//! write them (`Content-Type`).
//!
//! Names mean the same however they are written, but the broker's own samples tell them apart by that.

use std::convert::Infallible;
use std::io;

use axum::http::{Extensions, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

/// Names of headers that are written as here; all others have their capitals.
const SMALL: [&str; 3] = ["tr_id", "tr_cont", "gt_uid"];

/// What makes the server write the names so where it is put into a response.
///
/// The server takes it only from how the names of a request were written: so a request is read once
/// that writes them as the broker does.
///
/// # Errors
///
/// The request could not be read.
pub(super) async fn of_the_broker() -> io::Result<Extensions> {
    let (mut asking, answering) = tokio::io::duplex(1024);
    let names: String = SMALL.iter().map(|name| format!("{name}: -\r\n")).collect();
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{names}\r\n");
    asking.write_all(request.as_bytes()).await?;
    let (tell, mut told) = mpsc::channel(1);
    let service = service_fn(|request: Request<Incoming>| {
        // There is one request, and room for it.
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
