//! The link to the master behind sentinels, whichever server that is at the moment.
//!
//! The sentinels are asked every second, and at once when one of them reports a new master or when
//! the current master fails. A demoted master still answers for seconds before it learns of its
//! demotion, and its writes are lost. Waiting for its error would be too late.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use redis::aio::PubSub;
use redis::{Client, Cmd, ConnectionInfo, ErrorKind, RedisError, RedisResult};
use tokio::time::{sleep, timeout};

use super::address::at;
use super::connection::Connection;
use super::search::Search;
use super::server::{Limits, Server, is_about_login};
use sise_net::supervisor::Supervisor;

/// Interval at which the sentinels are asked.
const EVERY: Duration = Duration::from_secs(1);

/// Channel on which a sentinel publishes a change of the master.
const CHANGE: &str = "+switch-master";

/// A master that is found through its sentinels.
pub(super) struct Sentinels {
    shared: Arc<Shared>,
    /// The tasks that ask and listen; they end with this value.
    _tasks: Supervisor,
}

struct Shared {
    name: String,
    sentinels: Vec<Sentinel>,
    /// Connection settings of the master, except for host and port.
    template: ConnectionInfo,
    limits: Limits,
    master: ArcSwapOption<Master>,
    search: Search,
    /// Whether the current master has failed since the sentinels were last asked.
    in_doubt: AtomicBool,
}

struct Sentinel {
    open: Server,
    /// The same with the login of the master, for sentinels that ask for one.
    known: Option<Server>,
}

struct Master {
    host: String,
    port: u16,
    server: Server,
}

/// Answer of a sentinel.
struct Word {
    host: String,
    port: u16,
    /// Grows with every change of the master.
    epoch: u64,
}

impl Sentinels {
    pub(super) fn new(
        name: String,
        template: ConnectionInfo,
        sentinels: Vec<ConnectionInfo>,
        limits: Limits,
    ) -> RedisResult<Self> {
        let sentinels = sentinels
            .into_iter()
            .map(|info| Sentinel::new(info, limits))
            .collect::<RedisResult<Vec<_>>>()?;
        let shared = Arc::new(Shared {
            name,
            sentinels,
            template,
            limits,
            master: ArcSwapOption::empty(),
            search: Search::default(),
            in_doubt: AtomicBool::new(false),
        });
        let supervisor = Supervisor::default();
        let tasks = supervisor.tasks().within(Duration::ZERO);
        for place in 0..shared.sentinels.len() {
            let heard = Arc::clone(&shared);
            tasks.lasting("sentinel", move |_| Arc::clone(&heard).listen(place));
        }
        let followed = Arc::clone(&shared);
        tasks.lasting("sentinels", move |_| Arc::clone(&followed).follow());
        Ok(Self {
            shared,
            _tasks: supervisor,
        })
    }

    /// Returns a client for connections of another kind to the current master.
    pub(super) async fn client(&self) -> RedisResult<Client> {
        let master = match self.shared.master.load_full() {
            Some(master) => master,
            None => self.shared.first_master().await?,
        };
        Ok(master.server.client().clone())
    }

    /// Runs a request on the master. If another server has become the master, runs it once more
    /// there.
    pub(super) async fn run<T, F, Fut>(&self, request: &F) -> RedisResult<T>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = RedisResult<T>>,
    {
        let shared = &self.shared;
        let master = match shared.master.load_full() {
            Some(master) => master,
            None => shared.first_master().await?,
        };
        let outcome = master.server.run(request).await;
        let Err(error) = &outcome else {
            return outcome;
        };
        if !(error.is_io_error() || is_refused_by_replica(error)) {
            return outcome;
        }
        shared.in_doubt.store(true, Ordering::Relaxed);
        // A request that timed out may have been executed, and its time is used up.
        if error.is_timeout() {
            shared.search.call();
            return outcome;
        }
        shared.search.look(shared.limits.both()).await;
        match shared.master.load_full() {
            Some(new) if !Arc::ptr_eq(&new, &master) => new.server.run(request).await,
            _ => outcome,
        }
    }
}

/// Whether a server refused because it is not, or no longer, a master. The error of a script has
/// the code somewhere inside.
fn is_refused_by_replica(error: &RedisError) -> bool {
    error.code() == Some("READONLY") || error.to_string().contains("READONLY You can't write")
}

impl Shared {
    async fn follow(self: Arc<Self>) {
        let this = &*self;
        self.search.run(EVERY, || this.look()).await;
    }

    /// Asks all sentinels and uses the newest answer.
    async fn look(&self) -> Option<RedisError> {
        let in_doubt = self.in_doubt.swap(false, Ordering::Relaxed);
        let asked = self.sentinels.iter().map(|sentinel| sentinel.master(self));
        let mut answers = 0;
        let mut newest: Option<Word> = None;
        let mut trouble = no_master("no sentinel answers".to_owned());
        for answer in join_all(asked).await {
            match answer {
                Ok(word) => {
                    answers += 1;
                    if newest.as_ref().is_none_or(|last| word.epoch > last.epoch) {
                        newest = Some(word);
                    }
                }
                // A refusal says more than an unreachable sentinel.
                Err(error) if !error.is_io_error() => trouble = self.refusal(&error),
                Err(_) => {}
            }
        }
        let Some(word) = newest else {
            return Some(trouble);
        };
        // A working master is only replaced if most sentinels answer: a few of them may be cut off.
        let is_believed = in_doubt || answers * 2 > self.sentinels.len();
        self.take(word, is_believed).err()
    }

    fn take(&self, word: Word, is_believed: bool) -> RedisResult<()> {
        let Word { host, port, .. } = word;
        let before = self.master.load();
        if let Some(master) = before.as_ref() {
            if !is_believed || (&master.host, master.port) == (&host, port) {
                return Ok(());
            }
            tracing::warn!(
                master = self.name,
                from = format!("{}:{}", master.host, master.port),
                to = format!("{host}:{port}"),
                "the sentinels name another master"
            );
        }
        let server = Server::new(at(&self.template, &host, port), self.limits)?;
        self.master
            .store(Some(Arc::new(Master { host, port, server })));
        Ok(())
    }

    /// Returns the master if none was known so far.
    async fn first_master(&self) -> RedisResult<Arc<Master>> {
        self.search.look(self.limits.both()).await;
        let late = || no_master("no sentinel answers in time".to_owned());
        let master = self.master.load_full();
        master.ok_or_else(|| self.search.trouble().unwrap_or_else(late))
    }

    /// Requests a look whenever this sentinel reports a new master. If that message is lost, the
    /// regular look finds the change a little later.
    async fn listen(self: Arc<Self>, place: usize) {
        let Some(sentinel) = self.sentinels.get(place) else {
            return;
        };
        loop {
            for server in sentinel.ways() {
                // Silence, a refusal and a dropped connection are handled alike.
                let _ = self.hear(server.client()).await;
            }
            sleep(EVERY).await;
        }
    }

    async fn hear(&self, client: &Client) -> RedisResult<()> {
        let Ok(subscribed) = timeout(self.limits.both(), subscribe(client)).await else {
            return Ok(());
        };
        let mut channel = subscribed?;
        let mut changes = channel.on_message();
        while changes.next().await.is_some() {
            self.search.call();
        }
        Ok(())
    }

    fn refusal(&self, error: &RedisError) -> RedisError {
        no_master(match () {
            _ if is_about_login(error) => "the sentinels refuse the log-in".to_owned(),
            _ if error.to_string().contains("No such master") => {
                format!("the sentinels know no master called {}", self.name)
            }
            _ => format!("the sentinels answer: {error}"),
        })
    }
}

async fn subscribe(client: &Client) -> RedisResult<PubSub> {
    let mut channel = client.get_async_pubsub().await?;
    channel.subscribe(CHANGE).await?;
    Ok(channel)
}

fn no_master(why: String) -> RedisError {
    let kind = ErrorKind::MasterNameNotFoundBySentinel;
    RedisError::from((kind, "no master", why))
}

impl Sentinel {
    fn new(info: ConnectionInfo, limits: Limits) -> RedisResult<Self> {
        let login = info.redis_settings();
        let known = match login.password() {
            Some(_) => Some(Server::new(info.clone(), limits)?),
            None => None,
        };
        let open = info.set_redis_settings(redis::RedisConnectionInfo::default());
        Ok(Self {
            open: Server::new(open, limits)?,
            known,
        })
    }

    fn ways(&self) -> impl Iterator<Item = &Server> {
        [&self.open].into_iter().chain(&self.known)
    }

    /// Asks this sentinel for the master.
    async fn master(&self, shared: &Shared) -> RedisResult<Word> {
        let mut command = Cmd::new();
        command.arg("SENTINEL").arg("MASTER").arg(&shared.name);
        let command = &command;
        let ask = |mut connection: Connection| async move {
            let fields: HashMap<String, String> = command.query_async(&mut connection).await?;
            Ok(fields)
        };
        let mut answer = self.open.run(&ask).await;
        let wants_login = |error: &RedisError| error.code() == Some("NOAUTH");
        if let Some(known) = &self.known
            && answer.as_ref().is_err_and(wants_login)
        {
            answer = known.run(&ask).await;
        }
        let mut fields = answer?;
        let port = fields.get("port").and_then(|port| port.parse().ok());
        let epoch = fields.get("config-epoch");
        let epoch = epoch.and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
        match (fields.remove("ip"), port) {
            (Some(host), Some(port)) => Ok(Word { host, port, epoch }),
            _ => Err(RedisError::from((
                ErrorKind::UnexpectedReturnType,
                "no host and port of the master",
            ))),
        }
    }
}
