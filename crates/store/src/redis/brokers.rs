//! Record of the broker that the prices in Redis come from: one hash with a TTL.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use redis::Script;

use super::{RedisStore, writing};
use sise_domain::BrokerIdentity;
use sise_port::{BrokerClaims, BrokerHolder, StoreError};

/// Claims Redis for a broker. KEYS: the record. ARGV: address, account, whether it is a simulator
/// (`yes`, `no`, or nothing if not known yet), process, life in milliseconds.
///
/// Returns the record of another broker, or nothing. A record without a TTL is not from sise and is
/// replaced.
static CLAIM: LazyLock<Script> = LazyLock::new(|| {
    let script = "local left = redis.call('PTTL', KEYS[1])
        local held = redis.call('HMGET', KEYS[1], 'address', 'account', 'simulated', 'process')
        local kind = held[3] or ''
        local is_held = left >= 0 and held[1] and held[2] and held[4]
        local is_other_kind = kind ~= '' and ARGV[3] ~= '' and kind ~= ARGV[3]
        if is_held and (held[1] ~= ARGV[1] or held[2] ~= ARGV[2] or is_other_kind) then
          return { held[1], held[2], kind, held[4], left }
        end
        if ARGV[3] ~= '' then kind = ARGV[3] elseif not is_held then kind = '' end
        redis.call('HSET', KEYS[1], 'address', ARGV[1], 'account', ARGV[2], 'simulated', kind, 'process', ARGV[4])
        redis.call('PEXPIRE', KEYS[1], math.max(left, tonumber(ARGV[5])))
        return false";
    writing("hash", script)
});

/// Returns the record. KEYS: the record.
static HOLDER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local left = redis.call('PTTL', KEYS[1])
        local held = redis.pcall('HMGET', KEYS[1], 'address', 'account', 'simulated', 'process')
        if left < 0 or not (held[1] and held[2] and held[4]) then return false end
        return { held[1], held[2], held[3] or '', held[4], left }",
    )
});

impl RedisStore {
    fn broker_key(&self) -> String {
        self.keys.own("broker")
    }
}

/// A record as a script returns it.
type Holding = (String, String, String, String, i64);

fn holder(held: Option<Holding>) -> Option<BrokerHolder> {
    let (address, account, kind, process, left) = held?;
    Some(BrokerHolder {
        broker: BrokerIdentity {
            address,
            account,
            simulated: match kind.as_str() {
                "yes" => Some(true),
                "no" => Some(false),
                _ => None,
            },
        },
        process,
        left: Duration::from_millis(u64::try_from(left).unwrap_or(0)),
    })
}

#[async_trait]
impl BrokerClaims for RedisStore {
    async fn claim_broker(
        &self,
        broker: &BrokerIdentity,
        process: &str,
        life: Duration,
    ) -> Result<Option<BrokerHolder>, StoreError> {
        let kind = match broker.simulated {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        let arguments = (
            broker.address.as_str(),
            broker.account.as_str(),
            kind,
            process,
            life,
        );
        let key = self.broker_key();
        let held = self.link.eval(&CLAIM, &[&key], arguments).await?;
        Ok(holder(held))
    }

    async fn broker_holder(&self) -> Result<Option<BrokerHolder>, StoreError> {
        let key = self.broker_key();
        let held = self.link.eval(&HOLDER, &[&key], None::<&str>).await?;
        Ok(holder(held))
    }
}
