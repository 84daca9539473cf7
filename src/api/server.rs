//! The HTTP server: limits on the number of connections, on times, and on the size of requests.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::{Request, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::counter;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::problem::{Kind, Problem};
use super::proxies::Proxies;
use super::room::{Capacity, Room};
use super::{access, origin};
use sise_net::supervisor::seen;

/// Maximum bytes of path, query and headers of a request.
const HEADERS: usize = 16 * 1024;

/// Requests beyond this size or number of headers are not even read, and get an answer without a
/// body.
const READ: usize = 20 * 1024;
const READ_HEADERS: usize = 200;

/// Longest time for the headers to arrive.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// Longest time that sent data may stay unacknowledged before the connection is closed.
const UNTAKEN: Duration = Duration::from_secs(20);

/// Send buffer of a connection, in bytes. It is small so that a client that reads nothing is
/// noticed soon.
const HELD: usize = 32 * 1024;

/// Pause after an error of the listener, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Interval at which a lasting error of the listener is logged.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// The answer to a connection that there is no room for.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\
    connection: close\r\n\r\n";

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Grace period for open connections after the stop.
const GRACE: Duration = Duration::from_secs(1);

/// Serves `router` on `listener` until `stop`, with as many connections as there is room for.
///
/// # Errors
///
/// Returns an error if the listener fails for good.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    capacity: &Arc<Capacity>,
    proxies: Proxies,
    stop: CancellationToken,
) -> io::Result<()> {
    let proxies = Arc::new(proxies);
    let tasks = TaskTracker::new();
    let mut complaint = Complaint::default();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            // The error concerns only that connection.
            Err(error) if is_of_client(&error) => continue,
            Err(error) => {
                complaint.note(&error);
                sleep(PAUSE).await;
                continue;
            }
        };
        if capacity.is_left_by_some() {
            // Give the connections that were told to close a chance to do so.
            yield_now().await;
        }
        let Some(room) = capacity.take(address.ip()) else {
            // Answered and closed at once: a waiting connection would hold a file for nothing.
            counter!("sise_http_connections_refused_total").increment(1);
            let _ = stream.try_write(FULL);
            continue;
        };
        let service = Service {
            address,
            room,
            router: router.clone(),
            proxies: Arc::clone(&proxies),
        };
        tasks.spawn(seen("connection", service.answer(stream, stop.clone())));
    }
    tasks.close();
    // A client that keeps its connection open must not hold up the process.
    let _ = timeout(GRACE, tasks.wait()).await;
    Ok(())
}

/// Whether the client gave up its connection.
fn is_of_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Logging of listener errors: the first one at once, later ones once in a while.
#[derive(Debug, Default)]
struct Complaint {
    said: Option<Instant>,
    failures: u64,
}

impl Complaint {
    fn note(&mut self, error: &io::Error) {
        self.failures += 1;
        if self.said.is_some_and(|said| said.elapsed() < SAID_EVERY) {
            return;
        }
        let failures = std::mem::take(&mut self.failures);
        self.said = Some(Instant::now());
        tracing::warn!(
            %error,
            failures,
            "cannot accept connections; if there are too many open files, raise LimitNOFILE"
        );
    }
}

/// The service that answers the requests of one connection.
struct Service {
    address: SocketAddr,
    room: Room,
    router: Router,
    proxies: Arc<Proxies>,
}

impl Service {
    /// Answers requests until the client or the server closes the connection, or its room is
    /// needed.
    async fn answer(self, stream: TcpStream, stop: CancellationToken) {
        let socket = SockRef::from(&stream);
        let set = socket.set_tcp_nodelay(true);
        let set = set.and_then(|()| socket.set_send_buffer_size(HELD));
        if let Err(error) = set.and_then(|()| socket.set_tcp_user_timeout(Some(UNTAKEN))) {
            tracing::debug!(%error, "cannot set the options of a connection");
        }
        let room = self.room.clone();
        let service = service_fn(|request| self.call(request));
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
            () = room.is_wanted() => tracing::debug!("a connection made room for another"),
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                report(connection.await);
            }
        }
    }

    /// Answers one request.
    async fn call(&self, request: Request<Incoming>) -> Result<Response, Infallible> {
        self.room.work();
        let mut request = request.map(Body::new);
        let client = self.proxies.client(self.address.ip(), request.headers());
        let client = SocketAddr::new(client, self.address.port());
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(client));
        extensions.insert(self.room.clone());
        let answer = self.router.clone().oneshot(request).await?;
        let mut answer = self.count(answer).await;
        let is_switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        if self.room.is_spare() && !is_switched {
            headers.insert(CONNECTION, CLOSE);
        }
        self.room.rest();
        Ok(answer)
    }

    /// Wraps an answer so that it is counted until its client has read it. The messages of streams
    /// are small and not counted.
    async fn count(&self, answer: Response) -> Response {
        let (head, body) = answer.into_parts();
        if body.size_hint().exact().is_none() {
            return Response::from_parts(head, body);
        }
        match to_bytes(body, usize::MAX).await {
            Ok(text) => Response::from_parts(head, self.room.hold(text).into()),
            Err(error) => Kind::Internal.because(error.to_string()).into_response(),
        }
    }
}

/// Middleware that admits well-formed requests, and on spare connections only those that they are
/// reserved for.
pub(super) async fn check(
    request: axum::extract::Request,
    next: Next,
) -> Result<Response, Problem> {
    check_size(&request)?;
    origin::check_form(&request)?;
    check_room(&request)?;
    Ok(next.run(request).await)
}

/// Refuses requests with too large headers.
fn check_size(request: &axum::extract::Request) -> Result<(), Problem> {
    let headers = request.headers().iter();
    let sizes = headers.map(|(name, value)| name.as_str().len() + value.len());
    let uri = request.uri().path_and_query();
    let size = sizes.sum::<usize>() + uri.map_or(0, |uri| uri.as_str().len());
    if size > HEADERS {
        return Err(Kind::HeadersTooLarge.because("path, query and headers may have at most 16 kB"));
    }
    Ok(())
}

/// Refuses requests that the spare connections are not reserved for.
fn check_room(request: &axum::extract::Request) -> Result<(), Problem> {
    let room = request.extensions().get::<Room>();
    if !room.is_some_and(Room::is_spare) {
        return Ok(());
    }
    let is_health = matches!(request.uri().path(), "/live" | "/ready" | "/metrics");
    if is_health || access::token(request.headers()).is_some() {
        return Ok(());
    }
    Err(access::crowded())
}

fn report(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        // Clients may disconnect at any time.
        tracing::debug!(%error, "a connection broke off");
    }
}
