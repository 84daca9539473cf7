//! Real faults on real parts: a real redis-server is killed, frozen, emptied, filled and cut off,
//! real daemons are killed and paused in the middle of sweeps, while readers read all along. No
//! price is wrong, no read fails, no call is over the cap, and all comes back by itself.
//!
//! `cargo test --release --test real_faults -- --nocapture --test-threads=1` prints how long that
//! takes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::support::redis::RedisServer;
use crate::support::scene::Scene;
use crate::support::silent_proxy::SilentProxy;

/// Long enough that whoever waits for time-outs meets some.
const OUTAGE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn redis_is_killed_and_comes_back_empty() {
    let mut scene = Scene::alone().await;
    scene.redis.kill().await;
    sleep(OUTAGE).await;
    scene.redis.start_again().await;
    let recovered = scene.complete_since(Instant::now()).await;
    scene
        .end("redis-server killed (-9), back empty after 3 s", recovered)
        .await;
}

#[tokio::test]
async fn redis_is_restarted_empty_at_once() {
    let mut scene = Scene::alone().await;
    scene.redis.kill().await;
    scene.redis.start_again().await;
    let recovered = scene.complete_since(Instant::now()).await;
    scene.end("redis-server restarted empty", recovered).await;
}

#[tokio::test]
async fn redis_is_frozen() {
    let scene = Scene::alone().await;
    scene.redis.freeze();
    sleep(OUTAGE).await;
    scene.redis.thaw();
    let recovered = scene.complete_since(Instant::now()).await;
    scene
        .end("redis-server frozen (SIGSTOP) for 3 s", recovered)
        .await;
}

#[tokio::test]
async fn redis_is_out_of_memory() {
    let scene = Scene::alone().await;
    let mut connection = scene.redis.connection().await;
    let mut set = async |value: &str| {
        let _: () = redis::cmd("CONFIG")
            .arg(&["SET", "maxmemory", value])
            .query_async(&mut connection)
            .await
            .unwrap();
    };
    set("1").await;
    sleep(OUTAGE).await;
    set("0").await;
    let recovered = scene.complete_since(Instant::now()).await;
    scene
        .end("redis-server out of memory (noeviction) for 3 s", recovered)
        .await;
}

async fn behind_a_proxy(what: &str, spoil: impl AsyncFnOnce(&SilentProxy)) {
    let server = RedisServer::start().await;
    let proxy = SilentProxy::to(server.port()).await;
    // The test itself looks at the server behind the proxy.
    let scene = Scene::new(server, proxy.url()).await;
    spoil(&proxy).await;
    proxy.pass();
    let recovered = scene.complete_since(Instant::now()).await;
    scene.end(what, recovered).await;
}

#[tokio::test]
async fn the_way_to_redis_swallows_everything() {
    behind_a_proxy("bytes swallowed on open sockets for 3 s", async |proxy| {
        proxy.swallow();
        sleep(OUTAGE).await;
    })
    .await;
}

#[tokio::test]
async fn the_way_to_redis_is_slow() {
    behind_a_proxy("200 ms late each way for 3 s", async |proxy| {
        proxy.delay(Duration::from_millis(200));
        sleep(OUTAGE).await;
    })
    .await;
}

#[tokio::test]
async fn the_way_to_redis_is_cut_again_and_again() {
    behind_a_proxy("every connection cut each 100 ms for 3 s", async |proxy| {
        for _ in 0..30 {
            proxy.cut();
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_leader_is_killed_in_the_middle_of_a_sweep() {
    let mut scene = Scene::alone().await;
    let leader = scene.leader().await;
    let calls = scene.world.broker.stats().calls;
    scene.world.broker.has_seen(calls + 1).await;
    scene.daemons[leader].signal("KILL");
    let recovered = scene.complete_since(Instant::now()).await;
    scene.daemons.remove(leader);
    scene
        .end("leader killed (-9) in a sweep, lease 3 s", recovered)
        .await;
}

#[tokio::test]
async fn the_leader_stops_in_order() {
    let mut scene = Scene::alone().await;
    let leader = scene.leader().await;
    let stopped = Instant::now();
    scene.daemons[leader].signal("TERM");
    let recovered = scene.complete_since(stopped).await;
    scene.daemons.remove(leader).end().await.exits(143);
    scene
        .end("leader stopped in order (SIGTERM)", recovered)
        .await;
}

#[tokio::test]
async fn the_leader_is_paused_longer_than_its_lease() {
    let scene = Scene::alone().await;
    let recovered = scene.pause_the_leader().await;
    scene
        .end(
            "leader paused (SIGSTOP) beyond its lease, then continued",
            recovered,
        )
        .await;
}
