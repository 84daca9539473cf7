//! The rate budget of an app key in Redis: one script call for each booking.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Script;

use super::RedisStore;
use sise_domain::{Booking, CallsMade, CallsSeen, Cap, Caps, Urgency};
use sise_pace::CallCount;
use sise_port::{RateBudget, StoreError};

/// The time that the rule uses: that of the server.
const SERVER_TIME: &str = "local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
";
const RULE: &str = include_str!("budget.lua");

/// The kind of booking, its wait and length; the day and its calls; the time and the calls of the
/// minute before it; how long ago the cell began.
type Reply = (String, u64, u64, i64, u32, i64, u32, u64);

/// The budget of one app key.
pub struct RedisBudget {
    store: Arc<RedisStore>,
    key: String,
    caps: Caps,
    count: Arc<CallCount>,
    script: Script,
}

impl RedisBudget {
    /// Returns the budget of the app key called `identity` in `store`. `count` remembers the calls
    /// if the store loses them.
    #[must_use]
    pub fn new(store: Arc<RedisStore>, identity: &str, caps: Caps, count: Arc<CallCount>) -> Self {
        Self {
            key: store.keys.own(&format!("budget:{identity}")),
            store,
            caps,
            count,
            script: Script::new(&format!("{SERVER_TIME}{RULE}")),
        }
    }

    /// Returns the current use of the budget, by the server's clock.
    ///
    /// # Errors
    ///
    /// Returns an error if the budget is unreachable.
    pub async fn seen(&self) -> Result<CallsSeen, StoreError> {
        // A look does not report any calls.
        let known = CallsMade::default();
        let (share, last_second, last_minute, today): (String, u32, u32, u32) =
            self.ask("look", Urgency::Sweep, known).await?;
        Ok(CallsSeen {
            share: share.parse().unwrap_or(1.0),
            last_second,
            last_minute,
            today,
        })
    }

    async fn ask<T: redis::FromRedisValue>(
        &self,
        what: &str,
        urgency: Urgency,
        known: CallsMade,
    ) -> Result<T, StoreError> {
        let Caps {
            per_second,
            per_minute,
            per_day,
            late,
        } = self.caps;
        let late = u64::try_from(late.as_micros()).unwrap_or(0);
        let link = &self.store.link;
        link.eval(
            &self.script,
            &[&self.key],
            (
                what,
                per_second,
                per_minute.unwrap_or(0),
                per_day.unwrap_or(0),
                self.caps.calls_a_cell(),
                urgency.reach(),
                urgency.lane_periods(),
                // Lua counts from one.
                urgency.index() + 1,
                (known.day, known.today),
                (known.heard_at, known.last_minute, known.uncounted),
                late,
            ),
        )
        .await
    }
}

#[async_trait]
impl RateBudget for RedisBudget {
    async fn book(&self, urgency: Urgency) -> Result<Booking, StoreError> {
        let telling = self.count.tell();
        let (kind, wait, length, day, today, heard_at, last_minute, late): Reply =
            self.ask("book", urgency, telling.known).await?;
        telling.answered(CallsMade {
            day,
            today,
            heard_at,
            last_minute,
            uncounted: 0,
        });
        let wait = Duration::from_micros(wait);
        Ok(match kind.as_str() {
            "day" => Booking::Spent {
                cap: Cap::Day,
                again: wait,
            },
            "minute" => Booking::Spent {
                cap: Cap::Minute,
                again: wait,
            },
            _ => Booking::Cell {
                wait,
                late: Duration::from_micros(late),
                calls: self.caps.calls_a_cell(),
                length: Duration::from_micros(length),
            },
        })
    }

    async fn refused(&self) -> Result<f64, StoreError> {
        // A refusal does not report any calls.
        let known = CallsMade::default();
        let share: String = self.ask("refused", Urgency::Sweep, known).await?;
        Ok(share.parse().unwrap_or(1.0))
    }
}

impl fmt::Debug for RedisBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBudget")
            .field("key", &self.key)
            .field("caps", &self.caps)
            .finish_non_exhaustive()
    }
}
