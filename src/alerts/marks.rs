//! What was told, kept for the process that watches next.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use sise_cache::{Cache, CacheError, Profiles};
use sise_domain::{KrxTime, Mark, Rule, Symbol};

/// Under which user they are kept.
const TOLD: &str = "told";

/// Marks that wait for the store at most.
const MOST_WAITING: usize = 4_096;

/// Fields that are written at once.
const AT_ONCE: usize = 500;

/// A mark that nobody changed for so long says nothing any more.
const LASTS: TimeDelta = TimeDelta::days(7);

/// Of which rule, and of which code.
pub(super) type Place = (String, Option<Symbol>);

/// The marks in the store, and those that are to be written there.
#[derive(Debug)]
pub(super) struct Marks {
    profiles: Profiles,
    waiting: BTreeMap<Place, Mark>,
    /// They could not be read the last time, which was said.
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

    /// Has marks written with the next [`Marks::write`].
    pub(super) fn put(
        &mut self,
        changes: impl IntoIterator<Item = (String, Option<Symbol>, Mark)>,
    ) {
        for (rule, code, mark) in changes {
            // While the store is away nobody else tells anything either.
            if self.waiting.len() < MOST_WAITING {
                self.waiting.insert((rule, code), mark);
            }
        }
    }

    /// Forgets what waits.
    pub(super) fn drop_waiting(&mut self) {
        self.waiting.clear();
    }

    /// Writes what waits. What the store does not take waits on.
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
                tracing::debug!(%error, "what was told is written later");
                return;
            }
            for (place, _) in &some {
                self.waiting.remove(place);
            }
        }
    }

    /// All marks. What is none is left out.
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
            tracing::warn!(%error, "what was told of alerts cannot be read; a process that has not read it yet tells of none");
        }
        read.map(|()| marks)
    }

    /// Removes what says nothing any more: marks of rules that are gone or others now, and old ones.
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
            // What was told of a limit that is passed still is not told anew.
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
                tracing::debug!(%error, "old marks of alerts stay");
                return;
            }
        }
    }
}

/// `low-samsung/005930`, or the rule alone where it is about the market. No rule's name has a slash.
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
