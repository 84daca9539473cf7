//! `sise doctor`

mod broker;

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use super::failure::{DONE, Failure, Outcome};
use super::output::{self, grouped};
use super::paint::{Ink, Painted};
use crate::config::RawSettings;
use crate::setup::Wiring;
use sise_domain::{APART, Plan, Presence, Role};
use sise_net::descriptors::{Descriptors, RESERVE};
use sise_port::{BrokerClaims as _, BrokerHolder, CacheKeys as _, Roster as _, StoreError};
use sise_store::{Need, RedisStore};

/// Arguments of `sise doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// Print JSON: an array of checks
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One check: what it found, and how to fix it.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Ok,
            found: found.into(),
            mend: None,
        }
    }

    fn warn(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Warn,
            found: found.into(),
            mend: Some(mend.into()),
        }
    }

    fn fail(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Fail,
            found: found.into(),
            mend: Some(mend.into()),
        }
    }
}

pub(super) async fn run(arguments: DoctorArguments, mut raw: RawSettings) -> Outcome {
    // The checks report everything that the logs would.
    raw.set("log.level", "off");
    let (wiring, writer) = super::recorded(&raw)?;
    let mut checks = vec![settings(&raw)];
    checks.push(state_directory(&wiring));
    checks.extend(files(&wiring));
    checks.extend(store(&wiring).await);
    match wiring.broker.clone() {
        Some(broker) => checks.extend(broker::checks(&wiring, &broker).await),
        None => checks.push(Check::fail(
            "credentials",
            "app key and secret are not set",
            "put KIS_APP_KEY and KIS_APP_SECRET into the environment or into .env",
        )),
    }
    checks.extend(stock_list(&wiring).await);
    checks.push(calendar(&wiring));
    // Flushed, since a token may have been issued.
    writer.close().await;
    if arguments.json {
        output::json(&checks);
    } else {
        print(&checks);
    }
    let failed = checks
        .iter()
        .filter(|check| check.verdict == Verdict::Fail)
        .count();
    match failed {
        0 => Ok(DONE),
        1 => Err(Failure::failed("one check failed")),
        failed => Err(Failure::failed(format!("{failed} checks failed"))),
    }
}

fn print(checks: &[Check]) {
    for check in checks {
        let (mark, ink) = match check.verdict {
            Verdict::Ok => ("ok  ", Ink::Good),
            Verdict::Warn => ("warn", Ink::Warning),
            Verdict::Fail => ("FAIL", Ink::Bad),
        };
        let found = format!("  {:<12} {}", check.name, check.found);
        output::painted(Painted::new().with(ink, mark).with(Ink::Plain, found));
        if let Some(mend) = &check.mend {
            output::line(format!("      {:<12} -> {mend}", ""));
        }
    }
}

fn settings(raw: &RawSettings) -> Check {
    match raw.strangers() {
        [] => Check::ok("settings", "every value is allowed"),
        strangers => Check::warn(
            "settings",
            strangers.join("; "),
            "rename them, or leave them if they are another program's",
        ),
    }
}

/// Checks that the state directory is writable: token and last good list must outlive the process.
fn state_directory(wiring: &Wiring) -> Check {
    let directory = &wiring.settings.state_directory;
    let shown = directory.display();
    let probe = directory.join(format!("probe-{}.tmp", std::process::id()));
    let written = std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::write(&probe, "probe"))
        .and_then(|()| std::fs::remove_file(&probe));
    match written {
        Ok(()) => Check::ok("state", format!("{shown} can be written")),
        Err(error) => Check::fail(
            "state",
            format!("{shown} cannot be written: {error}"),
            "free some space or allow writing, or set state.directory to another place",
        ),
    }
}

/// Checks that the limit of open files has room for all connections.
fn files(wiring: &Wiring) -> Option<Check> {
    wiring.settings.api.listen?;
    let wanted = wiring.settings.api.connections;
    // A daemon raises its soft limit to the hard limit.
    let limit = match Descriptors::get() {
        Ok(limit) => Descriptors {
            soft: limit.hard,
            ..limit
        },
        Err(error) => {
            let mend = "look at `ulimit -n`, or set api.connections to what it allows";
            return Some(Check::warn("files", error.to_string(), mend));
        }
    };
    let room = limit.room(wanted);
    let found = match limit.hard {
        u64::MAX => {
            format!("no limit of open files, room for {wanted} connections (api.connections)")
        }
        hard => format!(
            "{hard} open files allowed, room for {room} of {wanted} connections (api.connections)"
        ),
    };
    Some(if room == wanted {
        Check::ok("files", found)
    } else {
        let mend = format!(
            "raise the limit to {} (LimitNOFILE of the unit, `ulimit -n` in a shell), or set \
             api.connections = {room}",
            wanted + RESERVE
        );
        Check::warn("files", found, mend)
    })
}

async fn store(wiring: &Wiring) -> Vec<Check> {
    let Some(redis) = &wiring.redis else {
        return vec![Check::warn(
            "store",
            "memory: prices are seen by this process alone",
            "set REDIS_URL so that other programs can read them",
        )];
    };
    let start = Instant::now();
    let greeting = match redis.greet().await {
        Ok(greeting) => greeting,
        Err(error) => return vec![unreached("redis", &error)],
    };
    if let Err(error) = redis.check_kind().await {
        return vec![unreached("redis", &error)];
    }
    let found = format!(
        "version {} at {}, answers in {:.1} ms",
        greeting.version,
        redis.address(),
        start.elapsed().as_secs_f64() * 1_000.0
    );
    let found_redis = if wiring.settings.sweep.shared && is_before_6_2(&greeting.version) {
        Check::fail(
            "redis",
            format!("{found}: too old for sweep.shared"),
            "use Redis 6.2 or newer, or set sweep.shared = false",
        )
    } else {
        Check::ok("redis", found)
    };
    redis.learn_time().await;
    vec![
        found_redis,
        memory(redis).await,
        rights(redis).await,
        price(wiring, redis).await,
        processes(wiring, redis).await,
    ]
}

async fn memory(redis: &RedisStore) -> Check {
    let health = match redis.health().await {
        Ok(health) => health,
        Err(error) => return unknown("memory", &error),
    };
    let mebibytes = |bytes: u64| bytes / (1 << 20);
    let memory = format!(
        "{} MiB of {}, policy {}",
        mebibytes(health.used_memory),
        match health.maxmemory {
            0 => "no limit".to_owned(),
            limit => format!("{} MiB", mebibytes(limit)),
        },
        health.maxmemory_policy
    );
    let is_tight = health.maxmemory > 0 && health.used_memory > health.maxmemory / 10 * 9;
    if health.maxmemory > 0 && health.maxmemory_policy.starts_with("allkeys") {
        Check::warn(
            "memory",
            format!("{memory}: closes and the copy of the list may be evicted silently"),
            "CONFIG SET maxmemory-policy volatile-ttl, or give sise a separate Redis",
        )
    } else if is_tight {
        Check::warn(
            "memory",
            format!("{memory}: nearly full"),
            "raise maxmemory; the whole market takes about 2 MiB",
        )
    } else {
        Check::ok("memory", memory)
    }
}

/// Checks the rights of the Redis user by trying everything that sise does in Redis.
async fn rights(redis: &RedisStore) -> Check {
    let lacking = match redis.rights().await {
        Ok(lacking) => lacking,
        Err(error) => return unreached("rights", &error),
    };
    let of = |need: Need| {
        let rights = lacking.iter().filter(|lacking| lacking.need == need);
        rights
            .map(|lacking| lacking.right.as_str())
            .collect::<Vec<_>>()
    };
    let all: Vec<&str> = lacking
        .iter()
        .map(|lacking| lacking.right.as_str())
        .collect();
    if all.is_empty() {
        return Check::ok("rights", "its user has all rights that sise needs");
    }
    let effects = [
        (Need::Prices, "no prices without"),
        (Need::Changes, "streams and page up to 10 s late without"),
        (Need::Memory, "memory not watched without"),
        (
            Need::Others,
            "event log, alerts, lists or rankings do not work without",
        ),
    ];
    let effects = effects.map(|(need, effect)| (effect, of(need)));
    let effects = effects.iter().filter(|(_, rights)| !rights.is_empty());
    let found: Vec<String> = effects
        .map(|(effect, rights)| format!("{effect} {}", rights.join(" ")))
        .collect();
    let found = format!("its user lacks rights: {}", found.join("; "));
    let mend = format!("ACL SETUSER {} {}", redis.user(), all.join(" "));
    match of(Need::Prices).is_empty() {
        true => Check::warn("rights", found, mend),
        false => Check::fail("rights", found, mend),
    }
}

/// Writes, reads and deletes a trial price in the same way as real ones.
async fn price(wiring: &Wiring, redis: &RedisStore) -> Check {
    match redis.trial((wiring.clock)()).await {
        Err(error) => unreached("price", &error),
        Ok(trial) if !trial.is_read => Check::fail(
            "price",
            "a price that was written is not read",
            "check whether another program deletes keys, and whether reads go to a replica",
        ),
        Ok(trial) if !trial.is_heard => Check::warn(
            "price",
            "written, read and deleted, but not announced: streams and page are up to 10 s late",
            "give its user +publish, +subscribe and the channel pattern in docs/operation.md",
        ),
        Ok(_) => Check::ok("price", "written, read, announced and deleted again"),
    }
}

/// Returns a warning, because what cannot be determined is not a failure.
fn unknown(name: &'static str, error: &StoreError) -> Check {
    let Check { found, mend, .. } = unreached(name, error);
    Check::warn(
        name,
        format!("not known: {found}"),
        mend.unwrap_or_default(),
    )
}

fn unreached(name: &'static str, error: &StoreError) -> Check {
    let mend = match error {
        StoreError::Refused { mend, .. } => mend,
        _ => {
            "start Redis there, or set REDIS_URL (rediss:// if it uses TLS, redis:// if it does \
             not); if it is far away, raise store.connect_timeout and store.response_timeout"
        }
    };
    Check::fail(name, error.to_string(), mend)
}

/// Checks that all processes on this Redis sweep the same list from the same broker.
///
/// Also detects a Redis that accepts no writes.
async fn processes(wiring: &Wiring, redis: &RedisStore) -> Check {
    let own = Presence {
        doing: "checking the set-up".to_owned(),
        ..wiring.presence(Role::OneShot)
    };
    let present = async {
        redis.sign_in(&own, Duration::from_secs(1)).await?;
        redis.sign_out(&own.process).await?;
        redis.present().await
    };
    let mut processes = match present.await {
        Ok(processes) => processes,
        Err(error) => return unreached("processes", &error),
    };
    let count = processes.len();
    processes.push(Presence {
        process: "these settings".to_owned(),
        ..own
    });
    let other = match redis.broker_holder().await {
        Ok(holder) => holder.filter(|holder| {
            let ours = wiring.settings.kis.identity();
            wiring.broker.is_some() && ours.differs_from(&holder.broker)
        }),
        Err(error) => return unreached("processes", &error),
    };
    if let Some(BrokerHolder {
        broker, process, ..
    }) = other
    {
        return Check::fail(
            "processes",
            format!(
                "the prices in this Redis are those of {broker}, which {process} writes: `sise run` would be refused"
            ),
            APART,
        );
    }
    match Presence::at_odds(&processes) {
        Some(trouble) => Check::warn("processes", trouble, APART),
        None if count == 0 => Check::ok("processes", "none was seen lately"),
        None => Check::ok(
            "processes",
            format!("{count} on this Redis, all with the same list"),
        ),
    }
}

/// Returns whether a Redis version is older than 6.2.
///
/// Reassigning the batches of a dead worker needs a command that was added in 6.2.
fn is_before_6_2(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version < (6, 2)
}

async fn stock_list(wiring: &Wiring) -> Vec<Check> {
    let loaded = match wiring.loader() {
        Ok(loader) => loader.load().await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            return vec![Check::fail(
                "stock list",
                error,
                "check KIS_MASTER_URL and universe.file, or set universe.source = auto",
            )];
        }
    };
    let codes = loaded.universe.len();
    let found = format!("{} codes from {}", grouped(codes), loaded.source);
    let list = if loaded.notes.is_empty() {
        Check::ok("stock list", found)
    } else {
        Check::warn("stock list", found, loaded.notes.join("; "))
    };
    let plan = wiring.planner().plan_ahead(codes).await;
    let alive = format!(
        "a sweep takes {:.1} s, {} % of the codes are alive at any time",
        plan.sweep_time().as_secs_f64(),
        plan.alive_percent()
    );
    let strains = [plan.watched_strain(), plan.list_strain()];
    let strains: Vec<String> = strains.into_iter().flatten().collect();
    let plan = match (plan.keeps_alive(), strains.is_empty()) {
        (true, true) => Check::ok("plan", alive),
        (true, false) => {
            let found = format!("{alive}; {}", strains.join("; "));
            Check::warn("plan", found, Plan::WATCH_LESS)
        }
        (false, _) => {
            let found = format!("{alive}: {}", plan.figures());
            Check::fail("plan", found, plan.remedies())
        }
    };
    vec![list, plan]
}

fn calendar(wiring: &Wiring) -> Check {
    let calendar = wiring.calendar.load();
    let today = (wiring.clock)().date_naive();
    match calendar.cover_warning(today) {
        None => Check::ok(
            "calendar",
            format!("covered through {}", calendar.covered_through()),
        ),
        Some(warning) => Check::warn("calendar", "near its end", warning),
    }
}

#[cfg(test)]
mod tests {
    use super::is_before_6_2;

    #[test]
    fn versions_are_numbers_and_no_text() {
        for old in ["5.0.14", "6.0.16", "6.1"] {
            assert!(is_before_6_2(old), "{old}");
        }
        for new in ["6.2.0", "6.20.1", "7.0.15", "10.0.0"] {
            assert!(!is_before_6_2(new), "{new}");
        }
    }
}
