//! `sise sim` as a process of its own, the broker of the tests.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::faked_time::{FakedTime, Traces};
use super::{PATIENCE, end, http, until};

/// What `/sim/stats` says.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Stats {
    pub(crate) calls: u64,
    pub(crate) ok: u64,
    pub(crate) refused: u64,
    pub(crate) over_limit: u64,
    pub(crate) unauthorized: u64,
    pub(crate) rejected: u64,
    pub(crate) faults: u64,
    pub(crate) token_requests: u64,
    pub(crate) tokens_issued: u64,
    pub(crate) calls_while_banned: u64,
    pub(crate) max_calls_per_second_window: u64,
    /// By the last four letters of the app key.
    pub(crate) by_key: BTreeMap<String, KeyStats>,
}

/// What it says of one app key.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct KeyStats {
    pub(crate) calls: u64,
    pub(crate) over_limit: u64,
    pub(crate) max_calls_per_second_window: u64,
}

impl Stats {
    /// Calls of the app key that ends so.
    pub(crate) fn calls_of(&self, end: &str) -> u64 {
        self.by_key.get(end).map_or(0, |stats| stats.calls)
    }
}

/// A running simulated broker. When it is dropped it must not have seen a call over its limit.
pub(crate) struct SimulatedBroker {
    child: Child,
    address: String,
    /// Its limit is below the one that the program keeps to.
    is_stricter: bool,
    /// Dropped after the child.
    _traces: Option<Traces>,
}

impl SimulatedBroker {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::start_at(arguments, None).await
    }

    /// A broker whose clock is `time`.
    pub(crate) async fn start_at(arguments: &[&str], time: Option<&FakedTime>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sise"))
            .args(["sim", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .env_clear()
            .envs(time.map(FakedTime::variables).into_iter().flatten())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        let line = line.expect("the simulated broker says where it listens");
        let address = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("http://"))
            .unwrap_or_else(|| panic!("no address in '{line}'"));
        Self {
            address: address.to_owned(),
            is_stricter: false,
            _traces: Traces::of(child.id()),
            child,
        }
    }

    /// Calls over its limit are what the test is about.
    pub(crate) fn is_stricter(&mut self) {
        self.is_stricter = true;
    }

    pub(crate) fn port(&self) -> u16 {
        let (_, port) = self.address.rsplit_once(':').unwrap();
        port.parse().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn stats(&self) -> Stats {
        let answer = http::get(&self.address, "/sim/stats").expect("the simulated broker runs");
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Waits until it has seen so many quotation calls.
    pub(crate) async fn has_seen(&self, calls: u64) -> Stats {
        until("calls arrive at the broker", async || {
            Some(self.stats()).filter(|stats| stats.calls >= calls)
        })
        .await
    }

    pub(crate) fn prices(&self) -> BTreeMap<String, i64> {
        let answer = http::get(&self.address, "/sim/prices").expect("the simulated broker runs");
        serde_json::from_str(&answer.body).unwrap()
    }

    /// The tokens that are good.
    pub(crate) fn tokens(&self) -> Vec<String> {
        let answer = http::get(&self.address, "/sim/tokens").expect("the simulated broker runs");
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Ends every token.
    pub(crate) fn kill_tokens(&self) {
        let answer = http::ask("POST", &self.address, "/sim/tokens/kill");
        assert_eq!(answer.expect("the simulated broker runs").status, 204);
    }

    /// Ends the broker itself.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }
}

impl Drop for SimulatedBroker {
    fn drop(&mut self) {
        let last = http::get(&self.address, "/sim/stats");
        end(&mut self.child);
        // One that was killed has nothing to say any more.
        if let (Some(answer), false) = (last, std::thread::panicking()) {
            let stats: Stats = serde_json::from_str(&answer.body).unwrap();
            assert!(self.is_stricter || stats.over_limit == 0, "{stats:?}");
        }
    }
}
