//! Proves one contract of what a cache is kept in, on memory, one Redis, a cluster and a master
//! behind sentinels: values, keys, hashes and sorted sets. And that memory and Redis answer alike,
//! whatever they are asked.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod alike;
mod hashes;
mod sorted_sets;
mod values;

use std::time::Duration;

use sise::port::{CacheEntry, CacheStore, Growth, Order, Receipt, Replacement, Scored, ValueClaim};
use sise::store::MemoryStore;

use crate::support::cluster::Cluster;
use crate::support::redis::{RedisServer, store_at};
use crate::support::sentinel::SentinelSet;
use hashes::{
    a_large_hash_is_read_in_pieces, a_number_is_raised_and_never_lowered,
    fields_are_written_read_and_deleted, numbers_are_exact_to_their_end_and_stay_there,
    numbers_grow_once_a_receipt, what_is_no_number_counts_as_absent,
};
use sorted_sets::{
    members_are_set_anew_and_removed, members_stand_in_order_and_ties_by_their_bytes,
    whole_sets_take_the_place_of_others,
};
use values::{
    a_claim_is_its_owners_until_it_ends, a_life_is_made_longer_and_never_shorter,
    a_life_of_nothing_and_one_beyond_all_clocks_are_taken, a_value_lives_as_long_as_it_is_given,
    another_kind_of_value_is_refused, bytes_come_back_as_they_were,
    every_kind_of_key_expires_and_is_deleted, it_says_how_it_is,
    keys_are_counted_by_the_letters_of_their_prefix, nothing_is_asked_and_nothing_answered,
    values_are_read_in_order_with_gaps, what_is_claimed_is_written_if_nobody_wrote_meanwhile,
    what_is_not_there_is_said_so, what_is_renamed_takes_the_place_and_keeps_its_life,
};

const LIFE: Duration = Duration::from_secs(600);

/// Long enough to be seen alive, short enough to be waited for.
const SHORT: Duration = Duration::from_millis(300);

/// Keys of one slot of a cluster.
const ONE: &str = "t:{one}:a";
const OTHER: &str = "t:{one}:b";

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Keys on many slots.
fn many(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("t:many:{number}"))
        .collect()
}

fn entry(key: &str, value: &[u8], life: Option<Duration>) -> CacheEntry {
    CacheEntry {
        key: key.to_owned(),
        value: value.to_vec(),
        life,
    }
}

async fn put(store: &dyn CacheStore, key: &str, value: &[u8]) {
    store.set(&[entry(key, value, None)]).await.unwrap();
}

async fn value(store: &dyn CacheStore, key: &str) -> Option<Vec<u8>> {
    store.get(&texts(&[key])).await.unwrap().remove(0)
}

fn claim(owner: &str) -> ValueClaim {
    ValueClaim {
        key: "t:flight:{one}".to_owned(),
        owner: owner.to_owned(),
    }
}

fn growth(field: &str, by: u64, from: Option<u64>) -> Growth {
    Growth {
        field: field.to_owned(),
        by,
        from,
    }
}

fn receipt(number: u64) -> Receipt {
    Receipt {
        key: "t:receipt:{one}".to_owned(),
        number,
        life: LIFE,
    }
}

fn scored(members: &[(&str, f64)]) -> Vec<Scored> {
    let scored = |(member, score): &(&str, f64)| ((*member).to_owned(), *score);
    members.iter().map(scored).collect()
}

fn replacement(key: &str, members: &[(&str, f64)], life: Option<Duration>) -> Replacement {
    Replacement {
        key: key.to_owned(),
        beside: match key.contains('{') {
            true => format!("{key}:next"),
            false => format!("t:next:{{{key}}}"),
        },
        members: scored(members),
        life,
    }
}

async fn numbers(store: &dyn CacheStore, key: &str, fields: &[&str]) -> Vec<Option<String>> {
    let found = store.fields(key, &texts(fields)).await.unwrap();
    let text = |value: Option<Vec<u8>>| value.map(|value| String::from_utf8(value).unwrap());
    found.into_iter().map(text).collect()
}

async fn all(store: &dyn CacheStore, key: &str, order: Order) -> Vec<Scored> {
    store.range(key, order, 0, u64::MAX).await.unwrap()
}

crate::support::contract::contract!(
    super::MemoryStore::default(),
    super::store_at,
    [in_redis: super::RedisServer, in_a_cluster: super::Cluster, behind_sentinels: super::SentinelSet],
    (
    values_are_read_in_order_with_gaps,
    bytes_come_back_as_they_were,
    nothing_is_asked_and_nothing_answered,
    what_is_not_there_is_said_so,
    another_kind_of_value_is_refused,
    a_value_lives_as_long_as_it_is_given,
    a_life_of_nothing_and_one_beyond_all_clocks_are_taken,
    every_kind_of_key_expires_and_is_deleted,
    a_life_is_made_longer_and_never_shorter,
    a_claim_is_its_owners_until_it_ends,
    what_is_claimed_is_written_if_nobody_wrote_meanwhile,
    what_is_renamed_takes_the_place_and_keeps_its_life,
    keys_are_counted_by_the_letters_of_their_prefix,
    it_says_how_it_is,
    fields_are_written_read_and_deleted,
    a_large_hash_is_read_in_pieces,
    numbers_grow_once_a_receipt,
    numbers_are_exact_to_their_end_and_stay_there,
    what_is_no_number_counts_as_absent,
    a_number_is_raised_and_never_lowered,
    members_stand_in_order_and_ties_by_their_bytes,
    members_are_set_anew_and_removed,
    whole_sets_take_the_place_of_others,
)
);
