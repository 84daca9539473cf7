//! Named watch lists of codes.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use sise_cache::{Cache, CacheError, Profiles};
use sise_domain::{KrxTime, NameError, Symbol, check_name};

/// Most lists.
const MOST_LISTS: usize = 100;

/// Most codes on a list.
const MOST_CODES: usize = 500;

/// The user under which the names of all lists are kept.
const NAMES: &str = "all";

/// Named lists of codes, kept as profiles: each user is a list, each field a code.
#[derive(Debug, Clone)]
pub struct WatchLists {
    codes: Profiles,
    names: Profiles,
}

/// A code on a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// When the code was added.
    pub since: chrono::DateTime<chrono::FixedOffset>,
}

/// Why a list could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum WatchListsError {
    /// The name or the codes are not allowed; nothing was changed.
    #[error("{0}")]
    Invalid(String),
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl From<NameError> for WatchListsError {
    fn from(error: NameError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl WatchLists {
    /// Creates the lists in `cache`.
    #[must_use]
    pub fn new(cache: &Cache) -> Self {
        Self {
            codes: cache.profiles("watch"),
            names: cache.profiles("watchlists"),
        }
    }

    /// Adds codes to a list and returns how many are new on it. The first code creates the list.
    ///
    /// # Errors
    ///
    /// Returns [`WatchListsError::Invalid`] if the name is not allowed or there would be too many
    /// lists or codes, and [`WatchListsError::Cache`] if the store fails.
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
        // The name first: codes on a list without a name could not be found and removed.
        self.names.set(NAMES, list, &listed).await?;
        let fields: Vec<(&str, &Listed)> = new.iter().map(|code| (*code, &listed)).collect();
        self.codes.set_bulk(list, &fields).await?;
        Ok(new.len())
    }

    /// Removes codes from a list and returns how many were on it. The last code removes the list.
    ///
    /// # Errors
    ///
    /// Returns [`WatchListsError::Invalid`] if the name is not allowed, and
    /// [`WatchListsError::Cache`] if the store fails.
    pub async fn remove(&self, list: &str, codes: &[Symbol]) -> Result<u64, WatchListsError> {
        check_name(list)?;
        let codes: Vec<&str> = codes.iter().map(Symbol::as_str).collect();
        let removed = self.codes.remove(list, &codes).await?;
        if self.codes(list).await?.is_empty() {
            self.names.remove(NAMES, &[list]).await?;
        }
        Ok(removed)
    }

    /// Removes a list and returns whether it existed.
    ///
    /// # Errors
    ///
    /// Returns [`WatchListsError::Invalid`] if the name is not allowed, and
    /// [`WatchListsError::Cache`] if the store fails.
    pub async fn clear(&self, list: &str) -> Result<bool, WatchListsError> {
        check_name(list)?;
        let had_codes = self.codes.clear(list).await?;
        let had_name = self.names.remove(NAMES, &[list]).await? > 0;
        Ok(had_codes || had_name)
    }

    /// Returns the names of all lists, in order.
    ///
    /// # Errors
    ///
    /// Returns an error if the store fails.
    pub async fn names(&self) -> Result<Vec<String>, CacheError> {
        let names: BTreeMap<String, Listed> = self.names.try_get_all(NAMES).await?;
        Ok(names.into_keys().collect())
    }

    /// Returns the codes of a list, in order; empty if there is no such list.
    ///
    /// # Errors
    ///
    /// Returns an error if the store fails.
    pub async fn codes(&self, list: &str) -> Result<BTreeMap<Symbol, Listed>, CacheError> {
        let fields: BTreeMap<String, Listed> = self.codes.try_get_all(list).await?;
        // Fields written by other programs that are not codes are ignored.
        let code = |(field, listed): (String, Listed)| Some((field.parse().ok()?, listed));
        Ok(fields.into_iter().filter_map(code).collect())
    }

    /// Returns the codes of all lists, each once, in the order of the lists.
    ///
    /// # Errors
    ///
    /// Returns an error if the store fails.
    pub async fn all_codes(&self) -> Result<Vec<Symbol>, WatchListsError> {
        let names = self.names().await?;
        let lists = try_join_all(names.iter().map(|name| self.codes(name))).await?;
        let mut known = BTreeSet::new();
        let all = lists.iter().flat_map(BTreeMap::keys).copied();
        Ok(all.filter(|code| known.insert(*code)).collect())
    }
}
