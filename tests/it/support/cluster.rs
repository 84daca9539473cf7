//! A real Redis Cluster of three masters on private ports.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue};

use super::redis::RedisServer;
use super::{free_port, until};

/// The last slot of each node.
const LAST_SLOTS: [u16; 3] = [5_460, 10_922, 16_383];

/// Three masters, each with a third of the slots and no replica.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<RedisServer>,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| Vec::new(), "").await
    }

    /// A cluster whose nodes are started with `more` arguments, each by its place; `credentials`
    /// as for [`RedisServer`].
    pub(crate) async fn start_with(more: impl Fn(usize) -> Vec<String>, credentials: &str) -> Self {
        let mut nodes = Vec::new();
        let mut bus_ports = Vec::new();
        for place in 0..LAST_SLOTS.len() {
            let bus_port = free_port();
            let bus = bus_port.to_string();
            let more = more(place);
            let mut arguments = node_arguments(&bus).to_vec();
            arguments.extend(more.iter().map(String::as_str));
            nodes.push(RedisServer::start_with(&arguments, credentials).await);
            bus_ports.push(bus_port);
        }
        let first = (nodes[0].port(), bus_ports[0]);
        let mut from = 0;
        for (place, (node, last)) in nodes.iter().zip(LAST_SLOTS).enumerate() {
            let cluster = |what: &str| {
                let mut command = Cmd::new();
                command.arg("CLUSTER").arg(what);
                command
            };
            let mut commands = vec![
                cluster("ADDSLOTSRANGE").arg(from).arg(last).clone(),
                cluster("SET-CONFIG-EPOCH").arg(place + 1).clone(),
            ];
            if place > 0 {
                let (port, bus) = first;
                let meet = cluster("MEET").arg("127.0.0.1").arg(port).arg(bus).clone();
                commands.push(meet);
            }
            let mut connection = node.connection().await;
            for command in commands {
                let () = command.query_async(&mut connection).await.unwrap();
            }
            from = last + 1;
        }
        let cluster = Self { nodes };
        cluster.is_whole().await;
        cluster
    }

    /// Adds a replica of the node at a place, as the last node.
    pub(crate) async fn add_replica(&mut self, place: usize) {
        let bus = free_port().to_string();
        let arguments = node_arguments(&bus);
        self.nodes
            .push(RedisServer::start_with(&arguments, "").await);
        let last = self.nodes.len() - 1;
        let port = self.nodes[place].port().to_string();
        let slots: String = self.tell(place, &["NODES"]).await;
        let own = slots.lines().find(|line| line.contains("myself")).unwrap();
        let id = own.split(' ').next().unwrap();
        let address = own.split(' ').nth(1).unwrap();
        let their_bus = address.split(['@', ',']).nth(1).unwrap();
        let () = self
            .tell(last, &["MEET", "127.0.0.1", &port, their_bus])
            .await;
        self.is_whole().await;
        let () = self.tell(last, &["REPLICATE", id]).await;
        until("the replica has all", async || {
            let mut connection = self.nodes[last].connection().await;
            let mut command = Cmd::new();
            command.arg("INFO").arg("replication");
            let text: String = command.query_async(&mut connection).await.ok()?;
            text.contains("master_link_status:up").then_some(())
        })
        .await;
        // Only one that the masters know for a replica can take over.
        for node in 0..last {
            until("the others know the replica", async || {
                let nodes: String = self.tell(node, &["NODES"]).await;
                nodes.contains("slave").then_some(())
            })
            .await;
        }
    }

    /// Waits until every node knows every other and serves.
    pub(crate) async fn is_whole(&self) {
        for node in &self.nodes {
            until("the cluster is whole", async || {
                let client = redis::Client::open(node.url()).unwrap();
                let mut connection = client.get_multiplexed_async_connection().await.ok()?;
                let mut command = Cmd::new();
                command.arg("CLUSTER").arg("INFO");
                let text: String = command.query_async(&mut connection).await.ok()?;
                let known = format!("cluster_known_nodes:{}\r", self.nodes.len());
                let is_whole = ["cluster_state:ok", &known];
                is_whole
                    .iter()
                    .all(|word| text.contains(word))
                    .then_some(())
            })
            .await;
        }
    }

    /// The address for a client: two of the nodes, which name the third.
    pub(crate) fn url(&self) -> String {
        self.url_with("")
    }

    /// As [`Cluster::url`] with `user:password@`.
    pub(crate) fn url_with(&self, login: &str) -> String {
        let [a, b, ..] = self.nodes.as_slice() else {
            panic!("three nodes");
        };
        format!(
            "redis-cluster://{login}127.0.0.1:{},127.0.0.1:{}",
            a.port(),
            b.port()
        )
    }

    /// Sends a `CLUSTER` command to the node at a place.
    pub(crate) async fn tell<T: FromRedisValue>(&self, place: usize, words: &[&str]) -> T {
        let mut connection = self.nodes[place].connection().await;
        let mut command = redis::cmd("CLUSTER");
        command.arg(words);
        command.query_async(&mut connection).await.unwrap()
    }

    /// The place of the node that had the slot of `key` at the start.
    pub(crate) async fn place_of(&self, key: &str) -> usize {
        let slot: u16 = self.tell(1, &["KEYSLOT", key]).await;
        LAST_SLOTS.iter().position(|last| slot <= *last).unwrap()
    }

    /// A connection of the test's own to the node that has `key`.
    pub(crate) async fn connection_for(&self, key: &str) -> MultiplexedConnection {
        self.nodes[self.place_of(key).await].connection().await
    }
}

fn node_arguments(bus_port: &str) -> [&str; 6] {
    [
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        bus_port,
        "--cluster-node-timeout",
        "2000",
    ]
}
