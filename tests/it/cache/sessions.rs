//! Sessions against a map with a clock, and what stands of them in Redis.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use redis::AsyncCommands as _;
use sise::cache::{Cache, Sessions};
use sise::port::SortedSets as _;
use sise::store::MemoryStore;
use tokio::time::{Instant, advance};

use crate::cache::cache_at;
use crate::support::redis::RedisServer;
use crate::support::until;

const TOKENS: [&str; 4] = [
    "0123456789abcdef",
    "fedcba9876543210",
    "a token of 16 bytes and more",
    "토큰토큰토큰",
];
const USERS: [&str; 3] = ["kim", "lee", "{a}:b"];
const LIFE: Duration = Duration::from_secs(100);

/// Something that is done to sessions.
#[derive(Debug, Clone)]
enum Step {
    Set(&'static str, &'static str, u32),
    Get(&'static str),
    Check(&'static str),
    Remove(&'static str),
    EndAll(&'static str),
    List(&'static str),
    Pass(u64),
}

#[derive(Debug, Clone)]
struct Held {
    user: &'static str,
    value: u32,
    ends_at: Instant,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let token = || select(&TOKENS[..]);
    let user = || select(&USERS[..]);
    let step = prop_oneof![
        4 => (token(), user(), any::<u32>()).prop_map(|(token, user, value)| Step::Set(token, user, value)),
        3 => token().prop_map(Step::Get),
        2 => token().prop_map(Step::Check),
        1 => token().prop_map(Step::Remove),
        1 => user().prop_map(Step::EndAll),
        2 => user().prop_map(Step::List),
        3 => (1_u64..120).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..40)
}

/// Plays steps on the real thing and on a map.
async fn play(is_sliding: bool, steps: &[Step]) -> Result<(), TestCaseError> {
    let cache = Cache::builder().redis_url("memory").build().unwrap();
    let mut sessions: Sessions<u32> = cache.sessions().life(LIFE);
    if is_sliding {
        sessions = sessions.sliding();
    }
    let mut model = BTreeMap::<&str, Held>::new();
    for step in steps {
        let now = Instant::now();
        model.retain(|_, held| held.ends_at > now);
        let use_it = |model: &mut BTreeMap<&str, Held>, token: &str| {
            let held = model.get_mut(token)?;
            if is_sliding && held.ends_at - now < LIFE.mul_f64(0.9) {
                held.ends_at = now + LIFE;
            }
            Some(held.clone())
        };
        match step {
            Step::Set(token, user, value) => {
                sessions.set(token, user, *value).await.unwrap();
                let (user, value) = (*user, *value);
                model.insert(
                    token,
                    Held {
                        user,
                        value,
                        ends_at: now + LIFE,
                    },
                );
            }
            Step::Get(token) => {
                let expected = use_it(&mut model, token);
                let found = sessions.try_get(token).await.unwrap();
                let found = found.map(|found| (found.user, found.value));
                prop_assert_eq!(
                    found,
                    expected.map(|held| (held.user.to_owned(), held.value))
                );
            }
            Step::Check(token) => {
                let expected = use_it(&mut model, token).is_some();
                prop_assert_eq!(sessions.try_check(token).await.unwrap(), expected);
            }
            Step::Remove(token) => {
                let expected = model.remove(token).is_some();
                prop_assert_eq!(sessions.remove(token).await.unwrap(), expected);
            }
            Step::EndAll(user) => {
                let before = model.len();
                model.retain(|_, held| held.user != *user);
                let ended = sessions.end_all(user).await.unwrap();
                prop_assert_eq!(ended, (before - model.len()) as u64);
            }
            Step::List(user) => {
                let listed = sessions.try_of_user(user).await.unwrap();
                let mut found: Vec<u32> =
                    listed.iter().map(|listed| listed.session.value).collect();
                let his = model.values().filter(|held| held.user == *user);
                let mut expected: Vec<u32> = his.map(|held| held.value).collect();
                found.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(found, expected);
            }
            Step::Pass(seconds) => advance(Duration::from_secs(*seconds)).await,
        }
    }
    Ok(())
}

#[test]
fn sessions_are_a_map_with_a_clock() {
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&(any::<bool>(), steps()), |(is_sliding, steps)| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(play(is_sliding, &steps))
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[tokio::test]
async fn the_token_of_a_session_never_stands_in_redis() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    let sessions = cache.sessions::<String>().sliding();
    for (number, token) in TOKENS.iter().enumerate() {
        sessions
            .set(token, USERS[number % 3], "value".to_owned())
            .await
            .unwrap();
        assert_eq!(sessions.get(token).await.unwrap().value, "value");
    }
    let mut connection = server.connection().await;
    let mut dump = Vec::new();
    for key in redis::cmd("KEYS")
        .arg("*")
        .query_async::<Vec<String>>(&mut connection)
        .await
        .unwrap()
    {
        let bytes: Vec<u8> = redis::cmd("DUMP")
            .arg(&key)
            .query_async(&mut connection)
            .await
            .unwrap();
        let members: Vec<String> = redis::cmd("ZRANGE")
            .arg(&[&key, "0", "-1"])
            .query_async(&mut connection)
            .await
            .unwrap_or_default();
        dump.push([key.into_bytes(), bytes, members.concat().into_bytes()].concat());
    }
    // Four sessions and three lists.
    assert_eq!(dump.len(), 7);
    for token in TOKENS {
        let stands = |bytes: &Vec<u8>| bytes.windows(8).any(|part| part == &token.as_bytes()[..8]);
        assert!(!dump.iter().any(stands), "{token} stands in Redis");
    }
    let refused = sessions
        .set("short", "kim", String::new())
        .await
        .unwrap_err();
    assert!(!refused.to_string().contains("short\""), "{refused}");
    assert_eq!(
        cache
            .sessions::<String>()
            .try_of_user("kim")
            .await
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_session_is_replaced_whatever_it_held_and_ends_with_the_longest_lived() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    cache
        .sessions::<u32>()
        .set(TOKENS[0], "kim", 7)
        .await
        .unwrap();
    // The program was changed meanwhile.
    let sessions = cache.sessions::<Vec<String>>();
    assert_eq!(sessions.get(TOKENS[0]).await, None);
    assert!(sessions.try_get(TOKENS[0]).await.is_err());
    sessions.set(TOKENS[0], "kim", Vec::new()).await.unwrap();
    assert!(sessions.check(TOKENS[0]).await);
    // One that lives for a moment takes no list of the others along.
    let short = cache
        .sessions::<Vec<String>>()
        .life(Duration::from_millis(50));
    short.set(TOKENS[1], "kim", Vec::new()).await.unwrap();
    let list = ["shop:test:sessions:kim".to_owned()];
    assert!(server.lives(&list).await[0] > 3_000_000);
    until("it ends", async || {
        (!short.check(TOKENS[1]).await).then_some(())
    })
    .await;
    assert_eq!(sessions.try_of_user("kim").await.unwrap().len(), 1);
    assert_eq!(sessions.end_all("kim").await.unwrap(), 1);
    assert!(!sessions.check(TOKENS[0]).await);
}

/// Whoever is told that a session began and does not end it finds it on the list, as long as it
/// lives.
#[tokio::test]
async fn a_session_that_lives_is_on_its_users_list_whoever_looks_meanwhile() {
    let server = RedisServer::start().await;
    let caches = [cache_at(&server.url()), cache_at(&server.url())];
    let tokens: Vec<String> = (0..40)
        .map(|number| format!("token number {number:04}"))
        .collect();
    for round in 0..10 {
        let begin = tokens.iter().map(|token| {
            let sessions = caches[0].sessions::<u32>();
            async move {
                // Some are ended again at once, by whoever has the token.
                sessions.set(token, "kim", round).await.unwrap();
            }
        });
        let look = (0..40_u32).map(|number| {
            let sessions = caches[1].sessions::<u32>();
            let token = &tokens[number as usize];
            async move {
                match (number % 4, round % 2) {
                    (0, 1) => drop(sessions.end_all("kim").await.unwrap()),
                    (1, _) => drop(sessions.remove(token).await.unwrap()),
                    _ => drop(sessions.try_of_user("kim").await.unwrap()),
                }
            }
        });
        tokio::join!(join_all(begin), join_all(look));
        let sessions = caches[0].sessions::<u32>();
        let listed = sessions.try_of_user("kim").await.unwrap().len();
        let lives = join_all(tokens.iter().map(|token| sessions.check(token))).await;
        let lives = lives.into_iter().filter(|lives| *lives).count();
        assert_eq!(listed, lives, "round {round}");
        assert_eq!(sessions.end_all("kim").await.unwrap(), lives as u64);
        let left = join_all(tokens.iter().map(|token| sessions.check(token))).await;
        assert!(
            !left.contains(&true),
            "round {round}: one outlived the end of all"
        );
    }
}

#[tokio::test]
async fn those_that_have_ended_hide_none_that_lives_however_many_they_are() {
    let server = RedisServer::start().await;
    let sessions = cache_at(&server.url()).sessions::<u32>();
    let mut connection = server.connection().await;
    let mut ended = async |count: usize| {
        let mut pipeline = redis::pipe();
        for number in 0..count {
            pipeline.zadd("shop:test:sessions:kim", number, 0).ignore();
        }
        let _: () = pipeline.query_async(&mut connection).await.unwrap();
    };
    sessions.set(TOKENS[0], "kim", 7).await.unwrap();
    ended(10_001).await;
    assert_eq!(sessions.of_user("kim").await.len(), 1);
    ended(60_000).await;
    assert_eq!(sessions.end_all("kim").await.unwrap(), 1);
    assert!(!sessions.check(TOKENS[0]).await);
}

#[tokio::test]
async fn a_session_that_cannot_be_prolonged_lives_for_the_rest_of_its_life() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    let sessions = cache.sessions::<u32>().sliding();
    sessions.set(TOKENS[0], "kim", 7).await.unwrap();
    let mut connection = server.connection().await;
    let keys: Vec<String> = connection.keys("shop:test:session:*").await.unwrap();
    let _: bool = connection.expire(&keys[0], 100).await.unwrap();
    // As a replica would.
    let _: () = redis::cmd("ACL")
        .arg(&["SETUSER", "default", "-pexpire"])
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(sessions.try_get(TOKENS[0]).await.unwrap().unwrap().value, 7);
    assert!(sessions.check(TOKENS[0]).await);
    assert!(cache.metrics().store_errors > 0);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_nobody_asks_for_does_not_grow_with_the_sessions_that_ended() {
    let store = Arc::new(MemoryStore::default());
    let cache = Cache::new(sise::cache::Parts {
        store: store.clone(),
        process: "one".to_owned(),
        clock: sise::clock::system(),
        timeout: Duration::from_secs(1),
        namespace: String::new(),
    });
    let sessions: Sessions<u32> = cache.sessions().life(Duration::from_secs(10));
    for number in 0..2_000 {
        let token = format!("a token with number {number}");
        sessions.set(&token, "kim", number).await.unwrap();
        advance(Duration::from_secs(1)).await;
    }
    let listed = store.size("sessions:kim").await.unwrap();
    assert!((9..200).contains(&listed), "{listed} on the list");
    // The last began a second ago, and nine before it live.
    assert_eq!(sessions.of_user("kim").await.len(), 9);
}
