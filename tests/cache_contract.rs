//! Proves one contract of what a cache is kept in, on memory, one Redis, a cluster and a master
//! behind sentinels: values, keys, hashes and sorted sets. And that memory and Redis answer alike,
//! whatever they are asked.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use sise::port::{
    CacheEntry, CacheStore, Growth, Order, Receipt, Replacement, Scored, StoreError, ValueClaim,
};
use sise::store::MemoryStore;

use support::cluster::Cluster;
use support::redis::{RedisServer, store_at};
use support::sentinel::SentinelSet;
use support::until;

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

async fn values_are_read_in_order_with_gaps(store: &dyn CacheStore) {
    // More than one MGET takes.
    let keys = many(1_203);
    let written: Vec<CacheEntry> = (keys.iter().enumerate())
        .filter(|(place, _)| place % 3 != 0)
        .map(|(_, key)| entry(key, key.as_bytes(), None))
        .collect();
    store.set(&written).await.unwrap();
    let found = store.get(&keys).await.unwrap();
    let lengths = store.lengths(&keys).await.unwrap();
    assert_eq!((found.len(), lengths.len()), (keys.len(), keys.len()));
    for (place, key) in keys.iter().enumerate() {
        let expected = (place % 3 != 0).then(|| key.as_bytes().to_vec());
        assert_eq!(lengths[place], expected.as_ref().map_or(0, Vec::len) as u64);
        assert_eq!(found[place], expected);
    }
    let twice = texts(&["t:many:1", "t:many:0", "t:many:1"]);
    let found = store.get(&twice).await.unwrap();
    assert_eq!((found[0].is_some(), found[1].is_some()), (true, false));
    assert_eq!(found[0], found[2]);
}

async fn bytes_come_back_as_they_were(store: &dyn CacheStore) {
    let every: Vec<u8> = (0..=255).collect();
    for bytes in [every.as_slice(), b"", b"\r\n", "가".as_bytes()] {
        put(store, ONE, bytes).await;
        assert_eq!(value(store, ONE).await.as_deref(), Some(bytes));
        assert_eq!(
            store.get_living(ONE).await.unwrap(),
            Some((bytes.to_vec(), None))
        );
        assert_eq!(
            store.lengths(&texts(&[ONE])).await.unwrap(),
            [bytes.len() as u64]
        );
    }
}

async fn nothing_is_asked_and_nothing_answered(store: &dyn CacheStore) {
    assert!(store.get(&[]).await.unwrap().is_empty());
    store.set(&[]).await.unwrap();
    assert!(store.lengths(&[]).await.unwrap().is_empty());
    assert_eq!(store.delete(&[]).await.unwrap(), 0);
    assert!(store.fields(ONE, &[]).await.unwrap().is_empty());
    store.set_fields(ONE, &[]).await.unwrap();
    assert_eq!(store.delete_fields(ONE, &[]).await.unwrap(), 0);
    assert!(store.grow(ONE, &[], &receipt(1)).await.unwrap().is_empty());
    store.raise(ONE, &[]).await.unwrap();
    store.set_scores(ONE, &[]).await.unwrap();
    store.replace_sets(&[]).await.unwrap();
    assert_eq!(store.remove_members(ONE, &[]).await.unwrap(), 0);
    assert_eq!(
        store.count_keys("").await.unwrap(),
        0,
        "something was written"
    );
}

async fn what_is_not_there_is_said_so(store: &dyn CacheStore) {
    assert_eq!(value(store, ONE).await, None);
    assert_eq!(store.get_living(ONE).await.unwrap(), None);
    assert_eq!(store.lengths(&texts(&[ONE, OTHER])).await.unwrap(), [0, 0]);
    assert_eq!(store.delete(&texts(&[ONE])).await.unwrap(), 0);
    assert!(!store.expire(ONE, LIFE).await.unwrap());
    assert!(!store.live_at_least(ONE, LIFE).await.unwrap());
    assert!(!store.rename(ONE, OTHER).await.unwrap());
    assert_eq!(store.fields(ONE, &texts(&["a"])).await.unwrap(), [None]);
    assert!(store.all_fields(ONE).await.unwrap().is_empty());
    assert_eq!(store.delete_fields(ONE, &texts(&["a"])).await.unwrap(), 0);
    assert_eq!(store.place(ONE, "a", Order::Ascending).await.unwrap(), None);
    assert!(all(store, ONE, Order::Descending).await.is_empty());
    assert_eq!(store.size(ONE).await.unwrap(), 0);
    assert_eq!(store.remove_members(ONE, &texts(&["a"])).await.unwrap(), 0);
    assert!(!store.prolong(&claim("a"), LIFE).await.unwrap());
    assert!(!store.set_claimed(&claim("a"), None, &[]).await.unwrap());
}

async fn another_kind_of_value_is_refused(store: &dyn CacheStore) {
    let [single, hash, set] = ["t:{one}:single", "t:{one}:hash", "t:{one}:set"];
    put(store, single, b"1").await;
    let field = [("a".to_owned(), b"1".to_vec())];
    store.set_fields(hash, &field).await.unwrap();
    store.set_scores(set, &scored(&[("a", 1.0)])).await.unwrap();
    let failed = |outcome: Result<(), StoreError>| assert!(outcome.is_err());
    for key in [hash, set] {
        failed(store.get(&texts(&[key])).await.map(drop));
        failed(store.get_living(key).await.map(drop));
        failed(store.lengths(&texts(&[key])).await.map(drop));
        let found = store.get(&texts(&[key, single])).await.unwrap();
        assert_eq!(found, [None, Some(b"1".to_vec())]);
    }
    for key in [single, set] {
        failed(store.fields(key, &texts(&["a"])).await.map(drop));
        failed(store.all_fields(key).await.map(drop));
        failed(store.set_fields(key, &field).await);
        failed(store.delete_fields(key, &texts(&["a"])).await.map(drop));
        let growths = [growth("a", 1, Some(0))];
        failed(store.grow(key, &growths, &receipt(1)).await.map(drop));
        failed(store.raise(key, &[("a".to_owned(), 1)]).await);
    }
    for key in [single, hash] {
        failed(store.set_scores(key, &scored(&[("a", 1.0)])).await);
        failed(store.place(key, "a", Order::Ascending).await.map(drop));
        failed(store.range(key, Order::Ascending, 0, 1).await.map(drop));
        failed(store.size(key).await.map(drop));
        failed(store.remove_members(key, &texts(&["a"])).await.map(drop));
    }
    // Whoever writes the whole of it does not ask what was there.
    put(store, hash, b"2").await;
    assert_eq!(value(store, hash).await, Some(b"2".to_vec()));
    let sets = [replacement(single, &[("b", 2.0)], None)];
    store.replace_sets(&sets).await.unwrap();
    assert_eq!(
        all(store, single, Order::Ascending).await,
        scored(&[("b", 2.0)])
    );
}

async fn a_value_lives_as_long_as_it_is_given(store: &dyn CacheStore) {
    let keys = many(3);
    let lives = [Some(SHORT), Some(LIFE), None];
    let entries: Vec<CacheEntry> = (keys.iter().zip(lives))
        .map(|(key, life)| entry(key, b"1", life))
        .collect();
    store.set(&entries).await.unwrap();
    for (key, life) in keys.iter().zip(lives).skip(1) {
        let (_, left) = store.get_living(key).await.unwrap().unwrap();
        assert_eq!(left.is_some(), life.is_some());
        assert!(
            left.is_none_or(|left| left <= LIFE && left > LIFE / 2),
            "{left:?}"
        );
    }
    until("the first dies", async || {
        value(store, &keys[0]).await.is_none().then_some(())
    })
    .await;
    assert_eq!(store.lengths(&keys).await.unwrap(), [0, 1, 1]);
    assert_eq!(store.get(&keys).await.unwrap().iter().flatten().count(), 2);
    assert!(!store.expire(&keys[0], LIFE).await.unwrap());
    assert_eq!(store.delete(&keys).await.unwrap(), 2);
    // Written anew without one, it lives for ever.
    store.set(&[entry(ONE, b"1", Some(SHORT))]).await.unwrap();
    put(store, ONE, b"2").await;
    assert_eq!(
        store.get_living(ONE).await.unwrap(),
        Some((b"2".to_vec(), None))
    );
}

async fn a_life_of_nothing_and_one_beyond_all_clocks_are_taken(store: &dyn CacheStore) {
    let entries = [
        entry(ONE, b"1", Some(Duration::ZERO)),
        entry(OTHER, b"2", Some(Duration::MAX)),
    ];
    store.set(&entries).await.unwrap();
    until("the first dies", async || {
        value(store, ONE).await.is_none().then_some(())
    })
    .await;
    assert_eq!(value(store, OTHER).await, Some(b"2".to_vec()));
    assert!(store.expire(OTHER, Duration::MAX).await.unwrap());
    assert!(store.live_at_least(OTHER, Duration::MAX).await.unwrap());
    assert_eq!(value(store, OTHER).await, Some(b"2".to_vec()));
    assert!(store.expire(OTHER, Duration::ZERO).await.unwrap());
    until("the other dies", async || {
        value(store, OTHER).await.is_none().then_some(())
    })
    .await;
}

async fn every_kind_of_key_expires_and_is_deleted(store: &dyn CacheStore) {
    let [single, hash, set] = ["t:{one}:single", "t:{one}:hash", "t:{one}:set"];
    let keys = texts(&[single, hash, set, "t:nothing"]);
    for life in [Some(SHORT), None] {
        put(store, single, b"1").await;
        let field = [("a".to_owned(), b"1".to_vec())];
        store.set_fields(hash, &field).await.unwrap();
        store.set_scores(set, &scored(&[("a", 1.0)])).await.unwrap();
        assert_eq!(store.count_keys("t:{one}:").await.unwrap(), 3);
        match life {
            None => assert_eq!(store.delete(&keys).await.unwrap(), 3),
            Some(life) => {
                for key in [single, hash, set] {
                    assert!(store.expire(key, life).await.unwrap());
                }
                until("all die", async || {
                    (store.count_keys("t:{one}:").await.unwrap() == 0).then_some(())
                })
                .await;
            }
        }
        assert_eq!(store.delete(&keys).await.unwrap(), 0);
        assert_eq!(store.size(set).await.unwrap(), 0);
        assert!(store.all_fields(hash).await.unwrap().is_empty());
    }
}

async fn a_life_is_made_longer_and_never_shorter(store: &dyn CacheStore) {
    let left = async || store.get_living(ONE).await.unwrap().unwrap().1;
    put(store, ONE, b"1").await;
    assert!(store.live_at_least(ONE, LIFE).await.unwrap());
    assert!(left().await.unwrap() > LIFE / 2);
    assert!(store.live_at_least(ONE, LIFE * 10).await.unwrap());
    assert!(left().await.unwrap() > LIFE * 5);
    assert!(store.live_at_least(ONE, SHORT).await.unwrap());
    assert!(left().await.unwrap() > LIFE * 5);
    assert!(store.expire(ONE, LIFE).await.unwrap());
    assert!(left().await.unwrap() <= LIFE);
}

async fn a_claim_is_its_owners_until_it_ends(store: &dyn CacheStore) {
    let [a, b] = ["a", "b"].map(claim);
    assert!(store.claim(&a, LIFE).await.unwrap());
    // Nobody takes it twice, not even he who has it.
    assert!(!store.claim(&a, LIFE).await.unwrap());
    assert!(!store.claim(&b, LIFE).await.unwrap());
    assert!(!store.prolong(&b, SHORT).await.unwrap());
    assert!(!store.set_claimed(&b, None, &[]).await.unwrap());
    assert!(store.prolong(&a, LIFE).await.unwrap());
    assert!(store.set_claimed(&a, None, &[]).await.unwrap());
    assert!(!store.prolong(&a, LIFE).await.unwrap());
    assert!(store.claim(&b, SHORT).await.unwrap());
    until("the claim ends by itself", async || {
        store.claim(&a, LIFE).await.unwrap().then_some(())
    })
    .await;
    assert!(!store.prolong(&b, LIFE).await.unwrap());
    assert!(store.prolong(&a, SHORT).await.unwrap());
    until("a prolonged one too", async || {
        store.claim(&b, LIFE).await.unwrap().then_some(())
    })
    .await;
    // Whoever deletes it takes it from its owner.
    assert_eq!(store.delete(&[b.key.clone()]).await.unwrap(), 1);
    let entries = [entry(ONE, b"1", None)];
    assert!(!store.set_claimed(&b, None, &entries).await.unwrap());
    assert_eq!(value(store, ONE).await, None);
}

async fn what_is_claimed_is_written_if_nobody_wrote_meanwhile(store: &dyn CacheStore) {
    let a = claim("a");
    let entries = [entry(ONE, b"new", Some(LIFE)), entry(OTHER, b"copy", None)];
    let write = async |seen: Option<&[u8]>| {
        assert!(store.claim(&a, LIFE).await.unwrap());
        let written = store.set_claimed(&a, seen, &entries).await.unwrap();
        assert!(!store.prolong(&a, LIFE).await.unwrap(), "the claim stays");
        let copy = store.delete(&texts(&[OTHER])).await.unwrap();
        assert_eq!(copy, u64::from(written), "a part was written");
        written
    };
    assert!(write(None).await, "nothing stood there");
    let (bytes, left) = store.get_living(ONE).await.unwrap().unwrap();
    assert_eq!(
        (bytes.as_slice(), left.is_some()),
        (b"new".as_slice(), true)
    );
    assert!(!write(None).await, "another one wrote what was not seen");
    assert!(!write(Some(b"old")).await, "another one wrote another");
    assert!(!write(Some(b"")).await, "another one wrote another");
    assert!(write(Some(b"new")).await, "it is what was seen");
    put(store, ONE, b"").await;
    assert!(!write(None).await, "that there is none was not seen");
    assert!(write(Some(b"")).await, "it is what was seen");
    store.delete(&texts(&[ONE])).await.unwrap();
    assert!(write(Some(b"new")).await, "it is gone");
    // The claim ends with what was not written too, and another kind stays.
    store.delete(&texts(&[ONE])).await.unwrap();
    store.set_scores(ONE, &scored(&[("a", 1.0)])).await.unwrap();
    assert!(store.claim(&a, LIFE).await.unwrap());
    assert!(store.set_claimed(&a, None, &entries).await.is_err());
    assert!(!store.prolong(&a, LIFE).await.unwrap());
    assert_eq!(store.size(ONE).await.unwrap(), 1);
}

async fn what_is_renamed_takes_the_place_and_keeps_its_life(store: &dyn CacheStore) {
    store.set(&[entry(ONE, b"1", Some(LIFE))]).await.unwrap();
    store
        .set_scores(OTHER, &scored(&[("a", 1.0)]))
        .await
        .unwrap();
    assert!(store.rename(ONE, OTHER).await.unwrap());
    let (bytes, left) = store.get_living(OTHER).await.unwrap().unwrap();
    assert_eq!(bytes, b"1");
    assert!(left.is_some_and(|left| left <= LIFE));
    assert!(!store.rename(ONE, OTHER).await.unwrap(), "nothing is left");
    assert_eq!(value(store, OTHER).await, Some(b"1".to_vec()));
    assert!(store.rename(OTHER, OTHER).await.unwrap());
    assert_eq!(value(store, OTHER).await, Some(b"1".to_vec()));
}

async fn keys_are_counted_by_the_letters_of_their_prefix(store: &dyn CacheStore) {
    let odd = [
        "a*b?c[d]e\\f^g-",
        "a*b?c[d]e\\f^g-more",
        "axbxcde\\f^g-",
        "가:나",
    ];
    for key in odd {
        put(store, key, b"1").await;
    }
    let keys = many(2_500);
    let entries: Vec<CacheEntry> = keys.iter().map(|key| entry(key, b"1", None)).collect();
    store.set(&entries).await.unwrap();
    let counts = [
        ("t:many:", 2_500),
        ("t:many:249", 11),
        (odd[0], 2),
        ("a*b", 2),
        ("a", 3),
        ("*", 0),
        ("[a]", 0),
        ("가", 1),
        ("", 2_504),
    ];
    for (prefix, expected) in counts {
        assert_eq!(
            store.count_keys(prefix).await.unwrap(),
            expected,
            "{prefix}"
        );
    }
    assert_eq!(store.delete(&keys).await.unwrap(), 2_500);
}

async fn it_says_how_it_is(store: &dyn CacheStore) {
    store.answers().await.unwrap();
    put(store, ONE, &[7; 100]).await;
    let health = store.health().await.unwrap();
    assert!(
        !health.version.is_empty() && health.used_memory >= 100,
        "{health:?}"
    );
    assert_eq!(health.maxmemory_policy, "noeviction");
}

async fn fields_are_written_read_and_deleted(store: &dyn CacheStore) {
    let every: Vec<u8> = (0..=255).collect();
    let fields = [
        ("b".to_owned(), b"2".to_vec()),
        ("".to_owned(), b"".to_vec()),
        ("가".to_owned(), every),
    ];
    store.set_fields(ONE, &fields).await.unwrap();
    let found = store.fields(ONE, &texts(&["가", "x", "b", "b", ""])).await;
    let expected = [
        Some(&fields[2].1),
        None,
        Some(&fields[0].1),
        Some(&fields[0].1),
        Some(&fields[1].1),
    ];
    assert_eq!(found.unwrap(), expected.map(Option::<&Vec<u8>>::cloned));
    let mut sorted = fields.to_vec();
    sorted.sort();
    assert_eq!(store.all_fields(ONE).await.unwrap(), sorted);
    let newer = [
        ("b".to_owned(), b"3".to_vec()),
        ("b".to_owned(), b"4".to_vec()),
    ];
    store.set_fields(ONE, &newer).await.unwrap();
    assert_eq!(numbers(store, ONE, &["b"]).await, [Some("4".to_owned())]);
    assert_eq!(
        store
            .delete_fields(ONE, &texts(&["b", "b", "x"]))
            .await
            .unwrap(),
        1
    );
    // The last field takes the key along.
    assert_eq!(
        store.delete_fields(ONE, &texts(&["", "가"])).await.unwrap(),
        2
    );
    assert_eq!(store.count_keys("t:").await.unwrap(), 0);
}

async fn numbers_grow_once_a_receipt(store: &dyn CacheStore) {
    let grow = async |number: u64, growths: &[Growth]| {
        store.grow(ONE, growths, &receipt(number)).await.unwrap()
    };
    assert_eq!(grow(1, &[growth("a", 5, None)]).await, [None]);
    assert_eq!(store.count_keys("t:").await.unwrap(), 0, "nothing grows");
    assert_eq!(grow(1, &[growth("a", 5, Some(2))]).await, [Some(7)]);
    assert_eq!(
        grow(1, &[growth("a", 5, Some(2))]).await,
        [Some(7)],
        "sent again"
    );
    assert_eq!(
        grow(1, &[growth("a", 5, None)]).await,
        [Some(7)],
        "sent again"
    );
    assert_eq!(grow(2, &[growth("a", 5, None)]).await, [Some(12)]);
    // Of a batch with one unknown nothing grows, and no receipt is kept.
    let both = [growth("a", 1, None), growth("b", 1, None)];
    assert_eq!(grow(3, &both).await, [Some(12), None]);
    assert_eq!(
        numbers(store, ONE, &["a", "b"]).await,
        [Some("12".to_owned()), None]
    );
    let both = [growth("a", 1, Some(100)), growth("b", 1, Some(10))];
    assert_eq!(grow(3, &both).await, [Some(13), Some(11)]);
    assert_eq!(grow(3, &both).await, [Some(13), Some(11)]);
    // The same name twice, and by nothing.
    let twice = [
        growth("c", 1, Some(0)),
        growth("c", 2, Some(0)),
        growth("d", 0, Some(0)),
    ];
    assert_eq!(grow(4, &twice).await, [Some(1), Some(3), Some(0)]);
    // One that comes when a later one was counted is late, not new.
    assert_eq!(grow(2, &[growth("a", 1, None)]).await, [Some(13)]);
    // The receipt is of the last batch, and another one has its own.
    assert_eq!(grow(5, &[growth("a", 1, None)]).await, [Some(14)]);
    let other = Receipt {
        key: "t:other receipt:{one}".to_owned(),
        ..receipt(5)
    };
    let growths = [growth("a", 1, None)];
    assert_eq!(store.grow(ONE, &growths, &other).await.unwrap(), [Some(15)]);
    // Where all is gone, what was sent is not known to be sent.
    store
        .delete(&texts(&[ONE, "t:receipt:{one}"]))
        .await
        .unwrap();
    assert_eq!(grow(5, &[growth("a", 1, None)]).await, [None]);
}

async fn numbers_are_exact_to_their_end_and_stay_there(store: &dyn CacheStore) {
    let grow = async |number: u64, by: u64| {
        let growths = [growth("a", by, Some(0))];
        store.grow(ONE, &growths, &receipt(number)).await.unwrap()[0].unwrap()
    };
    let exact = (1 << 53) + 1;
    assert_eq!(grow(1, exact).await, exact);
    assert_eq!(grow(2, 1).await, exact + 1);
    let highest = i64::MAX.unsigned_abs();
    assert_eq!(grow(3, u64::MAX).await, highest);
    assert_eq!(grow(4, 1).await, highest);
    store.raise(ONE, &[("b".to_owned(), exact)]).await.unwrap();
    store
        .raise(ONE, &[("b".to_owned(), exact - 1)])
        .await
        .unwrap();
    assert_eq!(numbers(store, ONE, &["b"]).await, [Some(exact.to_string())]);
    store
        .raise(ONE, &[("b".to_owned(), exact + 1)])
        .await
        .unwrap();
    assert_eq!(
        numbers(store, ONE, &["b"]).await,
        [Some((exact + 1).to_string())]
    );
    store
        .raise(ONE, &[("b".to_owned(), u64::MAX)])
        .await
        .unwrap();
    assert_eq!(
        numbers(store, ONE, &["b"]).await,
        [Some(highest.to_string())]
    );
}

async fn what_is_no_number_counts_as_absent(store: &dyn CacheStore) {
    let nonsense = [
        "",
        "x",
        "-1",
        "+1",
        "1.5",
        " 1",
        "1e3",
        "007",
        "9223372036854775808",
        "99999999999999999999",
    ];
    for (number, text) in (1..).zip(nonsense) {
        let field = [("a".to_owned(), text.as_bytes().to_vec())];
        store.set_fields(ONE, &field).await.unwrap();
        let receipt = receipt(number);
        let grown = store.grow(ONE, &[growth("a", 1, None)], &receipt).await;
        assert_eq!(grown.unwrap(), [None], "{text}");
        let grown = store.grow(ONE, &[growth("a", 1, Some(4))], &receipt).await;
        assert_eq!(grown.unwrap(), [Some(5)], "{text}");
        store.set_fields(ONE, &field).await.unwrap();
        store.raise(ONE, &[("a".to_owned(), 0)]).await.unwrap();
        assert_eq!(
            numbers(store, ONE, &["a"]).await,
            [Some("0".to_owned())],
            "{text}"
        );
    }
}

async fn a_number_is_raised_and_never_lowered(store: &dyn CacheStore) {
    let raise = async |numbers: &[(&str, u64)]| {
        let numbers: Vec<(String, u64)> = numbers
            .iter()
            .map(|(name, number)| ((*name).to_owned(), *number))
            .collect();
        store.raise(ONE, &numbers).await.unwrap();
    };
    raise(&[("a", 9), ("b", 0)]).await;
    raise(&[("a", 10), ("b", 1), ("c", 100)]).await;
    raise(&[("a", 9), ("b", 1), ("c", 99), ("c", 101)]).await;
    let expected = ["10", "1", "101"].map(|text| Some(text.to_owned()));
    assert_eq!(numbers(store, ONE, &["a", "b", "c"]).await, expected);
}

async fn members_stand_in_order_and_ties_by_their_bytes(store: &dyn CacheStore) {
    let members = [
        ("b", 1.0),
        ("a", 1.0),
        ("가", 1.0),
        ("B", 1.0),
        ("z", -0.0),
        ("y", 0.0),
        ("m", -1.5),
        ("n", 1e300),
        ("", f64::MIN_POSITIVE),
        ("x", 0.1 + 0.2),
    ];
    store.set_scores(ONE, &scored(&members)).await.unwrap();
    let rising = ["m", "y", "z", "", "x", "B", "a", "b", "가", "n"];
    let found = all(store, ONE, Order::Ascending).await;
    let names = |found: &[Scored]| {
        found
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&found), rising);
    for (name, score) in &found {
        let (_, given) = members.iter().find(|(member, _)| member == name).unwrap();
        assert_eq!(score, given, "{name}");
    }
    let mut falling = found.clone();
    falling.reverse();
    assert_eq!(all(store, ONE, Order::Descending).await, falling);
    for (place, (name, score)) in (0_u64..).zip(&found) {
        let last = found.len() as u64 - 1;
        let rising = store.place(ONE, name, Order::Ascending).await.unwrap();
        let falling = store.place(ONE, name, Order::Descending).await.unwrap();
        assert_eq!(rising, Some((place, *score)));
        assert_eq!(falling, Some((last - place, *score)));
    }
    assert_eq!(
        store.place(ONE, "nobody", Order::Ascending).await.unwrap(),
        None
    );
    for (skip, count, expected) in [
        (0, 0, 0..0),
        (2, 3, 2..5),
        (8, 9, 8..10),
        (10, 1, 0..0),
        (u64::MAX, u64::MAX, 0..0),
        (9, u64::MAX, 9..10),
    ] {
        let part = store
            .range(ONE, Order::Ascending, skip, count)
            .await
            .unwrap();
        assert_eq!(part, found[expected], "{skip} {count}");
    }
}

async fn members_are_set_anew_and_removed(store: &dyn CacheStore) {
    store
        .set_scores(ONE, &scored(&[("a", 1.0), ("b", 2.0), ("a", 3.0)]))
        .await
        .unwrap();
    assert_eq!(
        all(store, ONE, Order::Descending).await,
        scored(&[("a", 3.0), ("b", 2.0)])
    );
    store.set_scores(ONE, &scored(&[("a", 1.0)])).await.unwrap();
    assert_eq!(
        all(store, ONE, Order::Descending).await,
        scored(&[("b", 2.0), ("a", 1.0)])
    );
    assert_eq!(store.size(ONE).await.unwrap(), 2);
    assert_eq!(
        store
            .remove_members(ONE, &texts(&["a", "x", "a"]))
            .await
            .unwrap(),
        1
    );
    assert_eq!(store.remove_members(ONE, &texts(&["b"])).await.unwrap(), 1);
    assert_eq!(
        store.count_keys("t:").await.unwrap(),
        0,
        "the last takes the key along"
    );
}

async fn whole_sets_take_the_place_of_others(store: &dyn CacheStore) {
    let keys = many(5);
    // More than one ZADD takes.
    let names: Vec<String> = (0..1_203).map(|number| format!("{number:04}")).collect();
    let members: Vec<(&str, f64)> = names
        .iter()
        .map(|name| (name.as_str(), name.parse().unwrap()))
        .collect();
    for key in &keys {
        store
            .set_scores(key, &scored(&[("old", 1.0)]))
            .await
            .unwrap();
        assert!(store.expire(key, LIFE).await.unwrap());
    }
    let sets = [
        replacement(&keys[0], &members, None),
        replacement(&keys[1], &[], Some(LIFE)),
        replacement(&keys[2], &[("b", 1.0), ("a", 1.0)], Some(SHORT)),
        replacement(&keys[3], &[("a", 7.0)], Some(LIFE)),
    ];
    store.replace_sets(&sets).await.unwrap();
    assert_eq!(
        all(store, &keys[0], Order::Ascending).await,
        scored(&members)
    );
    assert_eq!(store.size(&keys[1]).await.unwrap(), 0);
    assert_eq!(
        all(store, &keys[3], Order::Ascending).await,
        scored(&[("a", 7.0)])
    );
    assert_eq!(
        all(store, &keys[4], Order::Ascending).await,
        scored(&[("old", 1.0)])
    );
    until("the one with a short life dies", async || {
        (store.size(&keys[2]).await.unwrap() == 0).then_some(())
    })
    .await;
    // Nothing stays beside them.
    assert_eq!(store.count_keys("t:").await.unwrap(), 3);
    // Gone are those of before, with none too.
    store
        .replace_sets(&[replacement(&keys[0], &[("c", 1.0)], None)])
        .await
        .unwrap();
    assert_eq!(
        all(store, &keys[0], Order::Ascending).await,
        scored(&[("c", 1.0)])
    );
}

support::contract::contract!(
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
    numbers_grow_once_a_receipt,
    numbers_are_exact_to_their_end_and_stay_there,
    what_is_no_number_counts_as_absent,
    a_number_is_raised_and_never_lowered,
    members_stand_in_order_and_ties_by_their_bytes,
    members_are_set_anew_and_removed,
    whole_sets_take_the_place_of_others,
)
);

/// Something that a store is asked. Keys are few, so that they meet.
#[derive(Debug, Clone)]
enum Question {
    Get(Vec<String>),
    Living(String),
    Set(Vec<CacheEntry>),
    Lengths(Vec<String>),
    Claim(ValueClaim),
    Prolong(ValueClaim),
    SetClaimed(ValueClaim, Option<Vec<u8>>, Vec<CacheEntry>),
    Delete(Vec<String>),
    Expire(String),
    LiveAtLeast(String),
    Rename(String, String),
    Count(String),
    Fields(String, Vec<String>),
    AllFields(String),
    SetFields(String, Vec<(String, Vec<u8>)>),
    DeleteFields(String, Vec<String>),
    Grow(String, Vec<Growth>, Receipt),
    Raise(String, Vec<(String, u64)>),
    SetScores(String, Vec<Scored>),
    Replace(Vec<Replacement>),
    Place(String, String, Order),
    Range(String, Order, u64, u64),
    Size(String),
    RemoveMembers(String, Vec<String>),
}

/// The answer as text; a refusal is one word, for each store has its own.
async fn ask(store: &dyn CacheStore, question: &Question) -> String {
    use Question as Q;
    fn text<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
        answer.map_or_else(|_| "refused".to_owned(), |answer| format!("{answer:?}"))
    }
    match question {
        Q::Get(keys) => text(store.get(keys).await),
        // The clocks of the two differ by a little.
        Q::Living(key) => {
            let found = store.get_living(key).await;
            text(
                found.map(|found| found.map(|(value, left)| (value, left.map(|left| left > LIFE)))),
            )
        }
        Q::Set(entries) => text(store.set(entries).await),
        Q::Lengths(keys) => text(store.lengths(keys).await),
        Q::Claim(claim) => text(store.claim(claim, LIFE).await),
        Q::Prolong(claim) => text(store.prolong(claim, LIFE).await),
        Q::SetClaimed(claim, seen, entries) => {
            text(store.set_claimed(claim, seen.as_deref(), entries).await)
        }
        Q::Delete(keys) => text(store.delete(keys).await),
        Q::Expire(key) => text(store.expire(key, LIFE).await),
        Q::LiveAtLeast(key) => text(store.live_at_least(key, LIFE).await),
        Q::Rename(from, to) => text(store.rename(from, to).await),
        Q::Count(prefix) => text(store.count_keys(prefix).await),
        Q::Fields(key, fields) => text(store.fields(key, fields).await),
        Q::AllFields(key) => text(store.all_fields(key).await),
        Q::SetFields(key, fields) => text(store.set_fields(key, fields).await),
        Q::DeleteFields(key, fields) => text(store.delete_fields(key, fields).await),
        Q::Grow(key, growths, receipt) => text(store.grow(key, growths, receipt).await),
        Q::Raise(key, numbers) => text(store.raise(key, numbers).await),
        Q::SetScores(key, members) => text(store.set_scores(key, members).await),
        Q::Replace(sets) => text(store.replace_sets(sets).await),
        Q::Place(key, member, order) => {
            // Zero has no sign, but Redis may write one.
            let place = store.place(key, member, *order).await;
            text(place.map(|place| place.map(|(place, score)| (place, score + 0.0))))
        }
        Q::Range(key, order, skip, count) => {
            let range = store.range(key, *order, *skip, *count).await;
            let plain = |(member, score): Scored| (member, score + 0.0);
            text(range.map(|range| range.into_iter().map(plain).collect::<Vec<_>>()))
        }
        Q::Size(key) => text(store.size(key).await),
        Q::RemoveMembers(key, members) => text(store.remove_members(key, members).await),
    }
}

fn key() -> impl Strategy<Value = String> {
    select(&["k:a", "k:b", "k:c", "k:d"][..]).prop_map(str::to_owned)
}

fn name() -> impl Strategy<Value = String> {
    select(&["", "x", "y", "가"][..]).prop_map(str::to_owned)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    select(&["", "1", "7", "9007199254740993", "x", "-3", "007"][..])
        .prop_map(|text| text.as_bytes().to_vec())
}

fn life() -> impl Strategy<Value = Option<Duration>> {
    select(vec![None, Some(LIFE), Some(LIFE * 3)])
}

fn list<T: std::fmt::Debug>(one: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    proptest::collection::vec(one, 0..4)
}

fn entries() -> impl Strategy<Value = Vec<CacheEntry>> {
    list((key(), bytes(), life()).prop_map(|(key, value, life)| CacheEntry { key, value, life }))
}

fn claims() -> impl Strategy<Value = ValueClaim> {
    (key(), select(&["a", "b"][..])).prop_map(|(key, owner)| ValueClaim {
        key,
        owner: owner.to_owned(),
    })
}

fn number() -> impl Strategy<Value = u64> {
    let highest = i64::MAX.unsigned_abs();
    select(vec![0, 1, 9, 10, 1 << 53, (1 << 53) + 1, highest, u64::MAX])
}

fn growths() -> impl Strategy<Value = Growth> {
    (name(), number(), proptest::option::of(number())).prop_map(|(field, by, from)| Growth {
        field,
        by,
        from,
    })
}

fn receipts() -> impl Strategy<Value = Receipt> {
    (key(), 1_u64..4).prop_map(|(key, number)| Receipt {
        key,
        number,
        life: LIFE,
    })
}

fn members() -> impl Strategy<Value = Scored> {
    let score = select(&[-1.0, -0.0, 0.0, 0.1, 1.0, 1e300][..]);
    (name(), score)
}

fn order() -> impl Strategy<Value = Order> {
    select(&[Order::Ascending, Order::Descending][..])
}

fn replacements() -> impl Strategy<Value = Replacement> {
    let members = proptest::collection::hash_map(name(), -2.0..2.0, 0..4);
    (key(), members, life()).prop_map(|(key, members, life)| Replacement {
        beside: "k:beside".to_owned(),
        key,
        members: members.into_iter().collect(),
        life,
    })
}

fn questions() -> impl Strategy<Value = Question> {
    use Question as Q;
    let counts = select(&[0, 1, 2, u64::MAX][..]);
    let values = prop_oneof![
        list(key()).prop_map(Q::Get),
        key().prop_map(Q::Living),
        entries().prop_map(Q::Set),
        list(key()).prop_map(Q::Lengths),
        claims().prop_map(Q::Claim),
        claims().prop_map(Q::Prolong),
        (claims(), proptest::option::of(bytes()), entries())
            .prop_map(|(claim, seen, entries)| Q::SetClaimed(claim, seen, entries)),
    ];
    let keys = prop_oneof![
        list(key()).prop_map(Q::Delete),
        key().prop_map(Q::Expire),
        key().prop_map(Q::LiveAtLeast),
        (key(), key()).prop_map(|(from, to)| Q::Rename(from, to)),
        select(&["k:", "k:a", "x"][..]).prop_map(|prefix| Q::Count(prefix.to_owned())),
    ];
    let hashes = prop_oneof![
        (key(), list(name())).prop_map(|(key, fields)| Q::Fields(key, fields)),
        key().prop_map(Q::AllFields),
        (key(), list((name(), bytes()))).prop_map(|(key, fields)| Q::SetFields(key, fields)),
        (key(), list(name())).prop_map(|(key, fields)| Q::DeleteFields(key, fields)),
        (key(), list(growths()), receipts())
            .prop_map(|(key, growths, receipt)| Q::Grow(key, growths, receipt)),
        (key(), list((name(), number()))).prop_map(|(key, numbers)| Q::Raise(key, numbers)),
    ];
    let sets = prop_oneof![
        (key(), list(members())).prop_map(|(key, members)| Q::SetScores(key, members)),
        list(replacements()).prop_map(Q::Replace),
        (key(), name(), order()).prop_map(|(key, member, order)| Q::Place(key, member, order)),
        (key(), order(), counts.clone(), counts)
            .prop_map(|(key, order, skip, count)| Q::Range(key, order, skip, count)),
        key().prop_map(Q::Size),
        (key(), list(name())).prop_map(|(key, members)| Q::RemoveMembers(key, members)),
    ];
    prop_oneof![3 => values, 1 => keys, 3 => hashes, 3 => sets]
}

#[test]
fn memory_and_redis_answer_alike() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(RedisServer::start());
    let redis = runtime.block_on(async { store_at(&server.url()) });
    let mut runner = TestRunner::new(Config {
        cases: 150,
        failure_persistence: None,
        ..Config::default()
    });
    let asked = proptest::collection::vec(questions(), 1..40);
    let outcome = runner.run(&asked, |asked| {
        runtime.block_on(async {
            server.delete("*").await;
            let memory = MemoryStore::default();
            for (place, question) in asked.iter().enumerate() {
                let answers = (ask(&memory, question).await, ask(&redis, question).await);
                prop_assert_eq!(&answers.0, &answers.1, "question {}: {:?}", place, question);
            }
            Ok(())
        })
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
