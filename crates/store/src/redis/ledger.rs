//! The ledger in Redis: one hash with a field for every code.

use std::sync::LazyLock;

use async_trait::async_trait;
use redis::{Cmd, Script};

use super::{RedisStore, writing};
use crate::ledger_text;
use sise_domain::{Row, Symbol};
use sise_port::{Lead, Ledger, StoreError};

/// Field with the lead of the last writer; no code has this name.
const LEAD: &str = "lead";

/// Writes rows. KEYS: the ledger. ARGV: the field of the lead, the lead or 0, then code and row in
/// turn. Returns whether it wrote.
static KEEP: LazyLock<Script> = LazyLock::new(|| {
    writing(
        "hash",
        "local lead = tonumber(ARGV[2])
        if lead > 0 then
          local last = tonumber(redis.call('HGET', KEYS[1], ARGV[1])) or 0
          -- Leads are numbered by the clock, so a number more than a day ahead is damaged.
          local tomorrow = (redis.call('TIME')[1] + 86400) * 1e6
          if last > lead and last < tomorrow then return 0 end
          redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
        end
        -- The Lua stack cannot hold a whole market at once.
        for first = 3, #ARGV, 1000 do
          redis.call('HSET', KEYS[1], unpack(ARGV, first, math.min(first + 999, #ARGV)))
        end
        return 1",
    )
});

impl RedisStore {
    fn ledger_key(&self) -> String {
        self.keys.own("ledger")
    }
}

#[async_trait]
impl Ledger for RedisStore {
    async fn keep_rows(
        &self,
        rows: &[(Symbol, Row)],
        lead: Option<Lead>,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let number = lead.map_or(0, |lead| lead.0);
        let mut arguments = vec![LEAD.to_owned(), number.to_string()];
        for (symbol, row) in rows {
            arguments.push(symbol.to_string());
            arguments.push(ledger_text::write(row));
        }
        let key = self.ledger_key();
        let written: bool = self.link.eval(&KEEP, &[&key], arguments).await?;
        match lead {
            Some(lead) if !written => Err(StoreError::Superseded { lead }),
            _ => Ok(()),
        }
    }

    async fn row(&self, symbol: Symbol) -> Result<Option<Row>, StoreError> {
        let mut command = Cmd::new();
        command
            .arg("HGET")
            .arg(self.ledger_key())
            .arg(symbol.as_str());
        let text: Option<Vec<u8>> = self.link.ask_own(&command).await?;
        Ok(text.and_then(|text| ledger_text::read(&text)))
    }

    async fn rows(&self) -> Result<Vec<(Symbol, Row)>, StoreError> {
        let mut command = Cmd::new();
        command.arg("HGETALL").arg(self.ledger_key());
        let fields: Vec<(Vec<u8>, Vec<u8>)> = self.link.ask_own(&command).await?;
        let row = |(name, text): &(Vec<u8>, Vec<u8>)| {
            let symbol = std::str::from_utf8(name).ok()?.parse().ok()?;
            Some((symbol, ledger_text::read(text)?))
        };
        Ok(fields.iter().filter_map(row).collect())
    }
}
