//! Price objects in a cluster, where a command or script reaches the keys of one slot only: all of
//! a node go to it together, those of a slot in one command.

use std::sync::LazyLock;

use futures_util::future::join_all;
use metrics::counter;
use redis::{Cmd, Pipeline, RedisError, RedisResult, Script, ServerErrorKind, Value};

use super::RedisStore;
use super::cluster::{ClusterConnection, Part};
use super::connection::Connection;
use super::prices::quote;
use crate::domain::{Quote, Symbol};
use crate::port::{Lead, StoreError};
use crate::store::keys::Keys;
use crate::store::object::Decoder;

/// Writes the prices of one slot. The lead cannot be looked up here, it lies on another slot, so
/// each object carries the number of the leader who wrote it last, at its end. Who is no leader
/// leaves it as it was.
///
/// KEYS: the prices. ARGV: the lead of the writer or nothing, life in milliseconds or 0, then the
/// objects. Returns whether none carried a higher number.
const SET_BY_LEAD: &str = r#"
local fresh = 1
for i, key in ipairs(KEYS) do
  local held = redis.pcall('GET', key)
  local last = type(held) == 'string' and string.match(held, ',"lead":(%d+)}$')
  local lead = ARGV[1] ~= '' and ARGV[1] or last
  if last and tonumber(last) > tonumber(lead) then
    fresh = 0
  else
    local object = ARGV[i + 2]
    if lead then object = string.sub(object, 1, -2) .. ',"lead":' .. lead .. '}' end
    if ARGV[2] == '0' then
      redis.call('SET', key, object)
    else
      redis.call('SET', key, object, 'PX', ARGV[2])
    end
  end
end
return fresh"#;

static DIGEST: LazyLock<String> = LazyLock::new(|| Script::new(SET_BY_LEAD).get_hash().to_owned());

/// Makes the script known.
static LOAD: LazyLock<Cmd> = LazyLock::new(|| {
    let mut command = Cmd::new();
    command.arg("SCRIPT").arg("LOAD").arg(SET_BY_LEAD);
    command
});

impl RedisStore {
    /// The price objects of `symbols`. Those of a node that does not answer count as not there, so
    /// that it does not take the prices of the others along.
    pub(super) async fn read_by_slot(
        &self,
        symbols: &[Symbol],
        name: impl Fn(&Keys, Symbol, &mut String),
    ) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        let key = |symbol: &Symbol| {
            let mut key = String::new();
            name(&self.keys, *symbol, &mut key);
            key
        };
        let keys: Vec<String> = symbols.iter().map(key).collect();
        let keys = &keys;
        self.link
            .run(|connection| async move {
                let Connection::Cluster(cluster) = connection else {
                    return Ok(Vec::new());
                };
                let parts = cluster.divide(keys).await?;
                let found = join_all(parts.iter().map(|part| read(&cluster, part, keys))).await;
                let mut quotes = vec![None; symbols.len()];
                let mut decoder = Decoder::default();
                let mut answered = false;
                let mut trouble = None;
                for (places, values) in found.into_iter().flatten() {
                    let values = match values {
                        Ok(values) => values,
                        Err(error) => {
                            trouble = Some(error);
                            continue;
                        }
                    };
                    answered = true;
                    for (place, value) in places.iter().zip(values) {
                        if let Some(symbol) = symbols.get(*place)
                            && let Some(found) = quotes.get_mut(*place)
                        {
                            *found = quote(&mut decoder, *symbol, value);
                        }
                    }
                }
                match trouble {
                    Some(error) if !answered => Err(error),
                    trouble => {
                        counter!("sise_store_errors_total").increment(trouble.is_some().into());
                        Ok(quotes)
                    }
                }
            })
            .await
    }

    /// Writes as the leader only if `lead` is the last that was given, and never over what a later
    /// leader wrote.
    pub(super) async fn set_by_slot(
        &self,
        objects: &[(String, Vec<u8>)],
        life: u64,
        lead: Option<Lead>,
    ) -> Result<(), StoreError> {
        if let Some(lead) = lead {
            let last: Option<u64> = self.link.ask(&Cmd::get(self.lead_key())).await?;
            if last != Some(lead.0) {
                return Err(StoreError::Superseded { lead });
            }
        }
        let keys: Vec<&str> = objects.iter().map(|(key, _)| key.as_str()).collect();
        let keys = &keys;
        let number = lead.map_or_else(String::new, |lead| lead.to_string());
        let number = number.as_str();
        let is_fresh = self
            .link
            .run(|connection| async move {
                let Connection::Cluster(cluster) = connection else {
                    return Ok(true);
                };
                let parts = cluster.divide(keys).await?;
                let pipelines: Vec<Pipeline> = parts
                    .iter()
                    .map(|part| writing(part, objects, number, life))
                    .collect();
                let sent = parts.iter().zip(&pipelines);
                let sent = sent.map(|(part, pipeline)| write(&cluster, part, pipeline));
                let mut is_fresh = true;
                let mut trouble: Option<RedisError> = None;
                // To the end, whatever fails: the other nodes take theirs.
                for answer in join_all(sent).await.into_iter().flatten() {
                    match answer {
                        Ok(answer) => is_fresh &= answer == Value::Int(1),
                        Err(error) => trouble = Some(error),
                    }
                }
                // That another one leads is the more telling.
                match trouble {
                    Some(error) if is_fresh => Err(error),
                    _ => Ok(is_fresh),
                }
            })
            .await?;
        match lead {
            Some(lead) if !is_fresh => Err(StoreError::Superseded { lead }),
            _ => Ok(()),
        }
    }
}

type Found<'a> = (&'a [usize], RedisResult<Vec<Value>>);

/// What a node has under its part of the keys: places and values of each slot.
async fn read<'a>(cluster: &ClusterConnection, part: &'a Part, keys: &[String]) -> Vec<Found<'a>> {
    let mut pipeline = Pipeline::with_capacity(part.slots.len());
    for places in &part.slots {
        // For one key too: GET fails on a key that holds something else, MGET finds nothing there.
        pipeline.cmd("MGET");
        for key in places.iter().filter_map(|place| keys.get(*place)) {
            pipeline.arg(key);
        }
    }
    let answers = cluster.send_together(part, &pipeline).await;
    let values = answers.into_iter().map(|answer| match answer? {
        Value::Array(values) => Ok(values),
        _ => Ok(Vec::new()),
    });
    let places = part.slots.iter().map(Vec::as_slice);
    places.zip(values).collect()
}

/// Sends a node its part, once more what needs a script that it does not know yet.
async fn write(
    cluster: &ClusterConnection,
    part: &Part,
    pipeline: &Pipeline,
) -> Vec<RedisResult<Value>> {
    let mut answers = cluster.send_together(part, pipeline).await;
    let is_unknown = |error: &RedisError| error.kind() == ServerErrorKind::NoScript.into();
    let mut is_loaded = false;
    for (answer, command) in answers.iter_mut().zip(pipeline.cmd_iter()) {
        if answer.as_ref().is_err_and(is_unknown) {
            if !is_loaded {
                // To all: a slot may be on its way from one to another.
                cluster.send_to_all(&LOAD).await;
                is_loaded = true;
            }
            *answer = cluster.send(command).await;
        }
    }
    answers
}

/// The commands that write a node's part of `objects`.
fn writing(part: &Part, objects: &[(String, Vec<u8>)], lead: &str, life: u64) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(part.slots.len());
    for places in &part.slots {
        let objects = || places.iter().filter_map(|place| objects.get(*place));
        pipeline.cmd("EVALSHA").arg(&*DIGEST).arg(places.len());
        for (key, _) in objects() {
            pipeline.arg(key);
        }
        pipeline.arg(lead).arg(life);
        for (_, json) in objects() {
            pipeline.arg(json.as_slice());
        }
    }
    pipeline
}
