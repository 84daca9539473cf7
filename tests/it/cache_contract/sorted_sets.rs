//! Sorted sets: order, ties, and whole ones in the place of others.

use sise::port::{CacheStore, Order, Scored};

use crate::cache_contract::{LIFE, ONE, SHORT, all, many, replacement, scored, texts};
use crate::support::until;

pub(super) async fn members_stand_in_order_and_ties_by_their_bytes(store: &dyn CacheStore) {
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

pub(super) async fn members_are_set_anew_and_removed(store: &dyn CacheStore) {
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

pub(super) async fn whole_sets_take_the_place_of_others(store: &dyn CacheStore) {
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
