//! What is promised of a day, checked while it runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use sise::domain::{KrxTime, Quote, Symbol};
use sise::sim::Mode;
use sise::sweep::Report;
use sise::{ReadError, Reading, Source};

use super::world::World;

/// After the last fault the whole list has live prices again within this time.
pub(crate) const RECOVERY: Duration = Duration::from_secs(300);

/// No read takes longer, whatever hangs: ten seconds for the broker, three commands to Redis.
const LONGEST_READ: Duration = Duration::from_millis(10_500);

/// A token may take this long: one a minute, and a look every ten seconds.
pub(crate) const TOKEN: Duration = Duration::from_secs(80);

/// A price from further ahead by the reader's clock is not believed, nor one that is older than it
/// can be by more.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::seconds(60);

/// How often it is looked whether the list has prices.
const AUDIT: Duration = Duration::from_secs(15);

/// Watched codes are refreshed this often, as in the settings.
const WATCH: Duration = Duration::from_secs(10);

/// A pass over them stands in line behind readers, and behind one that began late.
const WATCH_SLACK: Duration = Duration::from_secs(10);

/// Clocks of the day are off by a minute at most, and sweeps go by them.
const CLOCKS: Duration = Duration::from_secs(65);

/// A price stands in Redis so long after the broker gave it at the latest: answer and write have their time.
const WRITTEN: Duration = Duration::from_secs(60);

/// Lives are told in milliseconds.
const MILLISECOND: Duration = Duration::from_millis(1);

impl World {
    /// How long the session has been on with all faults over; the clocks go by a minute more or
    /// less, so that its first and last are left out.
    fn calm(&self) -> Option<Duration> {
        let now = self.timeline.now();
        let (open, close) = self.setup.session?;
        let from = (open + CLOCKS).max(self.script.quiet_from);
        (from <= now && now + CLOCKS < close).then(|| now - from)
    }

    /// Whether all must be well.
    pub(crate) fn is_well(&self) -> bool {
        self.calm().is_some_and(|calm| calm >= RECOVERY)
    }

    /// Looks at the list all day.
    pub(crate) fn audit(self: &Arc<Self>) {
        let now = self.timeline.now();
        if let Some(calm) = self.calm() {
            let uncovered = self.uncovered();
            if !uncovered.is_empty() {
                self.record().recovery = calm;
                if calm >= RECOVERY && self.writers_agree() {
                    self.violated(&format!(
                        "{} of {} codes have no live price {calm:?} after the last fault: \
                         {uncovered:?}",
                        uncovered.len(),
                        self.setup.living.len(),
                    ));
                }
            }
        }
        if self.is_well() {
            self.audit_watched(now);
        }
        let world = Arc::clone(self);
        self.timeline.at(now + AUDIT, move || world.audit());
    }

    /// Looks how old the prices of the watched codes are.
    fn audit_watched(&self, now: Duration) {
        let watched = &self.setup.watched;
        let living = watched
            .iter()
            .filter(|code| self.setup.living.contains(code));
        let living: Vec<Symbol> = living.copied().collect();
        let given = self.redis().given(&living);
        for (code, given) in living.iter().zip(given) {
            let age = now - given.unwrap_or_default();
            let mut record = self.record();
            record.oldest_watched = record.oldest_watched.max(age);
            drop(record);
            if age > WATCH + WATCH_SLACK {
                self.violated(&format!(
                    "the price of the watched code {code} is {age:?} old"
                ));
            }
        }
    }

    /// Looks at the closes just before they may not be taken any more: they are there, and given
    /// after the session whatever the clocks showed meanwhile. Where another process leads by then
    /// than the one whose clock was wrong, it cannot tell an early close from a true one.
    pub(crate) fn audit_closes(self: &Arc<Self>) {
        let (Some((_, session_end)), Some((_, until))) = (self.setup.session, self.setup.close)
        else {
            return;
        };
        let look_at = until - Duration::from_secs(1);
        let world = Arc::clone(self);
        self.timeline.at(look_at, move || {
            if world.script.quiet_from + RECOVERY > look_at {
                return;
            }
            let living = &world.setup.living;
            let closes = world.redis().close(look_at, living);
            let leader = world.redis().leader(look_at).map(|leader| leader.process);
            let is_early = |quote: &&Quote| {
                let told = world.origin(quote);
                let told = told.filter(|told| told.at + CLOCKS < session_end);
                told.is_some_and(|told| {
                    let process = format!("slot-{}-", told.slot);
                    let leads = leader
                        .as_ref()
                        .is_some_and(|name| name.starts_with(&process));
                    leads && !world.record().was_frozen(told.slot, told.at)
                })
            };
            if let Some(early) = closes.iter().flatten().map(|quote| &**quote).find(is_early) {
                world.violated(&format!(
                    "a price of the session is kept as close: {early:?}"
                ));
            }
            let lost = living
                .iter()
                .zip(closes)
                .filter(|(_, close)| close.is_none());
            let lost: Vec<&Symbol> = lost.map(|(code, _)| code).collect();
            if !lost.is_empty() {
                world.violated(&format!(
                    "the close of {} of {} codes is not kept: {lost:?}",
                    lost.len(),
                    living.len()
                ));
            }
        });
    }

    /// Every code of a sweep is accounted for once.
    pub(crate) fn check_report(&self, slot: usize, report: &Report) {
        let now = self.timeline.now();
        let missing: BTreeSet<Symbol> = report.missing.iter().map(|m| m.code).collect();
        if report.written + report.missing.len() != report.universe
            || missing.len() != report.missing.len()
        {
            self.violated(&format!("not every code is accounted for once: {report:?}"));
        }
        let words = format!(
            "slot {slot} swept: {} of {} in {} ms, {} calls, {} refused{} {:?}",
            report.written,
            report.universe,
            report.elapsed_ms,
            report.calls,
            report.refused_calls,
            if report.stopped { ", stopped" } else { "" },
            report.missing_by_reason(),
        );
        let mut record = self.record();
        record.say(now, &words);
        record.swept(now, slot, Duration::from_millis(report.elapsed_ms));
    }

    /// Checks what a reader was given.
    pub(crate) fn check_read(
        &self,
        slot: usize,
        has_key: bool,
        codes: &[Symbol],
        asked_at: Duration,
        by_its_clock: KrxTime,
        outcome: &Result<Vec<Reading>, ReadError>,
    ) {
        let now = self.timeline.now();
        let was_run = !self.record().was_frozen(slot, asked_at);
        if was_run && now - asked_at > LONGEST_READ {
            self.violated(&format!("a read took {:?}", now - asked_at));
        }
        let (readings, failed) = match outcome {
            Ok(readings) => (readings, &[][..]),
            Err(
                ReadError::Source { found, failed, .. } | ReadError::Late { found, failed, .. },
            ) => (found, failed.as_slice()),
            Err(error) => {
                self.violated(&format!("a read of codes failed: {error}"));
                return;
            }
        };
        for reading in readings {
            self.check_reading(slot, asked_at, by_its_clock, reading);
        }
        self.note(slot, "read", readings.len() as u64);
        if self.is_well()
            && self.is_believed_by(slot)
            && asked_at + LONGEST_READ < now.max(asked_at + LONGEST_READ * 2)
        {
            let from_redis = |code: &&Symbol| {
                readings
                    .iter()
                    .any(|r| r.quote.stock_code == **code && r.source == Source::Redis)
            };
            let living = codes.iter().filter(|code| self.setup.living.contains(code));
            let missed: Vec<&Symbol> = living.filter(|code| !from_redis(code)).collect();
            if !missed.is_empty() {
                self.violated(&format!("all is well, and no hit in Redis for {missed:?}"));
            }
        }
        // Who caps the calls of a minute has reads wait for the next, and who caps those of a day
        // may have none left.
        let today = self.broker().count;
        let few_are_left = |cap: u32| today > cap / 5 * 4;
        let is_capped = self.setup.calls_per_minute.is_some()
            || self.setup.calls_per_day.is_some_and(few_are_left);
        if has_key && !failed.is_empty() && self.setup.mode == Mode::Real && !is_capped {
            self.check_failure(slot, asked_at, outcome);
        }
    }

    /// Whether the clocks of all writers are close enough that no price of one counts as older for
    /// longer than another lives. The processes of the product correct theirs by that of Redis.
    fn writers_agree(&self) -> bool {
        (0..self.setup.keyed()).all(|slot| self.is_believed_by(slot))
    }

    /// Whether no clock that prices are written by is too far from a reader's. Each is off by a
    /// minute at most, so that two may differ by more than what is believed.
    fn is_believed_by(&self, slot: usize) -> bool {
        let now = self.time_in(slot);
        let writers = 0..self.setup.keyed();
        writers
            .map(|writer| self.time_in(writer) - now)
            .all(|apart| apart.abs() <= CLOCKS_DIFFER)
    }

    /// A read may fail for what the broker does, never for what Redis does: but where a token died,
    /// or a process has none yet, the one that another got within the minute comes through Redis.
    fn check_failure(
        &self,
        slot: usize,
        asked_at: Duration,
        outcome: &Result<Vec<Reading>, ReadError>,
    ) {
        let record = self.record();
        let is_young = record.was_frozen(slot, asked_at.saturating_sub(TOKEN));
        drop(record);
        let mut ways = self.ways();
        ways.note_trouble(self.timeline.now());
        let was_well = ways.broker_was_well_since + TOKEN < asked_at;
        drop(ways);
        if !is_young && was_well && !self.token_is_elsewhere(slot, asked_at) {
            let error = outcome.as_ref().err();
            self.violated(&format!(
                "a read failed although nothing was wrong with the broker: {error:?}"
            ));
        }
    }

    fn check_reading(
        &self,
        slot: usize,
        asked_at: Duration,
        by_its_clock: KrxTime,
        reading: &Reading,
    ) {
        let given = self.is_true(&reading.quote, "read");
        let code = reading.quote.stock_code;
        let now = self.timeline.now();
        if reading.source == Source::Redis {
            self.record().read(now.saturating_sub(given));
        }
        if reading.source == Source::Close {
            self.is_kept(&reading.quote);
        }
        if reading.source == Source::Api
            && self
                .origin(&reading.quote)
                .is_some_and(|told| told.slot != slot)
        {
            self.violated(&format!(
                "{code}: another process asked for it, not the API"
            ));
        }
        // The age must be that at some moment of the read, by the reader's clock.
        let jumped =
            self.time_in(slot) - by_its_clock != TimeDelta::from_std(now - asked_at).unwrap();
        if jumped {
            return;
        }
        let fetched = reading.quote.fetched_at;
        let age = |at: KrxTime| (at - fetched).to_std().unwrap_or_default();
        let (least, most) = (age(by_its_clock), age(self.time_in(slot)));
        // Where clocks are apart it is judged by the life of the key, which begins when it is written.
        let by_life =
            asked_at.saturating_sub(given + WRITTEN)..=now.saturating_sub(given) + MILLISECOND;
        let is_by_life = reading.source == Source::Redis && by_life.contains(&reading.age);
        if (reading.age < least || most < reading.age) && !is_by_life {
            self.violated(&format!(
                "{code} is said to be {:?} old, and is between {least:?} and {most:?}",
                reading.age
            ));
        }
    }
}
