//! The marks of fired alerts, stored for the process that takes over.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use sise_cache::{Cache, CacheError, Profiles};
use sise_domain::{KrxTime, Mark, Rule, Symbol};

/// Name of the profile that holds the marks.
const TOLD: &str = "told";

/// Maximum number of marks waiting for the store.
const MOST_WAITING: usize = 4_096;

/// Number of fields per write.
const AT_ONCE: usize = 500;

/// Age from which an unchanged mark no longer matters.
const LASTS: TimeDelta = TimeDelta::days(7);

/// The rule and the code of a mark.
pub(super) type Place = (String, Option<Symbol>);

/// The marks in the store, and those still to be written.
#[derive(Debug)]
pub(super) struct Marks {
    profiles: Profiles,
    waiting: BTreeMap<Place, Mark>,
    /// Whether the last read failed, which was logged.
    is_away: bool,
}

impl Marks {
    pub(super) fn new(cache: &Cache) -> Self {
        Self {
            profiles: cache.profiles(super::PROFILES),
            waiting: BTreeMap::new(),
            is_away: false,
        }
    }

    /// Queues marks for the next [`Marks::write`].
    pub(super) fn put(
        &mut self,
        changes: impl IntoIterator<Item = (String, Option<Symbol>, Mark)>,
    ) {
        for (rule, code, mark) in changes {
            // While the store is unreachable, no other process fires alerts either.
            if self.waiting.len() < MOST_WAITING {
                self.waiting.insert((rule, code), mark);
            }
        }
    }

    /// Drops waiting marks.
    pub(super) fn drop_waiting(&mut self) {
        self.waiting.clear();
    }

    /// Writes waiting marks. Marks that the store does not take stay queued.
    pub(super) async fn write(&mut self) {
        while !self.waiting.is_empty() {
            let some = self.waiting.iter().take(AT_ONCE);
            let some: Vec<(Place, Mark)> =
                some.map(|(place, mark)| (place.clone(), *mark)).collect();
            let named: Vec<(String, &Mark)> = some
                .iter()
                .map(|(place, mark)| (field(place), mark))
                .collect();
            let fields: Vec<(&str, &Mark)> = named
                .iter()
                .map(|(field, mark)| (field.as_str(), *mark))
                .collect();
            if let Err(error) = self.profiles.set_bulk(TOLD, &fields).await {
                tracing::debug!(%error, "could not write the marks of alerts; trying again");
                return;
            }
            for (place, _) in &some {
                self.waiting.remove(place);
            }
        }
    }

    /// Reads all marks, skipping fields that are not valid.
    pub(super) async fn read(&mut self) -> Result<BTreeMap<Place, Mark>, CacheError> {
        let mut marks = BTreeMap::new();
        let mark = |field, value: Vec<u8>| {
            if let (Some(place), Ok(mark)) = (place(field), serde_json::from_slice(&value)) {
                marks.insert(place, mark);
            }
        };
        let read = self.profiles.each(TOLD, mark).await;
        let was_away = std::mem::replace(&mut self.is_away, read.is_err());
        if let (Err(error), false) = (&read, was_away) {
            tracing::warn!(%error, "the marks of alerts cannot be read; a process that has not read them yet fires no alerts");
        }
        read.map(|()| marks)
    }

    /// Removes marks that no longer matter: those of removed or changed rules, and old ones.
    pub(super) async fn clear_out(
        &self,
        marks: &BTreeMap<Place, Mark>,
        rules: &[Rule],
        now: KrxTime,
    ) {
        let oldest = (now - LASTS).timestamp_millis();
        let is_spent = |((name, _), mark): &(&Place, &Mark)| {
            let rule = rules.iter().find(|rule| rule.name == *name);
            let since = rule.map_or(i64::MAX, |rule| rule.since.timestamp_millis());
            // An alert for a limit that is still exceeded must not fire again.
            let lasts = rule.is_some_and(|rule| rule.terms.when.lasts()) && mark.side != 0;
            mark.at_ms < since || mark.at_ms < oldest && !lasts
        };
        let spent: Vec<String> = marks
            .iter()
            .filter(is_spent)
            .map(|(place, _)| field(place))
            .collect();
        for some in spent.chunks(AT_ONCE) {
            let some: Vec<&str> = some.iter().map(String::as_str).collect();
            if let Err(error) = self.profiles.remove(TOLD, &some).await {
                tracing::debug!(%error, "could not remove old marks of alerts");
                return;
            }
        }
    }
}

/// Returns the field of a mark: `low-samsung/005930`, or only the rule if it is about the market.
/// Names of rules contain no slash.
fn field((rule, code): &Place) -> String {
    match code {
        Some(code) => format!("{rule}/{code}"),
        None => rule.clone(),
    }
}

fn place(field: String) -> Option<Place> {
    match field.split_once('/') {
        Some((rule, code)) => Some((rule.to_owned(), Some(code.parse().ok()?))),
        None => Some((field, None)),
    }
}
