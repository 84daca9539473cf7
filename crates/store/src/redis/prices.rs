//! Price objects in Redis.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use metrics::counter;
use redis::{Cmd, RedisResult, Script, Value};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::RedisStore;
use super::connection::Connection;
use super::newer::{Answer, Outcome, with_rule};
use crate::count_older;
use crate::object::Decoder;
use sise_domain::{Quote, Symbol};
use sise_net::spans;
use sise_port::{Lead, PriceStore, Shelf, StoreError, Written};

/// Maximum number of keys in one `MGET`. Measured with the whole market: shorter parts cost round
/// trips, longer ones do not fit into the processor's cache.
const PART: usize = 300;

/// Usual length of a key in bytes, to allocate once.
const KEY: usize = 32;

impl RedisStore {
    /// Reads the price objects of `symbols`, whose keys begin with `stem`.
    ///
    /// A long list is requested in parts, all at once. While one part is parsed, the next is on its
    /// way, and the parsed data stay in the processor's cache.
    async fn read(
        &self,
        symbols: &[Symbol],
        stem: String,
    ) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        if self.link.is_cluster() {
            return self.read_by_slot(symbols, &stem).await;
        }
        let length = stem.len();
        let mut key = stem.into_bytes();
        let mut command = |part: &[Symbol]| {
            let mut command = Cmd::with_capacity(part.len() + 1, part.len() * KEY);
            // For one key too: GET fails on a key of another kind, MGET finds nothing there.
            command.arg("MGET");
            for symbol in part {
                key.truncate(length);
                key.extend_from_slice(symbol.as_bytes());
                command.arg(key.as_slice());
            }
            command
        };
        let commands: Vec<Cmd> = symbols.chunks(PART).map(&mut command).collect();
        let commands = &commands;
        self.link
            .run(|connection| async move {
                let mut quotes = Vec::with_capacity(symbols.len());
                let mut decoder = Decoder::default();
                if let [command] = commands.as_slice() {
                    let values = query(command, connection).await?;
                    decode(&mut decoder, symbols, values, &mut quotes);
                    return Ok(quotes);
                }
                let mut answers: FuturesOrdered<_> = commands
                    .iter()
                    .map(|command| query(command, connection.clone()))
                    .collect();
                for part in symbols.chunks(PART) {
                    if let Some(values) = answers.next().await {
                        decode(&mut decoder, part, values?, &mut quotes);
                    }
                }
                Ok(quotes)
            })
            .await
    }
}

pub(super) async fn query(command: &Cmd, mut connection: Connection) -> RedisResult<Vec<Value>> {
    command.query_async(&mut connection).await
}

/// Appends one item for each symbol: its price object, or `None`.
pub(super) fn decode(
    decoder: &mut Decoder,
    symbols: &[Symbol],
    values: Vec<Value>,
    quotes: &mut Vec<Option<Box<Quote>>>,
) {
    let until = quotes.len() + symbols.len();
    let found = symbols.iter().zip(&values);
    quotes.extend(found.map(|(symbol, value)| quote(decoder, *symbol, value)));
    quotes.resize(until, None);
}

/// Parses the price object of `symbol`. Anything else under its key counts as no price.
pub(super) fn quote(decoder: &mut Decoder, symbol: Symbol, value: &Value) -> Option<Box<Quote>> {
    let Value::BulkString(bytes) = value else {
        return None;
    };
    let quote = decoder.read(symbol, bytes).filter(|quote| quote.price > 0);
    if quote.is_none() {
        counter!("sise_store_unreadable_total").increment(1);
    }
    quote
}

/// Writes the newer prices and publishes them. A failure to publish does not fail the write.
///
/// KEYS: the last lead, then the prices. ARGV: the lead of the writer or nothing, life in
/// milliseconds or 0, the channel, the kind of change, then the objects. Returns an [`Answer`]. The
/// writer is superseded if its lead is not the last one.
static SET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&with_rule(
        r#"
        if ARGV[1] ~= '' and redis.call('GET', KEYS[1]) ~= ARGV[1] then
          return { 0, time[1], time[2], '' }
        end
        for i = 5, #ARGV do
          if is_ahead(ARGV[i]) then return { 2, time[1], time[2], '' } end
        end
        local answer, told = { 1, time[1], time[2], '' }, {}
        for i = 2, #KEYS do
          local object = ARGV[i + 3]
          if not is_newer(object, redis.pcall('GET', KEYS[i])) then
            answer[#answer + 1] = i - 1
          else
            if ARGV[2] == '0' then
              redis.call('SET', KEYS[i], object)
            else
              redis.call('SET', KEYS[i], object, 'PX', ARGV[2])
            end
            told[#told + 1] = object
          end
        end
        if #told > 0 then
          local change = '{"' .. ARGV[4] .. '":[' .. table.concat(told, ',') .. ']}'
          local heard = redis.pcall('PUBLISH', ARGV[3], change)
          if type(heard) == 'table' and heard.err then answer[4] = heard.err end
        end
        return answer"#,
    ))
});

impl RedisStore {
    /// Writes objects, each unless a newer one is there, and returns the positions of those that
    /// were not written.
    ///
    /// They live for `life` milliseconds, 0 for no end. They are published as `kind`, the name of a
    /// [`sise_port::Change`].
    pub(super) async fn put(
        &self,
        objects: &[(String, Vec<u8>)],
        life: u64,
        kind: &str,
        lead: Option<Lead>,
    ) -> Result<Vec<usize>, StoreError> {
        if !self.link.is_cluster() {
            return self.set(objects, life, kind, lead).await;
        }
        let older = self.set_by_slot(objects, life, lead).await?;
        let places = objects.iter().enumerate();
        let written = places.filter(|(place, _)| older.binary_search(place).is_err());
        let written: Vec<&[u8]> = written.map(|(_, (_, json))| json.as_slice()).collect();
        if !written.is_empty() {
            let head = format!("{{\"{kind}\":[").into_bytes();
            let written = written.join(b",".as_slice());
            self.tell_written([head, written, b"]}".to_vec()].concat())
                .await;
        }
        Ok(older)
    }

    /// Writes objects; with `lead`, only if that is the last lead given.
    async fn set(
        &self,
        objects: &[(String, Vec<u8>)],
        life: u64,
        kind: &str,
        lead: Option<Lead>,
    ) -> Result<Vec<usize>, StoreError> {
        let mut call = SET.prepare_invoke();
        call.key(self.lead_key());
        call.arg(lead.map_or_else(String::new, |lead| lead.to_string()));
        call.arg(life).arg(self.channel()).arg(kind);
        for (key, json) in objects {
            call.key(key).arg(json.as_slice());
        }
        let call = &call;
        let asked = Instant::now();
        let answer =
            self.link
                .run(|mut connection| async move {
                    Answer::read(call.invoke_async(&mut connection).await?)
                })
                .await?;
        if let Some(clock) = &self.clock {
            clock.note(asked, answer.time);
        }
        if !answer.untold.is_empty() {
            self.untold(&answer.untold);
        }
        match (answer.outcome, lead) {
            (Outcome::Ahead, _) => Err(self.ahead()),
            (Outcome::Superseded, Some(lead)) => Err(StoreError::Superseded { lead }),
            _ => Ok(answer.older),
        }
    }

    /// Returns the error for prices from the future.
    pub(super) fn ahead(&self) -> StoreError {
        StoreError::Refused {
            store: self.link.address().to_owned(),
            trouble: "the prices are from the future by its clock".to_owned(),
            mend: "synchronize the clocks of this machine and of Redis with a time server",
        }
    }
}

/// Adds the day of the session to the object of a last known price. The script that writes uses it.
pub(super) fn marked(mut json: Vec<u8>, shelf: Shelf) -> Vec<u8> {
    if let Some(day) = shelf.last_known_of()
        && json.pop() == Some(b'}')
    {
        json.extend_from_slice(format!(",\"last_known_of\":\"{day}\"}}").as_bytes());
    }
    json
}

/// Life of the objects on a shelf, in milliseconds; 0 for no end.
pub(super) fn life(shelf: Shelf) -> u64 {
    match shelf {
        Shelf::Realtime(ttl) => u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
        Shelf::Close | Shelf::LastKnown(_) => 0,
    }
}

/// The kind of change as which the prices of a shelf are published: the name of a
/// [`sise_port::Change`].
fn kind(shelf: Shelf) -> &'static str {
    match shelf {
        Shelf::Realtime(_) => "prices",
        Shelf::Close | Shelf::LastKnown(_) => "closes",
    }
}

#[async_trait]
impl PriceStore for RedisStore {
    async fn write(
        &self,
        quotes: &[Quote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<Written, StoreError> {
        if quotes.is_empty() {
            return Ok(Written::default());
        }
        let mut objects = Vec::with_capacity(quotes.len());
        for quote in quotes {
            let json = serde_json::to_vec(quote).map_err(|error| StoreError::Failed {
                store: self.link.address().to_owned(),
                trouble: format!("{} cannot be encoded: {error}", quote.stock_code),
            })?;
            let key = match shelf {
                Shelf::Realtime(_) => self.keys.realtime(quote.stock_code),
                Shelf::Close | Shelf::LastKnown(_) => self.keys.close(quote.stock_code),
            };
            objects.push((key, marked(json, shelf)));
        }
        let span = tracing::info_span!(target: spans::TARGET, "store_write", prices = quotes.len());
        let put = self.put(&objects, life(shelf), kind(shelf), lead);
        let older = put.instrument(span).await?;
        count_older(older.len());
        Ok(Written { older })
    }

    async fn realtime(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        tokio::join!(
            self.learn_time(),
            self.read(symbols, self.keys.realtime_stem())
        )
        .1
    }

    async fn close(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.read(symbols, self.keys.close_stem()).await
    }

    async fn lives(&self, symbols: &[Symbol]) -> Result<Vec<Option<Duration>>, StoreError> {
        try_join_all(symbols.iter().map(|symbol| self.life(*symbol))).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // A node answers PING although its cluster is down, but refuses a command with a key. The
        // node that has the lead is the one that matters.
        let command = match self.link.is_cluster() {
            true => redis::cmd("EXISTS").arg(self.lead_key()).to_owned(),
            false => redis::cmd("PING"),
        };
        tokio::join!(self.learn_time(), self.link.ask(&command)).1
    }
}
