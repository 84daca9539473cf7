//! A whole installation: Redis, a simulated broker, and a folder to run in.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::faked_time::FakedTime;
use super::program::Program;
use super::redis::RedisServer;
use super::simulated_broker::SimulatedBroker;

/// The credentials of the tests. Text that would be seen at once wherever it leaked.
pub(crate) const APP_KEY: &str = "PSappkeyappkeyappkeyappkeyappkeyappk";
pub(crate) const APP_SECRET: &str = "secretsecretsecretsecretsecretsecretsecretsecret";

/// Redis, a simulated broker, and a folder to run in.
pub(crate) struct World {
    pub(crate) redis: RedisServer,
    pub(crate) broker: SimulatedBroker,
    pub(crate) home: TempDir,
    time: Option<FakedTime>,
}

impl World {
    /// A world whose broker is started with `arguments`.
    pub(crate) async fn new(arguments: &[&str]) -> Self {
        Self::made(arguments, None).await
    }

    /// A world in which broker and program live at another time.
    pub(crate) async fn at(time: FakedTime, arguments: &[&str]) -> Self {
        Self::made(arguments, Some(time)).await
    }

    async fn made(arguments: &[&str], time: Option<FakedTime>) -> Self {
        let broker = SimulatedBroker::start_at(arguments, time.as_ref()).await;
        Self {
            redis: RedisServer::start().await,
            broker,
            home: tempfile::tempdir().unwrap(),
            time,
        }
    }

    /// A command line of the program in this world.
    pub(crate) fn sise(&self, arguments: &[&str]) -> Program {
        self.sise_in(self.home.path(), arguments)
    }

    /// A command line of the program in a folder of its own, as on another machine.
    pub(crate) fn sise_in(&self, home: &Path, arguments: &[&str]) -> Program {
        let program = Program::new(home, arguments)
            .set("REDIS_URL", self.redis.url())
            .set("KIS_BASE_URL", self.broker.url())
            .set("KIS_MASTER_URL", self.broker.url())
            .set("KIS_APP_KEY", APP_KEY)
            .set("KIS_APP_SECRET", APP_SECRET)
            .set("SISE__API__LISTEN", "127.0.0.1:0")
            // Time-outs of real life; a machine full of tests is slower than that.
            .set("SISE__STORE__CONNECT_TIMEOUT", "2s")
            .set("SISE__STORE__RESPONSE_TIMEOUT", "2s");
        match &self.time {
            Some(time) => program.at(time),
            None => program,
        }
    }

    /// As [`World::sise`], with a rate that no test waits for. The broker must have no limit.
    pub(crate) fn fast_sise(&self, arguments: &[&str]) -> Program {
        self.sise(arguments)
            .set("SISE__KIS__RATE_PER_SECOND", "2000")
    }

    /// Writes a file into the folder to run in.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn path(&self) -> &Path {
        self.home.path()
    }

    /// Lets every process forget the access token; the broker does not.
    pub(crate) async fn forget_token(&self) {
        std::fs::remove_file(self.token_file()).unwrap();
        self.redis.delete("sise:token:*").await;
    }

    /// The file that keeps the access token.
    pub(crate) fn token_file(&self) -> PathBuf {
        let folder = std::fs::read_dir(self.path().join("state")).unwrap();
        let mut paths = folder.map(|entry| entry.unwrap().path());
        let is_token = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("token-")
        };
        paths.find(is_token).expect("a token on disk")
    }
}
