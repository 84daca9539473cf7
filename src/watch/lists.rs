//! Named lists of codes.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use sise_cache::{Cache, CacheError, Profiles};
use sise_domain::{KrxTime, Symbol};

/// Letters of a name.
const LONGEST_NAME: usize = 64;

/// Lists at most.
const MOST_LISTS: usize = 100;

/// Codes on a list at most.
const MOST_CODES: usize = 500;

/// Under which user the names of all lists are kept.
const NAMES: &str = "all";

/// Named lists of codes, kept as profiles: a user is a list, a field a code.
#[derive(Debug, Clone)]
pub struct WatchLists {
    codes: Profiles,
    names: Profiles,
}

/// A code on a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Since when.
    pub since: chrono::DateTime<chrono::FixedOffset>,
}

/// Why a list could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum WatchListsError {
    /// Name or codes are not allowed; nothing was changed.
    #[error("{0}")]
    Invalid(String),
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl WatchLists {
    /// The lists in `cache`.
    #[must_use]
    pub fn new(cache: &Cache) -> Self {
        Self {
            codes: cache.profiles("watch"),
            names: cache.profiles("watchlists"),
        }
    }

    /// Puts codes on a list, which begins with the first. Says how many are new on it.
    ///
    /// # Errors
    ///
    /// The name is none, there would be too many lists or codes, or the store failed.
    pub async fn add(
        &self,
        list: &str,
        codes: &[Symbol],
        now: KrxTime,
    ) -> Result<usize, WatchListsError> {
        check_name(list)?;
        let names = self.names().await?;
        if !names.iter().any(|name| name == list) && names.len() >= MOST_LISTS {
            return Err(WatchListsError::Invalid(format!(
                "there are {MOST_LISTS} watch lists already, and no more are kept: remove one"
            )));
        }
        let held = self.codes(list).await?;
        let mut new: Vec<&str> = Vec::new();
        for code in codes {
            if !held.contains_key(code) && !new.contains(&code.as_str()) {
                new.push(code.as_str());
            }
        }
        if held.len() + new.len() > MOST_CODES {
            return Err(WatchListsError::Invalid(format!(
                "watch list {list} would have {} codes; {MOST_CODES} are kept at most",
                held.len() + new.len()
            )));
        }
        if new.is_empty() {
            return Ok(0);
        }
        let listed = Listed {
            since: now.fixed_offset(),
        };
        // The name first: codes of a list that nobody finds could not be taken off again.
        self.names.set(NAMES, list, &listed).await?;
        let fields: Vec<(&str, &Listed)> = new.iter().map(|code| (*code, &listed)).collect();
        self.codes.set_bulk(list, &fields).await?;
        Ok(new.len())
    }

    /// Takes codes off a list, which ends with the last. Says how many were on it.
    ///
    /// # Errors
    ///
    /// The name is none, or the store failed.
    pub async fn remove(&self, list: &str, codes: &[Symbol]) -> Result<u64, WatchListsError> {
        check_name(list)?;
        let codes: Vec<&str> = codes.iter().map(Symbol::as_str).collect();
        let removed = self.codes.remove(list, &codes).await?;
        if self.codes(list).await?.is_empty() {
            self.names.remove(NAMES, &[list]).await?;
        }
        Ok(removed)
    }

    /// Removes a list. Says whether there was one.
    ///
    /// # Errors
    ///
    /// The name is none, or the store failed.
    pub async fn clear(&self, list: &str) -> Result<bool, WatchListsError> {
        check_name(list)?;
        let had_codes = self.codes.clear(list).await?;
        let had_name = self.names.remove(NAMES, &[list]).await? > 0;
        Ok(had_codes || had_name)
    }

    /// The names of all lists, in order.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn names(&self) -> Result<Vec<String>, CacheError> {
        let names: BTreeMap<String, Listed> = self.names.try_get_all(NAMES).await?;
        Ok(names.into_keys().collect())
    }

    /// The codes of a list, in order; none where there is no such list.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn codes(&self, list: &str) -> Result<BTreeMap<Symbol, Listed>, CacheError> {
        let fields: BTreeMap<String, Listed> = self.codes.try_get_all(list).await?;
        // What another program put there and is no code is not watched.
        let code = |(field, listed): (String, Listed)| Some((field.parse().ok()?, listed));
        Ok(fields.into_iter().filter_map(code).collect())
    }

    /// The codes of all lists, each once, in the order of the lists.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn all_codes(&self) -> Result<Vec<Symbol>, WatchListsError> {
        let names = self.names().await?;
        let lists = try_join_all(names.iter().map(|name| self.codes(name))).await?;
        let mut known = BTreeSet::new();
        let all = lists.iter().flat_map(BTreeMap::keys).copied();
        Ok(all.filter(|code| known.insert(*code)).collect())
    }
}

fn check_name(name: &str) -> Result<(), WatchListsError> {
    let is_letter = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if (1..=LONGEST_NAME).contains(&name.chars().count()) && name.chars().all(is_letter) {
        return Ok(());
    }
    Err(WatchListsError::Invalid(format!(
        "'{}' is no name of a watch list: allowed are {LONGEST_NAME} letters, digits, '-', '_' and '.'",
        name.escape_debug()
    )))
}
