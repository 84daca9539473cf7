//! Proves one contract on the claims that keep processes from asking for the same code, in Redis,
//! in a cluster and in memory.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use sise::Symbol;
use sise::port::{Claim, Flights, Landed};
use sise::store::MemoryStore;

use crate::support::cluster::Cluster;
use crate::support::redis::{RedisServer, store_at};
use crate::support::until;

/// A life that is over soon.
const SHORT: Duration = Duration::from_millis(150);
/// A life that no test outlives.
const LONG: Duration = Duration::from_secs(600);

fn symbols(codes: &[&str]) -> Vec<Symbol> {
    codes.iter().map(|code| code.parse().unwrap()).collect()
}

fn landed(codes: &[&str], landed: Landed) -> Vec<(Symbol, Landed)> {
    symbols(codes)
        .into_iter()
        .map(|symbol| (symbol, landed))
        .collect()
}

/// What a claim of one code says.
async fn claim(flights: &dyn Flights, process: &str, code: &str, life: Duration) -> Claim {
    let claims = flights.claim(process, &symbols(&[code]), life).await;
    claims.unwrap()[0]
}

fn is_others(claim: Claim) -> bool {
    matches!(claim, Claim::Other(left) if left > SHORT && left <= LONG)
}

async fn one_asks_for_a_code_and_the_others_wait(flights: &dyn Flights) {
    let names = ["005930", "0126Z0", "Q500001"];
    let codes = symbols(&names);
    let claims = flights.claim("one", &codes[..2], LONG).await.unwrap();
    assert_eq!(claims, [Claim::Own, Claim::Own]);
    let claims = flights.claim("two", &codes, LONG).await.unwrap();
    assert!(is_others(claims[0]) && is_others(claims[1]), "{claims:?}");
    assert_eq!(claims[2], Claim::Own);
    // One's own is renewed.
    assert_eq!(claim(flights, "one", "005930", LONG).await, Claim::Own);
    // Who has no claim has none to give back.
    let landed = landed(&names, Landed::Done);
    flights.land("three", &landed).await.unwrap();
    assert!(is_others(claim(flights, "three", "005930", LONG).await));
    flights.land("one", &landed).await.unwrap();
    assert_eq!(claim(flights, "three", "005930", LONG).await, Claim::Own);
    assert!(is_others(claim(flights, "one", "Q500001", LONG).await));
}

async fn a_claim_ends_with_its_life(flights: &dyn Flights) {
    assert_eq!(claim(flights, "dead", "005930", SHORT).await, Claim::Own);
    until("the claim ends", async || {
        (claim(flights, "two", "005930", LONG).await == Claim::Own).then_some(())
    })
    .await;
    // Who comes back late ends nobody's but his own.
    let landed = landed(&["005930"], Landed::Done);
    flights.land("dead", &landed).await.unwrap();
    assert!(is_others(claim(flights, "one", "005930", LONG).await));
}

async fn a_renewed_claim_lives_on(flights: &dyn Flights) {
    assert_eq!(claim(flights, "one", "005930", SHORT).await, Claim::Own);
    assert_eq!(claim(flights, "one", "000660", SHORT).await, Claim::Own);
    assert_eq!(claim(flights, "one", "005930", LONG).await, Claim::Own);
    until("the other claim ends", async || {
        (claim(flights, "two", "000660", LONG).await == Claim::Own).then_some(())
    })
    .await;
    assert!(is_others(claim(flights, "two", "005930", LONG).await));
}

async fn an_unknown_code_is_so_for_all_until_it_is_forgotten(flights: &dyn Flights) {
    assert_eq!(claim(flights, "one", "999998", LONG).await, Claim::Own);
    let unknown = landed(&["999998"], Landed::Unknown(LONG));
    flights.land("one", &unknown).await.unwrap();
    for process in ["one", "two"] {
        let claim = claim(flights, process, "999998", LONG).await;
        assert!(
            matches!(claim, Claim::Unknown(left) if left > SHORT && left <= LONG),
            "{claim:?}"
        );
    }
    // Landing again changes nothing.
    let done = landed(&["999998"], Landed::Done);
    flights.land("one", &done).await.unwrap();
    let claim_of_two = claim(flights, "two", "999998", LONG).await;
    assert!(
        matches!(claim_of_two, Claim::Unknown(_)),
        "{claim_of_two:?}"
    );
    let unknown = landed(&["999998"], Landed::Unknown(SHORT));
    flights.land("two", &unknown).await.unwrap();
    until("it is forgotten", async || {
        (claim(flights, "two", "999998", LONG).await == Claim::Own).then_some(())
    })
    .await;
}

async fn no_codes_are_claimed_and_landed_as_none(flights: &dyn Flights) {
    assert_eq!(flights.claim("one", &[], LONG).await.unwrap(), []);
    flights.land("one", &[]).await.unwrap();
}

crate::support::contract::contract!(
    super::MemoryStore::default(),
    super::store_at,
    [in_redis: super::RedisServer, in_a_cluster: super::Cluster],
    (
    one_asks_for_a_code_and_the_others_wait,
    a_claim_ends_with_its_life,
    a_renewed_claim_lives_on,
    an_unknown_code_is_so_for_all_until_it_is_forgotten,
    no_codes_are_claimed_and_landed_as_none,
)
);

/// What has no end, or is none of ours, must not hold a code for ever.
#[tokio::test]
async fn a_claim_without_an_end_is_taken_over() {
    let server = RedisServer::start().await;
    let store = store_at(&server.url());
    let mut connection = server.connection().await;
    let () = redis::cmd("SET")
        .arg(&["sise:flight:005930", "somebody"])
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(claim(&store, "one", "005930", LONG).await, Claim::Own);
    assert!(is_others(claim(&store, "two", "005930", LONG).await));
    let lives = server.lives(&["sise:flight:005930".to_owned()]).await;
    assert!((1..=600_000).contains(&lives[0]), "{lives:?}");
    let () = redis::cmd("LPUSH")
        .arg(&["sise:flight:000660", "x"])
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(claim(&store, "one", "000660", LONG).await, Claim::Own);
    assert!(is_others(claim(&store, "two", "000660", LONG).await));
}
