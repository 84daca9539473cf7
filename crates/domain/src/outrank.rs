//! Order of prices: which of two prices of a stock is newer.

use std::cmp::Ordering;

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};

use super::{KrxTime, Quote};

/// A trade this long after a price was requested is newer, whatever the volumes say.
///
/// The clocks of exchange and host differ by less.
pub const SURELY_LATER: TimeDelta = TimeDelta::seconds(3);

/// How a stored close was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// When it was fetched.
    pub at: KrxTime,
    /// If it is not a close but the last known price, the day after whose session it was taken.
    pub last_known_of: Option<NaiveDate>,
    /// Whether it came from a simulated broker.
    pub simulated: bool,
}

impl Taken {
    /// Returns whether `held` must be kept.
    ///
    /// A close replaces the last known price of the same or an earlier session, whenever that was
    /// taken. The last known price never replaces a close of its own or a later day. Real data
    /// always replaces simulated data, and never the other way round.
    pub fn is_outranked_by(self, held: Self) -> bool {
        if self.simulated != held.simulated {
            return self.simulated;
        }
        match (self.last_known_of, held.last_known_of) {
            (None, None) => self.at < held.at,
            (None, Some(day)) => self.at.date_naive() < day,
            (Some(day), None) => day <= held.at.date_naive(),
            (Some(own), Some(its)) => (own, self.at) < (its, held.at),
        }
    }
}

impl Quote {
    /// Returns whether it is a trade of the live feed.
    #[must_use]
    pub fn is_trade(&self) -> bool {
        self.source == Self::LIVE_FEED
    }

    /// Returns whether `held` is newer, so that this price must not replace it.
    ///
    /// Of two requested prices, the later request is newer, whatever its volume: the broker may
    /// take trades back. Trades are ordered by their own time, and within a second by the volume of
    /// the day, which only grows. A trade that arrives after a requested price is older if that
    /// price counts more shares: it was delayed on its way.
    #[must_use]
    pub fn is_outranked_by(&self, held: &Self) -> bool {
        if !self.is_trade() {
            return self.fetched_at < held.fetched_at;
        }
        let has_less = match (self.volume, held.volume) {
            (Some(own), Some(others)) => Some(own < others),
            _ => None,
        };
        if held.is_trade() {
            return match self.happened_at().cmp(&held.happened_at()) {
                Ordering::Less => true,
                Ordering::Greater => false,
                Ordering::Equal => has_less == Some(true),
            };
        }
        let asked_at = held.fetched_at.naive_local();
        let later = self.happened_at() - asked_at;
        if later > SURELY_LATER {
            return false;
        }
        if self.fetched_at.date_naive() != held.fetched_at.date_naive() {
            return self.fetched_at < held.fetched_at;
        }
        has_less.unwrap_or_else(|| self.happened_at() < held.happened_at())
    }

    /// Returns when it happened, but never later than when it was received.
    fn happened_at(&self) -> NaiveDateTime {
        self.timestamp.min(self.fetched_at.naive_local())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seoul;
    use chrono::TimeZone as _;
    use proptest::prelude::*;

    fn at(millis: i64) -> KrxTime {
        let ten = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
        ten + TimeDelta::milliseconds(millis)
    }

    fn quote(source: &'static str, happened: i64, told: i64, volume: Option<i64>) -> Quote {
        Quote {
            volume,
            source: source.into(),
            timestamp: at(happened * 1_000).naive_local(),
            ..Quote::sample("005930".parse().unwrap(), 1_000, at(told))
        }
        .as_stored()
    }

    fn trade(happened: i64, told: i64, volume: i64) -> Quote {
        quote(Quote::LIVE_FEED, happened, told, Some(volume))
    }

    #[test]
    fn one_bad_record_outranks_what_follows_for_a_second_at_most() {
        let bad = trade(5, 5_200, 9_000_000_000);
        assert!(trade(5, 5_300, 100).is_outranked_by(&bad));
        assert!(!trade(6, 6_100, 101).is_outranked_by(&bad));
        // Nor does a price that was asked for, for more than a moment.
        let bad = quote("kis.multi", 5, 5_200, Some(9_000_000_000));
        assert!(trade(8, 8_300, 100).is_outranked_by(&bad));
        assert!(!trade(9, 9_100, 101).is_outranked_by(&bad));
        // Nor one whose own time is ahead.
        let bad = trade(59, 5_200, 9_000_000_000);
        assert!(!trade(6, 6_100, 101).is_outranked_by(&bad));
    }

    #[test]
    fn a_close_takes_the_place_of_what_was_last_known_and_never_the_other_way_round() {
        let on = |day, hour| Seoul.with_ymd_and_hms(2026, 11, day, hour, 35, 0).unwrap();
        let close = |day| Taken {
            at: on(day, 15),
            last_known_of: None,
            simulated: false,
        };
        let known = |of, day, hour| Taken {
            at: on(day, hour),
            last_known_of: NaiveDate::from_ymd_opt(2026, 11, of),
            simulated: false,
        };
        for (new, held, is_outranked) in [
            (known(20, 20, 17), close(19), false),
            (known(20, 20, 17), close(20), true),
            (known(20, 22, 12), close(20), true),
            (known(20, 23, 8), close(20), true),
            // Taken later than the close that replaces it.
            (close(20), known(20, 20, 17), false),
            (close(23), known(20, 22, 12), false),
            (close(19), known(20, 20, 17), true),
            (known(20, 20, 18), known(20, 20, 17), false),
            (known(20, 20, 16), known(20, 20, 17), true),
            // From the session before, though taken on the day of this one.
            (known(20, 20, 17), known(19, 20, 8), false),
            (close(20), known(19, 20, 8), false),
            (close(23), close(20), false),
            (close(20), close(23), true),
        ] {
            assert_eq!(new.is_outranked_by(held), is_outranked, "{new:?} {held:?}");
        }
    }

    #[test]
    fn what_is_real_takes_the_place_of_what_is_simulated_and_never_the_other_way_round() {
        let day = NaiveDate::from_ymd_opt(2026, 11, 20);
        let taken = |millis, last_known_of, simulated| Taken {
            at: at(millis),
            last_known_of,
            simulated,
        };
        for own in [taken(0, None, true), taken(0, day, true)] {
            for held in [-1, 0, 1].map(|millis| [None, day].map(|of| taken(millis, of, false))) {
                for held in held {
                    assert!(own.is_outranked_by(held), "{own:?} {held:?}");
                    assert!(!held.is_outranked_by(own), "{held:?} {own:?}");
                }
            }
        }
        // Simulated prices are ordered like real ones.
        assert!(taken(0, None, true).is_outranked_by(taken(1, None, true)));
        assert!(!taken(1, None, true).is_outranked_by(taken(0, None, true)));
        assert!(taken(1, day, true).is_outranked_by(taken(0, None, true)));
    }

    proptest! {
        #[test]
        fn two_never_outrank_each_other(
            sources in proptest::collection::vec(0_usize..2, 2),
            numbers in proptest::collection::vec(0_i64..12, 6),
        ) {
            let of = |n: usize| {
                let source = ["kis.multi", Quote::LIVE_FEED][sources[n]];
                let told = numbers[n] * 700;
                let volume = (numbers[2 + n] < 11).then_some(numbers[2 + n]);
                quote(source, numbers[4 + n].min(told / 1_000), told, volume)
            };
            let (one, other) = (of(0), of(1));
            // A later request is newer even if a trade has more volume, so only prices of one kind
            // have a strict order.
            if sources[0] == sources[1] {
                prop_assert!(!(one.is_outranked_by(&other) && other.is_outranked_by(&one)));
            }
            prop_assert!(!one.is_outranked_by(&one));
        }
    }
}
