//! What a cache keeps its values in: single values, hashes and sorted sets under whole key names.
//!
//! Values are bytes here; what they mean is the cache's business. Each key holds one of the three
//! kinds, and asking for another kind than the one it holds is refused.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;

/// A value that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// Its key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// How long it lives; `None` until it is deleted.
    pub life: Option<Duration>,
}

/// A value and the life that it has left; `None` where it has no end.
pub type Living = (Vec<u8>, Option<Duration>);

/// Who is computing a value, so that the others wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueClaim {
    /// The key of the claim. On a cluster it must lie on the slot of the values.
    pub key: String,
    /// Who has it. Nobody else is called so.
    pub owner: String,
}

/// Single values.
#[async_trait]
pub trait Values: Send + Sync {
    /// The values of `keys`, in their order, in one round trip. A key of another kind is refused
    /// where it is asked for alone; among others it has no value.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// The value of `key` and the life that it has left.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn get_living(&self, key: &str) -> Result<Option<Living>, StoreError>;

    /// Writes values, all in one round trip, whatever stood there. A life of nothing ends at once.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused; some of the values may have been written.
    async fn set(&self, entries: &[CacheEntry]) -> Result<(), StoreError>;

    /// The lengths of the values of `keys`; 0 where there is none.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn lengths(&self, keys: &[String]) -> Result<Vec<u64>, StoreError>;

    /// Takes `claim` for `life` if nobody has it. Says whether it is the owner's now.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn claim(&self, claim: &ValueClaim, life: Duration) -> Result<bool, StoreError>;

    /// Gives `claim` this life from now on if its owner still has it. Says whether he has.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn prolong(&self, claim: &ValueClaim, life: Duration) -> Result<bool, StoreError>;

    /// Writes `entries` and ends `claim`, in one step: only where the owner still has the claim,
    /// and nobody wrote another value than `seen` under the first of the keys. Says whether they
    /// were written. A claim of another owner stays.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused; the claim ends with its life.
    async fn set_claimed(
        &self,
        claim: &ValueClaim,
        seen: Option<&[u8]>,
        entries: &[CacheEntry],
    ) -> Result<bool, StoreError>;
}

/// Keys of any kind.
#[async_trait]
pub trait CacheKeys: Send + Sync {
    /// Deletes `keys`, all in one round trip, and says how many there were.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused; some of the keys may be gone.
    async fn delete(&self, keys: &[String]) -> Result<u64, StoreError>;

    /// Gives `key` this life from now on. Says whether there is such a key.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn expire(&self, key: &str, life: Duration) -> Result<bool, StoreError>;

    /// Gives `key` this life from now on where it would end earlier or has no end. Says whether there
    /// is such a key.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn live_at_least(&self, key: &str, life: Duration) -> Result<bool, StoreError>;

    /// Calls what stands under `from` by the name of `to`, in one step; what stood there is gone.
    /// Says whether there was anything. On a cluster both must lie on one slot.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn rename(&self, from: &str, to: &str) -> Result<bool, StoreError>;

    /// How many keys begin with `prefix`. Looks through all keys of the store bit by bit, so that
    /// nobody else waits.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn count_keys(&self, prefix: &str) -> Result<u64, StoreError>;

    /// What the store says of itself.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn health(&self) -> Result<StoreHealth, StoreError>;

    /// Whether the store answers.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn answers(&self) -> Result<(), StoreError>;
}

/// A number in a hash that is to grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// Which field.
    pub field: String,
    /// By how much.
    pub by: u64,
    /// What it begins with where it is not there; `None` leaves it absent.
    pub from: Option<u64>,
}

/// What tells a batch of growths that is sent again from a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Where it is remembered. On a cluster it must lie on the slot of the hash.
    pub key: String,
    /// The number of the batch; greater than that of the batch before, and below 2^63.
    pub number: u64,
    /// How long it is remembered.
    pub life: Duration,
}

/// Some fields of a hash, and where those after them begin.
pub type Piece = (Vec<(String, Vec<u8>)>, Option<u64>);

/// Hashes: fields with values under one key.
#[async_trait]
pub trait Hashes: Send + Sync {
    /// The values of `fields`, in their order.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn fields(
        &self,
        key: &str,
        fields: &[String],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// All fields, by name.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn all_fields(&self, key: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// Some of the fields in no order, and where to go on, or nothing after the last: for hashes that
    /// are too large for one answer. Begins with 0. What is in the hash all the while comes once at
    /// least, what comes or goes meanwhile may.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn piece(&self, key: &str, from: u64) -> Result<Piece, StoreError>;

    /// Writes fields, all or none.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn set_fields(&self, key: &str, fields: &[(String, Vec<u8>)]) -> Result<(), StoreError>;

    /// Deletes fields and says how many there were.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn delete_fields(&self, key: &str, fields: &[String]) -> Result<u64, StoreError>;

    /// Adds to whole numbers, all or none, and says what they are then, in their order. Where a
    /// field is absent and is to stay so, nothing grows, and its place says `None`. A field that is
    /// no number, or one beyond `i64::MAX`, counts as absent; there growth ends. A batch
    /// whose number is not greater than that of the last one at its receipt grows nothing: it was
    /// sent again, or came late.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused; sent again with the same receipt, it does no harm.
    async fn grow(
        &self,
        key: &str,
        growths: &[Growth],
        receipt: &Receipt,
    ) -> Result<Vec<Option<u64>>, StoreError>;

    /// Sets whole numbers that are greater than what stands there.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn raise(&self, key: &str, numbers: &[(String, u64)]) -> Result<(), StoreError>;
}

/// Where a sorted set is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The lowest score first; of equal scores the member whose bytes come first.
    Ascending,
    /// The other way round.
    Descending,
}

/// A member of a sorted set with its score.
pub type Scored = (String, f64);

/// A sorted set that takes the place of another.
#[derive(Debug, Clone, PartialEq)]
pub struct Replacement {
    /// Its key.
    pub key: String,
    /// A key that nobody else writes, where it is made ready. On a cluster it must lie on the slot
    /// of the other.
    pub beside: String,
    /// Its members, each once. With none the sorted set is gone.
    pub members: Vec<Scored>,
    /// How long it lives; `None` until it is deleted.
    pub life: Option<Duration>,
}

/// Sorted sets: members by score. Scores are finite numbers.
#[async_trait]
pub trait SortedSets: Send + Sync {
    /// Gives members these scores, all or none.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn set_scores(&self, key: &str, members: &[Scored]) -> Result<(), StoreError>;

    /// Puts whole sets in the place of others, all in one round trip. Whoever reads meanwhile
    /// finds the old set or the new one, never a part.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused; some of the sets may have been replaced.
    async fn replace_sets(&self, sets: &[Replacement]) -> Result<(), StoreError>;

    /// How many members come before `member` in this order, and its score.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn place(
        &self,
        key: &str,
        member: &str,
        order: Order,
    ) -> Result<Option<(u64, f64)>, StoreError>;

    /// `count` members in this order, after the first `skip`.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn range(
        &self,
        key: &str,
        order: Order,
        skip: u64,
        count: u64,
    ) -> Result<Vec<Scored>, StoreError>;

    /// The number of members.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn size(&self, key: &str) -> Result<u64, StoreError>;

    /// Removes members and says how many there were.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn remove_members(&self, key: &str, members: &[String]) -> Result<u64, StoreError>;
}

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreHealth {
    /// Server version.
    pub version: String,
    /// Bytes in use.
    pub used_memory: u64,
    /// Bytes allowed; 0 is no limit.
    pub maxmemory: u64,
    /// What happens when the limit is reached.
    pub maxmemory_policy: String,
}

/// All that a cache needs of its store.
pub trait CacheStore: Values + CacheKeys + Hashes + SortedSets {}
impl<T: Values + CacheKeys + Hashes + SortedSets> CacheStore for T {}
