//! Hashes of a cache in Redis.

use std::sync::LazyLock;

use async_trait::async_trait;
use redis::{Cmd, Script};

use super::RedisStore;
use super::values::milliseconds;
use sise_port::{Growth, Hashes, Piece, Receipt, StoreError};

/// Number of fields that a server examines for one answer.
const PIECE: usize = 500;

/// Functions for whole numbers: not negative, and in the notation of `HINCRBY`. They are kept and
/// compared as text, because numbers in a script are only exact up to 2^53.
const WHOLE: &str = "local function whole(text)
  if not text or not (text == '0' or string.match(text, '^[1-9]%d*$')) then return false end
  if #text > 19 or (#text == 19 and text > '9223372036854775807') then return false end
  return text
end
local function is_less(one, other)
  return #one < #other or (#one == #other and one < other)
end
";

/// Increments numbers, once for each receipt.
///
/// KEYS: the hash, the receipt. ARGV: number and life of the receipt, then for each growth the
/// field, the increment, and the start value or nothing. Returns the numbers; an absent one is
/// empty.
static GROW: LazyLock<Script> = LazyLock::new(|| {
    let grow = "local function number(field)
          return whole(redis.call('HGET', KEYS[1], field))
        end
        local numbers = {}
        local is_whole = true
        for i = 3, #ARGV, 3 do
          local held = number(ARGV[i])
          if not held and ARGV[i + 2] == '' then is_whole = false end
          numbers[#numbers + 1] = held or ''
        end
        local last = whole(redis.call('GET', KEYS[2]))
        if not is_whole or (last and not is_less(last, ARGV[1])) then return numbers end
        redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
        for i = 3, #ARGV, 3 do
          if not number(ARGV[i]) then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2]) end
          local grown = redis.pcall('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
          if type(grown) == 'table' then
            redis.call('HSET', KEYS[1], ARGV[i], '9223372036854775807')
          end
          numbers[i / 3] = number(ARGV[i])
        end
        return numbers";
    Script::new(&[WHOLE, grow].concat())
});

/// Raises numbers that are lower. KEYS: the hash. ARGV: fields and numbers, in turn.
static RAISE: LazyLock<Script> = LazyLock::new(|| {
    let raise = "for i = 1, #ARGV, 2 do
          local held, number = whole(redis.call('HGET', KEYS[1], ARGV[i])), ARGV[i + 1]
          if not held or is_less(held, number) then
            redis.call('HSET', KEYS[1], ARGV[i], number)
          end
        end";
    Script::new(&[WHOLE, raise].concat())
});

/// Formats a number, limited to the highest that a hash can hold.
fn text(number: u64) -> String {
    number.min(i64::MAX.unsigned_abs()).to_string()
}

#[async_trait]
impl Hashes for RedisStore {
    async fn fields(
        &self,
        key: &str,
        fields: &[String],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = Cmd::new();
        command.arg("HMGET").arg(key).arg(fields);
        self.link.ask(&command).await
    }

    async fn all_fields(&self, key: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut fields: Vec<(String, Vec<u8>)> = self.link.ask(&Cmd::hgetall(key)).await?;
        fields.sort_unstable();
        Ok(fields)
    }

    async fn piece(&self, key: &str, from: u64) -> Result<Piece, StoreError> {
        let mut command = Cmd::new();
        command.arg("HSCAN").arg(key).arg(from);
        command.arg("COUNT").arg(PIECE);
        let (next, fields): (u64, Vec<(String, Vec<u8>)>) = self.link.ask(&command).await?;
        Ok((fields, (next != 0).then_some(next)))
    }

    async fn set_fields(&self, key: &str, fields: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        if fields.is_empty() {
            return Ok(());
        }
        let mut command = Cmd::new();
        command.arg("HSET").arg(key);
        for (field, value) in fields {
            command.arg(field).arg(value.as_slice());
        }
        self.link.ask(&command).await
    }

    async fn delete_fields(&self, key: &str, fields: &[String]) -> Result<u64, StoreError> {
        if fields.is_empty() {
            return Ok(0);
        }
        let mut command = Cmd::new();
        command.arg("HDEL").arg(key).arg(fields);
        self.link.ask(&command).await
    }

    async fn grow(
        &self,
        key: &str,
        growths: &[Growth],
        receipt: &Receipt,
    ) -> Result<Vec<Option<u64>>, StoreError> {
        if growths.is_empty() {
            return Ok(Vec::new());
        }
        let life = milliseconds(receipt.life);
        let mut arguments = vec![receipt.number.to_string(), life.to_string()];
        for growth in growths {
            arguments.push(growth.field.clone());
            arguments.push(text(growth.by));
            arguments.push(growth.from.map_or_else(String::new, text));
        }
        let keys = [key, &receipt.key];
        let grown: Vec<String> = self.link.eval(&GROW, &keys, arguments).await?;
        Ok(grown.iter().map(|number| number.parse().ok()).collect())
    }

    async fn raise(&self, key: &str, numbers: &[(String, u64)]) -> Result<(), StoreError> {
        if numbers.is_empty() {
            return Ok(());
        }
        let arguments: Vec<String> = numbers
            .iter()
            .flat_map(|(field, number)| [field.clone(), text(*number)])
            .collect();
        self.link.eval(&RAISE, &[key], arguments).await
    }
}
