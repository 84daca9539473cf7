//! Connections: how many, how long they may take, and how large what they send may be.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::{counter, gauge};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::problem::{Kind, Problem};

/// Path, query and headers of a request have this many bytes at most.
const HEADERS: usize = 16 * 1024;

/// What is larger than this, or has more headers, is not even read: its answer has no words.
const READ: usize = 64 * 1024;
const READ_HEADERS: usize = 200;

/// They arrive within this time.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// What a client does not take for so long ends its connection.
const UNTAKEN: Duration = Duration::from_secs(20);

/// Bytes that the system holds for a client at most, so that it is soon seen that one takes nothing.
const HELD: usize = 128 * 1024;

/// After an error of the listener, as where there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// An open connection is cut this long after the stop.
const GRACE: Duration = Duration::from_secs(1);

/// The room of one connection, kept by whoever has it in use: a stream outlives its request.
#[derive(Debug, Clone)]
pub(super) struct Room {
    _taken: Arc<Taken>,
}

#[derive(Debug)]
struct Taken(#[expect(dead_code, reason = "held for its end")] OwnedSemaphorePermit);

impl Room {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        gauge!("sise_http_connections").increment(1);
        Self {
            _taken: Arc::new(Taken(permit)),
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        gauge!("sise_http_connections").decrement(1);
    }
}

/// Serves `router` on `listener` until `stop`, over so many connections at once.
///
/// # Errors
///
/// The listener fails for good.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    connections: usize,
    stop: CancellationToken,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(connections));
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            // Closed at once: whoever waited here would hold a file for nothing.
            counter!("sise_http_connections_refused_total").increment(1);
            continue;
        };
        let (router, stop) = (router.clone(), stop.clone());
        let room = Room::new(permit);
        tasks.spawn(answer(stream, address, room, router, stop));
    }
    tasks.close();
    // A client that keeps its connection open must not hold the process.
    let _ = timeout(GRACE, tasks.wait()).await;
    Ok(())
}

/// Answers the requests of one connection.
async fn answer(
    stream: TcpStream,
    address: SocketAddr,
    room: Room,
    router: Router,
    stop: CancellationToken,
) {
    let socket = SockRef::from(&stream);
    let set = socket.set_tcp_nodelay(true);
    let set = set.and_then(|()| socket.set_send_buffer_size(HELD));
    if let Err(error) = set.and_then(|()| socket.set_tcp_user_timeout(Some(UNTAKEN))) {
        tracing::debug!(%error, "options of a connection");
    }
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(address));
        request.extensions_mut().insert(room.clone());
        let router = router.clone();
        async move {
            let answered: Result<_, Infallible> = router.oneshot(request).await;
            answered
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(READ)
        .max_headers(READ_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => report(ended),
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            report(connection.await);
        }
    }
}

/// Refuses requests with large headers.
pub(super) async fn limit_headers(
    request: axum::extract::Request,
    next: Next,
) -> Result<Response, Problem> {
    let headers = request.headers().iter();
    let sizes = headers.map(|(name, value)| name.as_str().len() + value.len());
    let uri = request.uri().path_and_query();
    let size = sizes.sum::<usize>() + uri.map_or(0, |uri| uri.as_str().len());
    if size > HEADERS {
        return Err(Kind::HeadersTooLarge.because("path, query and headers have 16 kB at most"));
    }
    Ok(next.run(request).await)
}

fn report(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        // Clients go when they like.
        tracing::debug!(%error, "a connection broke off");
    }
}
