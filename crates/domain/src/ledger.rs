//! Ledger of sweeps: the state of each code, and of each minute of a session.

use super::{KrxTime, Reason, Status};

/// State of one code according to the sweeps.
///
/// It tells three cases apart: polled and unchanged, halted, and not polled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// The last price that a sweep wrote; absent if none did.
    pub polled: Option<Polled>,
    /// Why later sweeps brought none; absent if the last sweep brought one, as usual.
    pub missed: Option<Box<Missed>>,
}

/// The last price that a sweep wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polled {
    /// When the broker reported it.
    pub at: KrxTime,
    /// When that sweep began.
    pub sweep: KrxTime,
    /// The price, won.
    pub price: i64,
    /// When sweeps first saw the price at its present value.
    pub unchanged_since: KrxTime,
    /// Trading status of the stock.
    pub status: Status,
}

/// Sweeps that brought no new price, in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// When the first of them began.
    pub since: KrxTime,
    /// When the last of them began.
    pub sweep: KrxTime,
    /// Why the last of them brought none.
    pub reason: Reason,
    /// What exactly happened in the last of them.
    pub detail: String,
}

impl Row {
    /// Records a price that a sweep wrote.
    ///
    /// The sweep began at `sweep`, and the broker reported the price at `at`.
    pub fn poll(&mut self, sweep: KrxTime, at: KrxTime, price: i64, status: Status) {
        let before = self.polled.filter(|before| before.price == price);
        self.polled = Some(Polled {
            at,
            sweep,
            price,
            unchanged_since: before.map_or(at, |before| before.unchanged_since),
            status,
        });
        self.missed = None;
    }

    /// Records that a sweep, which began at `sweep`, brought no new price.
    pub fn miss(&mut self, sweep: KrxTime, reason: Reason, detail: &str) {
        let since = self.missed.as_ref().map_or(sweep, |missed| missed.since);
        self.missed = Some(Box::new(Missed {
            since,
            sweep,
            reason,
            detail: detail.to_owned(),
        }));
    }

    /// Returns when the last sweep that asked for the code began.
    #[must_use]
    pub fn last_sweep(&self) -> Option<KrxTime> {
        let missed = self.missed.as_ref().map(|missed| missed.sweep);
        missed.or_else(|| Some(self.polled.as_ref()?.sweep))
    }

    /// Merges an earlier row of the same code.
    ///
    /// It extends how long the price has been unchanged, and how long there has been none.
    pub fn follow(&mut self, earlier: &Self) {
        if *self == Self::default() {
            self.clone_from(earlier);
            return;
        }
        match (&mut self.polled, earlier.polled) {
            (Some(polled), Some(before)) if polled.price == before.price => {
                polled.unchanged_since = polled.unchanged_since.min(before.unchanged_since);
            }
            (Some(_), _) => return,
            (None, before) => self.polled = before,
        }
        if let (Some(missed), Some(before)) = (&mut self.missed, &earlier.missed) {
            missed.since = missed.since.min(before.since);
        }
    }
}

/// Number of codes on the list that had a live price at the end of a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coverage {
    /// Codes with a live price.
    pub live: usize,
    /// Codes on the list; zero if not counted.
    pub codes: usize,
}

impl Coverage {
    /// A minute without a leader, in which nothing was counted.
    pub const NOT_COUNTED: Self = Self { live: 0, codes: 0 };

    /// Returns the share with a live price, 0 to 1; absent if not counted.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of codes are far below 2^52"
    )]
    pub fn share(self) -> Option<f64> {
        (self.codes > 0).then(|| self.live as f64 / self.codes as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seoul;
    use chrono::{TimeDelta, TimeZone as _};

    fn at(minute: i64) -> KrxTime {
        let start = Seoul.with_ymd_and_hms(2026, 11, 20, 9, 0, 0).unwrap();
        start + TimeDelta::minutes(minute)
    }

    #[test]
    fn a_price_that_stands_keeps_its_beginning() {
        let mut row = Row::default();
        for (minute, price) in [(0, 100), (1, 100), (2, 101), (3, 101)] {
            row.poll(at(minute), at(minute), price, Status::Trading);
        }
        let polled = row.polled.unwrap();
        assert_eq!((polled.at, polled.unchanged_since), (at(3), at(2)));
    }

    #[test]
    fn a_miss_keeps_the_last_price_and_its_own_beginning() {
        let mut row = Row::default();
        row.poll(at(0), at(0), 100, Status::Halted);
        row.miss(at(1), Reason::NotReached, "timeout");
        row.miss(at(2), Reason::Refused, "zero");
        assert_eq!(row.polled.unwrap().at, at(0));
        let missed = row.missed.clone().unwrap();
        assert_eq!((missed.since, missed.sweep), (at(1), at(2)));
        assert_eq!(missed.reason, Reason::Refused);
        row.poll(at(3), at(3), 100, Status::Trading);
        assert_eq!(row.missed, None);
        assert_eq!(row.polled.unwrap().unchanged_since, at(0));
    }

    #[test]
    fn a_new_leader_goes_on_where_the_last_one_was() {
        let mut earlier = Row::default();
        earlier.poll(at(0), at(0), 100, Status::Trading);
        let mut same = Row::default();
        same.poll(at(5), at(5), 100, Status::Trading);
        same.follow(&earlier);
        assert_eq!(same.polled.unwrap().unchanged_since, at(0));
        let mut other = Row::default();
        other.poll(at(5), at(5), 101, Status::Trading);
        other.follow(&earlier);
        assert_eq!(other.polled.unwrap().unchanged_since, at(5));
        earlier.miss(at(1), Reason::NotReached, "");
        let mut missed = Row::default();
        missed.miss(at(5), Reason::Refused, "zero");
        missed.follow(&earlier);
        assert_eq!(missed.polled, earlier.polled);
        assert_eq!(missed.missed.unwrap().since, at(1));
        let mut unseen = Row::default();
        unseen.follow(&earlier);
        assert_eq!(unseen, earlier);
    }
}
