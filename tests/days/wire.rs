//! The way of one process to the broker, in place of its sockets.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Request;
use sise::kis::{Reply, Transport};
use sise::port::SourceError;
use tokio::time::sleep;

use super::broker::LISTS;
use super::world::World;

/// How the broker's hosts answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Up,
    /// Nobody listens.
    Refused,
    /// Calls arrive, but no answer comes back.
    Silent,
    /// Answers take so much longer.
    Slow(Duration),
}

/// How the stock list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lists {
    Whole,
    /// The files cannot be had.
    Away,
    /// The files are cut off.
    Cut,
    /// Half of the codes are gone.
    Short,
}

pub(crate) struct Wire {
    pub(crate) world: Arc<World>,
    pub(crate) slot: usize,
    /// No exchange takes longer.
    pub(crate) patience: Duration,
}

fn away(said: &str) -> SourceError {
    SourceError::Unavailable(said.to_owned())
}

#[async_trait]
impl Transport for Wire {
    async fn exchange(&self, request: Request) -> Result<Reply, SourceError> {
        let world = &self.world;
        if request.url().as_str().starts_with(LISTS) {
            return self.list(request).await;
        }
        let reach = world.reach(self.slot);
        world.note(self.slot, "exchange", 0);
        if reach == Reach::Refused {
            sleep(Duration::from_millis(1)).await;
            return Err(away("connection refused"));
        }
        let reply = world.call_broker(self.slot, request);
        let latency = match reach {
            Reach::Silent => Duration::MAX,
            Reach::Slow(extra) => world.broker_latency(self.slot) + extra,
            Reach::Up | Reach::Refused => world.broker_latency(self.slot),
        };
        sleep(latency.min(self.patience)).await;
        if latency >= self.patience {
            return Err(away("no answer in time"));
        }
        reply
    }
}

impl Wire {
    async fn list(&self, request: Request) -> Result<Reply, SourceError> {
        let world = &self.world;
        let lists = world.lists();
        world.note(self.slot, "list", lists as u64);
        sleep(Duration::from_millis(40)).await;
        if lists == Lists::Away {
            return Err(away("connection refused"));
        }
        let now = world.timeline.now();
        let mut reply = world.broker().list(now, request, lists == Lists::Short)?;
        if lists == Lists::Cut {
            reply.body.truncate(reply.body.len() / 2);
        }
        Ok(reply)
    }
}
