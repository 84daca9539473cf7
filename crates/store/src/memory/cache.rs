//! Data of a cache in memory.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::MemoryStore;
use sise_port::{
    CacheEntry, CacheKeys, Growth, Hashes, Living, Order, Piece, Receipt, Replacement, Scored,
    SortedSets, StoreError, StoreHealth, ValueClaim, Values,
};

/// Number of new keys after which expired keys are removed.
const CLEAR_AFTER: usize = 1_024;

/// The value of a key.
#[derive(Debug)]
enum StoredValue {
    Value(Vec<u8>),
    Hash(BTreeMap<String, Vec<u8>>),
    Sorted(HashMap<String, f64>),
}

/// Keys with their values and expiry times.
#[derive(Debug, Default)]
pub(super) struct Cached {
    keys: HashMap<String, (StoredValue, Option<Instant>)>,
    clear_at: usize,
}

fn another_kind(key: &str) -> StoreError {
    StoreError::Failed {
        store: "memory".to_owned(),
        trouble: format!("{key} holds another kind of value"),
    }
}

fn dies_at(life: Option<Duration>, now: Instant) -> Option<Instant> {
    // A life beyond the range of the clock has no end.
    life.and_then(|life| now.checked_add(life))
}

impl Cached {
    fn find(&self, key: &str) -> Option<&(StoredValue, Option<Instant>)> {
        let now = Instant::now();
        let found = self.keys.get(key)?;
        found.1.is_none_or(|dies_at| now < dies_at).then_some(found)
    }

    fn put(&mut self, key: &str, held: StoredValue, dies_at: Option<Instant>) {
        if self.keys.len() >= self.clear_at {
            let now = Instant::now();
            self.keys
                .retain(|_, (_, dies_at)| dies_at.is_none_or(|dies_at| now < dies_at));
            self.clear_at = self.keys.len() + CLEAR_AFTER;
        }
        self.keys.insert(key.to_owned(), (held, dies_at));
    }

    fn value(&self, key: &str) -> Result<Option<&Vec<u8>>, StoreError> {
        match self.find(key) {
            None => Ok(None),
            Some((StoredValue::Value(value), _)) => Ok(Some(value)),
            Some(_) => Err(another_kind(key)),
        }
    }

    fn write(&mut self, entry: &CacheEntry) {
        let dies_at = dies_at(entry.life, Instant::now());
        self.put(&entry.key, StoredValue::Value(entry.value.clone()), dies_at);
    }

    fn hash(&self, key: &str) -> Result<Option<&BTreeMap<String, Vec<u8>>>, StoreError> {
        match self.find(key) {
            None => Ok(None),
            Some((StoredValue::Hash(hash), _)) => Ok(Some(hash)),
            Some(_) => Err(another_kind(key)),
        }
    }

    /// Returns the hash under `key`, and creates it if it does not exist.
    fn hash_mut(&mut self, key: &str) -> Result<&mut BTreeMap<String, Vec<u8>>, StoreError> {
        if self.find(key).is_none() {
            self.put(key, StoredValue::Hash(BTreeMap::new()), None);
        }
        match self.keys.get_mut(key) {
            Some((StoredValue::Hash(hash), _)) => Ok(hash),
            _ => Err(another_kind(key)),
        }
    }

    fn sorted(&self, key: &str) -> Result<Option<&HashMap<String, f64>>, StoreError> {
        match self.find(key) {
            None => Ok(None),
            Some((StoredValue::Sorted(set), _)) => Ok(Some(set)),
            Some(_) => Err(another_kind(key)),
        }
    }

    fn sorted_mut(&mut self, key: &str) -> Result<&mut HashMap<String, f64>, StoreError> {
        if self.find(key).is_none() {
            self.put(key, StoredValue::Sorted(HashMap::new()), None);
        }
        match self.keys.get_mut(key) {
            Some((StoredValue::Sorted(set), _)) => Ok(set),
            _ => Err(another_kind(key)),
        }
    }

    /// Returns the members of a sorted set in order.
    fn in_order(&self, key: &str, order: Order) -> Result<Vec<Scored>, StoreError> {
        let mut members: Vec<Scored> = self
            .sorted(key)?
            .into_iter()
            .flatten()
            .map(|(member, score)| (member.clone(), *score))
            .collect();
        members.sort_by(|(a, a_score), (b, b_score)| order_of(*a_score, *b_score).then(a.cmp(b)));
        if order == Order::Descending {
            members.reverse();
        }
        Ok(members)
    }

    /// Deletes a hash or a sorted set that is empty.
    fn drop_empty(&mut self, key: &str) {
        let is_empty = match self.keys.get(key) {
            Some((StoredValue::Hash(hash), _)) => hash.is_empty(),
            Some((StoredValue::Sorted(set), _)) => set.is_empty(),
            _ => false,
        };
        if is_empty {
            self.keys.remove(key);
        }
    }
}

/// Compares two scores. They are finite, and zero has no sign.
fn order_of(one: f64, other: f64) -> Ordering {
    one.partial_cmp(&other).unwrap_or(Ordering::Equal)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[async_trait]
impl Values for MemoryStore {
    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.read(|shelves| {
            if let [key] = keys {
                return Ok(vec![shelves.cached.value(key)?.cloned()]);
            }
            let value = |key: &String| shelves.cached.value(key).ok().flatten().cloned();
            Ok(keys.iter().map(value).collect())
        })
    }

    async fn get_living(&self, key: &str) -> Result<Option<Living>, StoreError> {
        self.read(|shelves| {
            let Some(value) = shelves.cached.value(key)? else {
                return Ok(None);
            };
            let dies_at = shelves.cached.find(key).and_then(|(_, dies_at)| *dies_at);
            let left = dies_at.map(|at| at.saturating_duration_since(Instant::now()));
            Ok(Some((value.clone(), left)))
        })
    }

    async fn set(&self, entries: &[CacheEntry]) -> Result<(), StoreError> {
        let mut shelves = self.change();
        for entry in entries {
            shelves.cached.write(entry);
        }
        Ok(())
    }

    async fn lengths(&self, keys: &[String]) -> Result<Vec<u64>, StoreError> {
        self.read(|shelves| {
            let length = |key: &String| Ok(count(shelves.cached.value(key)?.map_or(0, Vec::len)));
            keys.iter().map(length).collect()
        })
    }

    async fn claim(&self, claim: &ValueClaim, life: Duration) -> Result<bool, StoreError> {
        let mut shelves = self.change();
        if shelves.cached.find(&claim.key).is_some() {
            return Ok(false);
        }
        shelves.cached.write(&CacheEntry {
            key: claim.key.clone(),
            value: claim.owner.clone().into_bytes(),
            life: Some(life),
        });
        Ok(true)
    }

    async fn prolong(&self, claim: &ValueClaim, life: Duration) -> Result<bool, StoreError> {
        let mut shelves = self.change();
        let holder = shelves.cached.value(&claim.key)?;
        if holder.is_none_or(|holder| holder != claim.owner.as_bytes()) {
            return Ok(false);
        }
        if let Some((_, ends_at)) = shelves.cached.keys.get_mut(&claim.key) {
            *ends_at = dies_at(Some(life), Instant::now());
        }
        Ok(true)
    }

    async fn set_claimed(
        &self,
        claim: &ValueClaim,
        seen: Option<&[u8]>,
        entries: &[CacheEntry],
    ) -> Result<bool, StoreError> {
        let mut shelves = self.change();
        let holder = shelves.cached.value(&claim.key)?;
        if holder.is_none_or(|holder| holder != claim.owner.as_bytes()) {
            return Ok(false);
        }
        shelves.cached.keys.remove(&claim.key);
        let Some(first) = entries.first() else {
            return Ok(true);
        };
        let held = shelves.cached.value(&first.key)?;
        if held.is_some_and(|held| seen != Some(held.as_slice())) {
            return Ok(false);
        }
        for entry in entries {
            shelves.cached.write(entry);
        }
        Ok(true)
    }
}

#[async_trait]
impl CacheKeys for MemoryStore {
    async fn delete(&self, keys: &[String]) -> Result<u64, StoreError> {
        let mut shelves = self.change();
        let mut deleted = 0;
        for key in keys {
            deleted += u64::from(shelves.cached.find(key).is_some());
            shelves.cached.keys.remove(key);
        }
        Ok(deleted)
    }

    async fn expire(&self, key: &str, life: Duration) -> Result<bool, StoreError> {
        let mut shelves = self.change();
        if shelves.cached.find(key).is_none() {
            return Ok(false);
        }
        if let Some((_, ends_at)) = shelves.cached.keys.get_mut(key) {
            *ends_at = dies_at(Some(life), Instant::now());
        }
        Ok(true)
    }

    async fn live_at_least(&self, key: &str, life: Duration) -> Result<bool, StoreError> {
        let mut shelves = self.change();
        if shelves.cached.find(key).is_none() {
            return Ok(false);
        }
        let at_least = dies_at(Some(life), Instant::now());
        if let Some((_, ends_at)) = shelves.cached.keys.get_mut(key) {
            let lives_on = ends_at.zip(at_least).is_some_and(|(at, least)| at > least);
            if !lives_on {
                *ends_at = at_least;
            }
        }
        Ok(true)
    }

    async fn rename(&self, from: &str, to: &str) -> Result<bool, StoreError> {
        let mut shelves = self.change();
        if shelves.cached.find(from).is_none() {
            return Ok(false);
        }
        if let Some(held) = shelves.cached.keys.remove(from) {
            shelves.cached.keys.insert(to.to_owned(), held);
        }
        Ok(true)
    }

    async fn count_keys(&self, prefix: &str) -> Result<u64, StoreError> {
        Ok(self.read(|shelves| {
            let cached = &shelves.cached;
            let fits =
                |key: &&String| key.starts_with(prefix) && cached.find(key.as_str()).is_some();
            count(cached.keys.keys().filter(fits).count())
        }))
    }

    async fn health(&self) -> Result<StoreHealth, StoreError> {
        Ok(StoreHealth {
            version: concat!("sise ", env!("CARGO_PKG_VERSION")).to_owned(),
            used_memory: self.read(|shelves| shelves.cached.bytes()),
            maxmemory: 0,
            maxmemory_policy: "noeviction".to_owned(),
        })
    }

    async fn answers(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Cached {
    /// Size of all keys and values in bytes.
    fn bytes(&self) -> u64 {
        let held = |held: &StoredValue| match held {
            StoredValue::Value(value) => value.len(),
            StoredValue::Hash(hash) => hash
                .iter()
                .map(|(field, value)| field.len() + value.len())
                .sum(),
            StoredValue::Sorted(set) => set
                .keys()
                .map(|member| member.len() + size_of::<f64>())
                .sum(),
        };
        let sizes = self
            .keys
            .iter()
            .map(|(key, (value, _))| key.len() + held(value));
        count(sizes.sum())
    }
}

#[async_trait]
impl Hashes for MemoryStore {
    async fn fields(
        &self,
        key: &str,
        fields: &[String],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        self.read(|shelves| {
            let hash = shelves.cached.hash(key)?;
            let value = |field: &String| hash.and_then(|hash| hash.get(field)).cloned();
            Ok(fields.iter().map(value).collect())
        })
    }

    async fn all_fields(&self, key: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.read(|shelves| {
            let hash = shelves.cached.hash(key)?.into_iter().flatten();
            Ok(hash
                .map(|(field, value)| (field.clone(), value.clone()))
                .collect())
        })
    }

    async fn piece(&self, key: &str, _from: u64) -> Result<Piece, StoreError> {
        Ok((self.all_fields(key).await?, None))
    }

    async fn set_fields(&self, key: &str, fields: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        if fields.is_empty() {
            return Ok(());
        }
        let mut shelves = self.change();
        shelves.cached.hash_mut(key)?.extend(fields.iter().cloned());
        Ok(())
    }

    async fn delete_fields(&self, key: &str, fields: &[String]) -> Result<u64, StoreError> {
        let mut shelves = self.change();
        if fields.is_empty() || shelves.cached.hash(key)?.is_none() {
            return Ok(0);
        }
        let hash = shelves.cached.hash_mut(key)?;
        let deleted = fields.iter().filter(|field| hash.remove(*field).is_some());
        let deleted = count(deleted.count());
        shelves.cached.drop_empty(key);
        Ok(deleted)
    }

    async fn grow(
        &self,
        key: &str,
        growths: &[Growth],
        receipt: &Receipt,
    ) -> Result<Vec<Option<u64>>, StoreError> {
        if growths.is_empty() {
            return Ok(Vec::new());
        }
        let mut shelves = self.change();
        let cached = &mut shelves.cached;
        let hash = cached.hash(key)?;
        let held = |growth: &Growth| hash.and_then(|hash| number(hash.get(&growth.field)?));
        let numbers: Vec<Option<u64>> = growths.iter().map(held).collect();
        let is_whole = |(growth, held): (&Growth, &Option<u64>)| held.or(growth.from).is_some();
        let last = cached.value(&receipt.key)?.and_then(|last| number(last));
        let is_late = last.is_some_and(|last| last >= receipt.number);
        if is_late || !growths.iter().zip(&numbers).all(is_whole) {
            return Ok(numbers);
        }
        cached.write(&CacheEntry {
            key: receipt.key.clone(),
            value: receipt.number.to_string().into_bytes(),
            life: Some(receipt.life),
        });
        let hash = cached.hash_mut(key)?;
        let grow = |growth: &Growth| {
            let held = hash.get(&growth.field).and_then(|held| number(held));
            let grown = held.or(growth.from)?.saturating_add(growth.by).min(HIGHEST);
            hash.insert(growth.field.clone(), grown.to_string().into_bytes());
            Some(grown)
        };
        let grown = growths.iter().map(grow).collect();
        cached.drop_empty(key);
        Ok(grown)
    }

    async fn raise(&self, key: &str, numbers: &[(String, u64)]) -> Result<(), StoreError> {
        if numbers.is_empty() {
            return Ok(());
        }
        let mut shelves = self.change();
        let hash = shelves.cached.hash_mut(key)?;
        for (field, raised) in numbers {
            let held = hash.get(field).and_then(|held| number(held));
            let raised = raised.min(&HIGHEST);
            if held.is_none_or(|held| held < *raised) {
                hash.insert(field.clone(), raised.to_string().into_bytes());
            }
        }
        Ok(())
    }
}

/// The highest number in a hash: Redis counts with a sign.
const HIGHEST: u64 = i64::MAX.unsigned_abs();

/// Parses a whole number in the notation of a hash.
fn number(value: &[u8]) -> Option<u64> {
    let number = std::str::from_utf8(value).ok()?.parse().ok()?;
    // Signs and leading zeros are not allowed.
    let is_plain = u64::to_string(&number).as_bytes() == value;
    (is_plain && number <= HIGHEST).then_some(number)
}

#[async_trait]
impl SortedSets for MemoryStore {
    async fn set_scores(&self, key: &str, members: &[Scored]) -> Result<(), StoreError> {
        if members.is_empty() {
            return Ok(());
        }
        let mut shelves = self.change();
        shelves
            .cached
            .sorted_mut(key)?
            .extend(members.iter().cloned());
        Ok(())
    }

    async fn replace_sets(&self, sets: &[Replacement]) -> Result<(), StoreError> {
        let mut shelves = self.change();
        for set in sets {
            shelves.cached.keys.remove(&set.key);
            if !set.members.is_empty() {
                let members = set.members.iter().cloned().collect();
                let dies_at = dies_at(set.life, Instant::now());
                shelves
                    .cached
                    .put(&set.key, StoredValue::Sorted(members), dies_at);
            }
        }
        Ok(())
    }

    async fn place(
        &self,
        key: &str,
        member: &str,
        order: Order,
    ) -> Result<Option<(u64, f64)>, StoreError> {
        let members = self.read(|shelves| shelves.cached.in_order(key, order))?;
        let found = members
            .iter()
            .enumerate()
            .find(|(_, (name, _))| name == member);
        Ok(found.map(|(place, (_, score))| (count(place), *score)))
    }

    async fn range(
        &self,
        key: &str,
        order: Order,
        skip: u64,
        most: u64,
    ) -> Result<Vec<Scored>, StoreError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let members = self.read(|shelves| shelves.cached.in_order(key, order))?;
        Ok(members
            .into_iter()
            .skip(place(skip))
            .take(place(most))
            .collect())
    }

    async fn size(&self, key: &str) -> Result<u64, StoreError> {
        self.read(|shelves| Ok(count(shelves.cached.sorted(key)?.map_or(0, HashMap::len))))
    }

    async fn remove_members(&self, key: &str, members: &[String]) -> Result<u64, StoreError> {
        let mut shelves = self.change();
        if members.is_empty() || shelves.cached.sorted(key)?.is_none() {
            return Ok(0);
        }
        let set = shelves.cached.sorted_mut(key)?;
        let removed = members
            .iter()
            .filter(|member| set.remove(*member).is_some());
        let removed = count(removed.count());
        shelves.cached.drop_empty(key);
        Ok(removed)
    }
}
