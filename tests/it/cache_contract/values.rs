//! Single values, and keys of any kind.

use std::time::Duration;

use sise::port::{CacheEntry, CacheStore, Order, StoreError};

use crate::cache_contract::{
    LIFE, ONE, OTHER, SHORT, all, claim, entry, growth, many, put, receipt, replacement, scored,
    texts, value,
};
use crate::support::until;

pub(super) async fn values_are_read_in_order_with_gaps(store: &dyn CacheStore) {
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

pub(super) async fn bytes_come_back_as_they_were(store: &dyn CacheStore) {
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

pub(super) async fn nothing_is_asked_and_nothing_answered(store: &dyn CacheStore) {
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

pub(super) async fn what_is_not_there_is_said_so(store: &dyn CacheStore) {
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

pub(super) async fn another_kind_of_value_is_refused(store: &dyn CacheStore) {
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
        failed(store.piece(key, 0).await.map(drop));
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

pub(super) async fn a_value_lives_as_long_as_it_is_given(store: &dyn CacheStore) {
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

pub(super) async fn a_life_of_nothing_and_one_beyond_all_clocks_are_taken(store: &dyn CacheStore) {
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

pub(super) async fn every_kind_of_key_expires_and_is_deleted(store: &dyn CacheStore) {
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

pub(super) async fn a_life_is_made_longer_and_never_shorter(store: &dyn CacheStore) {
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

pub(super) async fn a_claim_is_its_owners_until_it_ends(store: &dyn CacheStore) {
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
    assert_eq!(store.delete(std::slice::from_ref(&b.key)).await.unwrap(), 1);
    let entries = [entry(ONE, b"1", None)];
    assert!(!store.set_claimed(&b, None, &entries).await.unwrap());
    assert_eq!(value(store, ONE).await, None);
}

pub(super) async fn what_is_claimed_is_written_if_nobody_wrote_meanwhile(store: &dyn CacheStore) {
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

pub(super) async fn what_is_renamed_takes_the_place_and_keeps_its_life(store: &dyn CacheStore) {
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

pub(super) async fn keys_are_counted_by_the_letters_of_their_prefix(store: &dyn CacheStore) {
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

pub(super) async fn it_says_how_it_is(store: &dyn CacheStore) {
    store.answers().await.unwrap();
    put(store, ONE, &[7; 100]).await;
    let health = store.health().await.unwrap();
    assert!(
        !health.version.is_empty() && health.used_memory >= 100,
        "{health:?}"
    );
    assert_eq!(health.maxmemory_policy, "noeviction");
}
