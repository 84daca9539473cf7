//! A plan in words, the same for all commands and for the daemon.

use std::time::Duration;

use super::{Calling, Plan};
use crate::number::{grouped, rounded_time};

impl Plan {
    /// The remedy for too many or too frequent refreshes of watched codes.
    pub const WATCH_LESS: &str = "watch fewer codes, or set watch.interval to more";

    /// Describes a set-up that cannot keep its codes alive, in the same words for all commands.
    #[must_use]
    pub fn figures(&self) -> String {
        let strain = self.list_strain();
        let strain = strain.map_or_else(String::new, |strain| format!("; {strain}"));
        if self.period() <= self.ttl && !self.is_in_time() {
            return format!(
                "each is written every {:.0} s and lives {:.0} s, which leaves too little for a call that has to \
             be repeated: a twentieth of the life, {:.0} s, must be left{strain}",
                self.period().as_secs_f64(),
                self.ttl.as_secs_f64(),
                self.ttl.as_secs_f64() / 20.0,
            );
        }
        format!(
            "each is written every {:.0} s and lives {:.0} s, so {} % are alive at any time{}{strain}",
            self.period().as_secs_f64(),
            self.ttl.as_secs_f64(),
            self.alive_percent(),
            self.until_spent()
        )
    }

    /// Returns the share of the codes that are alive in whole percent, rounded down.
    #[must_use]
    pub fn alive_percent(&self) -> f64 {
        (self.share_alive() * 100.0 + 1e-9).floor()
    }

    /// Returns a note if the calls of a day do not last until its end.
    #[must_use]
    pub fn until_spent(&self) -> &'static str {
        match self.lasts_the_day() {
            true => "",
            false => ", until the calls of the day are used up",
        }
    }

    /// Returns the changes that would make the plan work.
    #[must_use]
    pub fn remedies(&self) -> String {
        let mut ways = Vec::new();
        if self.list_strain().is_some() {
            ways.push(Self::WATCH_LESS.to_owned());
        }
        if let Some(most) = self.per_day.filter(|_| !self.lasts_the_day()) {
            ways.push(format!(
            "more calls a day (kis.calls_per_day, now {most}; {} are needed), or sweeps further apart (schedule.interval, now {})",
            grouped(self.calls_a_day()),
            rounded_time(self.interval)
        ));
        }
        if let Some(most) = self.per_minute.filter(|_| !self.is_in_time()) {
            ways.push(format!(
                "more calls a minute (kis.calls_per_minute, now {most})"
            ));
        }
        match self.largest_list() {
            // A shorter interval needs even more calls a day.
            0 if !self.lasts_the_day() => {}
            0 => ways.push(format!(
                "a shorter interval (schedule.interval, now {})",
                rounded_time(self.interval)
            )),
            codes => ways.push(format!(
                "a list of at most {} codes (universe.source = csv and universe.file)",
                grouped(codes)
            )),
        }
        if !self.is_in_time() {
            // Slightly more than needed, in whole seconds.
            let ttl = Duration::from_secs(self.period().mul_f64(1.06).as_secs() + 1);
            ways.push(format!(
                "a life of at least {} (store.ttl, now {})",
                rounded_time(ttl),
                rounded_time(self.ttl)
            ));
        }
        if self.calling == Calling::Single {
            ways.push("a real account, which asks for 30 codes a call (KIS_ENV=real)".to_owned());
        }
        ways.join("; or ")
    }
}
