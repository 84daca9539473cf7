//! Reports trades without ever blocking. A report that finds no room is dropped, and the gap is
//! remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use metrics::counter;
use tokio::sync::mpsc;

use sise_domain::{Quote, Symbol};
use sise_port::{Gap, GapReason, Told};

/// Sending side of the stream's reports.
#[derive(Debug)]
pub(super) struct Teller {
    told: mpsc::Sender<Told>,
    registered: Option<Arc<[Symbol]>>,
    full: Option<usize>,
    refused: BTreeSet<Symbol>,
    gaps: BTreeMap<GapReason, BTreeSet<Symbol>>,
}

impl Teller {
    pub(super) fn new(told: mpsc::Sender<Told>) -> Self {
        Self {
            told,
            registered: None,
            full: None,
            refused: BTreeSet::new(),
            gaps: BTreeMap::new(),
        }
    }

    /// Reports a trade.
    pub(super) fn tick(&mut self, quote: Quote) {
        let code = quote.stock_code;
        // Pending reports come first, so that a gap is not reported after the trades that follow
        // it.
        self.flush();
        if self.owes() || !self.send(Told::Tick(Box::new(quote))) {
            counter!("sise_feed_dropped_total", "reason" => GapReason::Overflow.slug())
                .increment(1);
            self.owe(GapReason::Overflow, [code]);
        }
    }

    /// Reports a gap.
    pub(super) fn gap(&mut self, reason: GapReason, codes: impl IntoIterator<Item = Symbol>) {
        self.owe(reason, codes);
        self.flush();
    }

    /// Reports which codes are registered now.
    pub(super) fn registered(&mut self, codes: &BTreeSet<Symbol>) {
        self.registered = Some(codes.iter().copied().collect());
        self.flush();
    }

    /// Reports how many codes there is room for.
    pub(super) fn full(&mut self, most: usize) {
        self.full = Some(most);
        self.flush();
    }

    /// Reports a code that is not streamed.
    pub(super) fn refused(&mut self, code: Symbol) {
        self.refused.insert(code);
        self.flush();
    }

    /// Returns whether reports are pending for lack of room.
    pub(super) fn owes(&self) -> bool {
        self.registered.is_some()
            || self.full.is_some()
            || !self.refused.is_empty()
            || !self.gaps.is_empty()
    }

    /// Sends pending reports as far as there is room.
    pub(super) fn flush(&mut self) {
        if let Some(codes) = &self.registered
            && self.send(Told::Registered(Arc::clone(codes)))
        {
            self.registered = None;
        }
        if let Some(most) = self.full
            && self.send(Told::Full(most))
        {
            self.full = None;
        }
        while let Some(code) = self.refused.first().copied() {
            if !self.send(Told::Refused(code)) {
                return;
            }
            self.refused.remove(&code);
        }
        while let Some((reason, codes)) = self.gaps.first_key_value() {
            let reason = *reason;
            let codes = codes.iter().copied().collect();
            if !self.send(Told::Gap(Gap { codes, reason })) {
                return;
            }
            self.gaps.remove(&reason);
        }
    }

    fn owe(&mut self, reason: GapReason, codes: impl IntoIterator<Item = Symbol>) {
        let mut codes = codes.into_iter().peekable();
        if codes.peek().is_some() {
            self.gaps.entry(reason).or_default().extend(codes);
        }
    }

    /// Returns whether the report is settled: sent, or no longer received.
    fn send(&self, told: Told) -> bool {
        !matches!(
            self.told.try_send(told),
            Err(mpsc::error::TrySendError::Full(_))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;
    use sise_domain::Seoul;

    fn quote(code: &str) -> Quote {
        let at = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
        Quote::sample(code.parse().unwrap(), 1_000, at)
    }

    #[test]
    fn what_finds_no_room_is_told_as_a_gap_before_what_follows() {
        let (told, mut hears) = mpsc::channel(2);
        let mut teller = Teller::new(told);
        for code in ["000010", "000020", "000030", "000040", "000030"] {
            teller.tick(quote(code));
        }
        assert!(teller.owes());
        let mut heard = Vec::new();
        while let Ok(told) = hears.try_recv() {
            heard.push(told);
        }
        teller.tick(quote("000050"));
        assert!(!teller.owes());
        while let Ok(told) = hears.try_recv() {
            heard.push(told);
        }
        let tick = |code| Told::Tick(Box::new(quote(code)));
        let codes = ["000030", "000040"].map(|code| code.parse().unwrap());
        let gap = Told::Gap(Gap {
            codes: Arc::new(codes),
            reason: GapReason::Overflow,
        });
        assert_eq!(heard, [tick("000010"), tick("000020"), gap, tick("000050")]);
    }
}
