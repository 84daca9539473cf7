//! Traces to a collector over OTLP (HTTP, protobuf), if `telemetry.otlp_endpoint` is set.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, Tracer};
use secrecy::ExposeSecret as _;
use tokio::runtime::Handle;

use super::failure::Failure;
use crate::config::Settings;
use sise_kis::{Http, Transport};

/// Spans that may wait to be sent. More are dropped: a collector must not hold anything up.
const QUEUE: usize = 8_192;

/// Largest number of spans in one request.
const BATCH: usize = 512;

/// Interval between requests.
const EVERY: Duration = Duration::from_secs(2);

/// Longest time for a request.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest time to send what is left at the end of the process.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The tracer provider of this process, once it is set up.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Creates the tracer of this process, if a collector is set. Needs a tokio runtime.
pub(super) fn tracer(settings: &Settings) -> Result<Option<Tracer>, Failure> {
    let Some(endpoint) = &settings.otlp_endpoint else {
        return Ok(None);
    };
    let refused = |trouble: String| {
        Failure::usage(format!(
            "telemetry.otlp_endpoint: {trouble}; write the address of a collector of traces, such \
             as http://127.0.0.1:4318"
        ))
    };
    let base = endpoint.expose_secret().trim_end_matches('/');
    let client = Collector {
        way: Arc::new(Http::new(base, PATIENCE).map_err(refused)?),
        runtime: Handle::current(),
        is_away: Arc::default(),
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{base}/v1/traces"))
        .with_timeout(PATIENCE)
        .build()
        .map_err(|error| refused(error.to_string()))?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(EVERY)
        .build();
    let processor = BatchSpanProcessor::builder(exporter)
        .with_batch_config(batches)
        .build();
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder()
        .with_service_name("sise")
        .with_attribute(version)
        .build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_resource(resource)
        .build();
    let tracer = provider.tracer("sise");
    // It is the first one: a second start in the same process fails, since logging is started
    // already.
    let _ = PROVIDER.set(provider);
    Ok(Some(tracer))
}

/// Sends the remaining spans, within a bounded time. The runtime must still be running.
pub(super) fn finish() {
    if let Some(provider) = PROVIDER.get() {
        // A collector that is unreachable at the end misses the last seconds.
        let _ = provider.shutdown_with_timeout(LAST_WORDS);
    }
}

/// The HTTP client for the collector.
///
/// It uses the TLS set-up of the process, and its runtime, because the exporter calls it from a
/// thread without a runtime.
struct Collector {
    way: Arc<Http>,
    runtime: Handle,
    is_away: Arc<AtomicBool>,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(
        &self,
        request: opentelemetry_http::Request<Bytes>,
    ) -> Result<opentelemetry_http::Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let way = Arc::clone(&self.way);
        let sent = self
            .runtime
            .spawn(async move { way.exchange(request).await });
        let reply = sent.await?;
        let trouble = match &reply {
            Ok(reply) if reply.status < 300 => None,
            Ok(reply) => Some(format!("HTTP {}", reply.status)),
            Err(error) => Some(error.to_string()),
        };
        let was_away = self.is_away.swap(trouble.is_some(), Ordering::Relaxed);
        match trouble {
            Some(trouble) if !was_away => {
                tracing::warn!("traces cannot be delivered, and are dropped: {trouble}");
            }
            None if was_away => tracing::info!("traces are delivered again"),
            _ => {}
        }
        let reply = reply?;
        let response = opentelemetry_http::Response::builder().status(reply.status);
        Ok(response.body(Bytes::from(reply.body))?)
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}
