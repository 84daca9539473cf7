//! Typed values: one or many at a time.

use std::sync::Arc;

use super::key::{self, beside, is_kind};
use super::{Cache, CacheError, Cached, Life, or_miss};
use sise_port::CacheEntry;

impl Cache {
    /// Returns the value of an id, or `None` if there is none. A failure of the store counts as a
    /// miss, and so does a value that cannot be read.
    pub async fn get<T: Cached>(&self, id: &T::Id) -> Option<T> {
        or_miss(self.try_get(id).await)
    }

    /// Like [`Cache::get`], but returns the error.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed or the stored data is not a value of this type.
    pub async fn try_get<T: Cached>(&self, id: &T::Id) -> Result<Option<T>, CacheError> {
        let keys = [self.key::<T>(id)];
        let found = self.run("get", self.shared.store.get(&keys)).await;
        let mut found = self.counted(1, found)?;
        let [key] = keys;
        decode(&key, found.pop().flatten().as_deref())
    }

    /// Returns the values of ids, in their order. If the store fails, all of them are misses.
    pub async fn get_many<T: Cached>(&self, ids: &[&T::Id]) -> Vec<Option<T>> {
        let keys = self.keys::<T>(ids);
        let found = self.run("get_many", self.shared.store.get(&keys)).await;
        let mut found = or_miss(self.counted(keys.len(), found));
        found.resize(keys.len(), None);
        let value =
            |(key, found): (&String, Option<Vec<u8>>)| or_miss(decode(key, found.as_deref()));
        keys.iter().zip(found).map(value).collect()
    }

    /// Like [`Cache::get_many`], but returns the error.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed or the stored data is not a value of this type.
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

    /// Writes a value, which lives as long as its type says. If several callers write a value at
    /// the same time, any of them may be the last.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed or the value cannot be encoded as JSON. If the store
    /// did not answer in time, the value may have been written.
    pub async fn set<T: Cached>(&self, id: &T::Id, value: &T) -> Result<(), CacheError> {
        self.set_for(id, value, T::LIFE).await
    }

    /// Like [`Cache::set`], with a given life.
    ///
    /// # Errors
    ///
    /// See [`Cache::set`].
    pub async fn set_for<T: Cached>(
        &self,
        id: &T::Id,
        value: &T,
        life: Life,
    ) -> Result<(), CacheError> {
        self.put(&[entry(self.key::<T>(id), value, life)?]).await
    }

    /// Writes the entries of one value.
    pub(super) async fn put(&self, entries: &[CacheEntry]) -> Result<(), CacheError> {
        let set = self.run("set", self.shared.store.set(entries)).await;
        self.forget_flights(entries);
        set
    }

    /// Forgets the loads under way for written keys. They may bring the value from before the
    /// write, and callers that ask after it must not get that.
    fn forget_flights(&self, written: &[CacheEntry]) {
        let keys = written.iter().map(|entry| &entry.key);
        self.shared.flights.forget(keys);
    }

    /// Writes values, all in one round trip.
    ///
    /// # Errors
    ///
    /// See [`Cache::set`]; some of the values may have been written.
    pub async fn set_many<T: Cached>(&self, values: &[(&T::Id, &T)]) -> Result<(), CacheError> {
        self.set_many_for(values, T::LIFE).await
    }

    /// Like [`Cache::set_many`], with a given life.
    ///
    /// # Errors
    ///
    /// See [`Cache::set_many`].
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

    /// Returns whether there is a value. If the store fails, the answer is no.
    pub async fn exists<T: Cached>(&self, id: &T::Id) -> bool {
        or_miss(self.try_exists::<T>(id).await)
    }

    /// Like [`Cache::exists`], but returns the error.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn try_exists<T: Cached>(&self, id: &T::Id) -> Result<bool, CacheError> {
        let keys = [self.key::<T>(id)];
        let lengths = self.run("exists", self.shared.store.lengths(&keys)).await?;
        // A value known not to exist has an empty entry.
        Ok(lengths.first().is_some_and(|length| *length > 0))
    }

    /// Sets the life of an existing value to `life` from now. Returns whether the value exists.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed or `life` does not end.
    pub async fn expire<T: Cached>(&self, id: &T::Id, life: Life) -> Result<bool, CacheError> {
        let Some(life) = life.draw(fastrand::f64()) else {
            return Err(CacheError::Invalid(
                "an existing value cannot be given an endless life; write it again".to_owned(),
            ));
        };
        // The knowledge that a value does not exist must not last longer.
        if !self.try_exists::<T>(id).await? {
            return Ok(false);
        }
        let key = self.key::<T>(id);
        self.run("expire", self.shared.store.expire(&key, life))
            .await
    }

    /// Deletes a value, or the knowledge that there is none. Returns whether either was there. A
    /// load that is under way puts nothing back.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed. If it did not answer in time, the value may be gone.
    pub async fn delete<T: Cached>(&self, id: &T::Id) -> Result<bool, CacheError> {
        Ok(self.delete_many::<T>(&[id]).await? > 0)
    }

    /// Deletes values, all in one round trip, and returns how many there were.
    ///
    /// # Errors
    ///
    /// See [`Cache::delete`]; some of the values may be gone.
    pub async fn delete_many<T: Cached>(&self, ids: &[&T::Id]) -> Result<u64, CacheError> {
        self.delete_keys(&self.keys::<T>(ids)).await
    }

    /// Deletes values together with their claims and stale copies.
    pub(super) async fn delete_keys(&self, keys: &[String]) -> Result<u64, CacheError> {
        self.shared.flights.forget(keys);
        let beside = |what: &'static str| {
            let prefix = &self.prefix;
            keys.iter().map(move |key| beside(prefix, what, key))
        };
        let rest: Vec<String> = beside(FLIGHT).chain(beside(STALE)).collect();
        let store = &self.shared.store;
        // The claims first, so that a load that ends in between does not put an old value back.
        let deleted = self
            .run("delete", async {
                store.delete(&rest).await?;
                store.delete(keys).await
            })
            .await;
        // A caller that joined a load meanwhile may have found what is deleted now.
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

    /// Counts hits and misses among `asked` values.
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

/// Key beside a value: the claim of the process that loads it.
pub(super) const FLIGHT: &str = "flight";

/// Key beside a value: a copy that outlives it.
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

/// Decodes a value; `None` if there is none or it is known not to exist.
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
