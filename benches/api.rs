//! Requests per second of the API, compared with a `FastAPI` server that does the same.
//!
//! `cargo bench --bench api` (`-- --reference PYTHON` takes turns with the `FastAPI` server, run by
//! that interpreter, which has the packages of benches/reference/requirements.txt)
//!
//! One price per request, from the whole market, over 64 persistent connections; another process
//! generates the load. Then the whole market, compressed. Limits: 30,000 requests per second with
//! 99 % of them within 10 ms; 150 kB and 5 ms.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod support;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sise::setup::Wiring;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use support::{
    Figures, Limit, Load, Outcome, PrivateRedis, Server, free_port, quotes, thousands, verdict,
    write,
};

const CONNECTIONS: usize = 64;
const SECONDS: u64 = 8;
const ROUNDS: usize = 3;
const MARKETS: usize = 400;

fn main() -> Outcome {
    support::run(|| async {
        match support::argument("--load") {
            Some(address) => load(&address).await,
            None => measure().await,
        }
    })
}

async fn measure() -> Outcome {
    let redis = PrivateRedis::start().await?;
    let wiring = support::wiring(&[("store.url", redis.url.as_str())])?;
    let server = Server::start(&redis.url).await?;
    let reference = match support::argument("--reference") {
        Some(python) => Some(Reference::start(&python, &redis.url).await?),
        None => None,
    };
    let symbols = support::whole_market();
    write(&wiring, &quotes(&symbols, 1)).await?;
    println!("one price a request, {CONNECTIONS} connections, {SECONDS} s each");
    println!(
        "{:10} {:>12} {:>10} {:>10} {:>10} {:>8}",
        "server", "requests/s", "p50 ms", "p99 ms", "most ms", "failed"
    );
    let (mut ratios, mut rates, mut lates) =
        (Figures::default(), Figures::default(), Figures::default());
    for round in 0..ROUNDS {
        // The prices only live for two minutes.
        write(&wiring, &quotes(&symbols, i64::try_from(round)? + 2)).await?;
        let (own, late) = one("sise", &server.address).await?;
        rates.add(own);
        lates.add(late);
        if let Some(reference) = &reference {
            let (other, _) = one("FastAPI", &reference.address).await?;
            ratios.add(own / other);
        }
    }
    let what = format!("one price over HTTP, {CONNECTIONS} connections");
    let rate = format!("{}/s", rates.spread_whole());
    let limit = Limit::AtLeast(30_000.0, "/s");
    verdict(&what, limit, rates.median(), &rate)?;
    let late = format!("{} ms", lates.spread(1));
    let limit = Limit::AtMost(10.0, " ms");
    verdict(&format!("{what}: p99"), limit, lates.median(), &late)?;
    if reference.is_some() {
        let what = "compared with FastAPI and redis-py, two workers, in turn: requests of sise per request of FastAPI";
        let shown = format!("{}x", ratios.spread(1));
        verdict(what, Limit::None, ratios.median(), &shown)?;
    }
    whole_market(&wiring, &server).await
}

/// Loads a server once; returns requests per second, and the time within which 99 % were answered,
/// ms.
async fn one(name: &str, address: &str) -> Outcome<(f64, f64)> {
    let (_, line) = Load::start(&["--load", address])?.line().await?;
    let words: Vec<&str> = line.split(' ').collect();
    let [rate, p50, p99, most, failed] = words.as_slice() else {
        return Err(format!("the load says: {line}").into());
    };
    println!(
        "{name:10} {:>12} {p50:>10} {p99:>10} {most:>10} {failed:>8}",
        thousands(rate.parse()?)
    );
    Ok((rate.parse()?, p99.parse()?))
}

/// Requests prices as fast as they are answered.
async fn load(address: &str) -> Outcome {
    let symbols = support::whole_market();
    let until = Instant::now() + Duration::from_secs(SECONDS);
    let mut tasks = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let (address, symbols) = (address.to_owned(), symbols.clone());
        tasks.spawn(async move {
            let mut stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            let mut times = Vec::new();
            let (mut failed, mut place) = (0_u64, connection * 41);
            let mut buffer = vec![0; 4096];
            while Instant::now() < until {
                place = (place + 7) % symbols.len();
                let code = symbols.get(place).ok_or("no code")?;
                let request = format!("GET /v1/prices/{code} HTTP/1.1\r\nhost: {address}\r\n\r\n");
                let start = Instant::now();
                stream.write_all(request.as_bytes()).await?;
                let is_good = answer(&mut stream, &mut buffer).await?;
                times.push(start.elapsed().as_secs_f64() * 1e3);
                failed += u64::from(!is_good);
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((times, failed))
        });
    }
    let mut all = Figures::default();
    let (mut count, mut failures) = (0_u32, 0);
    while let Some(done) = tasks.join_next().await {
        let (times, failed) = done??;
        failures += failed;
        count += u32::try_from(times.len())?;
        times.into_iter().for_each(|time| all.add(time));
    }
    #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
    let rate = f64::from(count) / SECONDS as f64;
    println!(
        "{rate:.0} {:.2} {:.2} {:.2} {failures}",
        all.median(),
        all.quantile(0.99),
        all.most()
    );
    Ok(())
}

/// Reads one answer; returns whether it is a price.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Outcome<bool> {
    let mut filled = 0;
    loop {
        let room = buffer.get_mut(filled..).ok_or("a long answer")?;
        let read = stream.read(room).await?;
        if read == 0 {
            return Err("the server closed a connection".into());
        }
        filled += read;
        let text = buffer.get(..filled).unwrap_or_default();
        let Some(head) = text.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let words = String::from_utf8_lossy(text.get(..head).unwrap_or_default()).to_lowercase();
        let length = words
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.ok_or("no length")?.trim().parse()?;
        if filled >= head + 4 + length {
            let body = text.get(head + 4..).unwrap_or_default();
            return Ok(words.starts_with("http/1.1 200") && body.starts_with(b"{\"stock_code\":"));
        }
    }
}

/// Requests the whole market, compressed, while a sweep is running.
async fn whole_market(wiring: &Wiring, server: &Server) -> Outcome {
    tokio::select! {
        swept = sweep(wiring) => swept,
        measured = ask_for_market(server) => measured,
    }
}

/// Writes 30 codes at a time, the whole market every 6 s.
async fn sweep(wiring: &Wiring) -> Outcome {
    let symbols = support::whole_market();
    let mut calls = interval(Duration::from_secs(6) / 93);
    calls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 100.. {
        for batch in symbols.chunks(30) {
            calls.tick().await;
            write(wiring, &quotes(batch, round)).await?;
        }
    }
    Ok(())
}

async fn ask_for_market(server: &Server) -> Outcome {
    let mut stream = TcpStream::connect(&server.address).await?;
    stream.set_nodelay(true)?;
    let mut times = Figures::default();
    let mut size = 0;
    let mut buffer = vec![0; 1 << 20];
    for round in 0..MARKETS {
        let request = format!(
            "GET /v1/market HTTP/1.1\r\nhost: {}\r\naccept-encoding: br\r\n\r\n",
            server.address
        );
        let start = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        let mut filled = 0;
        size = loop {
            filled += stream.read(buffer.get_mut(filled..).ok_or("long")?).await?;
            let text = buffer.get(..filled).unwrap_or_default();
            let Some(head) = text.windows(4).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            let words =
                String::from_utf8_lossy(text.get(..head).unwrap_or_default()).to_lowercase();
            let length = words
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.ok_or("no length")?.trim().parse()?;
            if filled >= head + 4 + length {
                break length;
            }
        };
        // The first request waits until the page is made; the others get the existing one.
        if round > 0 {
            times.add(start.elapsed().as_secs_f64() * 1e3);
        }
        sleep(Duration::from_millis(50)).await;
    }
    let bytes = f64::from(u32::try_from(size)?);
    let what = "the whole market over HTTP, compressed, during a sweep";
    let shown = format!("{} bytes", thousands(bytes));
    verdict(what, Limit::AtMost(150_000.0, " bytes"), bytes, &shown)?;
    let late = times.quantile(0.99);
    let shown = format!("{late:.1} ms (p50 {:.1} ms)", times.median());
    verdict(
        &format!("{what}: p99"),
        Limit::AtMost(5.0, " ms"),
        late,
        &shown,
    )
}

/// The `FastAPI` server, with as many workers as there are cores; it ends when dropped.
struct Reference {
    process: Child,
    address: String,
}

impl Reference {
    async fn start(python: &str, redis_url: &str) -> Outcome<Self> {
        let port = free_port()?.to_string();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/reference");
        let process = Command::new(python)
            .args(["-m", "uvicorn", "fastapi_price:app", "--app-dir", folder])
            .args(["--port", &port, "--workers", "2", "--log-level", "warning"])
            .arg("--no-access-log")
            .env("REDIS_URL", redis_url)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let reference = Self {
            process,
            address: format!("127.0.0.1:{port}"),
        };
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&reference.address).await.is_err() {
            if Instant::now() > until {
                return Err("the FastAPI server does not answer".into());
            }
            sleep(Duration::from_millis(50)).await;
        }
        // The socket is there before the workers are ready.
        sleep(Duration::from_secs(2)).await;
        Ok(reference)
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // On SIGTERM, it ends its workers too.
        let identity = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &identity]).status();
        let _ = self.process.wait();
    }
}
