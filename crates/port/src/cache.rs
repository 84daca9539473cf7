//! Storage of a cache: single values, hashes and sorted sets under complete key names.
//!
//! Values are bytes; only the cache interprets them. Each key holds one of the three kinds, and
//! operations for another kind are refused.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;

/// A value to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// Key.
    pub key: String,
    /// Value.
    pub value: Vec<u8>,
    /// Time to live; `None` if it is kept until deleted.
    pub life: Option<Duration>,
}

/// A value and its remaining life; `None` if it does not expire.
pub type Living = (Vec<u8>, Option<Duration>);

/// The claim to compute a value while others wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueClaim {
    /// Key of the claim. On a cluster it must be in the slot of the values.
    pub key: String,
    /// Unique name of the owner.
    pub owner: String,
}

/// Storage of single values.
#[async_trait]
pub trait Values: Send + Sync {
    /// Returns the values of `keys`, in order, in one round trip.
    ///
    /// A key of another kind is refused if it is requested alone; among others it has no value.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// Returns the value of `key` and its remaining life.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn get_living(&self, key: &str) -> Result<Option<Living>, StoreError>;

    /// Writes values in one round trip, replacing what was there.
    ///
    /// A value with a life of zero expires at once.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses; some values may have been written.
    async fn set(&self, entries: &[CacheEntry]) -> Result<(), StoreError>;

    /// Returns the lengths of the values of `keys`; 0 for missing values.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn lengths(&self, keys: &[String]) -> Result<Vec<u64>, StoreError>;

    /// Takes `claim` for `life` if it is free. Returns whether the owner has it now.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn claim(&self, claim: &ValueClaim, life: Duration) -> Result<bool, StoreError>;

    /// Renews `claim` for `life` from now if its owner still has it. Returns whether it does.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn prolong(&self, claim: &ValueClaim, life: Duration) -> Result<bool, StoreError>;

    /// Writes `entries` and ends `claim` in one step. Returns whether they were written.
    ///
    /// Nothing is written if the owner has lost the claim, or if the value under the first key is
    /// not `seen`. A claim of another owner is kept.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses; the claim then expires by itself.
    async fn set_claimed(
        &self,
        claim: &ValueClaim,
        seen: Option<&[u8]>,
        entries: &[CacheEntry],
    ) -> Result<bool, StoreError>;
}

/// Operations on keys of any kind.
#[async_trait]
pub trait CacheKeys: Send + Sync {
    /// Deletes `keys` in one round trip. Returns how many existed.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses; some keys may have been deleted.
    async fn delete(&self, keys: &[String]) -> Result<u64, StoreError>;

    /// Sets the remaining life of `key`. Returns whether the key exists.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn expire(&self, key: &str, life: Duration) -> Result<bool, StoreError>;

    /// Extends the life of `key` to at least `life` from now. Returns whether the key exists.
    ///
    /// A key without expiry gets this life; a key that lives longer is unchanged.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn live_at_least(&self, key: &str, life: Duration) -> Result<bool, StoreError>;

    /// Renames key `from` to `to` in one step, replacing `to`. Returns whether `from` existed.
    ///
    /// On a cluster both must be in one slot.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn rename(&self, from: &str, to: &str) -> Result<bool, StoreError>;

    /// Returns how many keys begin with `prefix`.
    ///
    /// It scans all keys of the store in small steps, so that other clients are not blocked.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn count_keys(&self, prefix: &str) -> Result<u64, StoreError>;

    /// Returns what the store reports about itself.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn health(&self) -> Result<StoreHealth, StoreError>;

    /// Checks that the store answers.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn answers(&self) -> Result<(), StoreError>;
}

/// An increment of a number in a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// The field.
    pub field: String,
    /// The increment.
    pub by: u64,
    /// Initial value if the field is absent; with `None` it stays absent.
    pub from: Option<u64>,
}

/// Identifies a batch of increments, so that a repeated batch is recognized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Key under which it is remembered. On a cluster it must be in the slot of the hash.
    pub key: String,
    /// Number of the batch, greater than that of the batch before and below 2^63.
    pub number: u64,
    /// How long it is remembered.
    pub life: Duration,
}

/// Some fields of a hash, and the position of the next ones.
pub type Piece = (Vec<(String, Vec<u8>)>, Option<u64>);

/// Storage of hashes: fields with values under one key.
#[async_trait]
pub trait Hashes: Send + Sync {
    /// Returns the values of `fields`, in order.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn fields(
        &self,
        key: &str,
        fields: &[String],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// Returns all fields with their names.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn all_fields(&self, key: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// Returns some of the fields, unordered, and where to continue; nothing after the last.
    ///
    /// This is for hashes that are too large for one answer. Start with 0. Fields that exist
    /// throughout are returned at least once; fields that come or go meanwhile may be missed.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn piece(&self, key: &str, from: u64) -> Result<Piece, StoreError>;

    /// Writes fields, all or none.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn set_fields(&self, key: &str, fields: &[(String, Vec<u8>)]) -> Result<(), StoreError>;

    /// Deletes fields. Returns how many existed.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn delete_fields(&self, key: &str, fields: &[String]) -> Result<u64, StoreError>;

    /// Increments whole numbers, all or none. Returns the new values, in order.
    ///
    /// An absent field without an initial value is not created; its result is `None`. A field that
    /// is not a number, or is beyond `i64::MAX`, counts as absent. Numbers stop growing at
    /// `i64::MAX`.
    ///
    /// A batch whose number is not greater than the last one at its receipt changes nothing: it was
    /// repeated, or came late.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses. Repeating the call with the same
    /// receipt is safe.
    async fn grow(
        &self,
        key: &str,
        growths: &[Growth],
        receipt: &Receipt,
    ) -> Result<Vec<Option<u64>>, StoreError>;

    /// Sets whole numbers that are greater than the stored ones.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn raise(&self, key: &str, numbers: &[(String, u64)]) -> Result<(), StoreError>;
}

/// Direction in which a sorted set is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Lowest score first; equal scores are ordered by the bytes of the member.
    Ascending,
    /// The reverse.
    Descending,
}

/// A member of a sorted set with its score.
pub type Scored = (String, f64);

/// A sorted set that replaces another.
#[derive(Debug, Clone, PartialEq)]
pub struct Replacement {
    /// Its key.
    pub key: String,
    /// A key that no other process writes, used to prepare the set.
    ///
    /// On a cluster it must be in the slot of `key`.
    pub beside: String,
    /// Members, each once. Without members the key is deleted.
    pub members: Vec<Scored>,
    /// Time to live; `None` if it is kept until deleted.
    pub life: Option<Duration>,
}

/// Storage of sorted sets: members by score. Scores are finite numbers.
#[async_trait]
pub trait SortedSets: Send + Sync {
    /// Sets the scores of members, all or none.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn set_scores(&self, key: &str, members: &[Scored]) -> Result<(), StoreError>;

    /// Replaces whole sets, all in one round trip.
    ///
    /// A concurrent reader sees the old set or the new one, never a part.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses; some sets may have been replaced.
    async fn replace_sets(&self, sets: &[Replacement]) -> Result<(), StoreError>;

    /// Returns how many members come before `member` in this order, and its score.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn place(
        &self,
        key: &str,
        member: &str,
        order: Order,
    ) -> Result<Option<(u64, f64)>, StoreError>;

    /// Returns `count` members in this order, after the first `skip`.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn range(
        &self,
        key: &str,
        order: Order,
        skip: u64,
        count: u64,
    ) -> Result<Vec<Scored>, StoreError>;

    /// Returns the number of members.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn size(&self, key: &str) -> Result<u64, StoreError>;

    /// Removes members. Returns how many existed.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn remove_members(&self, key: &str, members: &[String]) -> Result<u64, StoreError>;
}

/// State of a store, as it reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreHealth {
    /// Server version.
    pub version: String,
    /// Bytes in use.
    pub used_memory: u64,
    /// Memory limit in bytes; 0 for no limit.
    pub maxmemory: u64,
    /// Eviction policy at the memory limit.
    pub maxmemory_policy: String,
}

/// Everything that a cache needs from its store.
pub trait CacheStore: Values + CacheKeys + Hashes + SortedSets {}
impl<T: Values + CacheKeys + Hashes + SortedSets> CacheStore for T {}
