//! The doctor's checks of the broker: ban, clock, token, prices and fields.

use chrono::TimeDelta;

use super::super::output::grouped;
use super::{Check, Verdict};
use crate::broker::Broker;
use crate::setup::Wiring;
use sise_kis::Drifted;
use sise_port::{Answer, QuoteSource as _, SourceError, Urgency};

/// Clocks that differ by more than this make ages wrong, which is a warning.
const SKEW_WARNED: TimeDelta = TimeDelta::seconds(2);
/// Clocks that differ by more than this make tokens and trading hours wrong, which is a failure.
const SKEW_FAILED: TimeDelta = TimeDelta::seconds(30);

/// Number of fields that are listed one by one.
const NAMED: usize = 10;

/// Code of the trial request: a stock that has been listed since 1975.
const PROBE: &str = "005930";

/// Checks clock, token and prices.
///
/// If the key is banned, one call is tried all the same, since the cause may have been fixed.
pub(super) async fn checks(wiring: &Wiring, broker: &Broker) -> Vec<Check> {
    let bans = broker.rest.bans();
    let Some(ban) = bans.in_force().await else {
        let (mut checks, is_reached) = their_clock(wiring, broker).await;
        if is_reached {
            checks.extend(token_and_prices(broker).await);
        }
        return checks;
    };
    bans.let_one_through();
    let mut checks = token_and_prices(broker).await;
    let is_lifted = bans.in_force().await.is_none();
    checks.insert(
        0,
        if is_lifted {
            Check::ok(
                "ban",
                format!("one call was tried and succeeded, so the ban is lifted: {ban}"),
            )
        } else {
            Check::fail(
                "ban",
                format!("one call was tried all the same, in vain: {ban}"),
                "check KIS_APP_KEY, KIS_APP_SECRET and KIS_ENV, and the notices on the broker's \
                 portal; sise makes no calls until the ban ends",
            )
        },
    );
    checks
}

/// Compares this machine's clock with the broker's, and returns whether the broker was reached.
async fn their_clock(wiring: &Wiring, broker: &Broker) -> (Vec<Check>, bool) {
    let check = match broker.rest.server_time().await {
        Ok(theirs) => {
            clock_skew((wiring.own_clock())() - theirs.with_timezone(&sise_domain::Seoul))
        }
        Err(error @ (SourceError::Unreachable(_) | SourceError::Unavailable(_))) => {
            return (vec![unreachable(broker, &error)], false);
        }
        Err(error) => Check::warn(
            "clock",
            error.to_string(),
            "compare this machine's clock by hand",
        ),
    };
    let mut checks = vec![check];
    // Only now are all three clocks known.
    if wiring.redis.is_some() {
        checks.push(redis_clock(wiring));
    }
    (checks, true)
}

/// Compares this machine's clock with that of Redis, which all processes use.
fn redis_clock(wiring: &Wiring) -> Check {
    match wiring.clocks_apart() {
        None => Check::ok("redis clock", "agrees with this machine's"),
        Some(apart) => Check::warn(
            "redis clock",
            apart.to_string(),
            "turn on time synchronisation (timedatectl set-ntp true) on the machine with the wrong \
             clock; until then, ages go by the clock of Redis",
        ),
    }
}

fn unreachable(broker: &Broker, error: &SourceError) -> Check {
    Check::fail(
        "broker",
        format!("{}: {error}", broker.rest.base()),
        "check the network and KIS_BASE_URL; the broker has maintenance at times, mostly at night",
    )
}

async fn token_and_prices(broker: &Broker) -> Vec<Check> {
    let mut checks = Vec::new();
    match broker.auth.token().await {
        Ok(_) => {}
        Err(error @ (SourceError::Unreachable(_) | SourceError::Unavailable(_))) => {
            return vec![unreachable(broker, &error)];
        }
        Err(error) => {
            return vec![Check::fail(
                "token",
                error.to_string(),
                "check KIS_APP_KEY, KIS_APP_SECRET and KIS_ENV (real keys do not work for paper, \
                 nor the other way round); if they are right, wait a minute and try again",
            )];
        }
    }
    // The token may come from disk, so it does not prove that the secret is right. The price call
    // does.
    checks.push(Check::ok("token", "an access token is available"));
    let probe = PROBE.parse();
    if let Ok(symbol) = probe {
        let answers = broker
            .source
            .quotes(&[symbol], Urgency::Reader)
            .await
            .answers;
        checks.push(match answers.into_iter().next() {
            Some((_, Answer::Quote(quote))) => {
                let way = match &*quote.source {
                    "kis.multi" => "30 codes a call",
                    _ => "one code a call",
                };
                Check::ok(
                    "prices",
                    format!("{PROBE} is {} won; {way}", grouped(quote.price)),
                )
            }
            Some((_, Answer::Failed(error @ SourceError::Denied(_)))) => Check::fail(
                "prices",
                error.to_string(),
                "check KIS_APP_KEY, KIS_APP_SECRET and KIS_ENV",
            ),
            Some((_, Answer::Failed(error))) => Check::fail(
                "prices",
                error.to_string(),
                "check the account's permissions on the broker's portal",
            ),
            Some((_, Answer::Refused(why))) => Check::fail(
                "prices",
                format!("{PROBE}: {why}"),
                "try again; the broker gives no price at the moment",
            ),
            _ => Check::fail(
                "prices",
                format!("the broker does not know {PROBE}"),
                "check KIS_BASE_URL",
            ),
        });
    }
    if broker.rest.is_simulated() == Some(true) {
        checks.push(Check::warn(
            "simulated",
            format!(
                "{} is a simulated broker: its prices are made up",
                broker.rest.base()
            ),
            "for real prices unset KIS_BASE_URL (kis.base_url) and use the broker's own app key",
        ));
    }
    let drifted = broker.caller.drifted();
    if !drifted.is_empty() || checks.iter().all(|check| check.verdict != Verdict::Fail) {
        checks.push(fields(&drifted));
    }
    checks
}

/// Reports whether the broker's answers so far are as documented.
fn fields(drifted: &[Drifted]) -> Check {
    if drifted.is_empty() {
        return Check::ok("fields", "the broker's answers are as documented");
    }
    let named: Vec<String> = drifted
        .iter()
        .take(NAMED)
        .map(ToString::to_string)
        .collect();
    let more = match drifted.len().saturating_sub(named.len()) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    Check::warn(
        "fields",
        format!("{}{more}", named.join("; ")),
        "prices continue without the missing fields; look for a newer sise, and for a notice on \
         the broker's portal",
    )
}

fn clock_skew(skew: TimeDelta) -> Check {
    // The broker's time comes from a header with whole seconds.
    let found = format!("differs from the broker's by {} s", skew.num_seconds());
    let mend = "turn on time synchronisation (timedatectl set-ntp true)";
    if skew.abs() > SKEW_FAILED {
        Check::fail("clock", found, mend)
    } else if skew.abs() > SKEW_WARNED {
        Check::warn("clock", found, mend)
    } else {
        Check::ok("clock", found)
    }
}
