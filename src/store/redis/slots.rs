//! Price objects in a cluster, where one command or script reaches the keys of one slot only.

use std::collections::HashMap;
use std::sync::LazyLock;

use futures_util::stream::{self, StreamExt as _};
use redis::cluster_routing::Slot;
use redis::{Cmd, RedisResult, Script, ScriptInvocation};

use super::RedisStore;
use super::connection::Connection;
use super::prices::{decode, query};
use crate::domain::{Quote, Symbol};
use crate::port::{Lead, StoreError};
use crate::store::keys::Keys;
use crate::store::object::Decoder;

/// Requests under way at once: enough to keep all nodes busy, few enough that none waits long for
/// its turn.
const IN_FLIGHT: usize = 128;

/// Writes the prices of one slot. The lead cannot be looked up here, it lies on another slot, so
/// each object carries the number of the leader who wrote it last, at its end. Who is no leader
/// leaves it as it was.
///
/// KEYS: the prices. ARGV: the lead of the writer or nothing, life in milliseconds or 0, then the
/// objects. Returns whether none carried a higher number.
static SET_BY_LEAD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local fresh = 1
        for i, key in ipairs(KEYS) do
          local held = redis.pcall('GET', key)
          local last = type(held) == 'string' and string.match(held, ',\"lead\":(%d+)}$')
          local lead = ARGV[1] ~= '' and ARGV[1] or last
          if last and tonumber(last) > tonumber(lead) then
            fresh = 0
          else
            local object = ARGV[i + 2]
            if lead then object = string.sub(object, 1, -2) .. ',\"lead\":' .. lead .. '}' end
            if ARGV[2] == '0' then
              redis.call('SET', key, object)
            else
              redis.call('SET', key, object, 'PX', ARGV[2])
            end
          end
        end
        return fresh",
    )
});

impl RedisStore {
    /// The price objects of `symbols` on those nodes that answer; the others count as not there.
    /// For when some do not: a node that is down must not take the prices of all along.
    pub(super) async fn read_what_answers(
        &self,
        symbols: &[Symbol],
        name: impl Fn(&Keys, Symbol, &mut String),
    ) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        let command = |symbol: &Symbol| {
            let mut key = String::new();
            name(&self.keys, *symbol, &mut key);
            let mut command = Cmd::new();
            command.arg("MGET").arg(key);
            command
        };
        let commands: Vec<Cmd> = symbols.iter().map(command).collect();
        let commands = &commands;
        self.link
            .run(|connection| async move {
                let asked = commands
                    .iter()
                    .map(|command| query(command, connection.clone()));
                let asked: Vec<_> = asked.collect();
                let answers: Vec<_> = stream::iter(asked).buffered(IN_FLIGHT).collect().await;
                let mut quotes = Vec::with_capacity(symbols.len());
                let mut decoder = Decoder::default();
                let mut trouble = None;
                let mut answered = 0;
                for (symbol, values) in symbols.iter().zip(answers) {
                    match values {
                        Ok(values) => {
                            answered += 1;
                            decode(&mut decoder, &[*symbol], values, &mut quotes);
                        }
                        Err(error) => {
                            trouble = Some(error);
                            quotes.push(None);
                        }
                    }
                }
                match trouble {
                    Some(error) if answered == 0 => Err(error),
                    _ => Ok(quotes),
                }
            })
            .await
    }

    /// Writes what lies on each slot in one script. As the leader only if `lead` is the last that
    /// was given, and never over what a later leader wrote.
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
        let mut slots: HashMap<Slot, Vec<&(String, Vec<u8>)>> = HashMap::new();
        for object in objects {
            slots
                .entry(Slot::for_key(&object.0))
                .or_default()
                .push(object);
        }
        let calls: Vec<_> = slots
            .values()
            .map(|objects| {
                let mut call = SET_BY_LEAD.prepare_invoke();
                call.arg(lead.map_or_else(String::new, |lead| lead.to_string()));
                call.arg(life);
                for (key, json) in objects {
                    call.key(key).arg(json.as_slice());
                }
                call
            })
            .collect();
        let calls = &calls;
        let outcomes = self
            .link
            .run(|connection| async move {
                let sent = calls.iter().map(|call| invoke(call, connection.clone()));
                let sent: Vec<_> = sent.collect();
                // To the end, whatever fails: the other nodes take theirs.
                let written = stream::iter(sent).buffer_unordered(IN_FLIGHT);
                let written: Vec<RedisResult<bool>> = written.collect().await;
                if written.iter().any(|written| matches!(written, Ok(false))) {
                    return Ok(false);
                }
                written.into_iter().collect::<RedisResult<Vec<bool>>>()?;
                Ok(true)
            })
            .await?;
        match lead {
            Some(lead) if !outcomes => Err(StoreError::Superseded { lead }),
            _ => Ok(()),
        }
    }
}

async fn invoke(call: &ScriptInvocation<'_>, mut connection: Connection) -> RedisResult<bool> {
    call.invoke_async(&mut connection).await
}
