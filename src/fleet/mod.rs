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

use sise_net::supervisor::Tasks;

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
    /// Takes part under `tasks`. What waits for answers of others is told of a stop at once; what
    /// this process took is asked for to its end.
    pub fn start(self, tasks: &Tasks) {
        let Self { dispatcher, worker } = self;
        tasks.lasting("dispatcher", move |stop| {
            let dispatcher = Arc::clone(&dispatcher);
            async move { dispatcher.run(&stop).await }
        });
        tasks.lasting("worker", move |stop| {
            let worker = worker.clone();
            async move { worker.run(&stop).await }
        });
    }
}

#[cfg(test)]
mod tests;
