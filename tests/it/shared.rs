//! Proves one contract on what processes share, in Redis and in memory: the rate budget, the lead,
//! the token and the ban; and that the budget's script in Redis is the rule of the library.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeZone as _;
use redis::Script;
use sise::domain::{
    Ban, BanKind, BanRecord, Booking, CallsMade, Cap, Caps, Cells, Denial, Quote, Seoul, Urgency,
};
use sise::pace::LocalBudget;
use sise::port::{
    BanStore, Issue, Lead, Leadership, PriceStore, RateBudget, Shelf, Standing, StoreError,
    TokenStore,
};
use sise::store::{
    MemoryBans, MemoryLease, MemoryStore, MemoryTokens, RedisBans, RedisBudget, RedisLease,
    RedisStore, RedisTokens,
};
use tokio::time::Instant;

use crate::support::cluster::Cluster;
use crate::support::redis::RedisServer;
use crate::support::sentinel::SentinelSet;
use crate::support::until;

/// A life that is over soon.
const SHORT: Duration = Duration::from_millis(150);
/// A life that no test outlives.
const LONG: Duration = Duration::from_secs(600);

const FIFTEEN: Caps = Caps {
    per_second: 15.0,
    per_minute: None,
    per_day: None,
    late: Duration::ZERO,
};

fn store(server: &RedisServer) -> Arc<RedisStore> {
    store_of(&server.url())
}

fn store_of(url: &str) -> Arc<RedisStore> {
    Arc::new(crate::support::redis::store_at(url))
}

// The lead.

fn quote(price: i64) -> Quote {
    let fetched_at = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 1).unwrap();
    crate::support::quote::quote("005930", price, fetched_at)
}

fn leads(standing: Standing) -> Lead {
    match standing {
        Standing::Leading(leader) => leader.lead,
        Standing::Following(leader) => panic!("{leader:?} leads"),
    }
}

fn follows(standing: Standing) -> String {
    match standing {
        Standing::Following(leader) => leader.process,
        Standing::Leading(leader) => panic!("{leader:?} leads"),
    }
}

async fn one_leads_until_it_resigns_or_its_lease_ends(lease: &dyn Leadership) {
    assert_eq!(lease.leader().await.unwrap(), None);
    let first = leads(lease.campaign("one", LONG).await.unwrap());
    assert_eq!(follows(lease.campaign("two", LONG).await.unwrap()), "one");
    // Renewing changes neither its number nor since when it leads.
    let since = lease.leader().await.unwrap().unwrap();
    assert_eq!(leads(lease.campaign("one", LONG).await.unwrap()), first);
    assert_eq!(lease.leader().await.unwrap().unwrap(), since);
    // Who does not lead has nothing to give back.
    lease.resign("two").await.unwrap();
    assert_eq!(lease.leader().await.unwrap().unwrap().process, "one");
    lease.resign("one").await.unwrap();
    assert_eq!(lease.leader().await.unwrap(), None);
    let second = leads(lease.campaign("two", SHORT).await.unwrap());
    assert!(second > first, "{second:?} after {first:?}");
    until("the lease ends", async || {
        lease.leader().await.unwrap().is_none().then_some(())
    })
    .await;
    let third = leads(lease.campaign("one", LONG).await.unwrap());
    assert!(third > second, "{third:?} after {second:?}");
}

async fn only_the_last_lead_writes(store: &(impl Leadership + PriceStore)) {
    let symbol = quote(1).stock_code;
    let shelf = Shelf::Realtime(LONG);
    let price = async || {
        store.realtime(&[symbol]).await.unwrap()[0]
            .clone()
            .map(|q| q.price)
    };
    let never = store.write(&[quote(1)], shelf, Some(Lead(1))).await;
    assert!(
        matches!(never, Err(StoreError::Superseded { .. })),
        "{never:?}"
    );
    let first = leads(store.campaign("one", SHORT).await.unwrap());
    store.write(&[quote(2)], shelf, Some(first)).await.unwrap();
    until("the lease ends", async || {
        store.leader().await.unwrap().is_none().then_some(())
    })
    .await;
    // Nobody else leads yet, so nothing newer can be overwritten.
    store.write(&[quote(3)], shelf, Some(first)).await.unwrap();
    let second = leads(store.campaign("two", LONG).await.unwrap());
    store.write(&[quote(4)], shelf, Some(second)).await.unwrap();
    for shelf in [shelf, Shelf::Close] {
        let late = store.write(&[quote(5)], shelf, Some(first)).await;
        assert!(
            matches!(late, Err(StoreError::Superseded { .. })),
            "{late:?}"
        );
    }
    assert_eq!(price().await, Some(4));
    assert_eq!(store.close(&[symbol]).await.unwrap(), [None]);
    // Readers write back without a lead.
    store.write(&[quote(6)], shelf, None).await.unwrap();
    assert_eq!(price().await, Some(6));
}

#[tokio::test]
async fn the_lead_in_redis() {
    let server = RedisServer::start().await;
    one_leads_until_it_resigns_or_its_lease_ends(&*store(&server)).await;
    // A lease of another name is another one.
    let lease = RedisLease::new(store(&server), "alerts");
    one_leads_until_it_resigns_or_its_lease_ends(&lease).await;
}

#[tokio::test]
async fn the_lead_in_memory() {
    let store = Arc::new(MemoryStore::default());
    one_leads_until_it_resigns_or_its_lease_ends(&*store).await;
    let lease = MemoryLease::new(store, "alerts");
    one_leads_until_it_resigns_or_its_lease_ends(&lease).await;
}

/// Names are random: two processes may have the same.
#[tokio::test]
async fn two_of_one_name_never_lead_with_one_number() {
    let server = RedisServer::start().await;
    let alerts = |store| Arc::new(RedisLease::new(store, "alerts")) as Arc<dyn Leadership>;
    let pairs: [[Arc<dyn Leadership>; 2]; 2] = [
        [store(&server), store(&server)],
        [alerts(store(&server)), alerts(store(&server))],
    ];
    for [here, there] in pairs {
        let first = leads(here.campaign("one", LONG).await.unwrap());
        assert_eq!(follows(there.campaign("one", LONG).await.unwrap()), "one");
        // Neither gives it back for the other, nor does asking take it from whoever has it.
        there.resign("one").await.unwrap();
        assert_eq!(leads(here.campaign("one", LONG).await.unwrap()), first);
        here.resign("one").await.unwrap();
        let second = leads(there.campaign("one", LONG).await.unwrap());
        assert!(second > first, "{second:?} after {first:?}");
        assert_eq!(follows(here.campaign("one", LONG).await.unwrap()), "one");
    }
}

#[tokio::test]
async fn the_number_of_the_lead_guards_writes_in_redis() {
    let server = RedisServer::start().await;
    only_the_last_lead_writes(&*store(&server)).await;
}

#[tokio::test]
async fn the_number_of_the_lead_guards_writes_in_memory() {
    only_the_last_lead_writes(&MemoryStore::default()).await;
}

/// Keys of one script lie on one slot, or a cluster would refuse it.
#[tokio::test]
async fn all_that_is_shared_works_in_a_cluster() {
    let cluster = Cluster::start().await;
    let store = || store_of(&cluster.url());
    let lease = store();
    one_leads_until_it_resigns_or_its_lease_ends(&*lease).await;
    lease.resign("one").await.unwrap();
    only_the_last_lead_writes(&*store()).await;
    one_asks_and_the_others_get_its_token(&RedisTokens::new(store(), "key")).await;
    let budget = || {
        Arc::new(RedisBudget::new(store(), "key", FIFTEEN, Arc::default())) as Arc<dyn RateBudget>
    };
    cells_are_a_period_apart(&[budget(), budget(), budget()]).await;
    a_refusal_slows_all(&*budget(), &*budget()).await;
}

/// In a cluster a price and the number of the lead lie on different nodes, so no script sees both.
/// What counts there is the number in the price itself, of the leader who wrote it.
#[tokio::test]
async fn a_price_in_a_cluster_knows_the_lead_that_wrote_it() {
    let cluster = Cluster::start().await;
    let store = store_of(&cluster.url());
    let first = leads(store.campaign("one", SHORT).await.unwrap());
    until("the lease ends", async || {
        store.leader().await.unwrap().is_none().then_some(())
    })
    .await;
    let second = leads(store.campaign("two", LONG).await.unwrap());
    let shelves = [Shelf::Realtime(LONG), Shelf::Close];
    for shelf in shelves {
        store.write(&[quote(1)], shelf, Some(second)).await.unwrap();
    }
    // As if the first had looked the lead up just before it was lost, and was paused then.
    let mut command = redis::cmd("SET");
    command.arg("sise:{lead}:number").arg(first.0);
    let mut connection = cluster.connection_for("sise:{lead}:number").await;
    let () = command.query_async(&mut connection).await.unwrap();
    let symbol = quote(1).stock_code;
    let prices = async || {
        let realtime = store.realtime(&[symbol]).await.unwrap();
        let close = store.close(&[symbol]).await.unwrap();
        [realtime, close].map(|quotes| quotes[0].as_ref().unwrap().price)
    };
    for shelf in shelves {
        let late = store.write(&[quote(2)], shelf, Some(first)).await;
        let is_refused = matches!(late, Err(StoreError::Superseded { lead }) if lead == first);
        assert!(is_refused, "{late:?}");
    }
    assert_eq!(prices().await, [1, 1]);
    // A reader writes back without a lead, and leaves the number as it was.
    for shelf in shelves {
        store.write(&[quote(3)], shelf, None).await.unwrap();
        assert!(store.write(&[quote(4)], shelf, Some(first)).await.is_err());
    }
    assert_eq!(prices().await, [3, 3]);
    // What nobody wrote yet, or another program, is free.
    let mut connection = cluster.connection_for("realtime:price:005930").await;
    for held in [None, Some("no object"), Some("{\"lead\":1}")] {
        let mut command = redis::cmd(if held.is_some() { "SET" } else { "DEL" });
        command.arg("realtime:price:005930").arg(held);
        let () = command.query_async(&mut connection).await.unwrap();
        let shelf = Shelf::Realtime(LONG);
        store.write(&[quote(5)], shelf, Some(first)).await.unwrap();
        assert_eq!(prices().await, [5, 3], "{held:?}");
    }
    let stranger = redis::cmd("DEL").arg("realtime:price:005930").clone();
    let () = stranger.query_async(&mut connection).await.unwrap();
    let stranger = redis::cmd("LPUSH")
        .arg(&["realtime:price:005930", "x"])
        .clone();
    let () = stranger.query_async(&mut connection).await.unwrap();
    store
        .write(&[quote(6)], Shelf::Realtime(LONG), None)
        .await
        .unwrap();
    assert_eq!(prices().await, [6, 3]);
}

#[tokio::test]
async fn all_that_is_shared_works_behind_sentinels() {
    let set = SentinelSet::start().await;
    let store = || store_of(&set.url());
    let lease = store();
    one_leads_until_it_resigns_or_its_lease_ends(&*lease).await;
    lease.resign("one").await.unwrap();
    only_the_last_lead_writes(&*store()).await;
    one_asks_and_the_others_get_its_token(&RedisTokens::new(store(), "key")).await;
    let budget = || {
        Arc::new(RedisBudget::new(store(), "key", FIFTEEN, Arc::default())) as Arc<dyn RateBudget>
    };
    cells_are_a_period_apart(&[budget(), budget(), budget()]).await;
}

#[tokio::test]
async fn a_redis_that_came_back_empty_takes_nothing_from_a_lead_before() {
    let server = RedisServer::start().await;
    let store = store(&server);
    let before = leads(store.campaign("one", LONG).await.unwrap());
    let mut connection = server.connection().await;
    let _: () = redis::cmd("FLUSHALL")
        .query_async(&mut connection)
        .await
        .unwrap();
    let shelf = Shelf::Realtime(LONG);
    let late = store.write(&[quote(1)], shelf, Some(before)).await;
    assert!(
        matches!(late, Err(StoreError::Superseded { .. })),
        "{late:?}"
    );
    let after = leads(store.campaign("two", LONG).await.unwrap());
    assert!(after > before, "{after:?} after {before:?}");
    store.write(&[quote(2)], shelf, Some(after)).await.unwrap();
    let late = store.write(&[quote(3)], shelf, Some(before)).await;
    assert!(
        matches!(late, Err(StoreError::Superseded { .. })),
        "{late:?}"
    );
}

// The token.

async fn one_asks_and_the_others_get_its_token(tokens: &dyn TokenStore) {
    assert_eq!(tokens.load().await.unwrap(), None);
    assert_eq!(tokens.claim("one", 0, LONG).await.unwrap(), Issue::Ask);
    for process in ["one", "two"] {
        let claim = tokens.claim(process, 0, LONG).await.unwrap();
        assert!(
            matches!(claim, Issue::Wait(wait) if wait <= LONG),
            "{claim:?}"
        );
    }
    // Who did not ask cannot give the right back.
    tokens.unclaim("two", 0).await.unwrap();
    assert_ne!(tokens.claim("two", 0, LONG).await.unwrap(), Issue::Ask);
    tokens.unclaim("one", 0).await.unwrap();
    assert_eq!(tokens.claim("two", 0, LONG).await.unwrap(), Issue::Ask);
    let first = tokens.save("sealed", LONG).await.unwrap();
    let shared = tokens.load().await.unwrap().unwrap();
    assert_eq!(
        (shared.generation, shared.sealed.as_str()),
        (first, "sealed")
    );
    // The token that is shared now may be replaced, once.
    assert_eq!(tokens.claim("one", first, SHORT).await.unwrap(), Issue::Ask);
    assert_ne!(tokens.claim("two", first, SHORT).await.unwrap(), Issue::Ask);
    until("the claim ends", async || {
        (tokens.claim("two", first, LONG).await.unwrap() == Issue::Ask).then_some(())
    })
    .await;
    // The same token again is a new generation.
    let second = tokens.save("sealed", SHORT).await.unwrap();
    assert!(second > first);
    until("the token dies", async || {
        tokens.load().await.unwrap().is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_token_in_redis() {
    let server = RedisServer::start().await;
    one_asks_and_the_others_get_its_token(&RedisTokens::new(store(&server), "key")).await;
}

#[tokio::test]
async fn the_token_in_memory() {
    one_asks_and_the_others_get_its_token(&MemoryTokens::default()).await;
}

#[tokio::test]
async fn each_app_key_has_a_token_of_its_own() {
    let server = RedisServer::start().await;
    let (one, other) = (
        RedisTokens::new(store(&server), "one"),
        RedisTokens::new(store(&server), "other"),
    );
    one.save("sealed", LONG).await.unwrap();
    assert_eq!(one.claim("a", 0, LONG).await.unwrap(), Issue::Ask);
    assert_eq!(other.load().await.unwrap(), None);
    assert_eq!(other.claim("a", 0, LONG).await.unwrap(), Issue::Ask);
}

// The budget.

async fn cells_are_a_period_apart(budgets: &[Arc<dyn RateBudget>]) {
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for (budget, urgency) in budgets.iter().zip(Urgency::ALL.into_iter().cycle()) {
        let budget = Arc::clone(budget);
        tasks.spawn(async move {
            let mut cells = 0_u32;
            while start.elapsed() < Duration::from_secs(2) {
                match budget.book(urgency).await.unwrap() {
                    Booking::Cell { wait, .. } => tokio::time::sleep(wait).await,
                    Booking::Spent { cap, .. } => panic!("{cap:?} is not capped"),
                }
                cells += 1;
            }
            cells
        });
    }
    let counts = tasks.join_all().await;
    let total: u32 = counts.iter().sum();
    // However late the machine wakes them, never more than the rate and one that each has booked.
    let most = 31 + u32::try_from(budgets.len()).unwrap();
    let over = start
        .elapsed()
        .saturating_sub(Duration::from_secs(2))
        .as_secs()
        > 0;
    assert!(total <= most || over, "{counts:?}");
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

async fn a_refusal_slows_all(one: &dyn RateBudget, other: &dyn RateBudget) {
    let cut = one.refused().await.unwrap();
    assert!((0.69..0.72).contains(&cut), "{cut}");
    other.book(Urgency::Sweep).await.unwrap();
    let Booking::Cell { length, .. } = other.book(Urgency::Sweep).await.unwrap() else {
        panic!("nothing is capped");
    };
    assert!(length > Duration::from_millis(80), "{length:?}");
}

#[tokio::test]
async fn the_budget_in_redis() {
    let server = RedisServer::start().await;
    let budget = || {
        Arc::new(RedisBudget::new(
            store(&server),
            "key",
            FIFTEEN,
            Arc::default(),
        )) as Arc<dyn RateBudget>
    };
    let budgets: Vec<_> = (0..6).map(|_| budget()).collect();
    cells_are_a_period_apart(&budgets).await;
    a_refusal_slows_all(&*budget(), &*budget()).await;
    let other = RedisBudget::new(store(&server), "other", FIFTEEN, Arc::default());
    // Nothing is booked there; a budget that Redis does not know may have been forgotten.
    let free = other.book(Urgency::Sweep).await.unwrap();
    assert!(
        matches!(free, Booking::Cell { wait, .. } if wait <= Duration::from_secs(1)),
        "{free:?}"
    );
}

#[tokio::test]
async fn the_budget_in_memory() {
    let now = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
    let budget: Arc<dyn RateBudget> = Arc::new(LocalBudget::new(FIFTEEN, Arc::new(move || now)));
    let budgets: Vec<_> = (0..6).map(|_| Arc::clone(&budget)).collect();
    cells_are_a_period_apart(&budgets).await;
    a_refusal_slows_all(&*budget, &*budget).await;
}

/// How many of a hundred bookings are given, and the cap that stops the next.
async fn given(budget: &RedisBudget) -> (u32, Option<Cap>) {
    let mut cells = 0;
    for _ in 0..100 {
        match budget.book(Urgency::Sweep).await.unwrap() {
            Booking::Cell { calls, .. } => cells += calls,
            Booking::Spent { cap, .. } => return (cells, Some(cap)),
        }
    }
    (cells, None)
}

async fn forget_everything(server: &RedisServer) {
    let flush = redis::cmd("FLUSHALL");
    let mut connection = server.connection().await;
    let () = flush.query_async(&mut connection).await.unwrap();
}

#[tokio::test]
async fn the_calls_of_the_day_outlive_a_redis_that_comes_back_empty() {
    let server = RedisServer::start().await;
    let caps = Caps {
        per_day: Some(10),
        ..FIFTEEN
    };
    let budget = || RedisBudget::new(store(&server), "key", caps, Arc::default());
    let (one, other) = (budget(), budget());
    for _ in 0..4 {
        one.book(Urgency::Sweep).await.unwrap();
    }
    for _ in 0..3 {
        other.book(Urgency::Sweep).await.unwrap();
    }
    forget_everything(&server).await;
    assert_eq!(given(&other).await, (3, Some(Cap::Day)));
    assert_eq!(given(&one).await, (0, Some(Cap::Day)));
}

#[tokio::test]
async fn the_calls_of_the_minute_outlive_it_too() {
    let server = RedisServer::start().await;
    let caps = Caps {
        per_minute: Some(10),
        ..FIFTEEN
    };
    let budget = || RedisBudget::new(store(&server), "key", caps, Arc::default());
    let one = budget();
    for _ in 0..6 {
        one.book(Urgency::Reader).await.unwrap();
    }
    forget_everything(&server).await;
    // A process that knows nothing comes first.
    let other = budget();
    other.book(Urgency::Reader).await.unwrap();
    assert_eq!(given(&one).await, (3, Some(Cap::Minute)));
    assert_eq!(given(&other).await, (0, Some(Cap::Minute)));
}

/// A small deterministic source of numbers for the comparison below.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % end
    }
}

/// The day in Seoul, counted from 1970-01-01.
fn today(now: i64) -> i64 {
    (now / 1_000_000 + 9 * 3_600).div_euclid(86_400)
}

/// What the script says of a booking.
type Reply = (String, u64, u64, i64, u32, i64, u32, u64);

/// The script is asked with a time that the test gives, everything else as in production.
#[tokio::test]
async fn the_script_in_redis_is_the_rule_of_the_library() {
    let rule = include_str!("../../crates/store/src/redis/budget.lua");
    let script = Script::new(&format!("local now = tonumber(ARGV[15])\n{rule}"));
    let server = RedisServer::start().await;
    let mut connection = server.connection().await;
    let mut numbers = Numbers(7);
    for case in 0..60 {
        let caps = Caps {
            per_second: [0.909, 2.5, 15.0, 18.0, 400.0, 20_000.0][case % 6],
            per_minute: (case % 4 == 1).then_some(40),
            per_day: (case % 5 == 2).then_some(60),
            late: [Duration::ZERO, Duration::from_micros(46_667)][case % 2],
        };
        let mut cells = Cells::forgotten();
        let mut now = 1_795_100_000_000_000_i64;
        for step in 0..80 {
            let pause =
                [1, 1_000, 80_000, 900_000, 70_000_000][usize::try_from(numbers.below(5)).unwrap()];
            now += i64::try_from(numbers.below(pause)).unwrap();
            if numbers.below(40) == 0 {
                // The server's clock is set back.
                now -= 100_000_000;
            }
            let urgency = Urgency::ALL[usize::try_from(numbers.below(3)).unwrap()];
            let refused = numbers.below(10) == 0;
            let mut few = |end| u32::try_from(numbers.below(end)).unwrap();
            let known = CallsMade {
                // Yesterday's count is none of today.
                day: today(now) - i64::from(few(2)),
                today: few(70),
                heard_at: now - i64::from(few(80)) * 1_000_000,
                last_minute: few(50),
                uncounted: few(2),
            };
            let mut call = script.prepare_invoke();
            call.key(format!("budget:{case}"))
                .arg(if refused { "refused" } else { "book" })
                .arg(caps.per_second)
                .arg(caps.per_minute.unwrap_or(0))
                .arg(caps.per_day.unwrap_or(0))
                .arg(caps.calls_a_cell())
                .arg(urgency.reach())
                .arg(urgency.lane_periods())
                .arg(urgency.index() + 1)
                .arg((known.day, known.today))
                .arg((known.heard_at, known.last_minute, known.uncounted))
                .arg(u64::try_from(caps.late.as_micros()).unwrap())
                .arg(now);
            let place = format!("case {case} step {step}: {caps:?} {urgency:?}");
            if refused {
                let share: String = call.invoke_async(&mut connection).await.unwrap();
                let share: f64 = share.parse().unwrap();
                assert!((share - cells.refused(now)).abs() < 1e-9, "{place}");
                continue;
            }
            let (kind, wait, length, day, today, heard_at, last_minute, late): Reply =
                call.invoke_async(&mut connection).await.unwrap();
            cells.tell(&caps, known, now);
            let zero = Duration::ZERO;
            let (expected, expected_wait, expected_length, expected_late) =
                match cells.book(&caps, urgency, now) {
                    Booking::Cell {
                        wait, late, length, ..
                    } => ("cell", wait, length, late),
                    Booking::Spent {
                        cap: Cap::Minute,
                        again,
                    } => ("minute", again, zero, zero),
                    Booking::Spent {
                        cap: Cap::Day,
                        again,
                    } => ("day", again, zero, zero),
                };
            let heard = CallsMade {
                day,
                today,
                heard_at,
                last_minute,
                uncounted: 0,
            };
            assert_eq!(heard, cells.made(now), "{place}");
            let found = [wait, length, late].map(u128::from);
            assert_eq!(kind, expected, "{place}");
            let expected = [expected_wait, expected_length, expected_late].map(|d| d.as_micros());
            assert_eq!(found, expected, "{place}");
        }
    }
}

// The ban.

async fn a_ban_is_known_to_all_and_one_tries_after_it(ours: &dyn BanStore, theirs: &dyn BanStore) {
    let now = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
    let denial = Denial {
        kind: BanKind::Credentials,
        said: "EGW00105 유효하지 않은 AppSecret입니다.".to_owned(),
    };
    assert_eq!(theirs.load().await.unwrap(), None);
    let ban = BanRecord::Banned(Ban::after(None, denial, now));
    ours.save(&ban, LONG).await.unwrap();
    assert_eq!(theirs.load().await.unwrap(), Some(ban));
    assert!(ours.claim_trial("ours", LONG).await.unwrap());
    assert!(!theirs.claim_trial("theirs", LONG).await.unwrap());
    // Who has no right has none to give back.
    theirs.unclaim_trial("theirs").await.unwrap();
    assert!(!theirs.claim_trial("theirs", LONG).await.unwrap());
    ours.unclaim_trial("ours").await.unwrap();
    assert!(theirs.claim_trial("theirs", SHORT).await.unwrap());
    until("the right ends by itself", async || {
        ours.claim_trial("ours", LONG).await.unwrap().then_some(())
    })
    .await;
    let lifted = BanRecord::lifted(now);
    theirs.save(&lifted, SHORT).await.unwrap();
    assert_eq!(ours.load().await.unwrap(), Some(lifted));
    until("it is forgotten", async || {
        ours.load().await.unwrap().is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_ban_in_redis() {
    let server = RedisServer::start().await;
    let bans = |key| RedisBans::new(store(&server), key);
    a_ban_is_known_to_all_and_one_tries_after_it(&bans("key"), &bans("key")).await;
    let ban = BanRecord::lifted(Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap());
    bans("key").save(&ban, LONG).await.unwrap();
    assert_eq!(bans("other").load().await.unwrap(), None);
    // What others wrote there is none.
    let mut connection = server.connection().await;
    for text in [&b"{"[..], b"null", b"\xff", b"{\"banned\":{}}"] {
        let _: () = redis::cmd("SET")
            .arg("sise:ban:key")
            .arg(text)
            .query_async(&mut connection)
            .await
            .unwrap();
        assert_eq!(bans("key").load().await.unwrap(), None);
    }
}

#[tokio::test]
async fn the_ban_in_memory() {
    let bans = MemoryBans::default();
    a_ban_is_known_to_all_and_one_tries_after_it(&bans, &bans).await;
}
