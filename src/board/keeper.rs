//! Keeps the board in step with the store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{News, Onlooker, QuoteBoard};
use sise_domain::{IndexQuote, Quote, Symbol, Universe};
use sise_net::supervisor::Tasks;
use sise_port::clock::Clock;
use sise_port::{Change, Changes, Heard, IndexStore, PriceStore, StoreError};

/// Interval at which all live prices are read again: programs other than sise report no changes.
const READ_ANEW: Duration = Duration::from_secs(10);

/// Closes are read with every n-th read.
const CLOSES_EVERY: u32 = 6;

/// The dependencies of a [`Keeper`].
pub struct Parts {
    /// The board.
    pub board: Arc<QuoteBoard>,
    /// The store of the prices.
    pub store: Arc<dyn PriceStore>,
    /// The store of the indices.
    pub index_store: Arc<dyn IndexStore>,
    /// Reports changes in the store.
    pub changes: Arc<dyn Changes>,
    /// The universe, whose codes are read.
    pub universe: Arc<ArcSwap<Universe>>,
    /// The clock.
    pub clock: Clock,
    /// The onlookers to tell of changes on the board.
    pub onlookers: Vec<Arc<dyn Onlooker>>,
}

/// Keeps the board in step with the store.
pub struct Keeper {
    parts: Arc<Parts>,
}

/// One run of a keeper.
struct Watch {
    parts: Arc<Parts>,
    is_listening: bool,
    reads: u32,
}

impl Keeper {
    /// Creates a keeper.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
        }
    }

    /// Keeps the board under `tasks`.
    pub fn start(self, tasks: &Tasks) {
        tasks.lasting("board", move |stop| {
            let watch = Watch {
                parts: Arc::clone(&self.parts),
                is_listening: false,
                reads: 0,
            };
            watch.run(stop)
        });
    }
}

impl Watch {
    async fn run(mut self, stop: CancellationToken) {
        if self.parts.board.is_heard() {
            // The previous run was interrupted: what it missed must be read again.
            self.take(Heard::Lost).await;
        }
        let mut heard = self.parts.changes.listen();
        let mut ticks = interval(READ_ANEW);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                news = heard.recv() => match news {
                    Some(news) => self.take(news).await,
                    // The listener has ended.
                    None => return,
                },
                _ = ticks.tick() => self.read_anew().await,
            }
        }
    }

    async fn take(&mut self, heard: Heard) {
        match heard {
            Heard::Begin => {
                self.is_listening = true;
                self.read_anew().await;
            }
            Heard::Change(Change::Prices(quotes)) => self.post(quotes),
            Heard::Change(Change::Closes(quotes)) => self.parts.board.post_closes(quotes),
            Heard::Change(Change::Indices(quotes)) => self.post_indices(quotes),
            Heard::Change(Change::Gap(codes)) => self.tell(&News::Gap(&codes)),
            Heard::Change(Change::Alert(alert)) => self.tell(&News::Alert(&alert)),
            Heard::Lost => {
                self.is_listening = false;
                self.parts.board.set_heard(false);
                self.tell(&News::Lost);
            }
        }
    }

    /// Reads every live price, and every few times the closes.
    async fn read_anew(&mut self) {
        let symbols: Vec<Symbol> = self.parts.universe.load().symbols().collect();
        let read = self.read(&symbols).await;
        self.parts.board.set_read(read.is_ok());
        if let Err(error) = read {
            tracing::debug!(%error, "could not read the board again");
            return;
        }
        // Earlier changes were just read, and later ones will be received.
        if self.is_listening && !self.parts.board.is_heard() {
            self.parts.board.set_heard(true);
            self.tell(&News::Found);
        }
    }

    async fn read(&mut self, symbols: &[Symbol]) -> Result<(), StoreError> {
        let asked_at = (self.parts.clock)();
        let quotes = self.parts.store.realtime(symbols).await?;
        let mut found: Vec<Quote> = Vec::with_capacity(quotes.len());
        let mut gone = Vec::new();
        for (symbol, quote) in symbols.iter().zip(quotes) {
            match quote {
                Some(quote) => found.push(*quote),
                None => gone.push(*symbol),
            }
        }
        // Changes received since the read began are newer than its result.
        let board = &self.parts.board;
        gone.retain(|symbol| {
            let held = board.live(*symbol, asked_at);
            held.is_some_and(|held| held.quote.fetched_at < asked_at)
        });
        if !gone.is_empty() {
            board.take_down(&gone);
        }
        self.post(found);
        self.post_indices(self.parts.index_store.latest_indices().await?);
        if self.reads.is_multiple_of(CLOSES_EVERY) {
            let closes = self.parts.store.close(symbols).await?;
            let closes = closes.into_iter().flatten().map(|quote| *quote);
            self.parts.board.post_closes(closes);
        }
        self.reads = self.reads.wrapping_add(1);
        Ok(())
    }

    fn post(&self, quotes: Vec<Quote>) {
        let news = self.parts.board.post(quotes, (self.parts.clock)());
        if !news.is_empty() {
            self.tell(&News::Prices(&news));
        }
    }

    fn post_indices(&self, quotes: Vec<IndexQuote>) {
        let news = self.parts.board.post_indices(quotes);
        if !news.is_empty() {
            self.tell(&News::Indices(&news));
        }
    }

    fn tell(&self, news: &News<'_>) {
        for onlooker in &self.parts.onlookers {
            onlooker.told(news);
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("board", &self.parts.board)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("board", &self.board)
            .finish_non_exhaustive()
    }
}
