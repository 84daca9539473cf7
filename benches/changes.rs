//! Comparison of PUBLISH with a Redis stream for changes: why changes are published.
//!
//! `cargo bench --bench changes`
//!
//! The same batches of 30 price objects are sent 200 times a second for five seconds to four
//! listeners on separate connections: with PUBLISH, and with XADD (keeping the last thousand) and
//! blocking XREAD, in turn. Measured is the time from before the command until each listener has
//! the batch.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod support;

use std::time::Duration;

use futures_util::StreamExt as _;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Value};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use support::{Figures, Limit, Outcome, PrivateRedis, quotes, verdict};

const LISTENERS: usize = 4;
const BATCHES: u64 = 1_000;
const EVERY: Duration = Duration::from_millis(5);
const ROUNDS: usize = 3;

fn main() -> Outcome {
    support::run(measure)
}

async fn measure() -> Outcome {
    let redis = PrivateRedis::start().await?;
    let client = Client::open(redis.url.as_str())?;
    let symbols = support::whole_market();
    let batch = quotes(symbols.get(..30).unwrap_or_default(), 1);
    let body = serde_json::to_string(&batch)?;
    println!(
        "{:10} {:>10} {:>10} {:>10} {:>14}",
        "way", "p50 ms", "p99 ms", "most ms", "Redis, of a core"
    );
    let mut lates = [Figures::default(), Figures::default()];
    for _ in 0..ROUNDS {
        for (way, lates) in ["PUBLISH", "XADD"].into_iter().zip(&mut lates) {
            let (times, share) = one(way, &client, &redis, &body).await?;
            println!(
                "{way:10} {:>10.2} {:>10.2} {:>10.2} {share:>14.3}",
                times.median(),
                times.quantile(0.99),
                times.most()
            );
            lates.add(times.quantile(0.99));
        }
    }
    let [publish, stream] = &lates;
    verdict(
        "changes to four listeners by PUBLISH, p99 (by a stream of Redis, taking turns)",
        Limit::None,
        publish.median(),
        &format!("{} ms ({} ms)", publish.spread(2), stream.spread(2)),
    )
}

async fn one(
    way: &str,
    client: &Client,
    redis: &PrivateRedis,
    body: &str,
) -> Outcome<(Figures, f64)> {
    let start = Instant::now();
    let (sender, mut times) = mpsc::channel(10_000);
    let mut listeners = JoinSet::new();
    let mut connection = client.get_multiplexed_async_connection().await?;
    let _: Value = redis::cmd("DEL")
        .arg("bench:stream")
        .query_async(&mut connection)
        .await?;
    for _ in 0..LISTENERS {
        let sender = sender.clone();
        if way == "PUBLISH" {
            let mut channel = client.get_async_pubsub().await?;
            channel.subscribe("bench").await?;
            listeners.spawn(async move {
                let mut messages = channel.into_on_message();
                for _ in 0..BATCHES {
                    if let Some(message) = messages.next().await {
                        note(&sender, start, message.get_payload_bytes()).await;
                    }
                }
            });
        } else {
            let config = AsyncConnectionConfig::new().set_response_timeout(None);
            let connection = client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            listeners.spawn(async move { read(connection, &sender, start).await });
        }
    }
    drop(sender);
    let before = redis.usage()?;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let began = Instant::now();
    for _ in 0..BATCHES {
        ticks.tick().await;
        let sent = format!("{:020}{body}", start.elapsed().as_nanos());
        let mut command = match way {
            "PUBLISH" => redis::cmd("PUBLISH"),
            _ => redis::cmd("XADD"),
        };
        match way {
            "PUBLISH" => command.arg("bench").arg(sent),
            _ => command
                .arg("bench:stream")
                .arg("MAXLEN")
                .arg("~")
                .arg(1_000)
                .arg("*")
                .arg("b")
                .arg(sent),
        };
        let _: Value = command.query_async(&mut connection).await?;
    }
    while listeners.join_next().await.is_some() {}
    let share = (redis.usage()?.processor - before.processor) / began.elapsed().as_secs_f64();
    let mut figures = Figures::default();
    while let Ok(time) = times.try_recv() {
        figures.add(time);
    }
    Ok((figures, share))
}

async fn read(mut connection: MultiplexedConnection, sender: &mpsc::Sender<f64>, start: Instant) {
    let mut last = "0".to_owned();
    let mut count = 0;
    while count < BATCHES {
        let mut command = redis::cmd("XREAD");
        command
            .arg("BLOCK")
            .arg(1_000)
            .arg("STREAMS")
            .arg("bench:stream")
            .arg(&last);
        let reply: Option<redis::streams::StreamReadReply> = command
            .query_async(&mut connection)
            .await
            .unwrap_or_default();
        for entry in reply
            .into_iter()
            .flat_map(|reply| reply.keys)
            .flat_map(|key| key.ids)
        {
            if let Some(Value::BulkString(bytes)) = entry.map.get("b") {
                note(sender, start, bytes).await;
            }
            last = entry.id;
            count += 1;
        }
    }
}

/// The first twenty digits of a batch are the time at which it was sent.
async fn note(sender: &mpsc::Sender<f64>, start: Instant, bytes: &[u8]) {
    let digits = bytes
        .get(..20)
        .and_then(|digits| std::str::from_utf8(digits).ok());
    let sent: Option<u64> = digits.and_then(|digits| digits.parse().ok());
    if let Some(sent) = sent {
        let way = start.elapsed().saturating_sub(Duration::from_nanos(sent));
        let _ = sender.send(way.as_secs_f64() * 1e3).await;
    }
}
