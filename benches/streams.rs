//! Ten thousand stream clients while the whole market changes every six seconds.
//!
//! `cargo bench --bench streams` (`-- --clients 10000 --seconds 60`)
//!
//! `sise serve` runs in a process of its own, and the clients, with 30 random codes each, in
//! another. This process writes the market to Redis like a sweep: 30 codes 15 times a second. A
//! price carries the time at which it was written, so its age on arrival is the latency from the
//! store to the client. Memory is the kernel's figure for the server. Limits: no client dropped, 99
//! % of the prices within 250 ms, 12 kB of memory per client.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::DateTime;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, sleep};
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use support::{
    Figures, Limit, Load, Outcome, PrivateRedis, Server, quotes, thousands, verdict, write,
};

const CODES: usize = 30;
const BATCH: usize = 30;
const BATCHES_A_SECOND: u64 = 15;
const SWEEP: Duration = Duration::from_secs(6);

fn main() -> Outcome {
    support::run(|| async {
        match support::argument("--load") {
            Some(address) => load(&address).await,
            None => measure().await,
        }
    })
}

fn number(name: &str, default: u64) -> Outcome<u64> {
    Ok(match support::argument(name) {
        Some(text) => text.parse()?,
        None => default,
    })
}

async fn measure() -> Outcome {
    let clients = number("--clients", 10_000)?;
    let seconds = number("--seconds", 60)?;
    let redis = PrivateRedis::start().await?;
    let wiring = support::wiring(&[("store.url", redis.url.as_str())])?;
    let symbols = support::whole_market();
    write(&wiring, &quotes(&symbols, 0)).await?;
    let server = Server::start(&redis.url).await?;
    sleep(Duration::from_secs(2)).await;
    let before = server.usage()?;
    let start = Instant::now();
    let load = Load::start(&["--load", &server.address, "--clients", &clients.to_string()])?;
    let (mut load, _) = load.line().await?;
    let connected = server.usage()?;
    println!(
        "{} clients with {CODES} codes each, connected in {:.1} s",
        thousands(f64::from(u32::try_from(clients)?)),
        start.elapsed().as_secs_f64()
    );
    load.go_on()?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut round = 1;
    while Instant::now() < until {
        let sweep = Instant::now();
        let mut ticks = interval(Duration::from_millis(1_000 / BATCHES_A_SECOND));
        for batch in symbols.chunks(BATCH) {
            ticks.tick().await;
            write(&wiring, &quotes(batch, round)).await?;
        }
        round += 1;
        tokio::time::sleep_until(sweep + SWEEP).await;
    }
    sleep(Duration::from_secs(1)).await;
    let after = server.usage()?;
    load.go_on()?;
    let (_, line) = load.line().await?;
    let words: Vec<&str> = line.split(' ').collect();
    let [messages, prices, dropped, p50, p99, most] = words.as_slice() else {
        return Err(format!("the load says: {line}").into());
    };
    println!(
        "{} messages with {} prices in {seconds} s; {dropped} clients dropped",
        thousands(messages.parse()?),
        thousands(prices.parse()?)
    );
    let each = |usage: &support::Usage| {
        #[expect(clippy::cast_precision_loss, reason = "thousands of clients")]
        let clients = clients as f64;
        (usage.resident - before.resident) / clients / 1e3
    };
    println!(
        "memory: {:.1} MB without clients; {:.1} kB a client connected, {:.1} kB at the end",
        before.resident / 1e6,
        each(&connected),
        each(&after)
    );
    let clients = thousands(f64::from(u32::try_from(clients)?));
    let what = format!("{clients} streams of {CODES} codes, whole market every 6 s");
    let lost = Limit::AtMost(0.0, "");
    verdict(
        &format!("{what}: clients dropped"),
        lost,
        dropped.parse()?,
        dropped,
    )?;
    let shown = format!("{p99} ms (p50 {p50} ms, most {most} ms)");
    let late = Limit::AtMost(250.0, " ms");
    verdict(
        &format!("{what}: from the write to the client, p99"),
        late,
        p99.parse()?,
        &shown,
    )?;
    let memory = each(&after);
    let shown = format!("{memory:.1} kB");
    verdict(
        &format!("{what}: memory of each"),
        Limit::AtMost(12.0, " kB"),
        memory,
        &shown,
    )?;
    println!(
        "processor: {:.2} of a core while prices changed",
        (after.processor - connected.processor) / Duration::from_secs(seconds).as_secs_f64()
    );
    Ok(())
}

/// What the clients received.
#[derive(Default)]
struct Seen {
    counts: AtomicBool,
    messages: AtomicU64,
    prices: AtomicU64,
    dropped: AtomicU64,
    times: Mutex<Vec<f64>>,
}

/// Runs the clients.
async fn load(address: &str) -> Outcome {
    let clients = number("--clients", 10_000)?;
    let symbols = support::whole_market();
    let seen = Arc::new(Seen::default());
    let subscribed = Arc::new(AtomicU64::new(0));
    for client in 0..clients {
        let mut codes = Vec::with_capacity(CODES);
        while codes.len() < CODES {
            let place = fastrand::usize(..symbols.len());
            let code = symbols.get(place).ok_or("no code")?.as_str();
            if !codes.contains(&code) {
                codes.push(code);
            }
        }
        let text = serde_json::json!({"op": "subscribe", "codes": codes}).to_string();
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(2048)
            .write_buffer_size(0);
        let url = format!("ws://{address}/v1/stream");
        let (mut socket, _) = client_async_with_config(url, stream, Some(config)).await?;
        socket.send(Message::text(text)).await?;
        let (seen, subscribed) = (Arc::clone(&seen), Arc::clone(&subscribed));
        tokio::spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(text) = message {
                    if text.contains("\"type\":\"snapshot\"") {
                        subscribed.fetch_add(1, Ordering::Relaxed);
                    } else {
                        seen.note(&text);
                    }
                }
            }
            seen.dropped.fetch_add(1, Ordering::Relaxed);
        });
        if client.is_multiple_of(200) {
            // The clients do not all connect in the same instant.
            sleep(Duration::from_millis(20)).await;
        }
    }
    let until = Instant::now() + Duration::from_secs(60);
    while subscribed.load(Ordering::Relaxed) < clients {
        if Instant::now() > until {
            let count = subscribed.load(Ordering::Relaxed);
            return Err(format!("{count} of {clients} clients got a snapshot").into());
        }
        sleep(Duration::from_millis(50)).await;
    }
    println!("connected");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    lines.next_line().await?;
    seen.counts.store(true, Ordering::Relaxed);
    lines.next_line().await?;
    let mut all = Figures::default();
    let times = seen.times.lock().unwrap_or_else(PoisonError::into_inner);
    times.iter().for_each(|time| all.add(*time));
    println!(
        "{} {} {} {:.0} {:.0} {:.0}",
        seen.messages.load(Ordering::Relaxed),
        seen.prices.load(Ordering::Relaxed),
        seen.dropped.load(Ordering::Relaxed),
        all.median(),
        all.quantile(0.99),
        all.most()
    );
    Ok(())
}

impl Seen {
    /// Notes the age of each price in a message.
    fn note(&self, text: &str) {
        if !self.counts.load(Ordering::Relaxed) || !text.contains("\"type\":\"changes\"") {
            return;
        }
        let now = (sise::clock::system())();
        self.messages.fetch_add(1, Ordering::Relaxed);
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        for part in text.split("\"fetched_at\":\"").skip(1) {
            let time = part.split('"').next().unwrap_or_default();
            if let Ok(time) = DateTime::parse_from_rfc3339(time) {
                let age = now.signed_duration_since(time);
                times.push(age.as_seconds_f64() * 1e3);
                self.prices.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
