//! Records of the work in memory: event log, ledger, coverage and roster.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{NaiveDate, NaiveTime};
use tokio::time::Instant;

use super::MemoryStore;
use crate::{COVERAGE_LIFE, JOURNAL_LENGTH};
use sise_domain::{Coverage, Entry, Presence, Row, Symbol};
use sise_port::{CoverageLog, Journal, Lead, Ledger, Place, Roster, StoreError};

/// Event log, ledger, coverage and roster.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// By position, the oldest first.
    journal: VecDeque<(u64, Entry)>,
    last_place: u64,
    ledger: HashMap<Symbol, Row>,
    ledger_lead: Option<Lead>,
    coverage: BTreeMap<NaiveDate, Day>,
    roster: BTreeMap<String, (Presence, Instant)>,
}

#[derive(Debug)]
struct Day {
    minutes: BTreeMap<NaiveTime, Coverage>,
    dies_at: Instant,
}

#[async_trait]
impl Journal for MemoryStore {
    async fn append(&self, entry: &Entry, earlier: Option<&Place>) -> Result<Place, StoreError> {
        let books = &mut self.change().books;
        let earlier = earlier.and_then(|place| place.0.parse::<u64>().ok());
        books.journal.retain(|(place, _)| Some(*place) != earlier);
        books.last_place += 1;
        let place = books.last_place;
        books.journal.push_back((place, entry.clone()));
        if books.journal.len() > JOURNAL_LENGTH {
            books.journal.pop_front();
        }
        Ok(Place(place.to_string()))
    }

    async fn entries(&self, most: usize) -> Result<Vec<Entry>, StoreError> {
        Ok(self.read(|shelves| {
            let newest = shelves.books.journal.iter().rev().take(most);
            newest.map(|(_, entry)| entry.clone()).collect()
        }))
    }
}

#[async_trait]
impl Ledger for MemoryStore {
    async fn keep_rows(
        &self,
        rows: &[(Symbol, Row)],
        lead: Option<Lead>,
    ) -> Result<(), StoreError> {
        let books = &mut self.change().books;
        if let Some(lead) = lead {
            if books.ledger_lead.is_some_and(|last| last > lead) {
                return Err(StoreError::Superseded { lead });
            }
            books.ledger_lead = Some(lead);
        }
        books.ledger.extend(rows.iter().cloned());
        Ok(())
    }

    async fn row(&self, symbol: Symbol) -> Result<Option<Row>, StoreError> {
        Ok(self.read(|shelves| shelves.books.ledger.get(&symbol).cloned()))
    }

    async fn rows(&self) -> Result<Vec<(Symbol, Row)>, StoreError> {
        Ok(self.read(|shelves| {
            let rows = shelves.books.ledger.iter();
            rows.map(|(symbol, row)| (*symbol, row.clone())).collect()
        }))
    }
}

#[async_trait]
impl CoverageLog for MemoryStore {
    async fn keep_minutes(
        &self,
        day: NaiveDate,
        minutes: &[(NaiveTime, Coverage)],
    ) -> Result<(), StoreError> {
        let now = Instant::now();
        let coverage = &mut self.change().books.coverage;
        coverage.retain(|_, day| day.dies_at > now);
        let day = coverage.entry(day).or_insert_with(|| Day {
            minutes: BTreeMap::new(),
            dies_at: now,
        });
        day.dies_at = now + COVERAGE_LIFE;
        day.minutes.extend(minutes.iter().copied());
        Ok(())
    }

    async fn minutes(&self, day: NaiveDate) -> Result<Vec<(NaiveTime, Coverage)>, StoreError> {
        let now = Instant::now();
        Ok(self.read(|shelves| {
            let day = shelves.books.coverage.get(&day);
            let minutes = day.filter(|day| day.dies_at > now).map(|day| &day.minutes);
            let minutes = minutes.into_iter().flatten();
            minutes.map(|(minute, held)| (*minute, *held)).collect()
        }))
    }
}

#[async_trait]
impl Roster for MemoryStore {
    async fn sign_in(&self, presence: &Presence, life: Duration) -> Result<(), StoreError> {
        let now = Instant::now();
        let roster = &mut self.change().books.roster;
        roster.retain(|_, (_, ends_at)| *ends_at > now);
        roster.insert(presence.process.clone(), (presence.clone(), now + life));
        Ok(())
    }

    async fn sign_out(&self, process: &str) -> Result<(), StoreError> {
        self.change().books.roster.remove(process);
        Ok(())
    }

    async fn present(&self) -> Result<Vec<Presence>, StoreError> {
        let now = Instant::now();
        Ok(self.read(|shelves| {
            let live = shelves.books.roster.values();
            let live = live.filter(|(_, ends_at)| *ends_at > now);
            live.map(|(presence, _)| presence.clone()).collect()
        }))
    }
}
