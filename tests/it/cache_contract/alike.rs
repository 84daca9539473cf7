//! Memory and Redis answer alike, whatever they are asked.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use sise::port::{
    CacheEntry, CacheStore, Growth, Order, Receipt, Replacement, Scored, StoreError, ValueClaim,
};
use sise::store::MemoryStore;

use crate::cache_contract::LIFE;
use crate::support::redis::{RedisServer, store_at};

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
