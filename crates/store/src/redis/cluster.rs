//! The link to a cluster: each request goes to the node that has the slot of its key.
//!
//! The map of the slots is refreshed every few seconds, and at once when a node fails, is silent,
//! or reports that a slot has moved. Each node has its own connection, so a node that is gone does
//! not delay requests to the others.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use redis::aio::ConnectionLike;
use redis::{
    Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisFuture,
    RedisResult, ServerError, ServerErrorKind, Value,
};

use super::connection::Connection;
use super::node::{Node, View};
use super::search::Search;
use super::server::Limits;
use super::slot::{key_of, slot_of};
use super::slot_map::{Range, SlotMap};
use sise_net::supervisor::Supervisor;

/// Interval at which the nodes are asked for the map of the slots.
const EVERY: Duration = Duration::from_secs(5);

/// Maximum number of redirections of a request.
const REDIRECTS: u32 = 3;

/// A cluster. Connects at the first use.
pub(super) struct Cluster {
    connection: ClusterConnection,
    /// The task that keeps the map of the slots up to date; ends with this value.
    _search: Supervisor,
}

/// A connection to all nodes of a cluster. Cheap to clone.
#[derive(Clone)]
pub(super) struct ClusterConnection {
    shared: Arc<Shared>,
}

struct Shared {
    /// The nodes in the address. `template` has the connection settings of the others, except for
    /// host and port.
    named: Vec<Arc<Node>>,
    template: ConnectionInfo,
    limits: Limits,
    slots: ArcSwap<SlotMap>,
    search: Search,
}

/// The commands of a pipeline that go to one node.
struct Part {
    node: Arc<Node>,
    commands: Pipeline,
    /// Positions of the commands in the pipeline.
    places: Vec<usize>,
}

impl Cluster {
    pub(super) fn new(named: Vec<ConnectionInfo>, limits: Limits) -> RedisResult<Self> {
        let nothing = || RedisError::from((ErrorKind::InvalidClientConfig, "no node"));
        let template = named.first().cloned().ok_or_else(nothing)?;
        let nodes = named.iter().map(|info| match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Ok(Arc::new(Node::new(&template, host, *port, limits)?))
            }
            _ => Err(nothing()),
        });
        let shared = Arc::new(Shared {
            named: nodes.collect::<RedisResult<_>>()?,
            template,
            limits,
            slots: ArcSwap::default(),
            search: Search::default(),
        });
        let search = Supervisor::default();
        let followed = Arc::clone(&shared);
        let tasks = search.tasks().within(Duration::ZERO);
        tasks.lasting("cluster", move |_| Arc::clone(&followed).follow());
        Ok(Self {
            connection: ClusterConnection { shared },
            _search: search,
        })
    }

    /// Returns a client for connections of another kind, to a randomly chosen node.
    pub(super) fn client(&self) -> RedisResult<Client> {
        let nodes = self.connection.nodes();
        let node = nodes.get(fastrand::usize(..nodes.len().max(1)));
        let nothing = || RedisError::from((ErrorKind::InvalidClientConfig, "no node"));
        Ok(node.ok_or_else(nothing)?.client().clone())
    }

    pub(super) async fn run<T, F, Fut>(&self, request: &F) -> RedisResult<T>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = RedisResult<T>>,
    {
        request(Connection::Cluster(self.connection.clone())).await
    }
}

impl ClusterConnection {
    /// Sends each command to the node that has its key, grouped by node. Each command gets its own
    /// answer: a node that is gone does not affect the commands for the others.
    pub(super) async fn send_each(&self, pipeline: &Pipeline) -> Vec<RedisResult<Value>> {
        let mut answers: Vec<RedisResult<Value>> = vec![Ok(Value::Nil); pipeline.len()];
        let mut settle = |place: usize, answer: RedisResult<Value>| {
            if let Some(slot) = answers.get_mut(place) {
                *slot = answer;
            }
        };
        let mut parts: Vec<Part> = Vec::new();
        for (place, command) in pipeline.cmd_iter().enumerate() {
            let node = match self
                .shared
                .node_of(key_of(command).map_or(0, slot_of))
                .await
            {
                Ok(node) => node,
                Err(error) => {
                    settle(place, Err(error));
                    continue;
                }
            };
            let known = parts.iter().position(|part| Arc::ptr_eq(&part.node, &node));
            if known.is_none() {
                parts.push(Part {
                    node,
                    commands: Pipeline::new(),
                    places: Vec::new(),
                });
            }
            let part = match known {
                Some(known) => parts.get_mut(known),
                None => parts.last_mut(),
            };
            if let Some(part) = part {
                part.commands.add_command(command.clone());
                part.places.push(place);
            }
        }
        let sent = parts
            .iter()
            .map(|part| part.node.ask_together(&part.commands));
        for (part, found) in parts.iter().zip(join_all(sent).await) {
            match found {
                Ok(found) => {
                    let found = part.places.iter().zip(found);
                    found.for_each(|(place, answer)| settle(*place, answer));
                }
                Err(error) => {
                    self.shared.search.call();
                    let places = part.places.iter();
                    places.for_each(|place| settle(*place, Err(error.clone())));
                }
            }
        }
        for (answer, command) in answers.iter_mut().zip(pipeline.cmd_iter()) {
            let is_elsewhere = |error: &RedisError| error.redirect_node().is_some();
            if answer.as_ref().is_err_and(is_elsewhere) {
                self.shared.search.call();
                *answer = self.shared.send(command).await;
            }
        }
        answers
    }

    /// Sends a command to the node that has its key.
    pub(super) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let answer = self.shared.send(command).await?;
        answer.extract_error()
    }

    /// All nodes.
    pub(super) fn nodes(&self) -> Vec<Arc<Node>> {
        self.shared.nodes()
    }

    /// Sends a command without a key to every node.
    pub(super) async fn send_to_all(&self, command: &Cmd) -> Vec<RedisResult<Value>> {
        self.shared.send_to_all(command).await
    }
}

impl ConnectionLike for ClusterConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.shared.send(command))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            // Errors of the server are part of the answers, as on a single connection.
            let answers = self.send_each(pipeline).await.into_iter();
            let answers = answers.skip(offset).take(count);
            answers
                .map(|answer| {
                    answer.or_else(|error| Ok(Value::ServerError(ServerError::try_from(error)?)))
                })
                .collect()
        })
    }

    fn get_db(&self) -> i64 {
        0
    }
}

impl Shared {
    /// Sends a command to the node that has its key, and follows redirections.
    async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let Some(key) = key_of(command) else {
            // One answer is enough: the other nodes may be gone.
            let mut outcome = Ok(Value::Nil);
            for answer in self.send_to_all(command).await {
                outcome = answer;
                if outcome.is_ok() {
                    break;
                }
            }
            return outcome;
        };
        let slot = slot_of(key);
        let mut node = self.node_of(slot).await?;
        let mut outcome = node.ask(command).await;
        for _ in 0..REDIRECTS {
            let Err(error) = &outcome else {
                break;
            };
            match error.kind() {
                ErrorKind::Server(ServerErrorKind::Moved) => {
                    self.search.call();
                    node = self.sent_to(error, &node)?;
                    outcome = node.ask(command).await;
                }
                ErrorKind::Server(ServerErrorKind::Ask) => {
                    let taking = self.sent_to(error, &node)?;
                    outcome = taking.ask_while_moving(command).await;
                }
                // A command that timed out may have been executed, and its time is used up.
                _ if error.is_timeout() => {
                    self.search.call();
                    break;
                }
                _ if error.is_io_error() => {
                    self.search.look(self.limits.both()).await;
                    let other = self.node_of(slot).await?;
                    if Arc::ptr_eq(&other, &node) {
                        break;
                    }
                    node = other;
                    outcome = node.ask(command).await;
                }
                _ => break,
            }
        }
        outcome
    }

    /// Returns the answers of all nodes.
    async fn send_to_all(&self, command: &Cmd) -> Vec<RedisResult<Value>> {
        let nodes = self.nodes();
        join_all(nodes.iter().map(|node| node.ask(command))).await
    }

    /// Returns the node that has a slot.
    async fn node_of(&self, slot: u16) -> RedisResult<Arc<Node>> {
        let find = || self.slots.load().owner(slot);
        if let Some(node) = find() {
            return Ok(node);
        }
        self.search.look(self.limits.both()).await;
        find().ok_or_else(|| {
            let nobody = || {
                let kind = ErrorKind::ClusterConnectionNotFound;
                RedisError::from((kind, "no node serves the slot of the key"))
            };
            self.search.trouble().unwrap_or_else(nobody)
        })
    }

    /// Returns the node that a redirection names.
    fn sent_to(&self, error: &RedisError, from: &Node) -> RedisResult<Arc<Node>> {
        let address = error.redirect_node().map_or("", |(address, _)| address);
        let parts = address.rsplit_once(':');
        let found = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let (host, port) = found.ok_or_else(|| error.clone())?;
        // An empty host means the node that sent the redirection.
        let host = if host.is_empty() { &from.host } else { host };
        self.node_at(host, port)
    }

    fn node_at(&self, host: &str, port: u16) -> RedisResult<Arc<Node>> {
        let mut known = self.nodes().into_iter();
        if let Some(node) = known.find(|node| node.host == host && node.port == port) {
            return Ok(node);
        }
        let node = Node::new(&self.template, host, port, self.limits)?;
        Ok(Arc::new(node))
    }

    /// Nodes with slots or, if those are not known yet, the nodes in the address.
    fn nodes(&self) -> Vec<Arc<Node>> {
        let mut nodes = self.slots.load().nodes();
        if nodes.is_empty() {
            nodes.clone_from(&self.named);
        }
        nodes
    }

    async fn follow(self: Arc<Self>) {
        let this = &*self;
        self.search.run(EVERY, || this.look()).await;
    }

    /// Asks all known nodes for the map of the slots, and uses the most recent complete one.
    async fn look(&self) -> Option<RedisError> {
        let mut nodes = self.nodes();
        for named in &self.named {
            let is_there = |node: &Arc<Node>| node.host == named.host && node.port == named.port;
            if !nodes.iter().any(is_there) {
                nodes.push(Arc::clone(named));
            }
        }
        let mut best: Option<View> = None;
        let mut trouble = None;
        for view in join_all(nodes.iter().map(|node| node.view())).await {
            match view {
                Ok(view) => {
                    let rank = |view: &View| (view.is_whole, view.epoch);
                    if best.as_ref().is_none_or(|best| rank(best) < rank(&view)) {
                        best = Some(view);
                    }
                }
                Err(error) => trouble = Some(error),
            }
        }
        let Some(view) = best else {
            return trouble;
        };
        let mut ranges: Vec<Range> = Vec::with_capacity(view.slots.len());
        for (first, last, host, port) in view.slots {
            // A new node has its slots in several ranges.
            let same = |range: &&Range| range.node.host == host && range.node.port == port;
            let node = match ranges.iter().find(same) {
                Some(range) => Arc::clone(&range.node),
                None => match self.node_at(&host, port) {
                    Ok(node) => node,
                    Err(error) => return Some(error),
                },
            };
            ranges.push(Range { first, last, node });
        }
        self.slots.store(Arc::new(SlotMap::new(ranges)));
        None
    }
}
