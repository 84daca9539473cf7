//! A real master with a replica, watched by three sentinels, on private ports.

use std::path::Path;
use std::process::Stdio;

use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, FromRedisValue};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::redis::RedisServer;
use super::{end, free_port, until};

/// What the sentinels call the master.
pub(crate) const NAME: &str = "krx-prices";

/// Two servers and the sentinels that say which of them is the master.
pub(crate) struct SentinelSet {
    /// The master at the start, and its replica.
    pub(crate) servers: Vec<RedisServer>,
    /// The place of the master.
    master: usize,
    sentinels: Vec<Sentinel>,
}

/// A running `redis-sentinel`.
struct Sentinel {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl SentinelSet {
    /// A set that takes a master for dead when it was silent for half a second.
    pub(crate) async fn start() -> Self {
        let quick = ["--repl-diskless-sync-delay", "0"];
        let master = RedisServer::start_with(&quick, "").await;
        let port = master.port().to_string();
        let replica = [&quick[..], &["--replicaof", "127.0.0.1", &port]].concat();
        let replica = RedisServer::start_with(&replica, "").await;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(Sentinel::start(&port).await);
        }
        let set = Self {
            servers: vec![master, replica],
            master: 0,
            sentinels,
        };
        for sentinel in &set.sentinels {
            until(
                "the sentinels know each other and the replica",
                async || {
                    let fields = sentinel.describe().await?;
                    let says = |field: &str, value: &str| {
                        let mut pairs = fields.chunks(2);
                        pairs.any(|pair| pair[0] == field && pair[1] == value)
                    };
                    let is_known = says("num-slaves", "1") && says("num-other-sentinels", "2");
                    (is_known && says("flags", "master")).then_some(())
                },
            )
            .await;
        }
        until("the replica has all", async || {
            let mut connection = set.servers[1].connection().await;
            let info: String = ask(&mut connection, &["INFO", "replication"]).await?;
            info.contains("master_link_status:up").then_some(())
        })
        .await;
        set
    }

    /// The address for a client.
    pub(crate) fn url(&self) -> String {
        self.url_with("")
    }

    /// As [`SentinelSet::url`] with `user:password@`.
    pub(crate) fn url_with(&self, login: &str) -> String {
        let host = |sentinel: &Sentinel| format!("127.0.0.1:{}", sentinel.port);
        let hosts: Vec<String> = self.sentinels.iter().map(host).collect();
        format!("redis-sentinel://{login}{}/{NAME}", hosts.join(","))
    }

    /// Makes the replica the master, the old master being well: as for upkeep.
    pub(crate) async fn fail_over(&self) {
        let sentinel = &self.sentinels[0];
        until("the sentinel begins a failover", async || {
            let mut connection = sentinel.connection().await?;
            let _: String = ask(&mut connection, &["SENTINEL", "FAILOVER", NAME]).await?;
            Some(())
        })
        .await;
    }

    /// The server that is the master, as far as this test has waited for it.
    pub(crate) fn master(&self) -> &RedisServer {
        &self.servers[self.master]
    }

    /// Waits until most sentinels name the second server.
    pub(crate) async fn has_failed_over(&mut self) {
        let port = self.servers[1].port().to_string();
        until("the sentinels name the other server", async || {
            let mut count = 0;
            for sentinel in &self.sentinels {
                let fields = sentinel.describe().await.unwrap_or_default();
                let mut pairs = fields.chunks(2);
                count += usize::from(pairs.any(|pair| pair[0] == "port" && pair[1] == port));
            }
            (count >= 2).then_some(())
        })
        .await;
        self.master = 1;
    }

    /// Ends a sentinel.
    pub(crate) fn end_sentinel(&mut self, place: usize) {
        end(&mut self.sentinels[place].child);
    }

    /// Sends a command to every sentinel.
    pub(crate) async fn tell_sentinels(&self, words: &[&str]) {
        for sentinel in &self.sentinels {
            let mut connection = sentinel.connection().await.unwrap();
            let _: String = ask(&mut connection, words).await.unwrap();
        }
    }
}

impl Sentinel {
    async fn start(master: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let file = folder.path().join("sentinel.conf");
        let lines = [
            format!("port {port}"),
            "bind 127.0.0.1".to_owned(),
            format!("dir {}", folder.path().display()),
            format!("sentinel monitor {NAME} 127.0.0.1 {master} 2"),
            format!("sentinel down-after-milliseconds {NAME} 500"),
            format!("sentinel failover-timeout {NAME} 10000"),
        ];
        std::fs::write(&file, lines.join("\n")).unwrap();
        let sentinel = Self {
            child: spawn(&file),
            port,
            _folder: folder,
        };
        until("the sentinel answers", async || sentinel.describe().await).await;
        sentinel
    }

    async fn connection(&self) -> Option<MultiplexedConnection> {
        let client = Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        client.get_multiplexed_async_connection().await.ok()
    }

    /// What it knows of the master: names and values in turn.
    async fn describe(&self) -> Option<Vec<String>> {
        let mut connection = self.connection().await?;
        ask(&mut connection, &["SENTINEL", "MASTER", NAME]).await
    }
}

async fn ask<T: FromRedisValue>(
    connection: &mut MultiplexedConnection,
    words: &[&str],
) -> Option<T> {
    let mut command = Cmd::new();
    command.arg(words);
    command.query_async(connection).await.ok()
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn spawn(file: &Path) -> Child {
    Command::new("redis-sentinel")
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("redis-sentinel is installed")
}
