//! A real Redis Cluster of three masters on private ports.

use std::collections::BTreeMap;

use redis::Cmd;
use serde_json::Value;

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
        let mut nodes = Vec::new();
        let mut bus_ports = Vec::new();
        for _ in LAST_SLOTS {
            let bus_port = free_port();
            let bus = bus_port.to_string();
            let arguments = [
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus,
                "--cluster-node-timeout",
                "2000",
            ];
            nodes.push(RedisServer::start_with(&arguments, "").await);
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

    /// Waits until every node knows every other and serves.
    pub(crate) async fn is_whole(&self) {
        for node in &self.nodes {
            until("the cluster is whole", async || {
                let client = redis::Client::open(node.url()).unwrap();
                let mut connection = client.get_multiplexed_async_connection().await.ok()?;
                let mut command = Cmd::new();
                command.arg("CLUSTER").arg("INFO");
                let text: String = command.query_async(&mut connection).await.ok()?;
                let is_whole = ["cluster_state:ok", "cluster_known_nodes:3"];
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
        let [a, b, _] = self.nodes.as_slice() else {
            panic!("three nodes");
        };
        format!(
            "redis-cluster://127.0.0.1:{},127.0.0.1:{}",
            a.port(),
            b.port()
        )
    }

    /// The live price objects by code, of all nodes.
    pub(crate) async fn realtime(&self) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        for node in &self.nodes {
            all.extend(node.realtime().await);
        }
        all
    }

    /// The node that has the slot of `key`.
    pub(crate) fn place_of(key: &str) -> usize {
        let route = redis::cluster_routing::Slot::for_key(key);
        let has = |last: &u16| route_number(route) <= *last;
        LAST_SLOTS.iter().position(has).unwrap()
    }
}

/// The number of a slot, which the client does not tell: it shows it.
fn route_number(slot: redis::cluster_routing::Slot) -> u16 {
    let shown = format!("{slot:?}");
    let digits: String = shown.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}
