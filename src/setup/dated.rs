//! A transport to the broker that observes the broker's clock.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Request;

use sise_kis::{Http, Reply, Transport};
use sise_port::SourceError;
use sise_port::clock::StoreClock;

/// Passes the date of every answer to a clock, which can then tell which of two clocks is wrong.
pub(super) struct Dated {
    http: Http,
    clock: Arc<StoreClock>,
}

impl Dated {
    pub(super) fn new(http: Http, clock: Arc<StoreClock>) -> Self {
        Self { http, clock }
    }
}

#[async_trait]
impl Transport for Dated {
    async fn exchange(&self, request: Request) -> Result<Reply, SourceError> {
        let reply = self.http.exchange(request).await?;
        if let Some(date) = &reply.date {
            self.clock.note_broker(date);
        }
        Ok(reply)
    }
}
