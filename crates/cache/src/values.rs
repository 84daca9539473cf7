//! Typed values: one or many at a time.

use std::sync::Arc;

use super::key::{self, beside, is_kind};
use super::{Cache, CacheError, Cached, Life, or_miss};
use sise_port::CacheEntry;

impl Cache {
    /// The value of an id; `None` where there is none. A failure of the store is a miss, and so is a
    /// value that cannot be read.
    pub async fn get<T: Cached>(&self, id: &T::Id) -> Option<T> {
        or_miss(self.try_get(id).await)
    }

    /// As [`Cache::get`], and says what failed.
    ///
    /// # Errors
    ///
    /// The store failed, or what stands there is no such value.
    pub async fn try_get<T: Cached>(&self, id: &T::Id) -> Result<Option<T>, CacheError> {
        let keys = [self.key::<T>(id)];
        let found = self.run("get", self.shared.store.get(&keys)).await;
        let mut found = self.counted(1, found)?;
        let [key] = keys;
        decode(&key, found.pop().flatten().as_deref())
    }

    /// The values of ids, in their order. Where the store fails all of them are misses.
    pub async fn get_many<T: Cached>(&self, ids: &[&T::Id]) -> Vec<Option<T>> {
        let keys = self.keys::<T>(ids);
        let found = self.run("get_many", self.shared.store.get(&keys)).await;
        let mut found = or_miss(self.counted(keys.len(), found));
        found.resize(keys.len(), None);
        let value =
            |(key, found): (&String, Option<Vec<u8>>)| or_miss(decode(key, found.as_deref()));
        keys.iter().zip(found).map(value).collect()
    }

    /// As [`Cache::get_many`], and says what failed.
    ///
    /// # Errors
    ///
    /// The store failed, or what stands there is no such value.
    pub async fn try_get_many<T: Cached>(
        &self,
        ids: &[&T::Id],
    ) -> Result<Vec<Option<T>>, CacheError> {
        let keys = self.keys::<T>(ids);
        let found = self.run("get_many", self.shared.store.get(&keys)).await;
        let found = self.counted(keys.len(), found)?;
        let value = |(key, found): (&String, Option<Vec<u8>>)| decode(key, found.as_deref());
        keys.iter().zip(found).map(value).collect()
    }

    /// Writes a value, which lives as long as its type says. Of several who write one value at the
    /// same time any may be the last.
    ///
    /// # Errors
    ///
    /// The store failed, or the value has no JSON; it may have been written where the store did not
    /// answer in time.
    pub async fn set<T: Cached>(&self, id: &T::Id, value: &T) -> Result<(), CacheError> {
        self.set_for(id, value, T::LIFE).await
    }

    /// As [`Cache::set`], with a life of its own.
    ///
    /// # Errors
    ///
    /// As [`Cache::set`].
    pub async fn set_for<T: Cached>(
        &self,
        id: &T::Id,
        value: &T,
        life: Life,
    ) -> Result<(), CacheError> {
        self.put(&[entry(self.key::<T>(id), value, life)?]).await
    }

    /// Writes entries of one value.
    pub(super) async fn put(&self, entries: &[CacheEntry]) -> Result<(), CacheError> {
        let set = self.run("set", self.shared.store.set(entries)).await;
        self.forget_flights(entries);
        set
    }

    /// A load that is under way may bring what was there before: whoever asks after a write does
    /// not wait for it.
    fn forget_flights(&self, written: &[CacheEntry]) {
        let keys = written.iter().map(|entry| &entry.key);
        self.shared.flights.forget(keys);
    }

    /// Writes values, all in one round trip.
    ///
    /// # Errors
    ///
    /// As [`Cache::set`]; some of the values may have been written.
    pub async fn set_many<T: Cached>(&self, values: &[(&T::Id, &T)]) -> Result<(), CacheError> {
        self.set_many_for(values, T::LIFE).await
    }

    /// As [`Cache::set_many`], with a life of their own.
    ///
    /// # Errors
    ///
    /// As [`Cache::set_many`].
    pub async fn set_many_for<T: Cached>(
        &self,
        values: &[(&T::Id, &T)],
        life: Life,
    ) -> Result<(), CacheError> {
        let entries = values
            .iter()
            .map(|(id, value)| entry(self.key::<T>(id), *value, life))
            .collect::<Result<Vec<_>, _>>()?;
        let set = self.shared.store.set(&entries);
        let set = self.run("set_many", set).await;
        self.forget_flights(&entries);
        set
    }

    /// Whether there is a value. Where the store fails there is none.
    pub async fn exists<T: Cached>(&self, id: &T::Id) -> bool {
        or_miss(self.try_exists::<T>(id).await)
    }

    /// As [`Cache::exists`], and says what failed.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn try_exists<T: Cached>(&self, id: &T::Id) -> Result<bool, CacheError> {
        let keys = [self.key::<T>(id)];
        let lengths = self.run("exists", self.shared.store.lengths(&keys)).await?;
        // What is known not to exist has an entry without a value.
        Ok(lengths.first().is_some_and(|length| *length > 0))
    }

    /// Has a value live for `life` from now on. Says whether there is one.
    ///
    /// # Errors
    ///
    /// The store failed, or the life has no end.
    pub async fn expire<T: Cached>(&self, id: &T::Id, life: Life) -> Result<bool, CacheError> {
        let Some(life) = life.draw(fastrand::f64()) else {
            return Err(CacheError::Invalid(
                "a life without an end cannot be given afterwards; write the value anew".to_owned(),
            ));
        };
        // What is known not to exist must not be known for longer.
        if !self.try_exists::<T>(id).await? {
            return Ok(false);
        }
        let key = self.key::<T>(id);
        self.run("expire", self.shared.store.expire(&key, life))
            .await
    }

    /// Deletes a value, or the knowledge that there is none. Says whether there was either. A load
    /// that is under way puts nothing back.
    ///
    /// # Errors
    ///
    /// The store failed; the value may be gone where it did not answer in time.
    pub async fn delete<T: Cached>(&self, id: &T::Id) -> Result<bool, CacheError> {
        Ok(self.delete_many::<T>(&[id]).await? > 0)
    }

    /// Deletes values, all in one round trip, and says how many there were.
    ///
    /// # Errors
    ///
    /// As [`Cache::delete`]; some of the values may be gone.
    pub async fn delete_many<T: Cached>(&self, ids: &[&T::Id]) -> Result<u64, CacheError> {
        self.delete_keys(&self.keys::<T>(ids)).await
    }

    /// Deletes values with what belongs to them.
    pub(super) async fn delete_keys(&self, keys: &[String]) -> Result<u64, CacheError> {
        self.shared.flights.forget(keys);
        let beside = |what: &'static str| {
            let prefix = &self.prefix;
            keys.iter().map(move |key| beside(prefix, what, key))
        };
        let rest: Vec<String> = beside(FLIGHT).chain(beside(STALE)).collect();
        let store = &self.shared.store;
        // The claims first: a load that ends in between must not put an old value back.
        let deleted = self
            .run("delete", async {
                store.delete(&rest).await?;
                store.delete(keys).await
            })
            .await;
        // Whoever took a seat meanwhile may have found what is deleted now.
        self.shared.flights.forget(keys);
        deleted
    }

    pub(super) fn key<T: Cached>(&self, id: &T::Id) -> String {
        const {
            assert!(
                is_kind(T::KIND),
                "a kind of small letters that is not taken"
            )
        };
        key::key(&self.prefix, T::KIND, id)
    }

    fn keys<T: Cached>(&self, ids: &[&T::Id]) -> Vec<String> {
        ids.iter().map(|id| self.key::<T>(id)).collect()
    }

    /// Counts what of `asked` values was found.
    pub(super) fn counted(
        &self,
        asked: usize,
        found: Result<Vec<Option<Vec<u8>>>, CacheError>,
    ) -> Result<Vec<Option<Vec<u8>>>, CacheError> {
        let hits = found.iter().flatten().flatten().count();
        self.shared
            .counts
            .note_values(hits, asked.saturating_sub(hits));
        found
    }
}

/// Beside a value: who is loading it.
pub(super) const FLIGHT: &str = "flight";

/// Beside a value: a copy that outlives it.
pub(super) const STALE: &str = "stale";

pub(super) fn entry<T: serde::Serialize>(
    key: String,
    value: &T,
    life: Life,
) -> Result<CacheEntry, CacheError> {
    Ok(CacheEntry {
        value: encode(&key, value)?,
        key,
        life: life.draw(fastrand::f64()),
    })
}

pub(super) fn encode<T: serde::Serialize>(key: &str, value: &T) -> Result<Vec<u8>, CacheError> {
    serde_json::to_vec(value).map_err(|source| CacheError::Encode {
        key: key.to_owned(),
        source: Arc::new(source),
    })
}

/// Reads a value; `None` where there is none, or it is known not to exist.
pub(super) fn decode<T: serde::de::DeserializeOwned>(
    key: &str,
    found: Option<&[u8]>,
) -> Result<Option<T>, CacheError> {
    match found {
        None | Some([]) => Ok(None),
        Some(bytes) => match serde_json::from_slice(bytes) {
            Ok(value) => Ok(Some(value)),
            Err(source) => Err(CacheError::Decode {
                key: key.to_owned(),
                source: Arc::new(source),
            }),
        },
    }
}
