//! Profiles: the data of a user, field by field.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::key::{PROFILE, key};
use super::values::{decode, encode};
use super::{Cache, CacheError, or_miss};

/// Fields of users: one hash per user, each field a value of any type as JSON. Fields stay until
/// they are removed, or for the life set for the user.
#[derive(Debug, Clone)]
pub struct Profiles {
    cache: Cache,
    name: String,
}

impl Cache {
    /// Returns the profiles named `name`, under `<namespace>profile:<name>:<user>`.
    #[must_use]
    pub fn profiles(&self, name: &str) -> Profiles {
        Profiles {
            cache: self.clone(),
            // User names may contain colons, so a colon here could lead to another user's key.
            name: name.replace('%', "%25").replace(':', "%3A"),
        }
    }
}

impl Profiles {
    /// Sets a field of a user.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed or the value cannot be encoded as JSON.
    pub async fn set<V: Serialize>(
        &self,
        user: &str,
        field: &str,
        value: &V,
    ) -> Result<(), CacheError> {
        self.set_bulk(user, &[(field, value)]).await
    }

    /// Sets fields of a user, all or none.
    ///
    /// # Errors
    ///
    /// See [`Profiles::set`].
    pub async fn set_bulk<V: Serialize>(
        &self,
        user: &str,
        fields: &[(&str, &V)],
    ) -> Result<(), CacheError> {
        let key = self.key(user);
        let field = |(field, value): &(&str, &V)| Ok(((*field).to_owned(), encode(&key, value)?));
        let fields = fields
            .iter()
            .map(field)
            .collect::<Result<Vec<_>, CacheError>>()?;
        let set = self.cache.shared.store.set_fields(&key, &fields);
        self.cache.run("set_fields", set).await
    }

    /// Returns a field of a user; `None` if there is none or the store fails.
    pub async fn get<V: DeserializeOwned>(&self, user: &str, field: &str) -> Option<V> {
        or_miss(self.try_get(user, field).await)
    }

    /// Like [`Profiles::get`], but returns the error.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed or the field is of another type.
    pub async fn try_get<V: DeserializeOwned>(
        &self,
        user: &str,
        field: &str,
    ) -> Result<Option<V>, CacheError> {
        Ok(self.try_get_bulk(user, &[field]).await?.pop().flatten())
    }

    /// Returns fields of a user, in their order. A field of another type counts as a miss. If the
    /// store fails, all fields are misses.
    pub async fn get_bulk<V: DeserializeOwned>(
        &self,
        user: &str,
        fields: &[&str],
    ) -> Vec<Option<V>> {
        let key = self.key(user);
        let mut found = or_miss(self.fields(&key, fields).await);
        found.resize(fields.len(), None);
        let value = |found: &Option<Vec<u8>>| or_miss(decode(&key, found.as_deref()));
        found.iter().map(value).collect()
    }

    /// Like [`Profiles::get_bulk`], but returns the error.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed or a field is of another type.
    pub async fn try_get_bulk<V: DeserializeOwned>(
        &self,
        user: &str,
        fields: &[&str],
    ) -> Result<Vec<Option<V>>, CacheError> {
        let key = self.key(user);
        let found = self.fields(&key, fields).await?;
        found
            .iter()
            .map(|value| decode(&key, value.as_deref()))
            .collect()
    }

    /// Returns all fields of a user by name, without those of another type; empty if the store
    /// fails.
    pub async fn get_all<V: DeserializeOwned>(&self, user: &str) -> BTreeMap<String, V> {
        let key = self.key(user);
        let found = or_miss(self.all_fields(&key).await).into_iter();
        let value =
            |(field, bytes): (String, Vec<u8>)| Some((field, or_miss(decode(&key, Some(&bytes)))?));
        found.filter_map(value).collect()
    }

    /// Like [`Profiles::get_all`], but returns the error.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed or a field is of another type.
    pub async fn try_get_all<V: DeserializeOwned>(
        &self,
        user: &str,
    ) -> Result<BTreeMap<String, V>, CacheError> {
        let key = self.key(user);
        let found = self.all_fields(&key).await?;
        let mut fields = BTreeMap::new();
        for (field, bytes) in found {
            if let Some(value) = decode(&key, Some(&bytes))? {
                fields.insert(field, value);
            }
        }
        Ok(fields)
    }

    /// Removes fields of a user and returns how many there were.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn remove(&self, user: &str, fields: &[&str]) -> Result<u64, CacheError> {
        let key = self.key(user);
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        let deleted = self.cache.shared.store.delete_fields(&key, &fields);
        self.cache.run("delete_fields", deleted).await
    }

    /// Removes all fields of a user. Returns whether there were any.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn clear(&self, user: &str) -> Result<bool, CacheError> {
        let keys = [self.key(user)];
        let deleted = self.cache.shared.store.delete(&keys);
        Ok(self.cache.run("delete", deleted).await? > 0)
    }

    /// Sets the life of all fields of a user to `life` from now. Returns whether there are any.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn expire(&self, user: &str, life: Duration) -> Result<bool, CacheError> {
        let key = self.key(user);
        let expire = self.cache.shared.store.expire(&key, life);
        self.cache.run("expire", expire).await
    }

    async fn fields(&self, key: &str, fields: &[&str]) -> Result<Vec<Option<Vec<u8>>>, CacheError> {
        let names: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        let found = self.cache.shared.store.fields(key, &names);
        let found = self.cache.run("fields", found).await;
        self.cache.counted(names.len(), found)
    }

    /// Passes all fields of a user to `take`, read piece by piece, so that a large hash holds up no
    /// other caller. Fields come in no particular order, and some may come twice.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed; `take` may have been called for some fields.
    pub async fn each(
        &self,
        user: &str,
        mut take: impl FnMut(String, Vec<u8>),
    ) -> Result<(), CacheError> {
        let key = self.key(user);
        let mut from = Some(0);
        while let Some(begin) = from {
            let piece = self.cache.shared.store.piece(&key, begin);
            let (fields, next) = self.cache.run("piece", piece).await?;
            for (field, value) in fields {
                take(field, value);
            }
            from = next;
        }
        Ok(())
    }

    async fn all_fields(&self, key: &str) -> Result<Vec<(String, Vec<u8>)>, CacheError> {
        let found = self.cache.shared.store.all_fields(key);
        self.cache.run("all_fields", found).await
    }

    fn key(&self, user: &str) -> String {
        key(
            &self.cache.prefix,
            PROFILE,
            &format!("{}:{user}", self.name),
        )
    }
}
