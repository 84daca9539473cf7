//! Sharing a sweep among several app keys: the part of this process.
//!
//! The leader's sweeper asks the [`Dispatcher`], which posts each batch as shared work and waits
//! for its answers. The [`Worker`] of every process, including the leader's, takes as many batches
//! as the pace of its key allows, so a fast key takes more than a slow one. Only the leader writes
//! prices.

mod dispatcher;
mod open_batches;
mod pause;
mod worker;

use std::sync::Arc;

use sise_net::supervisor::Tasks;

pub use dispatcher::Dispatcher;
pub use worker::Worker;

/// Maximum number of posted batches of a sweep: enough that the fastest worker of many always finds
/// one, few enough that a stop leaves little behind.
pub const POSTED: u16 = 256;

/// The part of this process in sharing work.
#[derive(Debug)]
pub struct Member {
    /// Shares the work of this process while it leads.
    pub dispatcher: Arc<Dispatcher>,
    /// Takes shared work.
    pub worker: Worker,
}

impl Member {
    /// Takes part under `tasks`. On a stop, callers that wait for other processes are released at
    /// once; batches that this process took are completed.
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
