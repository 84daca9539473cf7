//! The Redis of a simulated day: the stores in memory that pass the contract of the real one,
//! on a clock of their own, and what the day demands of every write.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::FutureExt as _;
use sise::domain::{Booking, Caps, Cells, Quote, Symbol, Urgency};
use sise::port::{
    Claim, CopyStore, Flights, Issue, Landed, Lead, Leader, Leadership, PriceStore, SharedToken,
    Shelf, Standing as Post, StoreError, TokenStore,
};
use sise::store::{MemoryStore, MemoryTokens};

use super::timeline::Standing;

/// Leads and generations of a Redis that came back empty go on above those before: the real one
/// numbers them by its clock.
const AN_INCARNATION: u64 = 1_000_000;

/// What is known of a price object beside itself.
#[derive(Clone, Copy)]
struct Written {
    lead: Option<Lead>,
    /// When the broker gave it.
    given: Duration,
}

pub(crate) struct Redis {
    standing: Standing,
    prices: MemoryStore,
    tokens: MemoryTokens,
    cells: Cells,
    incarnation: u64,
    /// The highest lead that a write was taken from.
    highest: Lead,
    written: HashMap<Symbol, Written>,
}

impl Redis {
    pub(crate) fn new() -> Self {
        let mut standing = Standing::new();
        let (prices, tokens) = standing.run(Duration::ZERO, Default::default);
        Self {
            standing,
            prices,
            tokens,
            cells: Cells::forgotten(),
            incarnation: 0,
            highest: Lead(0),
            written: HashMap::new(),
        }
    }

    /// It was restarted, and kept nothing.
    pub(crate) fn forget_everything(&mut self, now: Duration) {
        (self.prices, self.tokens) = self.standing.run(now, Default::default);
        self.cells = Cells::forgotten();
        self.incarnation += 1;
        self.written.clear();
    }

    fn outer(&self, inner: u64) -> u64 {
        self.incarnation * AN_INCARNATION + inner
    }

    /// A number of this incarnation as the store in memory knows it.
    fn inner(&self, outer: u64) -> Option<u64> {
        outer.checked_sub(self.incarnation * AN_INCARNATION)
    }

    /// Writes prices. The error is what the writer is told, the text what is wrong with the store.
    pub(crate) fn write(
        &mut self,
        now: Duration,
        quotes: &[Quote],
        given: &[Duration],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> (Result<(), StoreError>, Option<String>) {
        let inner = match lead.map(|lead| self.inner(lead.0)) {
            None => None,
            Some(Some(inner)) => Some(Lead(inner)),
            // Of before the restart.
            Some(None) => Some(Lead(0)),
        };
        let prices = &self.prices;
        let write = || prices.write(quotes, shelf, inner).now_or_never().unwrap();
        let outcome = self.standing.run(now, write);
        if outcome.is_err() {
            let lead = lead.unwrap_or(Lead(0));
            return (Err(StoreError::Superseded { lead }), None);
        }
        let mut wrong = None;
        if let Some(lead) = lead {
            if lead < self.highest {
                wrong = Some(format!("lead {lead} wrote after lead {}", self.highest));
            }
            self.highest = self.highest.max(lead);
        }
        if matches!(shelf, Shelf::Realtime(_)) {
            for (quote, given) in quotes.iter().zip(given) {
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
        (Ok(()), wrong)
    }

    pub(crate) fn realtime(&mut self, now: Duration, codes: &[Symbol]) -> Vec<Option<Box<Quote>>> {
        let prices = &self.prices;
        let read = || prices.realtime(codes).now_or_never().unwrap().unwrap();
        self.standing.run(now, read)
    }

    pub(crate) fn close(&mut self, now: Duration, codes: &[Symbol]) -> Vec<Option<Box<Quote>>> {
        let prices = &self.prices;
        let read = || prices.close(codes).now_or_never().unwrap().unwrap();
        self.standing.run(now, read)
    }

    pub(crate) fn load_copy(&mut self, now: Duration, name: &str) -> Option<String> {
        let prices = &self.prices;
        let load = || prices.load_copy(name).now_or_never().unwrap().unwrap();
        self.standing.run(now, load)
    }

    pub(crate) fn save_copy(&mut self, now: Duration, name: &str, text: &str) {
        let prices = &self.prices;
        let save = || {
            prices
                .save_copy(name, text)
                .now_or_never()
                .unwrap()
                .unwrap()
        };
        self.standing.run(now, save);
    }

    pub(crate) fn campaign(&mut self, now: Duration, process: &str, life: Duration) -> Post {
        let prices = &self.prices;
        let campaign = || {
            prices
                .campaign(process, life)
                .now_or_never()
                .unwrap()
                .unwrap()
        };
        match self.standing.run(now, campaign) {
            Post::Leading(leader) => Post::Leading(self.named(leader)),
            Post::Following(leader) => Post::Following(self.named(leader)),
        }
    }

    pub(crate) fn resign(&mut self, now: Duration, process: &str) {
        let prices = &self.prices;
        let resign = || prices.resign(process).now_or_never().unwrap().unwrap();
        self.standing.run(now, resign);
    }

    pub(crate) fn leader(&mut self, now: Duration) -> Option<Leader> {
        let prices = &self.prices;
        let look = || prices.leader().now_or_never().unwrap().unwrap();
        let leader = self.standing.run(now, look)?;
        Some(self.named(leader))
    }

    fn named(&self, leader: Leader) -> Leader {
        Leader {
            lead: Lead(self.outer(leader.lead.0)),
            ..leader
        }
    }

    pub(crate) fn claim_codes(
        &mut self,
        now: Duration,
        process: &str,
        codes: &[Symbol],
        life: Duration,
    ) -> Vec<Claim> {
        let prices = &self.prices;
        let claim = || {
            Flights::claim(prices, process, codes, life)
                .now_or_never()
                .unwrap()
                .unwrap()
        };
        self.standing.run(now, claim)
    }

    pub(crate) fn land_codes(&mut self, now: Duration, process: &str, landed: &[(Symbol, Landed)]) {
        let prices = &self.prices;
        let land = || {
            prices
                .land(process, landed)
                .now_or_never()
                .unwrap()
                .unwrap()
        };
        self.standing.run(now, land);
    }

    pub(crate) fn book(&mut self, at: i64, caps: &Caps, urgency: Urgency) -> Booking {
        self.cells.book(caps, urgency, at)
    }

    pub(crate) fn refused(&mut self, at: i64) -> f64 {
        self.cells.refused(at)
    }

    pub(crate) fn load_token(&mut self, now: Duration) -> Option<SharedToken> {
        let tokens = &self.tokens;
        let load = || tokens.load().now_or_never().unwrap().unwrap();
        let token = self.standing.run(now, load)?;
        Some(SharedToken {
            generation: self.outer(token.generation),
            ..token
        })
    }

    pub(crate) fn claim(
        &mut self,
        now: Duration,
        process: &str,
        replacing: u64,
        spacing: Duration,
    ) -> Issue {
        let tokens = &self.tokens;
        let claim = || {
            tokens
                .claim(process, replacing, spacing)
                .now_or_never()
                .unwrap()
                .unwrap()
        };
        self.standing.run(now, claim)
    }

    pub(crate) fn unclaim(&mut self, now: Duration, process: &str, replacing: u64) {
        let tokens = &self.tokens;
        let unclaim = || {
            tokens
                .unclaim(process, replacing)
                .now_or_never()
                .unwrap()
                .unwrap()
        };
        self.standing.run(now, unclaim);
    }

    pub(crate) fn save_token(&mut self, now: Duration, sealed: &str, life: Duration) -> u64 {
        let tokens = &self.tokens;
        let save = || tokens.save(sealed, life).now_or_never().unwrap().unwrap();
        let generation = self.standing.run(now, save);
        self.outer(generation)
    }
}
