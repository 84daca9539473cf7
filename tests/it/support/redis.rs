//! A real Redis on a private port.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, Client};
use serde_json::Value;
use sise::store::{RedisSettings, RedisStore};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{end, free_port, signal, until};

/// How often another port is tried when somebody else was faster.
const TRIES: usize = 10;

/// A running `redis-server`, or one that was killed and may be started again on its port.
pub(crate) struct RedisServer {
    child: Child,
    port: u16,
    arguments: Vec<String>,
    /// What comes before the host in the address of a client.
    credentials: String,
    folder: TempDir,
}

impl RedisServer {
    /// A server without a password.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[], "").await
    }

    /// A server with more arguments; `credentials` is what a client puts before the host,
    /// `user:password@`.
    pub(crate) async fn start_with(arguments: &[&str], credentials: &str) -> Self {
        for _ in 0..TRIES {
            let folder = tempfile::tempdir().unwrap();
            let port = free_port();
            let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
            let mut server = Self {
                child: spawn(port, &arguments, folder.path()),
                port,
                arguments,
                credentials: credentials.to_owned(),
                folder,
            };
            if server.answers().await {
                return server;
            }
        }
        panic!("no free port for redis-server");
    }

    /// The address for a client.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}127.0.0.1:{}", self.credentials, self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A connection of the test's own.
    pub(crate) async fn connection(&self) -> MultiplexedConnection {
        let client = Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// Ends it at once, as a crash does.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again on the same port, empty.
    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(self.port, &self.arguments, self.folder.path());
        assert!(self.answers().await, "the port was taken meanwhile");
    }

    /// Stops it from answering; its connections stay.
    pub(crate) fn freeze(&self) {
        signal(self.process(), "STOP");
    }

    /// Lets it answer again.
    pub(crate) fn thaw(&self) {
        signal(self.process(), "CONT");
    }

    /// All keys of a pattern with their texts.
    pub(crate) async fn texts(&self, pattern: &str) -> BTreeMap<String, String> {
        let mut connection = self.connection().await;
        let keys: Vec<String> = connection.keys(pattern).await.unwrap();
        if keys.is_empty() {
            return BTreeMap::new();
        }
        // One by one: a node of a cluster takes no keys of several slots together. MGET, for it
        // finds nothing where another kind of value stands.
        let mut pipeline = redis::pipe();
        for key in &keys {
            pipeline.mget(&[key]);
        }
        let texts: Vec<Vec<Option<String>>> = pipeline.query_async(&mut connection).await.unwrap();
        keys.into_iter()
            .zip(texts.into_iter().flatten())
            .filter_map(|(key, text)| Some((key, text?)))
            .collect()
    }

    /// Deletes all keys of a pattern.
    pub(crate) async fn delete(&self, pattern: &str) {
        let mut connection = self.connection().await;
        let keys: Vec<String> = connection.keys(pattern).await.unwrap();
        if !keys.is_empty() {
            let _: () = connection.del(&keys).await.unwrap();
        }
    }

    /// The live price objects by code.
    pub(crate) async fn realtime(&self) -> BTreeMap<String, Value> {
        self.prices("realtime:price:").await
    }

    /// The closes by code.
    pub(crate) async fn close(&self) -> BTreeMap<String, Value> {
        self.prices("close:price:").await
    }

    async fn prices(&self, kind: &str) -> BTreeMap<String, Value> {
        let texts = self.texts(&format!("{kind}*")).await;
        texts
            .into_iter()
            .map(|(key, text)| {
                let code = key.strip_prefix(kind).unwrap().to_owned();
                (code, serde_json::from_str(&text).unwrap())
            })
            .collect()
    }

    /// Milliseconds that each of these keys has left; below zero for none.
    pub(crate) async fn lives(&self, keys: &[String]) -> Vec<i64> {
        let mut pipeline = redis::pipe();
        for key in keys {
            pipeline.pttl(key);
        }
        let mut connection = self.connection().await;
        pipeline.query_async(&mut connection).await.unwrap()
    }

    /// Commands that read prices, since the server began to count.
    pub(crate) async fn reads(&self) -> u64 {
        let mut connection = self.connection().await;
        let stats: String = redis::cmd("INFO")
            .arg("commandstats")
            .query_async(&mut connection)
            .await
            .unwrap();
        let line = stats
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_mget:calls="));
        line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }

    /// The entries of the journal, oldest first.
    pub(crate) async fn journal(&self) -> Vec<Value> {
        let mut connection = self.connection().await;
        let written: Vec<(String, Vec<String>)> = redis::cmd("XRANGE")
            .arg(&["sise:journal", "-", "+"])
            .query_async(&mut connection)
            .await
            .unwrap();
        written
            .iter()
            .map(|(_, fields)| serde_json::from_str(&fields[1]).unwrap())
            .collect()
    }

    /// Waits for an entry of the journal of a kind that is as wanted.
    pub(crate) async fn entry(&self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let what = format!("an entry '{kind}' in the journal");
        until(&what, async || {
            let entries = self.journal().await;
            let mut found = entries.into_iter().filter(|entry| entry["kind"] == kind);
            found.find(|entry| wanted(entry))
        })
        .await
    }

    fn process(&self) -> u32 {
        self.child.id().expect("redis-server runs")
    }

    /// Waits until this very process answers; false where it ended, its port being taken.
    async fn answers(&mut self) -> bool {
        let client = Client::open(self.url()).unwrap();
        let process = self.process();
        until("redis-server answers", async || {
            if self.child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            let mut connection = client.get_multiplexed_async_connection().await.ok()?;
            let text: String = redis::cmd("INFO")
                .arg("server")
                .query_async(&mut connection)
                .await
                .ok()?;
            text.contains(&format!("process_id:{process}\r"))
                .then_some(true)
        })
        .await
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn spawn(port: u16, arguments: &Vec<String>, folder: &Path) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("redis-server is installed")
}

/// The store at an address, with time-outs for a machine full of tests.
pub(crate) fn store_at(url: &str) -> RedisStore {
    RedisStore::new(&RedisSettings {
        url,
        namespace: "",
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(5),
    })
    .unwrap()
}
