//! The link to Redis: one server, a master behind sentinels, or a cluster.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use metrics::counter;
use redis::{
    Client, Cmd, ErrorKind, FromRedisValue, RedisConnectionInfo, RedisError, RedisResult, Script,
    ToRedisArgs, Value,
};

use super::address::RedisAddress;
use super::cluster::Cluster;
use super::connection::Connection;
use super::rights;
use super::sentinels::Sentinels;
use super::server::{Limits, Server, is_about_login};
use crate::keys::Keys;
use sise_net::tls;
use sise_port::StoreError;

/// Settings of the connections to Redis.
#[derive(Clone)]
pub struct RedisSettings<'a> {
    /// `redis://`, `redis-sentinel://` or `redis-cluster://`, with `rediss` for TLS; with user,
    /// password and database if needed.
    pub url: &'a str,
    /// Prefix of all keys.
    pub namespace: &'a str,
    /// Maximum wait for a connection.
    pub connect_timeout: Duration,
    /// Maximum wait for a response.
    pub response_timeout: Duration,
}

/// Sends requests, each with a deadline, over connections that recover by themselves.
pub(super) struct Link {
    way: Way,
    limits: Limits,
    address: String,
    database: i64,
    user: String,
    has_password: bool,
    keys: Keys,
}

enum Way {
    Server(Box<Server>),
    Sentinels(Sentinels),
    Cluster(Cluster),
}

impl Link {
    /// Creates a link to the address in `settings`.
    ///
    /// It connects at the first use, so it can be created while Redis is unreachable. Needs a tokio
    /// runtime.
    pub(super) fn new(settings: &RedisSettings<'_>) -> Result<Self, StoreError> {
        // The address may hold a password, so no part of it goes into the error.
        let unusable = |trouble: &str| StoreError::Failed {
            store: "the address given".to_owned(),
            trouble: trouble.to_owned(),
        };
        tls::install_provider();
        let limits = Limits {
            connect: settings.connect_timeout,
            response: settings.response_timeout,
        };
        let address = RedisAddress::parse(settings.url).map_err(|trouble| {
            unusable(&format!("allowed is {}; {trouble}", RedisAddress::FORMS))
        })?;
        let text = address.to_string();
        let (database, user) = (address.database(), address.user().to_owned());
        let has_password = address.has_password();
        let way = match address {
            RedisAddress::Server(info) => {
                Server::new(info, limits).map(|server| Way::Server(Box::new(server)))
            }
            RedisAddress::Sentinels {
                name,
                master,
                sentinels,
            } => Sentinels::new(name, master, sentinels, limits).map(Way::Sentinels),
            RedisAddress::Cluster(nodes) => Cluster::new(nodes, limits).map(Way::Cluster),
        };
        Ok(Self {
            way: way.map_err(|error| unusable(error.category()))?,
            address: text,
            limits,
            database,
            user,
            has_password,
            keys: Keys::new(settings.namespace),
        })
    }

    /// Hosts and ports.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Returns a client for connections of another kind; `None` if there is more than one server.
    pub(super) fn client(&self) -> Option<&Client> {
        match &self.way {
            Way::Server(server) => Some(server.client()),
            Way::Sentinels(_) | Way::Cluster(_) => None,
        }
    }

    /// Returns a client for a connection that listens.
    ///
    /// It leads to the one server, to the current master, or to any node of a cluster: every node
    /// receives what is published on any of them.
    pub(super) async fn listening(&self) -> RedisResult<Client> {
        match &self.way {
            Way::Server(server) => Ok(server.client().clone()),
            Way::Sentinels(sentinels) => sentinels.client().await,
            Way::Cluster(cluster) => cluster.client(),
        }
    }

    /// Names of the keys.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Returns the channel on which changes are published.
    ///
    /// Channels are common to all databases, so the name contains the number of the database,
    /// unless that is 0.
    pub(super) fn channel(&self) -> String {
        match self.database {
            0 => self.keys.own("changes"),
            database => self.keys.own(&format!("changes:{database}")),
        }
    }

    /// Name of the user that this process logs in as.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// Time limits of a request.
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether all keys of one command or script must be on one slot.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.way, Way::Cluster(_))
    }

    /// Sends one command.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.run(|mut connection| async move { command.query_async(&mut connection).await })
            .await
    }

    /// Returns the right that the user lacks for a command. Other refusals are ignored.
    pub(super) async fn refuses(&self, command: Cmd) -> Result<Option<String>, StoreError> {
        let command = &command;
        self.run(|mut connection| async move {
            match command.query_async::<Value>(&mut connection).await {
                Err(error) if error.is_io_error() || is_about_login(&error) => Err(error),
                Err(error) => Ok(rights::of(&error, &error.to_string(), &self.keys)),
                Ok(_) => Ok(None),
            }
        })
        .await
    }

    /// Sends one command that reads a key used only by sise.
    ///
    /// A value of another program, or a damaged one, counts as missing: the next write replaces it.
    pub(super) async fn ask_own<T: FromRedisValue + Default>(
        &self,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        let value: Result<Value, RedisError> = self
            .run(|mut connection| async move {
                match command.query_async(&mut connection).await {
                    Err(error) if error.code() == Some("WRONGTYPE") => Ok(Err(error)),
                    outcome => outcome.map(Ok),
                }
            })
            .await?;
        let read = value.and_then(|value| Ok(T::from_redis_value(value)?));
        Ok(read.unwrap_or_else(|error| {
            counter!("sise_store_unreadable_total").increment(1);
            let category = error.category();
            tracing::debug!(
                category,
                "a value under a key of sise was not written by sise"
            );
            T::default()
        }))
    }

    /// Runs one script, whose keys must all be on one slot. It is sent by its digest, and in full
    /// if the server does not know it.
    pub(super) async fn eval<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: impl ToRedisArgs,
    ) -> Result<T, StoreError> {
        let mut call = script.prepare_invoke();
        for key in keys {
            call.key(*key);
        }
        call.arg(arguments);
        let call = &call;
        self.run(|mut connection| async move { call.invoke_async(&mut connection).await })
            .await
    }

    /// Returns the answer of the server, or of every node of a cluster that answers.
    pub(super) async fn ask_all<T: FromRedisValue>(
        &self,
        command: &Cmd,
    ) -> Result<Vec<T>, StoreError> {
        self.run(|connection| async move {
            let answers = match connection {
                Connection::Cluster(cluster) => cluster.send_to_all(command).await,
                mut server => vec![command.query_async(&mut server).await],
            };
            let (good, mut bad): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
            match bad.pop() {
                Some(Err(error)) if good.is_empty() => Err(error),
                _ => {
                    let texts = good.into_iter().flatten().map(T::from_redis_value);
                    Ok(texts.collect::<Result<_, _>>()?)
                }
            }
        })
        .await
    }

    /// Runs a request. If the connection turns out to be dropped, runs it once more on a new one.
    pub(super) async fn run<T, F, Fut>(&self, request: F) -> Result<T, StoreError>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = RedisResult<T>>,
    {
        let outcome = match &self.way {
            Way::Server(server) => server.run(&request).await,
            Way::Sentinels(sentinels) => sentinels.run(&request).await,
            Way::Cluster(cluster) => cluster.run(&request).await,
        };
        match outcome {
            Ok(value) => Ok(value),
            Err(error) => {
                counter!("sise_store_errors_total").increment(1);
                if is_about_login(&error) && self.wants_no_password().await {
                    return Err(self.refused(
                        "it has no password, but REDIS_URL contains one".to_owned(),
                        "remove the password from REDIS_URL",
                    ));
                }
                let right = rights::of(&error, &error.to_string(), &self.keys);
                if right.as_deref() == Some(rights::UNNAMED) {
                    let right = self.refused_in_script().await;
                    return Err(self.lacks(&right));
                }
                Err(self.error(&error))
            }
        }
    }

    fn lacks(&self, right: &str) -> StoreError {
        let trouble = format!("its user may not do this, as it lacks the right {right}");
        self.refused(trouble, rights::MEND)
    }

    /// Whether the server accepts commands without a password.
    async fn wants_no_password(&self) -> bool {
        let Way::Server(server) = &self.way else {
            return false;
        };
        let info = server.client().get_connection_info();
        let login = info.redis_settings();
        // An unknown user name is a different error.
        if login.username().is_some() || login.password().is_none() {
            return false;
        }
        let ping = async {
            let nobody = info
                .clone()
                .set_redis_settings(RedisConnectionInfo::default());
            let client = Client::open(nobody)?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            redis::cmd("PING")
                .query_async::<Value>(&mut connection)
                .await
        };
        let answer = tokio::time::timeout(self.limits.both(), ping).await;
        answer.is_ok_and(|answer| answer.is_ok())
    }

    fn refused(&self, trouble: String, mend: &'static str) -> StoreError {
        StoreError::Refused {
            store: self.address.clone(),
            trouble,
            mend,
        }
    }

    pub(super) fn error(&self, error: &RedisError) -> StoreError {
        // The error of a pipeline names every command that failed; its beginning is enough.
        let said: String = error.to_string().chars().take(200).collect();
        let said = without_arguments(&said).to_owned();
        let store = self.address.clone();
        if let Some(right) = rights::of(error, &said, &self.keys) {
            rights::note(&right, &store);
            return self.lacks(&right);
        }
        if let Some((trouble, mend)) = refusal(error, &said, self.has_password) {
            return self.refused(trouble, mend);
        }
        let trouble = match error.kind() {
            _ if error.is_timeout() => return StoreError::Late { store },
            _ if error.is_io_error() => {
                return StoreError::Unreachable {
                    store,
                    trouble: said,
                };
            }
            ErrorKind::MasterNameNotFoundBySentinel => {
                without_arguments(error.detail().unwrap_or("no master")).to_owned()
            }
            _ => said,
        };
        StoreError::Failed { store, trouble }
    }
}

/// Cuts off the arguments of an unknown command, which the server repeats: one of them may be the
/// password.
fn without_arguments(said: &str) -> &str {
    said.split(", with args").next().unwrap_or_default()
}

/// Trouble and remedy if the server is a node of a cluster.
pub(super) const NODE: (&str, &str) = (
    "it is a node of a cluster",
    "write redis-cluster:// instead of redis:// in REDIS_URL",
);

/// Returns what a server refuses, and the remedy, if people can fix the cause.
fn refusal(error: &RedisError, said: &str, has_password: bool) -> Option<(String, &'static str)> {
    // A server refuses long requests before the log-in.
    if is_about_login(error) || said.contains("unauthenticated") {
        let trouble = match has_password {
            true => "log-in refused: it does not know this user and password",
            false => "log-in refused: it requires a password, but REDIS_URL contains none",
        };
        let mend = "set user and password in REDIS_URL";
        return Some((trouble.to_owned(), mend));
    }
    [
        ("\"OOM\"", "its memory is full", "raise maxmemory"),
        (
            "WRONGTYPE",
            "the key holds another kind of value",
            "delete it, or give each program its own namespace",
        ),
        (
            "read only replica",
            "it is a replica and accepts no writes",
            "set REDIS_URL to its master",
        ),
        (
            "MISCONF",
            "it cannot save to its disk and accepts no writes",
            "free space there, or set its stop-writes-on-bgsave-error to no",
        ),
        (
            "cluster support disabled",
            "it is not a cluster",
            "set REDIS_URL to a redis:// address",
        ),
        ("MOVED", NODE.0, NODE.1),
        ("CrossSlot", NODE.0, NODE.1),
        (
            "refused to switch database",
            "it has no database with that number, or its user lacks the right +select",
            "change or remove the number after the last / of REDIS_URL",
        ),
        (
            "'HELLO'",
            "it does not support RESP3",
            "set reader.first_level to off and remove the protocol from REDIS_URL",
        ),
    ]
    .into_iter()
    .find(|(sign, ..)| said.contains(sign))
    .map(|(_, trouble, mend)| (trouble.to_owned(), mend))
}

impl fmt::Debug for RedisSettings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `url` is left out: it may hold a password.
        f.debug_struct("RedisSettings")
            .field("namespace", &self.namespace)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
