//! What changes in the store, told to whoever listens.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::StoreError;
use sise_domain::{Alert, IndexQuote, Quote, Symbol};

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Live prices were written.
    Prices(Vec<Quote>),
    /// Closes were written.
    Closes(Vec<Quote>),
    /// Levels of indices were written.
    Indices(Vec<IndexQuote>),
    /// Trades of these codes may have been missed by the live feed.
    Gap(Vec<Symbol>),
    /// A rule asked to be told of this.
    Alert(Alert),
}

/// What a listener hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Every change from here on is heard. What changed before is not.
    Begin,
    /// Something changed.
    Change(Change),
    /// Changes may have been missed; another [`Heard::Begin`] follows when it is mended.
    Lost,
}

/// Tells all processes on the store what changes there. The store itself tells of the prices that
/// it takes.
#[async_trait]
pub trait Changes: Send + Sync {
    /// Listens from now on, over a connection that mends itself, until the receiver is dropped.
    /// Who falls behind loses changes and is told so.
    fn listen(&self) -> mpsc::Receiver<Heard>;

    /// Tells of something beside the prices.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn tell(&self, change: &Change) -> Result<(), StoreError>;
}

/// Changes that wait for a listener at most.
pub const WAITING: usize = 1_024;
