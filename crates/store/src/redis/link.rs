//! The way to Redis, whatever it is made of.

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

/// How to reach Redis.
#[derive(Clone)]
pub struct RedisSettings<'a> {
    /// `redis://`, `redis-sentinel://` or `redis-cluster://`, with `rediss` for TLS; with user,
    /// password and database where needed.
    pub url: &'a str,
    /// What is put in front of every key.
    pub namespace: &'a str,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer.
    pub response_timeout: Duration,
}

/// Sends requests, each with a deadline, over connections that mend themselves.
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
    /// A way to the address in `settings`. Connects at the first use, so that it can be made
    /// while Redis is away. Needs a tokio runtime.
    pub(super) fn new(settings: &RedisSettings<'_>) -> Result<Self, StoreError> {
        // An address may hold a password, so not a word of it goes into the error.
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

    /// For connections of another kind; `None` where there is more than one server.
    pub(super) fn client(&self) -> Option<&Client> {
        match &self.way {
            Way::Server(server) => Some(server.client()),
            Way::Sentinels(_) | Way::Cluster(_) => None,
        }
    }

    /// For a connection that listens: to the one server, the master at present, or some node of a
    /// cluster, where every node hears what is published on any.
    pub(super) async fn listening(&self) -> RedisResult<Client> {
        match &self.way {
            Way::Server(server) => Ok(server.client().clone()),
            Way::Sentinels(sentinels) => sentinels.client().await,
            Way::Cluster(cluster) => cluster.client(),
        }
    }

    /// The names of the keys.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The channel on which changes are told. Channels know no databases, so that the number stands
    /// in the name of all but the first.
    pub(super) fn channel(&self) -> String {
        match self.database {
            0 => self.keys.own("changes"),
            database => self.keys.own(&format!("changes:{database}")),
        }
    }

    /// Who this is for Redis.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// How long anything may take.
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether keys of one command or script must lie on one slot.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.way, Way::Cluster(_))
    }

    /// One command.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.run(|mut connection| async move { command.query_async(&mut connection).await })
            .await
    }

    /// The right that a command lacks, whatever else becomes of it.
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

    /// One command that reads a key of sise's own. What another program left there, or damage, is
    /// nothing: who writes the key next writes over it.
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
                "a value under a key of sise's own is not what sise wrote"
            );
            T::default()
        }))
    }

    /// One script, whose keys must all lie on one slot. Sent by its digest, and whole where the
    /// server does not know it.
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

    /// What the server says, or every node of a cluster that answers.
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

    /// Runs a request; once more where the connection was found dropped, on the one that took
    /// its place.
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
                        "it has no password, and REDIS_URL gives one".to_owned(),
                        "take the password out of REDIS_URL",
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
        let trouble = format!("its user may not do this, for it lacks the right {right}");
        self.refused(trouble, rights::MEND)
    }

    /// Whether the server takes commands from somebody without a password.
    async fn wants_no_password(&self) -> bool {
        let Way::Server(server) = &self.way else {
            return false;
        };
        let info = server.client().get_connection_info();
        let login = info.redis_settings();
        // A user whose name is not known is another matter.
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
        // A pipeline's error names every command that failed; its beginning says it all.
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

/// A server names the words of a command that it does not know, and one has the password.
fn without_arguments(said: &str) -> &str {
    said.split(", with args").next().unwrap_or_default()
}

/// What a node of a cluster is, and how to reach it.
pub(super) const NODE: (&str, &str) = (
    "it is a node of a cluster",
    "write redis-cluster:// instead of redis:// in REDIS_URL",
);

/// What a server refuses for a reason that people can mend, and how.
fn refusal(error: &RedisError, said: &str, has_password: bool) -> Option<(String, &'static str)> {
    // Without a log-in a server takes no long request.
    if is_about_login(error) || said.contains("unauthenticated") {
        let trouble = match has_password {
            true => "the log-in is refused: it does not know this user and password",
            false => "the log-in is refused: it wants a password, and REDIS_URL gives none",
        };
        let mend = "set user and password in REDIS_URL";
        return Some((trouble.to_owned(), mend));
    }
    [
        ("\"OOM\"", "its memory is full", "raise maxmemory"),
        (
            "WRONGTYPE",
            "another kind of value stands under the key",
            "delete it, or keep programs apart by their namespaces",
        ),
        (
            "read only replica",
            "it is a replica and takes no writes",
            "set REDIS_URL to its master",
        ),
        (
            "MISCONF",
            "it cannot save to its disk and takes no writes",
            "make room there, or set its stop-writes-on-bgsave-error to no",
        ),
        (
            "cluster support disabled",
            "it is no cluster",
            "set REDIS_URL to a redis:// address",
        ),
        ("MOVED", NODE.0, NODE.1),
        ("CrossSlot", NODE.0, NODE.1),
        (
            "refused to switch database",
            "it has no database of that number, or its user lacks the right +select",
            "write another number behind the last / of REDIS_URL, or none",
        ),
        (
            "'HELLO'",
            "it does not know RESP3",
            "set reader.first_level to off, and no protocol in REDIS_URL",
        ),
    ]
    .into_iter()
    .find(|(sign, ..)| said.contains(sign))
    .map(|(_, trouble, mend)| (trouble.to_owned(), mend))
}

impl fmt::Debug for RedisSettings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may hold a password.
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
