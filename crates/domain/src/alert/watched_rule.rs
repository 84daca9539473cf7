//! A watched rule and its measurements.

use chrono::TimeDelta;

use super::mark::{Circumstances, Mark, Outcome, Verdict};
use super::sentry::{Changed, Reach, Surroundings};
use super::series::real;
use super::track::{Track, day_of, lowest};
use super::{Alert, Condition, Rule, id, words};
use crate::{KrxTime, Quote};

/// A rule that is being watched.
#[derive(Debug)]
pub(super) struct WatchedRule {
    pub(super) number: u32,
    pub(super) rule: Rule,
    pub(super) reach: Reach,
    /// State of a rule about the market as a whole.
    pub(super) mark: Mark,
    /// Since when its limit has been passed without a break.
    pub(super) since: Option<KrxTime>,
    /// Whether known prices have not yet been checked against it.
    pub(super) is_new: bool,
}

impl WatchedRule {
    pub(super) fn window(&self) -> Option<i64> {
        let seconds = self.rule.terms.when.window_s()?;
        i64::try_from(seconds).ok()?.checked_mul(1_000)
    }

    /// Applies a price of a code that the rule covers.
    pub(super) fn watch(
        &self,
        track: &mut Track,
        quote: &Quote,
        now: KrxTime,
        changed: &mut Changed,
    ) -> Option<Alert> {
        if let Some(window) = self.window() {
            track.keep_series(window);
        }
        let terms = &self.rule.terms;
        let held = track.mark(self.number);
        let mut mark = held
            .filter(|mark| mark.simulated == quote.simulated)
            .unwrap_or(Mark {
                simulated: quote.simulated,
                ..Mark::default()
            });
        if terms.when.is_of_a_day() && day_of(mark.at_ms) != Some(now.date_naive()) {
            mark.side = 0;
        }
        let at = quote.fetched_at.timestamp_millis();
        if let (Condition::Jump { .. }, Some(window)) = (terms.when, self.window())
            && at - mark.at_ms > window
        {
            // Every price in the window is newer than the last alert.
            mark.side = 0;
        }
        let circumstances = self.circumstances(&mark, now);
        let outcome = self
            .measure(track, quote)
            .map_or(Outcome::Same, |verdict| mark.judge(verdict, circumstances));
        track.set_mark(self.number, mark);
        if outcome != Outcome::Same {
            changed.push((self.number, Some(quote.stock_code)));
        }
        let Outcome::Due(value) = outcome else {
            return None;
        };
        let kind = terms.when.kind();
        Some(Alert {
            id: id(
                &self.rule.name,
                Some(quote.stock_code),
                kind,
                quote.fetched_at,
            ),
            rule: self.rule.name.clone(),
            kind,
            code: Some(quote.stock_code),
            name: (!quote.stock_name.is_empty()).then(|| quote.stock_name.to_string()),
            text: words::of_stock(&terms.when, quote, value),
            at: quote.fetched_at,
            value: Some(value),
            list: terms.of.list().map(str::to_owned),
            simulated: quote.simulated,
        })
    }

    /// Applies the state of the market.
    pub(super) fn look(
        &mut self,
        around: Surroundings,
        now: KrxTime,
        changed: &mut Changed,
    ) -> Option<Alert> {
        let when = self.rule.terms.when;
        // Whether the limit is passed, whether the value is clearly back, the value, the time to
        // last.
        let (is_beyond, is_back, value, for_s) = match when {
            Condition::CoverageBelow { percent, for_s } => {
                let share = around.coverage.map(|share| share * 100.0);
                let back = percent + self.rule.terms.way_back();
                let is_back = share.is_some_and(|share| share >= back);
                let is_below = share.is_some_and(|share| share < percent);
                (is_below, is_back, share.unwrap_or_default(), for_s)
            }
            Condition::LeaderLost { for_s } => {
                let (lost, led) = (Some(false), Some(true));
                let since = self.since.unwrap_or(now);
                let seconds = real((now - since).num_seconds());
                (around.is_led == lost, around.is_led == led, seconds, for_s)
            }
            _ => return None,
        };
        if when.is_of_a_day() && day_of(self.mark.at_ms) != Some(now.date_naive()) {
            self.mark.side = 0;
        }
        self.since = is_beyond.then(|| self.since.unwrap_or(now));
        let lasting = TimeDelta::try_seconds(i64::try_from(for_s).ok()?)?;
        let is_due = self.since.is_some_and(|since| now - since >= lasting);
        let verdict = match (is_due, is_back) {
            (true, _) => Verdict::Beyond(1, value),
            (false, true) => Verdict::Back,
            (false, false) => Verdict::Between,
        };
        let circumstances = self.circumstances(&self.mark, now);
        let outcome = self.mark.judge(verdict, circumstances);
        if outcome != Outcome::Same {
            changed.push((self.number, None));
        }
        let Outcome::Due(value) = outcome else {
            return None;
        };
        Some(Alert {
            id: id(&self.rule.name, None, when.kind(), now),
            rule: self.rule.name.clone(),
            kind: when.kind(),
            code: None,
            name: None,
            text: words::of_market(&when, value),
            at: now,
            value: Some(value),
            list: None,
            simulated: false,
        })
    }

    fn circumstances(&self, mark: &Mark, now: KrxTime) -> Circumstances {
        let terms = &self.rule.terms;
        let now_ms = now.timestamp_millis();
        let every_ms = i64::try_from(terms.every_s).map_or(i64::MAX, |every| every * 1_000);
        let is_quiet = terms.quiet.is_some_and(|quiet| quiet.holds(now.time()));
        Circumstances {
            is_no_news: terms.next_crossing && mark.at_ms == 0,
            may_be_told: !is_quiet && !mark.is_too_soon(every_ms, now_ms),
            now_ms,
        }
    }

    /// Compares a price with the level of the rule; `None` if the rule has no level.
    pub(super) fn level(&self, price: i64) -> Option<Verdict> {
        let (level, sign) = match self.rule.terms.when {
            Condition::PriceAbove(level) => (level, 1),
            Condition::PriceBelow(level) => (level, -1),
            _ => return None,
        };
        let beyond = (price - level) * i64::from(sign);
        let way_back = real(level) * self.rule.terms.way_back() / 100.0;
        Some(if beyond > 0 {
            Verdict::Beyond(sign, real(price))
        } else if real(-beyond) >= way_back {
            Verdict::Back
        } else {
            Verdict::Between
        })
    }

    /// Measures a price against the rule; `None` if too little is known.
    pub(super) fn measure(&self, track: &Track, quote: &Quote) -> Option<Verdict> {
        let terms = &self.rule.terms;
        let way_back = terms.way_back();
        let price = quote.price;
        let at = quote.fetched_at.timestamp_millis();
        let series = || track.series_over(self.window()?);
        match terms.when {
            Condition::PriceAbove(_) | Condition::PriceBelow(_) => self.level(price),
            Condition::ChangeBeyond(percent) => {
                let rate = quote.change_rate.filter(|rate| rate.is_finite())?;
                Some(sided(rate, percent, way_back))
            }
            Condition::Jump { percent, .. } => {
                let (low, high) = series()?.extremes(at)?;
                let rise = real(price - low) * 100.0 / real(low);
                let fall = real(price - high) * 100.0 / real(high);
                let farther = if rise >= -fall { rise } else { fall };
                Some(sided(farther, percent, way_back))
            }
            Condition::NewHigh => {
                let held = track.high?;
                let high = quote.high.map_or(price, |high| high.max(price));
                let back = real(held) * (1.0 - way_back / 100.0);
                Some(beaten(high > held, 1, high, real(price) <= back))
            }
            Condition::NewLow => {
                let held = track.low?;
                let low = lowest(quote);
                let back = real(held) * (1.0 + way_back / 100.0);
                Some(beaten(low < held, -1, low, real(price) >= back))
            }
            Condition::VolumeTimes { times, .. } => {
                let pace = series()?.pace(at, quote.volume?)?;
                Some(if pace >= times {
                    Verdict::Beyond(1, pace)
                } else if pace <= times * (1.0 - way_back / 100.0) {
                    Verdict::Back
                } else {
                    Verdict::Between
                })
            }
            Condition::CoverageBelow { .. } | Condition::LeaderLost { .. } => None,
        }
    }
}

/// Judges a value whose limit is the same in both directions.
fn sided(value: f64, limit: f64, way_back: f64) -> Verdict {
    if value.abs() >= limit {
        Verdict::Beyond(if value > 0.0 { 1 } else { -1 }, value)
    } else if value.abs() <= limit - way_back {
        Verdict::Back
    } else {
        Verdict::Between
    }
}

/// Judges whether the high or low of the day was beaten.
fn beaten(is_beaten: bool, side: i8, value: i64, is_back: bool) -> Verdict {
    match (is_beaten, is_back) {
        (true, _) => Verdict::Beyond(side, real(value)),
        (false, true) => Verdict::Back,
        (false, false) => Verdict::Between,
    }
}
