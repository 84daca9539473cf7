//! One node of a cluster.

use redis::aio::ConnectionLike as _;
use redis::{Client, Cmd, ConnectionInfo, FromRedisValue as _, Pipeline, RedisResult, Value};

use super::address::at;
use super::connection::Connection;
use super::server::{Limits, Server};

/// A node, with the host and port by which the other nodes know it.
pub(super) struct Node {
    pub(super) host: String,
    pub(super) port: u16,
    server: Server,
}

/// A node's view of its cluster.
pub(super) struct View {
    /// Whether all slots are served, as far as the node knows.
    pub(super) is_whole: bool,
    /// Grows with every change of the cluster.
    pub(super) epoch: u64,
    /// First and last slot, host and port.
    pub(super) slots: Vec<(u16, u16, String, u16)>,
}

impl Node {
    /// Creates a node with the connection settings of `template`, except for host and port.
    pub(super) fn new(
        template: &ConnectionInfo,
        host: &str,
        port: u16,
        limits: Limits,
    ) -> RedisResult<Self> {
        Ok(Self {
            host: host.to_owned(),
            port,
            server: Server::new(at(template, host, port), limits)?,
        })
    }

    /// Client for connections of another kind.
    pub(super) fn client(&self) -> &Client {
        self.server.client()
    }

    /// Sends a command.
    pub(super) async fn ask(&self, command: &Cmd) -> RedisResult<Value> {
        let request =
            |mut connection: Connection| async move { command.query_async(&mut connection).await };
        self.server.run(&request).await
    }

    /// Sends a command for a slot that is moving to this node. Without `ASKING` the node refuses
    /// it.
    pub(super) async fn ask_while_moving(&self, command: &Cmd) -> RedisResult<Value> {
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("ASKING").add_command(command.clone());
        let answer = self.ask_together(&pipeline).await?.pop();
        answer.unwrap_or(Ok(Value::Nil))
    }

    /// Sends commands together; each gets its own answer.
    pub(super) async fn ask_together(
        &self,
        pipeline: &Pipeline,
    ) -> RedisResult<Vec<RedisResult<Value>>> {
        let answers = self.ask_part(pipeline, 0, pipeline.len()).await?;
        Ok(answers.into_iter().map(Value::extract_error).collect())
    }

    /// Sends commands together and returns `count` answers, starting at `offset`, including errors.
    pub(super) async fn ask_part(
        &self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let request = |mut connection: Connection| async move {
            let answers = connection.req_packed_commands(pipeline, offset, count);
            answers.await
        };
        self.server.run(&request).await
    }

    /// Asks the node for its view of the cluster.
    pub(super) async fn view(&self) -> RedisResult<View> {
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("CLUSTER").arg("INFO");
        pipeline.cmd("CLUSTER").arg("SLOTS");
        let mut answers = self.ask_together(&pipeline).await?.into_iter();
        let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
        let info = String::from_redis_value(next()?)?;
        let slots = Vec::<Value>::from_redis_value(next()?)?;
        let field = |name: &str| {
            let mut lines = info.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        let epoch = field("cluster_current_epoch").and_then(|epoch| epoch.parse().ok());
        Ok(View {
            is_whole: field("cluster_state") == Some("ok"),
            epoch: epoch.unwrap_or(0),
            slots: slots.iter().filter_map(|range| self.range(range)).collect(),
        })
    }

    /// Parses a range: first and last slot, host and port of the master. Replicas are not used.
    fn range(&self, range: &Value) -> Option<(u16, u16, String, u16)> {
        let Value::Array(range) = range else {
            return None;
        };
        let [
            Value::Int(first),
            Value::Int(last),
            Value::Array(master),
            ..,
        ] = range.as_slice()
        else {
            return None;
        };
        let [host, Value::Int(port), ..] = master.as_slice() else {
            return None;
        };
        let host = match host {
            Value::BulkString(host) => String::from_utf8_lossy(host).into_owned(),
            Value::SimpleString(host) => host.clone(),
            _ => String::new(),
        };
        let host = match host.as_str() {
            // An empty host means this node; a question mark means that the node does not know it.
            "" => self.host.clone(),
            "?" => return None,
            _ => host,
        };
        let number = |value: &i64| u16::try_from(*value).ok();
        Some((number(first)?, number(last)?, host, number(port)?))
    }
}
