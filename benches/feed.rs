//! Latency of trades from the broker's live feed to a client of the stream.
//!
//! `cargo bench --bench feed` (`-- --ticks 100 --seconds 30`)
//!
//! A simulated broker trades 41 codes, each a hundred times a second. `sise run` writes every trade
//! to Redis, and `sise serve` streams them. A client in another process measures the time from the
//! arrival of a trade at the daemon until the client has it. Limit: 99 % within 20 ms.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod support;

use std::process::Stdio;
use std::time::Duration;

use chrono::DateTime;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use support::{
    Figures, Limit, Load, Outcome, PrivateRedis, Server, SimProcess, sise_command, thousands,
    verdict,
};

const CODES: usize = 41;

fn main() -> Outcome {
    support::run(|| async {
        match support::argument("--load") {
            Some(address) => load(&address).await,
            None => measure().await,
        }
    })
}

/// A process that ends with the benchmark.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn measure() -> Outcome {
    let ticks = support::argument("--ticks").unwrap_or_else(|| "100".to_owned());
    let seconds: u64 = match support::argument("--seconds") {
        Some(text) => text.parse()?,
        None => 30,
    };
    let redis = PrivateRedis::start().await?;
    let sim = SimProcess::start(&["--ticks", &ticks])?;
    let state = std::env::temp_dir().join(format!("sise-bench-feed-{}", std::process::id()));
    let sise = |arguments: &[&str]| {
        let mut command = sise_command();
        command
            .args(arguments)
            .env("REDIS_URL", &redis.url)
            .env("KIS_BASE_URL", &sim.url)
            .env("KIS_MASTER_URL", &sim.url)
            .env("KIS_APP_KEY", "bench")
            .env("KIS_APP_SECRET", "bench")
            .env("SISE__STATE__DIRECTORY", &state)
            .env("SISE__API__LISTEN", "off")
            .env("SISE__FEED__WRITE_INTERVAL", "0s")
            .env("SISE__LOG__LEVEL", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    };
    let codes: Vec<String> = codes();
    let mut watch = vec!["watch", "add", "bench"];
    watch.extend(codes.iter().map(String::as_str));
    sise(&watch).status()?;
    let daemon = Ended(sise(&["run", "--always-open"]).spawn()?);
    let server = Server::start(&redis.url).await?;
    // Time for the first sweep and the registrations.
    sleep(Duration::from_secs(20)).await;
    let (mut load, _) = Load::start(&["--load", &server.address])?.line().await?;
    load.go_on()?;
    let before = (support::Usage::of(daemon.0.id())?, server.usage()?);
    sleep(Duration::from_secs(seconds)).await;
    let after = (support::Usage::of(daemon.0.id())?, server.usage()?);
    load.go_on()?;
    let (_, line) = load.line().await?;
    let words: Vec<&str> = line.split(' ').collect();
    let [told, skipped, p50, p99, most] = words.as_slice() else {
        return Err(format!("the load says: {line}").into());
    };
    let length = Duration::from_secs(seconds).as_secs_f64();
    println!(
        "{CODES} codes, {ticks} trades a second each: {} prices a second told, {skipped} left out for later ones",
        thousands(told.parse::<f64>()? / length)
    );
    verdict(
        &format!(
            "{CODES} codes, {ticks} trades/s each, from the broker's WebSocket over Redis to a stream: p99"
        ),
        Limit::AtMost(20.0, " ms"),
        p99.parse()?,
        &format!("{p99} ms (p50 {p50} ms, most {most} ms)"),
    )?;
    println!(
        "processor: daemon {:.2} of a core, server {:.2}",
        (after.0.processor - before.0.processor) / length,
        (after.1.processor - before.1.processor) / length
    );
    drop(daemon);
    let _ = std::fs::remove_dir_all(&state);
    Ok(())
}

fn codes() -> Vec<String> {
    let symbols = support::whole_market();
    let codes = symbols.iter().step_by(60).take(CODES);
    codes.map(|code| code.as_str().to_owned()).collect()
}

async fn load(address: &str) -> Outcome {
    let (mut socket, _) = connect_async(format!("ws://{address}/v1/stream")).await?;
    let text = serde_json::json!({"op": "subscribe", "codes": codes()}).to_string();
    socket.send(Message::text(text)).await?;
    println!("connected");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    lines.next_line().await?;
    let mut times = Figures::default();
    let (mut told, mut skipped) = (0_u64, 0_u64);
    let begin = Instant::now();
    loop {
        tokio::select! {
            line = lines.next_line() => {
                line?;
                break;
            }
            message = socket.next() => {
                let Some(Ok(Message::Text(text))) = message else {
                    return Err("the stream ended".into());
                };
                let now = (sise::clock::system())();
                let message: serde_json::Value = serde_json::from_str(&text)?;
                let dropped = message.get("dropped").and_then(serde_json::Value::as_u64);
                skipped += dropped.unwrap_or(0);
                let prices = message.get("prices").and_then(serde_json::Value::as_array);
                // Messages that were queued in the socket since the subscription are not measured.
                if begin.elapsed() < Duration::from_secs(1) {
                    continue;
                }
                for price in prices.into_iter().flatten() {
                    let of = |name| price.get(name).and_then(serde_json::Value::as_str);
                    let at = of("fetched_at").and_then(|at| DateTime::parse_from_rfc3339(at).ok());
                    if let (Some("kis.ws"), Some(at)) = (of("source"), at) {
                        times.add(now.signed_duration_since(at).as_seconds_f64() * 1e3);
                        told += 1;
                    }
                }
            }
        }
    }
    println!(
        "{told} {skipped} {:.1} {:.1} {:.1}",
        times.median(),
        times.quantile(0.99),
        times.most()
    );
    Ok(())
}
