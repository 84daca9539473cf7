//! Price objects in Redis.

use std::sync::LazyLock;

use async_trait::async_trait;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use metrics::counter;
use redis::{Cmd, RedisResult, Script, Value};
use tracing::Instrument as _;

use super::RedisStore;
use super::connection::Connection;
use crate::domain::{Quote, Symbol};
use crate::port::{Lead, PriceStore, Shelf, StoreError};
use crate::spans;
use crate::store::keys::Keys;
use crate::store::object::Decoder;

/// Keys of one `MGET`. Measured with the whole market at once: shorter parts cost round trips,
/// longer ones leave the cache.
const PART: usize = 300;

/// Bytes of a usual key, to make room once.
const KEY: usize = 32;

impl RedisStore {
    /// The price objects of `symbols`, under the keys that `name` writes.
    ///
    /// A long list is asked for in parts, all at once: while one is read here, the next is on its
    /// way, and what is read stays within the processor's cache.
    async fn read(
        &self,
        symbols: &[Symbol],
        name: impl Fn(&Keys, Symbol, &mut String),
    ) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        if self.link.is_cluster() {
            return self.read_by_slot(symbols, name).await;
        }
        let mut key = String::new();
        let mut command = |part: &[Symbol]| {
            let mut command = Cmd::with_capacity(part.len() + 1, part.len() * KEY);
            // For one key too: GET fails on a key that holds something else, MGET finds nothing
            // there.
            command.arg("MGET");
            for symbol in part {
                key.clear();
                name(&self.keys, *symbol, &mut key);
                command.arg(key.as_str());
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

/// Appends the price object of every symbol, or nothing.
pub(super) fn decode(
    decoder: &mut Decoder,
    symbols: &[Symbol],
    values: Vec<Value>,
    quotes: &mut Vec<Option<Box<Quote>>>,
) {
    let until = quotes.len() + symbols.len();
    let found = symbols.iter().zip(values);
    quotes.extend(found.map(|(symbol, value)| quote(decoder, *symbol, value)));
    quotes.resize(until, None);
}

/// The price object of `symbol`: what another program left under its key is no price.
pub(super) fn quote(decoder: &mut Decoder, symbol: Symbol, value: Value) -> Option<Box<Quote>> {
    let Value::BulkString(bytes) = value else {
        return None;
    };
    let quote = decoder.read(symbol, &bytes).filter(|quote| quote.price > 0);
    if quote.is_none() {
        counter!("sise_store_unreadable_total").increment(1);
    }
    quote
}

/// Writes prices and tells of them. Whether they are heard of is none of the write's.
///
/// KEYS: the last lead, then the prices. ARGV: the lead of the writer or nothing, life in
/// milliseconds or 0, the channel, what kind they are told as, then the objects. Returns whether the
/// writer was the last lead, or none; and if so why the prices are not told, where that is refused.
static SET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r#"if ARGV[1] ~= '' and redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
        for i = 2, #KEYS do
          if ARGV[2] == '0' then
            redis.call('SET', KEYS[i], ARGV[i + 3])
          else
            redis.call('SET', KEYS[i], ARGV[i + 3], 'PX', ARGV[2])
          end
        end
        local change = '{"' .. ARGV[4] .. '":[' .. table.concat(ARGV, ',', 5) .. ']}'
        local told = redis.pcall('PUBLISH', ARGV[3], change)
        return type(told) == 'table' and told.err or 1"#,
    )
});

impl RedisStore {
    /// Writes objects that live for so many milliseconds, 0 for ever, and tells of them as of this
    /// kind, the name of a [`crate::port::Change`].
    pub(super) async fn put(
        &self,
        objects: &[(String, Vec<u8>)],
        life: u64,
        kind: &str,
        lead: Option<Lead>,
    ) -> Result<(), StoreError> {
        if !self.link.is_cluster() {
            return self.set(objects, life, kind, lead).await;
        }
        self.set_by_slot(objects, life, lead).await?;
        let objects = objects.iter().map(|(_, json)| json.as_slice());
        let objects = objects.collect::<Vec<_>>().join(b",".as_slice());
        let head = format!("{{\"{kind}\":[").into_bytes();
        self.tell_written([head, objects, b"]}".to_vec()].concat())
            .await;
        Ok(())
    }

    /// Writes, as the leader only if `lead` is the last that was given, all or nothing.
    async fn set(
        &self,
        objects: &[(String, Vec<u8>)],
        life: u64,
        kind: &str,
        lead: Option<Lead>,
    ) -> Result<(), StoreError> {
        let mut call = SET.prepare_invoke();
        call.key(self.lead_key());
        call.arg(lead.map_or_else(String::new, |lead| lead.to_string()));
        call.arg(life).arg(self.channel()).arg(kind);
        for (key, json) in objects {
            call.key(key).arg(json.as_slice());
        }
        let call = &call;
        let answer: Value = self
            .link
            .run(|mut connection| async move { call.invoke_async(&mut connection).await })
            .await?;
        match (answer, lead) {
            (Value::Int(0), Some(lead)) => Err(StoreError::Superseded { lead }),
            (Value::BulkString(said), _) => {
                self.untold(&String::from_utf8_lossy(&said));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Life of what stands on a shelf, milliseconds; 0 for what stays.
fn life(shelf: Shelf) -> u64 {
    match shelf {
        Shelf::Realtime(ttl) => u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
        Shelf::Close => 0,
    }
}

/// As what the prices of a shelf are told, the name of a [`crate::port::Change`].
fn kind(shelf: Shelf) -> &'static str {
    match shelf {
        Shelf::Realtime(_) => "prices",
        Shelf::Close => "closes",
    }
}

#[async_trait]
impl PriceStore for RedisStore {
    async fn write(
        &self,
        quotes: &[Quote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<(), StoreError> {
        if quotes.is_empty() {
            return Ok(());
        }
        let mut objects = Vec::with_capacity(quotes.len());
        for quote in quotes {
            let json = serde_json::to_vec(quote).map_err(|error| StoreError::Failed {
                store: self.link.address().to_owned(),
                trouble: format!("{} cannot be encoded: {error}", quote.stock_code),
            })?;
            let key = match shelf {
                Shelf::Realtime(_) => self.keys.realtime(quote.stock_code),
                Shelf::Close => self.keys.close(quote.stock_code),
            };
            objects.push((key, json));
        }
        let span = tracing::info_span!(target: spans::TARGET, "store_write", prices = quotes.len());
        let put = self.put(&objects, life(shelf), kind(shelf), lead);
        put.instrument(span).await
    }

    async fn realtime(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.read(symbols, Keys::write_realtime).await
    }

    async fn close(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.read(symbols, Keys::write_close).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        if self.link.is_cluster() {
            // A node says PONG though its cluster is down, but tells whoever names a key. Of all
            // nodes the one that has the lead is needed.
            return self
                .link
                .ask(redis::cmd("EXISTS").arg(self.lead_key()))
                .await;
        }
        self.link.ask(&redis::cmd("PING")).await
    }
}
