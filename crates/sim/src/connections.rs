//! Connections of the simulated broker's clients.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Extensions, Request, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::spelling;

/// How long running answers may take after the stop.
const GRACE: Duration = Duration::from_secs(1);

/// Shortest time between two log lines about connections that are not accepted.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Pause after an error of the listener, for example if too many files are open.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `stop`; running answers then have a second to finish.
///
/// # Errors
///
/// Returns an error if the server cannot be set up.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let spelling = spelling::of_the_broker().await?;
    let tasks = TaskTracker::new();
    let mut said = None;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, spelling, stop) = (router.clone(), spelling.clone(), stop.clone());
                tasks.spawn(answer(stream, router, spelling, stop));
            }
            Err(error) => {
                if said.is_none_or(|said: Instant| said.elapsed() >= SAID_EVERY) {
                    said = Some(Instant::now());
                    tracing::warn!(%error, "sim: connections are not accepted");
                }
                sleep(PAUSE).await;
            }
        }
    }
    tasks.close();
    // A client that waits for a slow answer must not hold up the process.
    let _ = timeout(GRACE, tasks.wait()).await;
    Ok(())
}

/// Answers the requests of one connection.
async fn answer(stream: TcpStream, router: Router, spelling: Extensions, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "sim: TCP_NODELAY");
    }
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (router, spelling) = (router.clone(), spelling.clone());
        if let Some(uri) = without_double_slashes(request.uri()) {
            *request.uri_mut() = uri;
        }
        async move {
            let Ok(mut response) = router.oneshot(request.map(Body::new)).await;
            response.extensions_mut().extend(spelling);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients may leave at any time, and some faults cut them off.
        tracing::debug!(%error, "sim: a connection broke off");
    }
}

/// Returns the address with single slashes, or `None` if it has no double ones.
///
/// Some clients put a slash behind the host and one before the path; the broker accepts both.
fn without_double_slashes(uri: &Uri) -> Option<Uri> {
    if !uri.path().contains("//") {
        return None;
    }
    let parts = uri.path().split('/').filter(|part| !part.is_empty());
    let path: String = parts.flat_map(|part| ["/", part]).collect();
    let query = uri
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    format!("{path}{query}").parse().ok()
}
