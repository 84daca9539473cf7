//! Proves that Redis may be a cluster or a master behind sentinels, by nothing but the address:
//! the program, the daemon and the reader work on both, a part that dies takes nothing along that
//! it does not hold, and another master is followed in the middle of a sweep.
//!
//! `cargo test --release --test topologies -- --nocapture --test-threads=1` prints how long it
//! takes to recover.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeZone as _;
use sise::cache::Cache;
use sise::domain::{Quote, Seoul};
use sise::port::{PriceStore as _, Shelf, StoreError};
use sise::store::RedisStore;
use sise::watch::Reads;
use sise::{Reader, Source};
use tokio::time::{Instant, sleep};

use crate::support::certificates::Certificates;
use crate::support::cluster::Cluster;
use crate::support::redis::{RedisServer, store_at};
use crate::support::scene::{Kept, Scene};
use crate::support::sentinel::{NAME, SentinelSet};
use crate::support::world::{APP_KEY, APP_SECRET, World};
use crate::support::{free_port, list, until};

/// Long enough that whoever waits for time-outs meets some.
const OUTAGE: Duration = Duration::from_secs(3);

/// A sweep of so many codes takes two seconds.
const MANY: usize = 900;

/// What is written to be seen again.
const CODE: &str = "005930";

fn quote(price: i64) -> Quote {
    let fetched_at = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 1).unwrap();
    crate::support::quote::quote(CODE, price, fetched_at)
}

async fn write(store: &RedisStore, price: i64) -> Result<(), StoreError> {
    let shelf = Shelf::Realtime(Duration::from_secs(600));
    store.write(&[quote(price)], shelf, None).await.map(drop)
}

/// What a server holds under the code that is written.
async fn price_on(server: &RedisServer) -> Option<i64> {
    server.realtime().await.get(CODE)?["price"].as_i64()
}

async fn kept(redis: &impl Kept) -> BTreeMap<String, serde_json::Value> {
    let mut all = BTreeMap::new();
    for server in redis.servers() {
        all.extend(server.realtime().await);
    }
    all
}

/// A pass over the whole list, and every command that speaks to Redis.
async fn every_command_works(redis: &impl Kept, url: &str) {
    let world = World::new(&["--limit", "0"]).await;
    let sise = |arguments: &[&str]| world.fast_sise(arguments).set("REDIS_URL", url);
    let outcome = sise(&["run", "--once", "--json"]).run().await.exits(0);
    assert_eq!(outcome.json()["coverage"].as_f64(), Some(1.0));
    let found = kept(redis).await;
    assert_eq!(found.len(), list::every_code().len());
    for (code, object) in &found {
        assert_eq!(object["stock_code"].as_str(), Some(code.as_str()));
        assert!(object["price"].as_i64().unwrap() > 0, "{object}");
    }
    let calls = world.broker.stats().calls;
    let outcome = sise(&["get", CODE, "--json"]).run().await.exits(0);
    assert_eq!(outcome.json()[0]["source"].as_str(), Some("redis"));
    assert_eq!(world.broker.stats().calls, calls);
    // What lies under several keys, or is replaced as a whole, does so here too.
    for kind in ["gainers", "losers", "volume", "value", "cap"] {
        let top = sise(&["top", kind, "-n", "3", "--json"])
            .run()
            .await
            .exits(0);
        assert_eq!(top.json().as_array().unwrap().len(), 3, "{kind}");
    }
    sise(&["watch", "add", "관심", CODE, "000660"])
        .run()
        .await
        .exits(0);
    let lists = sise(&["watch", "list", "--json"])
        .run()
        .await
        .exits(0)
        .json();
    let mine = serde_json::json!([{"name": "관심", "codes": ["000660", CODE]}]);
    assert_eq!(lists, mine);
    sise(&["watch", "remove", "관심"]).run().await.exits(0);
    let cache = Cache::builder().redis_url(url).timeout(OUTAGE);
    let reads = Reads::new(&cache.build().unwrap().with_namespace("sise"));
    let totals = reads.totals().await.unwrap();
    assert_eq!(totals, BTreeMap::from([(CODE.parse().unwrap(), 1)]));
    let outcome = sise(&["doctor", "--json"]).run().await.exits(0);
    let checks = outcome.json();
    let mut checks = checks.as_array().unwrap().iter();
    let redis = checks.find(|check| check["name"] == "redis").unwrap();
    let answers = redis["found"].as_str().unwrap();
    assert!(answers.contains("version "), "{redis}");
    let outcome = sise(&["config"]).run().await.exits(0);
    assert!(outcome.stdout.contains(url), "{}", outcome.stdout);
}

#[tokio::test]
async fn every_command_works_on_a_cluster() {
    let cluster = Cluster::start().await;
    every_command_works(&cluster, &cluster.url()).await;
    for node in &cluster.nodes {
        let keys = node.realtime().await.len();
        assert!(keys > 700, "a third of the keys, but {keys}");
    }
}

#[tokio::test]
async fn every_command_works_behind_sentinels() {
    let set = SentinelSet::start().await;
    every_command_works(&set, &set.url()).await;
}

#[tokio::test]
async fn a_node_of_a_cluster_dies_and_comes_back_empty() {
    let cluster = Cluster::start().await;
    let address = cluster.url();
    let mut scene = Scene::new(cluster, address).await;
    scene.redis.nodes[1].kill().await;
    sleep(OUTAGE).await;
    scene.redis.nodes[1].start_again().await;
    let start = Instant::now();
    scene.redis.is_whole().await;
    let recovered = scene.complete_since(start).await;
    scene
        .end(
            "node of a cluster killed (-9), back empty after 3 s",
            recovered,
        )
        .await;
}

#[tokio::test]
async fn a_node_of_a_cluster_freezes() {
    let cluster = Cluster::start().await;
    let address = cluster.url();
    let scene = Scene::new(cluster, address).await;
    scene.redis.nodes[2].freeze();
    sleep(OUTAGE).await;
    scene.redis.nodes[2].thaw();
    let start = Instant::now();
    scene.redis.is_whole().await;
    let recovered = scene.complete_since(start).await;
    scene
        .end("node of a cluster frozen (SIGSTOP) for 3 s", recovered)
        .await;
}

#[tokio::test]
async fn a_whole_cluster_dies_and_comes_back_empty() {
    let cluster = Cluster::start().await;
    let address = cluster.url();
    let mut scene = Scene::new(cluster, address).await;
    for node in &mut scene.redis.nodes {
        node.kill().await;
    }
    sleep(OUTAGE).await;
    for node in &mut scene.redis.nodes {
        node.start_again().await;
    }
    let start = Instant::now();
    scene.redis.is_whole().await;
    let recovered = scene.complete_since(start).await;
    scene
        .end("whole cluster killed (-9), back empty after 3 s", recovered)
        .await;
}

/// A price and the lead lie on different nodes: the number in the price is what guards it.
#[tokio::test]
async fn a_leader_on_a_cluster_is_paused_longer_than_its_lease() {
    let cluster = Cluster::start().await;
    let address = cluster.url();
    let scene = Scene::new(cluster, address).await;
    let recovered = scene.pause_the_leader().await;
    for object in scene.realtime().await.values() {
        assert!(object["lead"].as_u64().is_some(), "{object}");
    }
    scene
        .end(
            "leader on a cluster paused (SIGSTOP), then continued",
            recovered,
        )
        .await;
}

#[tokio::test]
async fn a_dead_node_of_a_cluster_takes_no_prices_of_the_others_along() {
    let world = World::new(&["--limit", "0"]).await;
    let mut cluster = Cluster::start().await;
    let home = tempfile::tempdir().unwrap();
    let reader = Reader::builder()
        .redis_url(&cluster.url())
        .base_url(&world.broker.url())
        .credentials(APP_KEY, APP_SECRET)
        .rate_per_second(2_000.0)
        .state_directory(home.path())
        .build()
        .await
        .unwrap();
    let codes = list::codes(90);
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let read = async || {
        let readings = reader.prices(&codes).await.unwrap();
        let found: Vec<&str> = readings
            .iter()
            .map(|r| r.quote.stock_code.as_str())
            .collect();
        assert_eq!(found, codes);
        readings
    };
    read().await;
    until("all are kept", async || {
        let readings = read().await;
        let is_kept = readings
            .iter()
            .all(|reading| reading.source == Source::Redis);
        is_kept.then_some(())
    })
    .await;
    let mut dead = Vec::new();
    for code in &codes {
        if cluster.place_of(&format!("realtime:price:{code}")).await == 0 {
            dead.push(*code);
        }
    }
    cluster.nodes[0].kill().await;
    // Until the other nodes notice, they serve what they hold.
    let readings = read().await;
    for reading in &readings {
        let expected = match dead.contains(&reading.quote.stock_code.as_str()) {
            true => Source::Api,
            false => Source::Redis,
        };
        assert_eq!(reading.source, expected, "{reading:?}");
    }
    assert!(readings.iter().any(|reading| reading.source == Source::Api));
}

/// A price that is read and written all the while.
#[tokio::test]
async fn a_slot_of_a_cluster_moves_to_another_node() {
    let cluster = Cluster::start().await;
    let store = store_at(&cluster.url());
    let symbols = [CODE.parse().unwrap()];
    let key = format!("realtime:price:{CODE}");
    let mut price = 0;
    let mut works = async |what: &str| {
        price += 1;
        write(&store, price).await.unwrap();
        let read = store.realtime(&symbols).await.unwrap();
        assert_eq!(read[0].as_ref().unwrap().price, price, "{what}");
    };
    works("at the start").await;
    let from = cluster.place_of(&key).await;
    let to = (from + 1) % 3;
    let slot: u16 = cluster.tell(0, &["KEYSLOT", &key]).await;
    let slot = slot.to_string();
    let ids: [String; 2] = [
        cluster.tell(from, &["MYID"]).await,
        cluster.tell(to, &["MYID"]).await,
    ];
    let () = cluster
        .tell(to, &["SETSLOT", &slot, "IMPORTING", &ids[0]])
        .await;
    let () = cluster
        .tell(from, &["SETSLOT", &slot, "MIGRATING", &ids[1]])
        .await;
    works("the key is where it was").await;
    let port = cluster.nodes[to].port().to_string();
    let mut migrate = redis::cmd("MIGRATE");
    migrate.arg(&["127.0.0.1", &port, &key, "0", "5000"]);
    let mut connection = cluster.nodes[from].connection().await;
    let () = migrate.query_async(&mut connection).await.unwrap();
    works("the key is on its new node, the slot is not").await;
    for place in [to, from] {
        let () = cluster
            .tell(place, &["SETSLOT", &slot, "NODE", &ids[1]])
            .await;
    }
    works("the slot has moved").await;
    assert_eq!(price_on(&cluster.nodes[to]).await, Some(4));
}

#[tokio::test]
async fn a_replica_takes_over_for_a_node_of_a_cluster() {
    let mut cluster = Cluster::start().await;
    let place = cluster.place_of(&format!("realtime:price:{CODE}")).await;
    cluster.add_replica(place).await;
    let store = store_at(&cluster.url());
    write(&store, 1).await.unwrap();
    cluster.nodes[place].kill().await;
    until("the replica takes writes", async || {
        write(&store, 2).await.ok()
    })
    .await;
    let symbols = [CODE.parse().unwrap()];
    let read = store.realtime(&symbols).await.unwrap();
    assert_eq!(read[0].as_ref().unwrap().price, 2);
    assert_eq!(price_on(&cluster.nodes[3]).await, Some(2));
}

#[tokio::test]
async fn a_cluster_may_ask_for_a_login() {
    let login = "default:hunter2@";
    let password = |_| ["--requirepass", "hunter2"].map(str::to_owned).to_vec();
    let cluster = Cluster::start_with(password, login).await;
    write(&store_at(&cluster.url_with(login)), 1).await.unwrap();
    for login in ["", "default:hunter3@"] {
        let error = write(&store_at(&cluster.url_with(login)), 2).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("log-in"), "{error}");
        assert!(!error.contains("hunter"), "{error}");
    }
}

#[tokio::test]
async fn a_cluster_may_be_reached_over_tls() {
    let world = World::new(&["--limit", "0"]).await;
    let certificates = Certificates::new(world.path());
    let ports = [free_port(), free_port(), free_port()];
    let tls = |place: usize| {
        let mut arguments = certificates.server_arguments(ports[place]);
        // Nodes name their TLS ports only where they speak it among themselves too.
        arguments.extend(["--tls-cluster", "yes"].map(str::to_owned));
        arguments
    };
    let cluster = Cluster::start_with(tls, "").await;
    let url = format!("rediss-cluster://127.0.0.1:{}", ports[0]);
    let codes = list::codes(90).join(",");
    let once = || {
        let sise = world.fast_sise(&["run", "--once", "--codes", &codes]);
        sise.set("REDIS_URL", &url)
    };
    once().run().await.exits(1).says(&["UnknownIssuer"]);
    assert!(kept(&cluster).await.is_empty());
    let authority = certificates.authority.to_str().unwrap();
    once().set("SSL_CERT_FILE", authority).run().await.exits(0);
    assert_eq!(kept(&cluster).await.len(), 90);
}

/// The old master does not know of it yet, and still says yes to every write: for some eight
/// seconds, all of them lost.
#[tokio::test]
async fn a_master_that_was_replaced_is_left_before_it_knows() {
    let mut set = SentinelSet::start().await;
    let store = store_at(&set.url());
    write(&store, 1).await.unwrap();
    assert_eq!(price_on(&set.servers[0]).await, Some(1));
    set.fail_over().await;
    set.has_failed_over().await;
    let mut price = 1;
    until("a write reaches the new master", async || {
        price += 1;
        write(&store, price).await.ok()?;
        (price_on(&set.servers[1]).await == Some(price)).then_some(())
    })
    .await;
    let mut connection = set.servers[0].connection().await;
    let role: Vec<redis::Value> = redis::cmd("ROLE")
        .query_async(&mut connection)
        .await
        .unwrap();
    let still_master = redis::Value::BulkString(b"master".to_vec());
    assert_eq!(role[0], still_master);
}

#[tokio::test]
async fn a_master_is_replaced_in_the_middle_of_a_sweep() {
    let set = SentinelSet::start().await;
    let address = set.url();
    let mut scene = Scene::of(MANY, set, address).await;
    scene.middle_of_a_sweep().await;
    let start = Instant::now();
    scene.redis.fail_over().await;
    scene.redis.has_failed_over().await;
    let recovered = scene.complete_since(start).await;
    for daemon in &scene.daemons {
        daemon.says(&["the sentinels name another master"]).await;
    }
    scene
        .end("SENTINEL FAILOVER in a sweep of 2 s", recovered)
        .await;
}

#[tokio::test]
async fn a_master_dies_in_the_middle_of_a_sweep() {
    let set = SentinelSet::start().await;
    let address = set.url();
    let mut scene = Scene::of(MANY, set, address).await;
    scene.middle_of_a_sweep().await;
    let start = Instant::now();
    scene.redis.servers[0].kill().await;
    scene.redis.has_failed_over().await;
    let recovered = scene.complete_since(start).await;
    scene
        .end(
            "master killed (-9) in a sweep of 2 s, sentinels wait 0.5 s",
            recovered,
        )
        .await;
}

#[tokio::test]
async fn a_master_freezes_in_the_middle_of_a_sweep() {
    let set = SentinelSet::start().await;
    let address = set.url();
    let mut scene = Scene::of(MANY, set, address).await;
    scene.middle_of_a_sweep().await;
    let start = Instant::now();
    scene.redis.servers[0].freeze();
    scene.redis.has_failed_over().await;
    // It thinks that it is the master still; nobody may believe it.
    scene.redis.servers[0].thaw();
    let recovered = scene.complete_since(start).await;
    scene
        .end(
            "master frozen (SIGSTOP) in a sweep of 2 s, then thawed",
            recovered,
        )
        .await;
}

#[tokio::test]
async fn sentinels_may_die_and_need_not_all_be_there() {
    let mut set = SentinelSet::start().await;
    set.end_sentinel(0);
    let store = store_at(&set.url());
    write(&store, 1).await.unwrap();
    set.end_sentinel(1);
    set.end_sentinel(2);
    // The master is known and works.
    write(&store, 2).await.unwrap();
    assert_eq!(price_on(set.master()).await, Some(2));
    let blind = store_at(&set.url());
    let error = write(&blind, 3).await.unwrap_err().to_string();
    assert!(error.contains("no sentinel answers"), "{error}");
    assert!(error.contains(NAME), "{error}");
}

#[tokio::test]
async fn sentinels_that_ask_for_a_login_get_it() {
    let set = SentinelSet::start().await;
    let rules = ["ACL", "SETUSER", "default", "resetpass", ">hunter2"];
    set.tell_sentinels(&rules).await;
    let store = store_at(&set.url_with("default:hunter2@"));
    write(&store, 1).await.unwrap();
    for login in ["", "default:hunter3@"] {
        let store = store_at(&set.url_with(login));
        let error = write(&store, 2).await.unwrap_err().to_string();
        assert!(error.contains("log-in"), "{error}");
        assert!(!error.contains("hunter"), "{error}");
    }
    assert_eq!(price_on(set.master()).await, Some(1));
}

#[tokio::test]
async fn what_cannot_be_reached_is_said_with_all_its_hosts_and_no_secret() {
    let set = SentinelSet::start().await;
    let unknown = set.url_with("user:hunter2@").replace(NAME, "another");
    let nobody = (free_port(), free_port());
    let nobody = format!("user:hunter2@127.0.0.1:{},127.0.0.1:{}", nobody.0, nobody.1);
    for (url, words) in [
        (unknown, "know no master called another"),
        (
            format!("redis-sentinel://{nobody}/{NAME}"),
            "no sentinel answers",
        ),
        (
            format!("redis-cluster://{nobody}"),
            "the cluster 127.0.0.1:",
        ),
    ] {
        let store = store_at(&url);
        let error = write(&store, 1).await.unwrap_err().to_string();
        assert!(error.contains(words), "{url}: {error}");
        assert!(!format!("{error} {store:?}").contains("hunter2"), "{error}");
    }
}
