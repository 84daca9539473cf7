//! `sise serve` in its own process, and a process that loads it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use sise::domain::{Phase, Status};
use sise::port::{PriceStore as _, Shelf};
use sise::setup::Wiring;
use sise::{Quote, Symbol};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::processes::free_port;
use super::{Outcome, Usage, sise_command};

/// Life of the written prices.
pub(crate) const TTL: Duration = Duration::from_secs(120);

/// An API server; killed when dropped.
pub(crate) struct Server {
    process: Child,
    /// Host and port.
    pub(crate) address: String,
}

impl Server {
    /// Starts `sise serve` on a free port, without the limits for untrusted clients.
    pub(crate) async fn start(redis_url: &str) -> Outcome<Self> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let process = sise_command()
            .arg("serve")
            .env("REDIS_URL", redis_url)
            .env("SISE__API__LISTEN", &address)
            .env("SISE__API__REQUESTS_PER_SECOND", "0")
            .env("SISE__API__CONNECTIONS", "19000")
            .env("SISE__API__STREAMS_PER_CLIENT", "19000")
            .env("SISE__LOG__LEVEL", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self { process, address };
        server.is_there().await?;
        Ok(server)
    }

    async fn is_there(&self) -> Outcome {
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(&self.address).await.is_err() {
            if Instant::now() > until {
                return Err("the server does not answer".into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    pub(crate) fn usage(&self) -> Outcome<Usage> {
        Usage::of(self.process.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// This benchmark in another process with other arguments.
pub(crate) struct Load {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Load {
    pub(crate) fn start(arguments: &[&str]) -> Outcome<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("--bench")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(process.stdout.take().ok_or("no standard output")?);
        Ok(Self {
            input: process.stdin.take(),
            process,
            output,
        })
    }

    /// Returns the next line that it prints.
    pub(crate) async fn line(mut self) -> Outcome<(Self, String)> {
        let read = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            let read = self.output.read_line(&mut line);
            (self, read, line)
        });
        let (load, read, line) = read.await?;
        if read? == 0 {
            return Err("the load broke off".into());
        }
        Ok((load, line.trim().to_owned()))
    }

    /// Signals it to continue.
    pub(crate) fn go_on(&mut self) -> Outcome {
        if let Some(input) = &mut self.input {
            writeln!(input)?;
        }
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns prices of `symbols` as of now, for round `round`.
pub(crate) fn quotes(symbols: &[Symbol], round: i64) -> Vec<Quote> {
    let now = (sise::clock::system())();
    let quote = |(place, symbol): (i64, &Symbol)| {
        let price = 10_000 + place * 10 + round;
        Quote {
            stock_code: *symbol,
            stock_name: "회사이름".into(),
            price,
            change: Some(round),
            change_rate: Some(0.37),
            volume: Some(1_234_567 + round),
            timestamp: now.naive_local(),
            market: None,
            open: Some(price - 50),
            high: Some(price + 50),
            low: Some(price - 70),
            base_price: Some(price - round),
            value: Some(12_345_678_900),
            venue: "KRX".into(),
            session: Phase::Regular,
            status: Status::Trading,
            limit: None,
            source: "kis.multi".into(),
            simulated: false,
            fetched_at: now,
        }
    };
    (0..).zip(symbols).map(quote).collect()
}

/// Writes prices like a reader that asked the broker.
pub(crate) async fn write(wiring: &Wiring, quotes: &[Quote]) -> Outcome {
    let realtime = Shelf::Realtime(TTL);
    wiring.sweep_store.write(quotes, realtime, None).await?;
    Ok(())
}
