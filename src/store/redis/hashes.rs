//! The hashes of a cache in Redis.

use std::sync::LazyLock;

use async_trait::async_trait;
use redis::{Cmd, Script};

use super::RedisStore;
use super::values::milliseconds;
use crate::port::{Growth, Hashes, Receipt, StoreError};

/// KEYS: the hash, the receipt. ARGV: number and life of the receipt, then of each growth the field,
/// by how much, and what it begins with or nothing. Returns the numbers, -1 for one that is absent.
static GROW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local function number(field)
          local held = redis.call('HGET', KEYS[1], field)
          return held and string.match(held, '^%d+$')
        end
        local numbers = {}
        local is_whole = true
        for i = 3, #ARGV, 3 do
          local held = number(ARGV[i])
          if not held and ARGV[i + 2] == '' then is_whole = false end
          numbers[#numbers + 1] = held and tonumber(held) or -1
        end
        if not is_whole or redis.call('GET', KEYS[2]) == ARGV[1] then return numbers end
        redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
        for i = 3, #ARGV, 3 do
          if not number(ARGV[i]) then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2]) end
          numbers[i / 3] = redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
        end
        return numbers",
    )
});

/// KEYS: the hash. ARGV: fields and numbers, in turn.
static RAISE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "for i = 1, #ARGV, 2 do
          local held = redis.call('HGET', KEYS[1], ARGV[i])
          local number = held and string.match(held, '^%d+$')
          if not number or tonumber(number) < tonumber(ARGV[i + 1]) then
            redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
          end
        end",
    )
});

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
            arguments.push(growth.by.to_string());
            arguments.push(
                growth
                    .from
                    .map_or_else(String::new, |from| from.to_string()),
            );
        }
        let keys = [key, &receipt.key];
        let grown: Vec<i64> = self.link.eval(&GROW, &keys, arguments).await?;
        Ok(grown.into_iter().map(|n| u64::try_from(n).ok()).collect())
    }

    async fn raise(&self, key: &str, numbers: &[(String, u64)]) -> Result<(), StoreError> {
        if numbers.is_empty() {
            return Ok(());
        }
        let arguments: Vec<String> = numbers
            .iter()
            .flat_map(|(field, number)| [field.clone(), number.to_string()])
            .collect();
        self.link.eval(&RAISE, &[key], arguments).await
    }
}
