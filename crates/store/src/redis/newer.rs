//! The rule that keeps the newer of two prices, for the scripts that write.
//!
//! It is the rule of [`Quote::is_outranked_by`](sise_domain::Quote::is_outranked_by), for objects
//! of any writer.

use redis::{FromRedisValue as _, RedisResult, Value};

use sise_domain::outrank::SURELY_LATER;

/// The beginning of all scripts that write. Their second argument is the life in milliseconds, 0
/// for none.
///
/// It defines
///
/// - `time`, the time of the server;
/// - `is_ahead(object)`: whether an object to be written is from the future;
/// - `is_newer(object, held)`: whether it may replace the value that is there. A value that is not
///   an object of the same code with a price and a time up to now is always replaced.
///
/// Nearly every object to be written is newer than the one it replaces. This case is detected
/// without parsing the objects.
const RULE: &str = r#"
local SEOUL, FEED = 540, 'kis.ws'
local FETCHED = 'fetched_at":"'
local find, sub = string.find, string.sub
local time = redis.call('TIME')
-- The clocks of the writers and of a cluster's nodes may differ by up to two seconds.
local latest = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + 2000

-- Closes and last known prices have no TTL and outlive the record of the broker they came from.
local stays = ARGV[2] == '0'

local known = {}
-- Returns milliseconds since 1970. A time without a zone is in Seoul's.
local function reckon(text)
  local year, month, day, hour, minute, second, rest =
    string.match(text, '^(%d%d%d%d)%-(%d%d)%-(%d%d)[Tt ](%d%d):(%d%d):(%d%d)(.*)$')
  if not year then return false end
  local fraction, zone = string.match(rest, '^%.?(%d*)(.*)$')
  local ahead = SEOUL
  if zone == 'Z' or zone == 'z' then
    ahead = 0
  elseif zone ~= '' then
    local sign, hours, minutes = string.match(zone, '^([+-])(%d%d):?(%d%d)$')
    if not sign then return false end
    ahead = (hours * 60 + minutes) * (sign == '-' and -1 or 1)
  end
  year, month = tonumber(year), tonumber(month)
  if month < 3 then year, month = year - 1, month + 12 end
  local days = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    + math.floor((153 * (month - 3) + 2) / 5) + day - 1 - 719468
  local whole = ((days * 24 + hour) * 60 + minute - ahead) * 60 + second
  return whole * 1000 + math.floor(tonumber('0.' .. fraction .. '0') * 1000 + 0.5)
end

local function instant(text)
  if type(text) ~= 'string' then return nil end
  if known[text] == nil then known[text] = reckon(text) end
  return known[text] or nil
end

-- The object's `fetched_at` as sise writes it, near its end and in Seoul's zone. Such texts sort in
-- the order of their times.
local function fetched(object)
  local start, stop = find(object, FETCHED, -120, true)
  if not start or sub(object, start - 1, start - 1) ~= '"' then return nil end
  if sub(object, stop + 24, stop + 30) ~= '+09:00"' then return nil end
  return find(object, '}', stop + 30, true) == #object and sub(object, stop + 1, stop + 29) or nil
end

-- The same for the usual end of an object, as an instant. Many objects share one end.
local END = #'"fetched_at":"2026-11-20T14:30:00.123+09:00"}'
local known_ends = {}
local function ends(object)
  local text = sub(object, -END)
  local at = known_ends[text]
  if at == nil then
    at = instant(string.match(text, '^"fetched_at":"(%d+%-%d+%-%d+T[%d:.]+%+09:00)"}$')) or false
    known_ends[text] = at
  end
  return at, text
end

local function is_ahead(object)
  local at = ends(object) or instant(fetched(object))
  return at ~= nil and at > latest
end

local function decoded(text)
  local is_json, object = pcall(cjson.decode, text)
  return is_json and type(object) == 'table' and object or nil
end

local function is_price(object, of)
  local price = tonumber(object.price or object.level)
  return price and price > 0
    and object.stock_code == of.stock_code and object.index == of.index
end

-- When the trade happened, but no later than it was reported.
local function happened(object, told)
  return math.min(instant(object.timestamp) or told, told)
end

-- For a last known price, which is not a close: the day of the session before it.
local function last_known_of(object)
  return string.match(object, '"last_known_of":"(%d%d%d%d%-%d%d%-%d%d)"', -80)
end

local function is_simulated(object)
  local _, stop = find(object, '"simulated"', 1, true)
  return stop ~= nil and find(object, '^%s*:%s*true', stop + 1) ~= nil
end

-- Whether the value that is there is a price of the same code with a time.
local function is_known(object, held)
  local new, old = decoded(object), decoded(held)
  return new and old and is_price(old, new)
    and (instant(old.fetched_at) or instant(old.timestamp)) ~= nil
end

local function is_newer(object, held)
  if type(held) ~= 'string' then return true end
  -- A real price replaces a simulated one, and never the other way round.
  if stays then
    local is_trial = is_simulated(object)
    if is_trial ~= is_simulated(held) then return not is_trial or not is_known(object, held) end
  end
  local own_at, own_end = ends(object)
  local its_at, its_end = ends(held)
  if own_at and its_at and its_end <= own_end and not find(object, FEED, -160, true) then
    return true
  end
  local own, its = fetched(object), fetched(held)
  local own_day, its_day = last_known_of(object), last_known_of(held)
  if (own_day or its_day) and own and its and not is_ahead(held) then
    if not own_day then return sub(own, 1, 10) >= its_day end
    if not its_day then return sub(its, 1, 10) < own_day end
    return own_day > its_day or own_day == its_day and own >= its
  end
  if own and its and its <= own and not find(object, FEED, -160, true) then return true end
  local new, old = decoded(object), decoded(held)
  if not new or not old or not is_price(old, new) then return true end
  local is_trade = new.source == FEED
  local new_at = instant(new.fetched_at)
  local old_at = instant(old.fetched_at) or instant(old.timestamp)
  if not new_at or not old_at or old_at > latest then return true end
  if not is_trade then return new_at >= old_at end
  local new_trade = happened(new, new_at)
  local more
  if type(new.volume) == 'number' and type(old.volume) == 'number' then
    more = new.volume - old.volume
  end
  if old.source == FEED then
    local old_trade = happened(old, old_at)
    if new_trade ~= old_trade then return new_trade > old_trade end
    return not more or more >= 0
  end
  if new_trade - old_at > SURELY_LATER then return true end
  local function day(at) return math.floor((at + SEOUL * 60000) / 86400000) end
  if day(new_at) ~= day(old_at) then return new_at >= old_at end
  if more then return more >= 0 end
  return new_trade >= happened(old, old_at)
end
"#;

/// Returns a script that begins with the rule.
pub(super) fn with_rule(script: &str) -> String {
    let later = SURELY_LATER.num_milliseconds();
    format!("local SURELY_LATER = {later}\n{RULE}{script}")
}

/// Answer of a script that writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    /// Time of the server, microseconds since 1970.
    pub(super) time: i64,
    /// Why the server refused to publish the change; empty if it did not.
    pub(super) untold: String,
    /// Positions, from 0, of the objects that were not written because a newer one is there.
    pub(super) older: Vec<usize>,
}

/// Outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Another process leads. Nothing was written; in a cluster, a part may have been.
    Superseded,
    /// All newer objects were written.
    Done,
    /// Nothing was written, because some objects are from the future.
    Ahead,
}

impl Answer {
    /// Parses `{outcome, seconds, microseconds, untold, positions from 1...}`.
    pub(super) fn read(value: Value) -> RedisResult<Self> {
        let mut values = Vec::<Value>::from_redis_value(value)?;
        let older = values.split_off(values.len().min(4));
        let (outcome, seconds, micros, untold): (i64, i64, i64, String) =
            redis::from_redis_value(Value::Array(values))?;
        let older: Vec<usize> = redis::from_redis_value(Value::Array(older))?;
        Ok(Self {
            outcome: match outcome {
                0 => Outcome::Superseded,
                2 => Outcome::Ahead,
                _ => Outcome::Done,
            },
            time: seconds.saturating_mul(1_000_000).saturating_add(micros),
            untold,
            older: older.iter().map(|place| place.saturating_sub(1)).collect(),
        })
    }
}
