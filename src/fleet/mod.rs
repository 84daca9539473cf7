//! Several app keys split a sweep: this process's part in that.
//!
//! The leader's sweeper asks the [`Dispatcher`], which posts each batch as shared work and waits
//! for its answers. The [`Worker`] of every process, the leader's own included, takes as many
//! batches as the pace of its key allows, so that a fast key takes more than a slow one. Prices are
//! written by the leader alone.

mod dispatcher;
mod ledger;
mod rest;
mod worker;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use dispatcher::Dispatcher;
pub use worker::Worker;

/// Batches of a sweep that are posted at the same time: enough that the fastest worker of many
/// finds one, few enough that a stop leaves little behind.
pub const POSTED: u16 = 256;

/// This process among those that share the work.
#[derive(Debug)]
pub struct Member {
    /// Hands the work of this process out while it leads.
    pub dispatcher: Arc<Dispatcher>,
    /// Takes work.
    pub worker: Worker,
}

impl Member {
    /// Takes part until `stop`. What waits for answers of others is then told so at once; what
    /// this process took is asked for to its end.
    pub async fn run(&self, stop: &CancellationToken) {
        tokio::join!(self.dispatcher.run(stop), self.worker.run(stop));
    }
}

#[cfg(test)]
mod tests;
