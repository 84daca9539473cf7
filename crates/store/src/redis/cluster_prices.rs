//! Price objects in a cluster, where a command or script can only access keys of one slot.
//!
//! Requests are grouped: one command per slot, and all commands for a node together.

use std::sync::LazyLock;

use metrics::counter;
use redis::{Cmd, Pipeline, RedisError, RedisResult, Script, ServerErrorKind, Value};

use super::RedisStore;
use super::cluster::ClusterConnection;
use super::connection::Connection;
use super::newer::{Answer, Outcome, with_rule};
use super::prices::quote;
use super::slot::by_slot;
use crate::object::Decoder;
use sise_domain::{Quote, Symbol};
use sise_port::{Lead, StoreError};

/// Writes the newer prices of one slot.
///
/// The last lead is on another slot and cannot be read here. So each object ends with the number of
/// the leader that wrote it last. A writer without a lead keeps that number.
///
/// KEYS: the prices. ARGV: the lead of the writer or nothing, life in milliseconds or 0, then the
/// objects. Returns an [`Answer`]. The writer is superseded if an object has a higher number.
static SET_BY_LEAD: LazyLock<String> = LazyLock::new(|| {
    with_rule(
        r#"
        for i = 3, #ARGV do
          if is_ahead(ARGV[i]) then return { 2, time[1], time[2], '' } end
        end
        local answer = { 1, time[1], time[2], '' }
        for i, key in ipairs(KEYS) do
          local held = redis.pcall('GET', key)
          local last = type(held) == 'string' and string.match(held, ',"lead":(%d+)}$')
          local lead = ARGV[1] ~= '' and ARGV[1] or last
          local object = ARGV[i + 2]
          if last and tonumber(last) > tonumber(lead) then
            answer[1] = 0
          elseif not is_newer(object, held) then
            answer[#answer + 1] = i
          else
            if lead then object = string.sub(object, 1, -2) .. ',"lead":' .. lead .. '}' end
            if ARGV[2] == '0' then
              redis.call('SET', key, object)
            else
              redis.call('SET', key, object, 'PX', ARGV[2])
            end
          end
        end
        return answer"#,
    )
});

static DIGEST: LazyLock<String> = LazyLock::new(|| Script::new(&SET_BY_LEAD).get_hash().to_owned());

/// Loads the script.
static LOAD: LazyLock<Cmd> = LazyLock::new(|| {
    let mut command = Cmd::new();
    command.arg("SCRIPT").arg("LOAD").arg(SET_BY_LEAD.as_str());
    command
});

impl RedisStore {
    /// Reads the price objects of `symbols`. The prices of a node that does not answer count as
    /// missing, so that those of the other nodes are still returned.
    pub(super) async fn read_by_slot(
        &self,
        symbols: &[Symbol],
        stem: &str,
    ) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        let key = |symbol: &Symbol| [stem, symbol.as_str()].concat();
        let keys: Vec<String> = symbols.iter().map(key).collect();
        let slots = by_slot(keys.iter());
        let mut pipeline = Pipeline::with_capacity(slots.len());
        for places in &slots {
            // For one key too: GET fails on a key of another kind, MGET finds nothing there.
            pipeline.cmd("MGET");
            for key in places.iter().filter_map(|place| keys.get(*place)) {
                pipeline.arg(key);
            }
        }
        let (pipeline, slots) = (&pipeline, &slots);
        self.link
            .run(|connection| async move {
                let Connection::Cluster(cluster) = connection else {
                    return Ok(Vec::new());
                };
                let mut quotes = vec![None; symbols.len()];
                let mut decoder = Decoder::default();
                let mut answered = slots.is_empty();
                let mut trouble = None;
                for (places, answer) in slots.iter().zip(cluster.send_each(pipeline).await) {
                    let values = match answer {
                        Ok(Value::Array(values)) => values,
                        Ok(_) => Vec::new(),
                        Err(error) => {
                            trouble = Some(error);
                            continue;
                        }
                    };
                    answered = true;
                    for (place, value) in places.iter().zip(values) {
                        if let (Some(symbol), Some(found)) =
                            (symbols.get(*place), quotes.get_mut(*place))
                        {
                            *found = quote(&mut decoder, *symbol, &value);
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

    /// Writes objects, each unless a newer one is there, and returns the positions of those that
    /// were not written.
    ///
    /// With `lead`, writes only if that is the last lead given, and never over a later leader's
    /// objects.
    pub(super) async fn set_by_slot(
        &self,
        objects: &[(String, Vec<u8>)],
        life: u64,
        lead: Option<Lead>,
    ) -> Result<Vec<usize>, StoreError> {
        if let Some(lead) = lead {
            let last: Option<u64> = self.link.ask_own(&Cmd::get(self.lead_key())).await?;
            if last != Some(lead.0) {
                return Err(StoreError::Superseded { lead });
            }
        }
        let slots = &by_slot(objects.iter().map(|(key, _)| key));
        let pipeline = &writing(objects, slots, life, lead);
        let (outcome, older) = self
            .link
            .run(|connection| async move {
                let Connection::Cluster(cluster) = connection else {
                    return Ok((Outcome::Done, Vec::new()));
                };
                let mut worst = Outcome::Done;
                let mut older = Vec::new();
                let mut trouble: Option<RedisError> = None;
                for (places, answer) in slots.iter().zip(write(&cluster, pipeline).await) {
                    match answer.and_then(Answer::read) {
                        Ok(answer) => {
                            let place = |of_slot: &usize| places.get(*of_slot).copied();
                            older.extend(answer.older.iter().filter_map(place));
                            if worst != Outcome::Superseded && answer.outcome != Outcome::Done {
                                worst = answer.outcome;
                            }
                        }
                        Err(error) => trouble = Some(error),
                    }
                }
                older.sort_unstable();
                // A later leader is the more important finding.
                match trouble {
                    Some(error) if worst != Outcome::Superseded => Err(error),
                    _ => Ok((worst, older)),
                }
            })
            .await?;
        match (outcome, lead) {
            (Outcome::Superseded, Some(lead)) => Err(StoreError::Superseded { lead }),
            (Outcome::Ahead, _) => Err(self.ahead()),
            _ => Ok(older),
        }
    }
}

/// Sends all commands, and repeats those that failed because the script was not loaded.
async fn write(cluster: &ClusterConnection, pipeline: &Pipeline) -> Vec<RedisResult<Value>> {
    let mut answers = cluster.send_each(pipeline).await;
    let is_unknown = |error: &RedisError| error.kind() == ServerErrorKind::NoScript.into();
    if !answers
        .iter()
        .any(|answer| answer.as_ref().is_err_and(is_unknown))
    {
        return answers;
    }
    // To all nodes, since a slot may be moving from one to another.
    cluster.send_to_all(&LOAD).await;
    for (answer, command) in answers.iter_mut().zip(pipeline.cmd_iter()) {
        if answer.as_ref().is_err_and(is_unknown) {
            *answer = cluster.send(command).await;
        }
    }
    answers
}

/// Returns the commands that write `objects`, one for each of `slots`.
fn writing(
    objects: &[(String, Vec<u8>)],
    slots: &[Vec<usize>],
    life: u64,
    lead: Option<Lead>,
) -> Pipeline {
    let lead = lead.map_or_else(String::new, |lead| lead.to_string());
    let mut pipeline = Pipeline::with_capacity(slots.len());
    for places in slots {
        let objects = || places.iter().filter_map(|place| objects.get(*place));
        pipeline.cmd("EVALSHA").arg(&*DIGEST).arg(places.len());
        for (key, _) in objects() {
            pipeline.arg(key);
        }
        pipeline.arg(&lead).arg(life);
        for (_, json) in objects() {
            pipeline.arg(json.as_slice());
        }
    }
    pipeline
}
