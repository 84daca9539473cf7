//! Proves that a collector of traces is told what a sweep and a read are made of, that it is told of
//! no secret, and that one that is away holds nothing up.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;

use crate::support::program::Program;
use crate::support::world::{APP_KEY, APP_SECRET, World};
use crate::support::{list, until};

/// What a collector was sent.
#[derive(Clone, Default)]
struct Collected {
    bodies: Arc<Mutex<Vec<Bytes>>>,
}

/// Somebody who takes traces over HTTP.
struct Collector {
    url: String,
    collected: Collected,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let collected = Collected::default();
        let take = |State(collected): State<Collected>, headers: HeaderMap, body: Bytes| async move {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            collected.bodies.lock().unwrap().push(body);
            StatusCode::OK
        };
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(collected.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { url, collected }
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let bodies = self.collected.bodies.lock().unwrap();
        let decode = |body: &Bytes| ExportTraceServiceRequest::decode(body.clone()).unwrap();
        bodies.iter().map(decode).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.requests().into_iter();
        let resources = requests.flat_map(|request| request.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }
}

fn parent<'a>(spans: &'a [Span], span: &Span) -> Option<&'a Span> {
    spans
        .iter()
        .find(|other| other.span_id == span.parent_span_id)
}

/// `sise` that tells `url` of its spans.
fn traced(world: &World, url: &str, arguments: &[&str]) -> Program {
    let codes = list::codes(60).join("\n");
    world.file("list.csv", &format!("code\n{codes}\n"));
    world
        .fast_sise(arguments)
        .set("SISE__UNIVERSE__SOURCE", "csv")
        .set("SISE__UNIVERSE__FILE", "list.csv")
        .set("SISE__SCHEDULE__INTERVAL", "1s")
        .set("SISE__TELEMETRY__OTLP_ENDPOINT", url)
}

#[tokio::test]
async fn a_collector_is_told_of_a_sweep_and_all_that_it_is_made_of() {
    let world = World::new(&["--limit", "0"]).await;
    let collector = Collector::start().await;
    let daemon = traced(&world, &collector.url, &["run", "--always-open"])
        // The spans are none of the logs', however much of these is wanted.
        .set("SISE__LOG__LEVEL", "trace")
        .start();
    daemon.says(&["sweep done", "written=60"]).await;
    let spans = until("a whole sweep is told of", async || {
        let spans = collector.spans();
        let is_whole = spans.iter().any(|span| {
            let chain = (span.name == "broker_call")
                .then(|| parent(&spans, span))
                .flatten();
            let sweep = chain.and_then(|batch| parent(&spans, batch));
            sweep.is_some_and(|sweep| sweep.name == "sweep")
        });
        is_whole.then_some(spans)
    })
    .await;
    let call = spans.iter().find(|span| {
        let path = span.attributes.iter().find(|held| held.key == "path");
        span.name == "broker_call" && format!("{path:?}").contains("multprice")
    });
    let call = call.unwrap();
    assert!(format!("{:?}", call.attributes).contains("200"), "{call:?}");
    assert!(call.end_time_unix_nano >= call.start_time_unix_nano);
    let batch = parent(&spans, call).unwrap();
    assert_eq!(batch.name, "batch");
    let writes = spans.iter().filter(|span| span.name == "store_write");
    let mut of_batches = writes.filter_map(|span| parent(&spans, span));
    assert!(of_batches.any(|parent| parent.name == "batch"));
    let sweep = spans.iter().find(|span| span.name == "sweep").unwrap();
    let counts = format!("{:?}", sweep.attributes);
    assert!(
        counts.contains("written") && counts.contains("60"),
        "{counts}"
    );
    daemon.signal("TERM");
    let said = daemon.end().await.exits(143).stderr;
    assert!(!said.contains("broker_call"), "{said}");
    let service = format!("{:?}", collector.requests()[0].resource_spans[0].resource);
    assert!(
        service.contains("service.name") && service.contains("\"sise\""),
        "{service}"
    );
    for body in collector.collected.bodies.lock().unwrap().iter() {
        let text = String::from_utf8_lossy(body);
        for secret in [APP_KEY, APP_SECRET, "Bearer"] {
            assert!(!text.contains(secret), "a secret went to the collector");
        }
    }
}

#[tokio::test]
async fn a_short_command_tells_before_it_ends_and_waits_for_no_collector() {
    let world = World::new(&["--limit", "0"]).await;
    let collector = Collector::start().await;
    let get = traced(&world, &collector.url, &["get", "005930"]);
    get.run().await.exits(0);
    let spans = collector.spans();
    let ask = spans.iter().find(|span| span.name == "reader_ask");
    assert!(ask.is_some(), "{spans:?}");
    // One that hangs, and one that is not there.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging = format!("http://{}", silent.local_addr().unwrap());
    let nobody = format!("http://127.0.0.1:{}", crate::support::free_port());
    for url in [hanging, nobody] {
        let outcome = traced(&world, &url, &["get", "005930"]).run().await;
        assert!(outcome.exits(0).stdout.contains("005930"));
    }
    let outcome = traced(&world, "collector", &["get", "005930"]).run().await;
    outcome.exits(2).says(&["telemetry.otlp_endpoint"]);
}

#[tokio::test]
async fn a_request_to_the_api_is_the_root_of_what_it_reads() {
    let world = World::new(&["--limit", "0"]).await;
    let collector = Collector::start().await;
    let server = traced(&world, &collector.url, &["serve"]).start();
    let address = server.health_address().await;
    // Nothing is in Redis, so that the broker is asked.
    let code = &list::codes(1)[0];
    let path = format!("/v1/prices/{code}?fields=nobody-knows");
    until("a request is told of with what it read", async || {
        crate::support::http::get(&address, &path);
        let spans = collector.spans();
        let is_whole = spans.iter().any(|span| {
            let asks = (span.name == "reader_ask").then(|| parent(&spans, span));
            asks.flatten().is_some_and(|request| {
                let told = format!("{:?}", request.attributes);
                // The route, and nothing that a client made up.
                request.name == "http_request"
                    && told.contains("/v1/prices/{code}")
                    && !told.contains("nobody-knows")
            })
        });
        is_whole.then_some(())
    })
    .await;
}
