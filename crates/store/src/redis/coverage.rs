//! Coverage by minute in Redis: one hash for each day.

use std::sync::LazyLock;

use async_trait::async_trait;
use chrono::{NaiveDate, NaiveTime};
use redis::{Cmd, Script};

use super::{RedisStore, writing};
use crate::COVERAGE_LIFE;
use sise_domain::Coverage;
use sise_port::{CoverageLog, StoreError};

/// Writes minutes. KEYS: the day. ARGV: its life in seconds, then minute and coverage in turn, at
/// most those of one day.
static KEEP: LazyLock<Script> = LazyLock::new(|| {
    writing(
        "hash",
        "redis.call('HSET', KEYS[1], unpack(ARGV, 2))
        redis.call('EXPIRE', KEYS[1], ARGV[1])",
    )
});

impl RedisStore {
    fn coverage_key(&self, day: NaiveDate) -> String {
        self.keys.own(&format!("coverage:{day}"))
    }
}

#[async_trait]
impl CoverageLog for RedisStore {
    async fn keep_minutes(
        &self,
        day: NaiveDate,
        minutes: &[(NaiveTime, Coverage)],
    ) -> Result<(), StoreError> {
        if minutes.is_empty() {
            return Ok(());
        }
        let mut arguments = vec![COVERAGE_LIFE.as_secs().to_string()];
        for (minute, Coverage { live, codes }) in minutes {
            arguments.push(minute.format("%H:%M").to_string());
            arguments.push(format!("{live}/{codes}"));
        }
        let key = self.coverage_key(day);
        self.link.eval(&KEEP, &[&key], arguments).await
    }

    async fn minutes(&self, day: NaiveDate) -> Result<Vec<(NaiveTime, Coverage)>, StoreError> {
        let mut command = Cmd::new();
        command.arg("HGETALL").arg(self.coverage_key(day));
        let fields: Vec<(Vec<u8>, Vec<u8>)> = self.link.ask_own(&command).await?;
        let mut minutes: Vec<_> = fields.iter().filter_map(minute).collect();
        minutes.sort_unstable_by_key(|(minute, _)| *minute);
        Ok(minutes)
    }
}

/// Parses a field, `09:01`, and its value, `2766/2769`.
fn minute((minute, coverage): &(Vec<u8>, Vec<u8>)) -> Option<(NaiveTime, Coverage)> {
    let minute = NaiveTime::parse_from_str(std::str::from_utf8(minute).ok()?, "%H:%M").ok()?;
    let (live, codes) = std::str::from_utf8(coverage).ok()?.split_once('/')?;
    let coverage = Coverage {
        live: live.parse().ok()?,
        codes: codes.parse().ok()?,
    };
    Some((minute, coverage))
}
