//! Memory and processor time of the daemon.
//!
//! `cargo bench --bench daemon` (about seven minutes; `-- --seconds 30` for a quick look)
//!
//! The real program, `sise run --always-open`, keeps the whole market fresh from a simulated broker
//! with the real limit and 270 ms per answer, in a private Redis server. Resident memory and
//! processor time are the kernel's figures for its process. Limits: 40 MB, and 2 % of one core.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use support::{Limit, Outcome, PrivateRedis, SimProcess, Usage, sise_command, terminate, verdict};

/// Seconds that each case is observed, unless `--seconds` is given.
const WATCHED: u64 = 140;

/// Time for the start: reading the list and the token and opening connections is not part of the
/// steady state, but their memory is.
const SETTLING: Duration = Duration::from_secs(2);

/// The cases: name, and time between the starts of two sweeps. A sweep takes 6.3 s, so at 6 s the
/// next one is always due: the most that the daemon ever does at 15 calls a second.
const CASES: [(&str, &str); 3] = [
    ("every 60 s (default)", "60s"),
    ("every 10 s", "10s"),
    ("without a pause", "6s"),
];

fn main() -> Outcome {
    support::run(measure)
}

/// The daemon; killed if the benchmark fails.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn measure() -> Outcome {
    let seconds = match support::argument("--seconds") {
        Some(text) => text.parse()?,
        None => WATCHED,
    };
    println!("watched for {seconds} s each; limits 40 MB, 2 % of one core");
    println!(
        "{:22} {:>10} {:>10} {:>12} {:>12} {:>8} {:>10}",
        "sweeps", "resident", "most", "start-up", "of a core", "calls", "a call"
    );
    for (name, interval) in CASES {
        let redis = PrivateRedis::start().await?;
        let sim = SimProcess::start(&["--latency", "270ms"])?;
        let state = tempfile::tempdir()?;
        let process = sise_command()
            .args(["run", "--always-open"])
            .env("KIS_BASE_URL", &sim.url)
            .env("KIS_MASTER_URL", &sim.url)
            .env("KIS_APP_KEY", "bench")
            .env("KIS_APP_SECRET", "bench")
            .env("REDIS_URL", &redis.url)
            .env("SISE__SCHEDULE__INTERVAL", interval)
            .env("SISE__API__LISTEN", "127.0.0.1:0")
            .env("SISE__STATE__DIRECTORY", state.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut daemon = Daemon(process);
        sleep(SETTLING).await;
        let settled = Usage::of(daemon.0.id())?;
        let calls_before = calls(&sim.url)?;
        let start = Instant::now();
        sleep(Duration::from_secs(seconds)).await;
        let elapsed = start.elapsed().as_secs_f64();
        let usage = Usage::of(daemon.0.id())?;
        let calls = calls(&sim.url)? - calls_before;
        let processor = usage.processor - settled.processor;
        println!(
            "{name:22} {:>7.1} MB {:>7.1} MB {:>9.0} ms {:>10.2} % {calls:>8.0} {:>7.2} ms",
            usage.resident / 1e6,
            usage.most_resident / 1e6,
            settled.processor * 1e3,
            processor / elapsed * 100.0,
            processor / calls * 1e3
        );
        let what = format!("daemon, whole list, sweeps {name}");
        let memory = usage.most_resident / 1e6;
        let shown = format!("{memory:.1} MB");
        let limit = Limit::AtMost(40.0, " MB");
        verdict(&format!("{what}: resident memory"), limit, memory, &shown)?;
        let share = processor / elapsed * 100.0;
        let shown = format!("{share:.2} %");
        let limit = Limit::AtMost(2.0, " %");
        verdict(&format!("{what}: share of one core"), limit, share, &shown)?;
        let code = terminate(&mut daemon.0).await?;
        if code != Some(143) {
            return Err(format!("the daemon ended with {code:?}").into());
        }
    }
    Ok(())
}

/// Returns the number of quotation calls that the simulated broker has received.
fn calls(url: &str) -> Outcome<f64> {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET /sim/stats HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    let stats: serde_json::Value = serde_json::from_str(body)?;
    let calls = stats.get("calls").and_then(serde_json::Value::as_f64);
    calls.ok_or_else(|| format!("no count of calls: {body}").into())
}
