//! Reference values that the prices of the day are checked against, per code.
//!
//! Base price and limits do not change within a day, the day's high does not fall and its low does
//! not rise. A row that says otherwise is doubted.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};

use sise_domain::{Figure, Implausible, Phase, Quote, Symbol};

/// How much older than an earlier answer an answer may be.
///
/// An answer to a price call may describe an earlier moment than a trade of the feed, or another
/// answer, received before it.
const LAG: TimeDelta = TimeDelta::seconds(3);

/// Reference values of a code for one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Basis {
    /// Base price, won.
    pub(super) base: i64,
    /// Lower and upper price limit of the day, won; `None` if the broker gives none.
    pub(super) limits: Option<(i64, i64)>,
}

/// The last known values of a code, and their day.
#[derive(Debug)]
struct Known {
    day: NaiveDate,
    basis: Basis,
    /// Another base price reported since.
    doubted: Option<i64>,
}

/// How far a code's price has gone on a day, according to a quote.
#[derive(Debug, Clone, Copy)]
struct Course {
    high: Option<i64>,
    low: Option<i64>,
    volume: Option<i64>,
    /// Time of sending of the price call, or of the trade.
    at: NaiveDateTime,
    is_trade: bool,
}

impl Course {
    fn of(quote: &Quote) -> Self {
        Self {
            high: quote.high,
            low: quote.low,
            volume: quote.volume,
            at: quote.timestamp,
            is_trade: quote.source == Quote::LIVE_FEED,
        }
    }

    /// Combines this course with that of a later quote, with `traded` as one of its prices.
    fn and(self, later: Self, traded: Option<i64>) -> Self {
        let highs = [self.high, later.high, traded];
        let lows = [self.low, later.low, traded];
        Self {
            high: highs.into_iter().flatten().max(),
            low: lows.into_iter().flatten().min(),
            ..later
        }
    }

    /// Returns whether `told` may describe an earlier moment than this course.
    ///
    /// It then has fewer shares traded, and its price has not gone farther.
    fn may_follow(&self, told: &Self) -> bool {
        let lag = match self.is_trade && told.is_trade {
            true => TimeDelta::zero(),
            false => LAG,
        };
        let volumes = self.volume.zip(told.volume);
        volumes.is_none_or(|(volume, before)| before < volume)
            && told.at <= self.at + lag
            && self.receded(told).is_none()
    }

    /// Returns the high or low that is impossible after a price that went as far as `before`.
    fn receded(&self, before: &Self) -> Option<Implausible> {
        let highs = self.high.zip(before.high).filter(|(now, was)| now < was);
        let lows = self.low.zip(before.low).filter(|(now, was)| now > was);
        let high = highs.map(|prices| (Figure::High, prices));
        let (which, (number, before)) = high.or(lows.map(|prices| (Figure::Low, prices)))?;
        Some(Implausible::Receded {
            which,
            number,
            before,
        })
    }
}

/// How far a code's price has gone today.
#[derive(Debug)]
struct Gone {
    course: Course,
    /// A report since that is impossible after `course`.
    doubted: Option<Box<Course>>,
}

/// Base prices, limits and price ranges of the day, as reported by the broker's price calls.
///
/// Trades of the live feed are checked against them, because the feed reports neither base price
/// nor limits.
#[derive(Debug, Default)]
pub struct Bases {
    held: Mutex<HashMap<Symbol, Known>>,
    gone: Mutex<HashMap<Symbol, Gone>>,
}

impl Bases {
    /// Returns what is known of a code on `day`.
    pub(super) fn of(&self, code: Symbol, day: NaiveDate) -> Option<Basis> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.get(&code).filter(|held| held.day == day)?;
        Some(held.basis)
    }

    /// Takes the values reported by a price call.
    ///
    /// # Errors
    ///
    /// Returns [`Implausible::Base`] if another base price was reported before on the same day. The
    /// new one is accepted if it is reported again: after a halt, the auction that reopens a stock
    /// sets a new base price.
    pub(super) fn take(
        &self,
        code: Symbol,
        day: NaiveDate,
        told: Basis,
    ) -> Result<(), Implausible> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Known {
            day,
            basis: told,
            doubted: None,
        };
        match held.entry(code) {
            Entry::Vacant(place) => {
                place.insert(fresh);
            }
            Entry::Occupied(mut place) => {
                let known = place.get_mut();
                let before = known.basis.base;
                let is_believed = known.day != day || known.doubted == Some(told.base);
                if before == told.base && known.day == day {
                    known.doubted = None;
                    known.basis.limits = told.limits.or(known.basis.limits);
                } else if is_believed {
                    place.insert(fresh);
                } else {
                    known.doubted = Some(told.base);
                    let base = told.base;
                    return Err(Implausible::Base { base, before });
                }
            }
        }
        Ok(())
    }

    /// Checks a quote against the price range so far, and extends the range by the quote.
    ///
    /// # Errors
    ///
    /// Returns [`Implausible::Receded`] if the price went farther before on the same day. The quote
    /// is accepted if it is reported again: a trade may have been cancelled, or the earlier report
    /// was wrong.
    pub fn follow(&self, quote: &Quote) -> Result<(), Implausible> {
        // High and low may be those of the regular session or of the evening.
        if quote.session == Phase::AfterMarket {
            return Ok(());
        }
        let told = Course::of(quote);
        let is_regular = quote.session == Phase::Regular;
        let traded = Some(quote.price).filter(|_| {
            told.is_trade && is_regular && told.volume.is_some_and(|volume| volume > 0)
        });
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let today = |gone: &&mut Gone| gone.course.at.date() == told.at.date();
        let Some(known) = gone.get_mut(&quote.stock_code).filter(today) else {
            // Before the open, a row may still be that of the day before.
            if is_after_open(quote.session) {
                let course = told.and(told, traded);
                let doubted = None;
                gone.insert(quote.stock_code, Gone { course, doubted });
            }
            return Ok(());
        };
        if known.course.may_follow(&told) {
            return Ok(());
        }
        let Some(why) = told.receded(&known.course) else {
            known.course = known.course.and(told, traded);
            known.doubted = None;
            return Ok(());
        };
        let doubted = known.doubted.take();
        if doubted.is_none_or(|doubted| told.receded(&doubted).is_some()) {
            known.doubted = Some(Box::new(told));
            return Err(why);
        }
        known.course = told.and(told, traded);
        Ok(())
    }
}

/// Returns whether there may already have been trades today.
fn is_after_open(session: Phase) -> bool {
    matches!(
        session,
        Phase::Regular | Phase::ClosingAuction | Phase::PostClosePrice | Phase::SinglePrice
    )
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use super::*;

    #[test]
    fn another_base_price_of_the_same_day_is_believed_when_it_comes_again() {
        let bases = Bases::default();
        let code: Symbol = "005930".parse().unwrap();
        let day = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        let basis = |base| Basis { base, limits: None };
        let take = |base| bases.take(code, day, basis(base));
        assert_eq!(bases.of(code, day), None);
        assert_eq!(take(211), Ok(()));
        let doubt = Err(Implausible::Base {
            base: 6_330,
            before: 211,
        });
        assert_eq!(take(6_330), doubt);
        assert_eq!(bases.of(code, day), Some(basis(211)));
        // The right value comes back, and the doubt is forgotten.
        assert_eq!(take(211), Ok(()));
        assert_eq!(take(6_330), doubt);
        assert_eq!(take(6_330), Ok(()));
        assert_eq!(bases.of(code, day), Some(basis(6_330)));
        // The next day has its own base price.
        let next = day.succ_opt().unwrap();
        assert_eq!(bases.of(code, next), None);
        assert_eq!(bases.take(code, next, basis(6_500)), Ok(()));
    }

    /// Returns a quote of the feed at 10:00 and `second` seconds with these figures; 0 for none.
    fn quote(second: u32, [price, high, low, volume]: [i64; 4]) -> Quote {
        let day = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        let at = day.and_hms_opt(10, 0, second).unwrap();
        let object = format!(
            r#"{{"stock_code":"005930","price":{price},"timestamp":"2026-11-20T10:00:00","fetched_at":"2026-11-20T10:00:00.000+09:00"}}"#
        );
        let some = |number: i64| Some(number).filter(|number| *number > 0);
        Quote {
            high: some(high),
            low: some(low),
            volume: some(volume),
            timestamp: at,
            source: Quote::LIVE_FEED.into(),
            session: Phase::Regular,
            ..serde_json::from_str(&object).unwrap()
        }
    }

    fn polled(second: u32, figures: [i64; 4]) -> Quote {
        Quote {
            source: Quote::MULTI_PRICE.into(),
            ..quote(second, figures)
        }
    }

    fn words(taken: Result<(), Implausible>) -> String {
        taken.map_or_else(|why| why.to_string(), |()| String::new())
    }

    const USUAL: [i64; 4] = [10_000, 10_100, 9_900, 500];

    #[test]
    fn what_was_traded_today_stays_between_high_and_low() {
        for (second, figures, expected) in [
            (1, [7_000, 7_000, 7_000, 500], "high 7000 was 10100 before"),
            (1, [7_000, 7_000, 7_000, 600], "high 7000 was 10100 before"),
            (1, [7_000, 7_000, 7_000, 400], "high 7000 was 10100 before"),
            (1, [7_000, 7_000, 7_000, 0], "high 7000 was 10100 before"),
            (
                1,
                [12_000, 12_000, 12_000, 501],
                "low 12000 was 9900 before",
            ),
            (
                1,
                [10_000, 10_090, 9_900, 501],
                "high 10090 was 10100 before",
            ),
            (9, [10_000, 10_100, 9_910, 501], "low 9910 was 9900 before"),
            (1, USUAL, ""),
            (1, [9_800, 10_100, 9_800, 501], ""),
            (1, [10_200, 10_200, 9_900, 501], ""),
            (1, [10_000, 0, 0, 501], ""),
        ] {
            for of in [quote, polled] {
                for before in [quote, polled] {
                    let bases = Bases::default();
                    assert_eq!(bases.follow(&before(0, USUAL)), Ok(()));
                    let taken = bases.follow(&of(second, figures));
                    assert_eq!(words(taken), expected, "{second} {figures:?}");
                    // The doubt does not affect later quotes that are right.
                    let right = [10_000, 10_300, 9_700, 700];
                    assert_eq!(bases.follow(&of(second + 1, right)), Ok(()));
                }
            }
        }
        // A trade is a price of the day even if its record has neither high nor low.
        let bases = Bases::default();
        assert_eq!(bases.follow(&quote(0, [10_000, 0, 0, 500])), Ok(()));
        let low = bases.follow(&quote(1, [7_000, 7_000, 7_000, 501]));
        assert_eq!(words(low), "high 7000 was 10000 before");
    }

    #[test]
    fn a_high_that_fell_is_believed_when_it_is_told_again() {
        let bases = Bases::default();
        let follow = |second, figures| bases.follow(&quote(second, figures)).is_ok();
        assert!(follow(0, USUAL));
        // A trade at 10,100 was cancelled.
        assert!(!follow(10, [10_000, 10_050, 9_900, 480]));
        assert!(follow(20, [10_060, 10_060, 9_890, 510]));
        assert!(!follow(30, [10_000, 10_050, 9_890, 520]));
        // The right value comes again, and the doubt is forgotten.
        assert!(follow(31, [10_000, 10_060, 9_890, 530]));
        assert!(!follow(32, [10_000, 10_050, 9_890, 540]));
        // Another impossible quote does not confirm the doubted one.
        assert!(!follow(33, [7_000, 7_000, 7_000, 550]));
        assert!(follow(34, [7_000, 7_000, 7_000, 560]));
    }

    #[test]
    fn what_is_of_an_earlier_moment_raises_no_doubt() {
        let earlier = [9_990, 10_050, 9_950, 400];
        for (before, then, is_taken) in [
            // A price call sent before the trade, or answered slightly behind the feed.
            (quote(5, USUAL), polled(4, earlier), true),
            (quote(5, USUAL), polled(7, earlier), true),
            (quote(5, USUAL), polled(9, earlier), false),
            // Two price calls that overtook each other, and a trade received after a price call.
            (polled(5, USUAL), polled(6, earlier), true),
            (polled(5, USUAL), quote(5, earlier), true),
            // Trades arrive in order; within one second the volume decides.
            (quote(5, USUAL), quote(5, earlier), true),
            (quote(5, USUAL), quote(6, earlier), false),
        ] {
            let bases = Bases::default();
            assert_eq!(bases.follow(&before), Ok(()));
            let taken = bases.follow(&then);
            assert_eq!(taken.is_ok(), is_taken, "{then:?}");
            // Nor does it narrow the range.
            let low = bases.follow(&quote(20, [9_000, 9_000, 9_000, 600]));
            assert_eq!(words(low), "high 9000 was 10100 before");
        }
    }

    #[test]
    fn days_and_sessions_are_told_apart() {
        let narrow = [10_000, 10_000, 10_000, 10];
        let of = |session, figures| Quote {
            session,
            ..quote(30, figures)
        };
        for before in [Phase::Closed, Phase::OpeningAuction, Phase::AfterMarket] {
            let bases = Bases::default();
            assert_eq!(bases.follow(&of(before, USUAL)), Ok(()));
            assert_eq!(bases.follow(&of(Phase::Regular, narrow)), Ok(()));
        }
        let bases = Bases::default();
        assert_eq!(bases.follow(&quote(0, USUAL)), Ok(()));
        assert_eq!(bases.follow(&of(Phase::AfterMarket, narrow)), Ok(()));
        assert!(bases.follow(&of(Phase::Closed, narrow)).is_err());
        let mut tomorrow = quote(0, narrow);
        tomorrow.timestamp += TimeDelta::days(1);
        assert_eq!(bases.follow(&tomorrow), Ok(()));
        assert_eq!(bases.follow(&tomorrow), Ok(()));
    }

    /// Runs over recorded snapshots of the whole market, if they are beside the project.
    ///
    /// Columns: time, code, market, close, change, rate, open, high, low, volume ...
    #[test]
    fn no_recorded_snapshot_raises_a_doubt() {
        let ancestors = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1);
        let mut folders = ancestors.map(|above| above.join("shared/data/intraday"));
        let folder = folders.find(|folder| folder.is_dir());
        let entries = folder
            .into_iter()
            .flat_map(|folder| folder.read_dir().unwrap());
        for path in entries.map(|entry| entry.unwrap().path()) {
            if !path.to_str().unwrap().ends_with(".csv.gz") {
                continue;
            }
            let bases = Bases::default();
            let mut rows = 0;
            let table = flate2::read::MultiGzDecoder::new(File::open(&path).unwrap());
            for fields in csv::Reader::from_reader(table).records() {
                let fields = fields.unwrap();
                let figures = [3, 7, 8, 9].map(|place| fields[place].parse().unwrap_or(0));
                let Ok(code) = fields[1].parse() else {
                    continue;
                };
                if figures[0] <= 0 {
                    continue;
                }
                rows += 1;
                let told = Quote {
                    stock_code: code,
                    timestamp: fields[0].get(..19).unwrap().parse().unwrap(),
                    ..quote(0, figures)
                };
                assert_eq!(bases.follow(&told), Ok(()), "{told:?}");
            }
            assert!(rows > 20_000, "{path:?}: {rows}");
        }
    }
}
