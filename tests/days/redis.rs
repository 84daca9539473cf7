//! The Redis of a simulated day: the stores in memory that pass the contract of the real one,
//! on a clock of their own, and what the day demands of every write.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::FutureExt as _;
use sise::domain::{Cells, Quote, Symbol};
use sise::port::{self, Lead, Leader, Leadership as _, PriceStore as _, Shelf, StoreError};
use sise::store::{MemoryBans, MemoryStore, MemoryTokens};

use super::timeline::Standing;

/// Leads and generations of a Redis that came back empty go on above those before: the real one
/// numbers them by its clock.
const AN_INCARNATION: u64 = 1_000_000;

/// All that Redis holds but the prices, which go through [`Redis::write`].
#[derive(Default)]
pub(crate) struct Shelves {
    pub(crate) store: MemoryStore,
    pub(crate) tokens: MemoryTokens,
    pub(crate) bans: MemoryBans,
}

/// What is known of a price object beside itself.
#[derive(Clone, Copy)]
struct Written {
    lead: Option<Lead>,
    /// When the broker gave it.
    given: Duration,
}

pub(crate) struct Redis {
    standing: Standing,
    shelves: Shelves,
    pub(crate) cells: Cells,
    incarnation: u64,
    /// The highest lead that a write was taken from.
    highest: Lead,
    written: HashMap<Symbol, Written>,
}

impl Redis {
    pub(crate) fn new() -> Self {
        let mut standing = Standing::new();
        Self {
            shelves: standing.run(Duration::ZERO, Shelves::default),
            standing,
            cells: Cells::forgotten(),
            incarnation: 0,
            highest: Lead(0),
            written: HashMap::new(),
        }
    }

    /// It was restarted, and kept nothing.
    pub(crate) fn forget_everything(&mut self, now: Duration) {
        self.shelves = self.standing.run(now, Shelves::default);
        self.cells = Cells::forgotten();
        self.incarnation += 1;
        self.written.clear();
    }

    /// Does one command. It must not wait.
    pub(crate) fn run<'a, T, F>(
        &'a mut self,
        now: Duration,
        command: impl FnOnce(&'a Shelves) -> F,
    ) -> T
    where
        F: Future<Output = T>,
    {
        let shelves = &self.shelves;
        self.standing
            .run(now, || command(shelves).now_or_never().unwrap())
    }

    /// A lead or generation as the outside knows it.
    pub(crate) fn outer(&self, inner: u64) -> u64 {
        self.incarnation * AN_INCARNATION + inner
    }

    pub(crate) fn named(&self, leader: Leader) -> Leader {
        Leader {
            lead: Lead(self.outer(leader.lead.0)),
            ..leader
        }
    }

    /// Who leads.
    pub(crate) fn leader(&mut self, now: Duration) -> Option<Leader> {
        let leader = self.run(now, |shelves| shelves.store.leader());
        leader.unwrap().map(|leader| self.named(leader))
    }

    /// The live prices.
    pub(crate) fn realtime(&mut self, now: Duration, codes: &[Symbol]) -> Vec<Option<Box<Quote>>> {
        self.run(now, |shelves| shelves.store.realtime(codes))
            .unwrap()
    }

    /// The lives that live prices have left.
    pub(crate) fn lives(
        &mut self,
        now: Duration,
        codes: &[Symbol],
    ) -> Result<Vec<Option<Duration>>, StoreError> {
        self.run(now, |shelves| shelves.store.lives(codes))
    }

    /// When the broker gave the prices of codes.
    pub(crate) fn given(&self, codes: &[Symbol]) -> Vec<Option<Duration>> {
        let given = |code| Some(self.written.get(code)?.given);
        codes.iter().map(given).collect()
    }

    /// The closes.
    pub(crate) fn close(&mut self, now: Duration, codes: &[Symbol]) -> Vec<Option<Box<Quote>>> {
        self.run(now, |shelves| shelves.store.close(codes)).unwrap()
    }

    /// Writes prices that the broker gave at `given`. The error is what the writer is told, the
    /// text what is wrong with the store.
    pub(crate) fn write(
        &mut self,
        now: Duration,
        quotes: &[Quote],
        given: &[Duration],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> (Result<port::Written, StoreError>, Option<String>) {
        // One of before the restart is none of this incarnation's.
        let first = self.outer(0);
        let inner = lead.map(|lead| Lead(lead.0.saturating_sub(first)));
        let outcome = self.run(now, |shelves| shelves.store.write(quotes, shelf, inner));
        let Ok(taken) = outcome else {
            let lead = lead.unwrap_or(Lead(0));
            return (Err(StoreError::Superseded { lead }), None);
        };
        let mut wrong = None;
        if let Some(lead) = lead {
            if lead < self.highest {
                wrong = Some(format!("lead {lead} wrote after lead {}", self.highest));
            }
            self.highest = self.highest.max(lead);
        }
        if matches!(shelf, Shelf::Realtime(_)) {
            let places = quotes.iter().zip(given).enumerate();
            let written = places.filter(|(place, _)| !taken.older.contains(place));
            for (_, (quote, given)) in written {
                let new = Written {
                    lead,
                    given: *given,
                };
                let old = self.written.insert(quote.stock_code, new);
                if let (Some(old), Some(lead)) = (old, lead)
                    && old.lead.is_some_and(|old| old != lead)
                    && new.given < old.given
                {
                    wrong = Some(format!(
                        "lead {lead} put {} of {} over that of lead {}, which is {:?} newer",
                        quote.price,
                        quote.stock_code,
                        old.lead.unwrap_or(Lead(0)),
                        old.given - new.given
                    ));
                }
            }
        }
        (Ok(taken), wrong)
    }
}
