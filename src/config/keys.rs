//! The table of all settings.

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Section and name, such as `store.ttl`.
    pub name: &'static str,
    /// The default value; empty if it follows from other settings.
    pub default: &'static str,
    /// A fixed variable in addition to `SISE__SECTION__KEY`.
    pub variable: Option<&'static str>,
    /// Whether the value is never shown.
    pub is_secret: bool,
    /// What it means and which values are allowed.
    pub about: &'static str,
}

const fn key(name: &'static str, default: &'static str, about: &'static str) -> Key {
    Key {
        name,
        default,
        variable: None,
        is_secret: false,
        about,
    }
}

const fn fixed(
    name: &'static str,
    default: &'static str,
    variable: &'static str,
    about: &'static str,
) -> Key {
    Key {
        variable: Some(variable),
        ..key(name, default, about)
    }
}

const fn secret(
    name: &'static str,
    default: &'static str,
    variable: &'static str,
    about: &'static str,
) -> Key {
    Key {
        is_secret: true,
        ..fixed(name, default, variable, about)
    }
}

/// Returns a secret without a fixed variable, which is unset by default.
const fn hidden(name: &'static str, about: &'static str) -> Key {
    Key {
        is_secret: true,
        ..key(name, "", about)
    }
}

/// A section of the settings.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its name, the first part of the names of its settings.
    pub name: &'static str,
    /// What its settings are about.
    pub about: &'static str,
}

/// All sections, in display order.
pub const SECTIONS: &[Section] = &[
    Section {
        name: "kis",
        about: "The broker (KIS, Korea Investment & Securities).",
    },
    Section {
        name: "sweep",
        about: "Passes over the universe.",
    },
    Section {
        name: "schedule",
        about: "When the daemon works.",
    },
    Section {
        name: "watch",
        about: "Watched codes, which are refreshed more often than the rest.",
    },
    Section {
        name: "feed",
        about: "The live feed: trades of the watched codes as they happen. Only the leader has one, because an app key has one session.",
    },
    Section {
        name: "store",
        about: "Where prices are kept.",
    },
    Section {
        name: "reader",
        about: "How prices are read.",
    },
    Section {
        name: "journal",
        about: "What is recorded of the work, for `sise status` and `sise why`.",
    },
    Section {
        name: "alerts",
        about: "Where alerts go besides log, event log and stream. `sise alert` manages the rules.",
    },
    Section {
        name: "universe",
        about: "The stock list.",
    },
    Section {
        name: "calendar",
        about: "Trading days.",
    },
    Section {
        name: "api",
        about: "Prices, streams, the market on one page, health and metrics over HTTP.",
    },
    Section {
        name: "log",
        about: "Logs, on standard error.",
    },
    Section {
        name: "telemetry",
        about: "Traces: the parts of a sweep, a call or a read, and how long each takes.",
    },
    Section {
        name: "state",
        about: "What outlives the process: the access token (mode 0600) and the last good stock list.",
    },
];

/// All settings, in display order. `config/sise.toml` and `docs/settings.md` are made from them.
pub const KEYS: &[Key] = &[
    fixed(
        "kis.env",
        "real",
        "KIS_ENV",
        "`real` or `paper`: the kind of account that the key belongs to.",
    ),
    fixed(
        "kis.base_url",
        "",
        "KIS_BASE_URL",
        "REST host. Empty for the broker's own.",
    ),
    fixed(
        "kis.master_url",
        "",
        "KIS_MASTER_URL",
        "Where the master files are: the part before `/kospi_code.mst.zip`. Empty for the broker's own host.",
    ),
    fixed(
        "kis.ws_url",
        "",
        "KIS_WS_URL",
        "Live feed, `ws://host:port/path`. Empty for the broker's own, or for the same host and port if `kis.base_url` is an `http://` address.",
    ),
    secret(
        "kis.app_key",
        "",
        "KIS_APP_KEY",
        "App key, printable ASCII, as the broker's portal shows it.",
    ),
    secret(
        "kis.app_secret",
        "",
        "KIS_APP_SECRET",
        "App secret, likewise.",
    ),
    key(
        "kis.new_customer",
        "false",
        "In the first 3 days after the API application the broker allows only 3 calls per second.",
    ),
    key(
        "kis.rate_per_second",
        "",
        "Calls per second, 0.01 to 100,000. Empty for the rate of the profile: real 15, new customer 2.5, paper 1 per 1.1 s. On the broker's own hosts a rate above its cap is refused.",
    ),
    key(
        "kis.calls_per_minute",
        "",
        "Most calls in any minute, all processes together, from 1. Empty for no cap.",
    ),
    key(
        "kis.calls_per_day",
        "",
        "Most calls in a day of Seoul, all processes together, from 1. Empty for no cap.",
    ),
    key(
        "kis.share_without_redis",
        "0.2",
        "Share of the rate that each process keeps to while Redis is unreachable, 0.01 to 1.",
    ),
    key(
        "kis.timeout",
        "5s",
        "Longest wait for one answer, 100ms to 60s.",
    ),
    key(
        "sweep.batch_size",
        "30",
        "Codes in a batch, 1 to 30. On real accounts a batch is one call.",
    ),
    key(
        "sweep.batch_pause",
        "0s",
        "Shortest time between the starts of two batches, 0s to 10s.",
    ),
    key(
        "sweep.in_flight",
        "32",
        "Batches of one key in flight, 1 to 256: enough that the rate, not the round trip, sets the pace.",
    ),
    key(
        "sweep.shared",
        "false",
        "Several app keys share each sweep through Redis (6.2 or newer). Set it on every daemon that takes part.",
    ),
    key(
        "schedule.interval",
        "60s",
        "Time between the starts of two sweeps while the market is open: a whole part of a minute (1s to 60s) or of an hour (2m to 1h).",
    ),
    key(
        "schedule.reload_at",
        "08:20",
        "When the stock list is loaded on trading days, 00:00 to 08:59, Seoul time.",
    ),
    key(
        "schedule.lease",
        "10s",
        "Another daemon takes over within this time after the leader dies, 1s to 5m.",
    ),
    key(
        "watch.interval",
        "10s",
        "Time between the starts of two passes over the watched codes, 1s to 1h and no longer than `schedule.interval`. If nothing is set here, a shorter `schedule.interval` applies.",
    ),
    key(
        "watch.hottest",
        "0",
        "How many of the most read codes are watched too, 0 to 500.",
    ),
    key(
        "feed.registrations",
        "41",
        "Most codes that are streamed, 0 to 41, which is what the broker allows; 0 for no feed.",
    ),
    key(
        "feed.write_interval",
        "500ms",
        "Shortest time between two writes of one code, 0s to 1m. The last trade is always written; 0s writes every trade.",
    ),
    secret(
        "store.url",
        "redis://127.0.0.1:6379",
        "REDIS_URL",
        "One server `redis://[user:password@]host[:port][/db]`, behind sentinels `redis-sentinel://[user:password@]host:port,host:port/master[/db]`, a cluster `redis-cluster://[user:password@]host:port,host:port`; `rediss`, `rediss-sentinel` and `rediss-cluster` for TLS; `memory` for no Redis.",
    ),
    key("store.ttl", "120s", "Life of a price, 1s to 1day."),
    key(
        "store.namespace",
        "",
        "Prefix of every key, such as `app:live`: up to 100 visible ASCII characters; a colon is added.",
    ),
    key(
        "store.connect_timeout",
        "100ms",
        "Longest wait for a connection, 1ms to 10s.",
    ),
    key(
        "store.response_timeout",
        "100ms",
        "Longest wait for an answer, 1ms to 10s.",
    ),
    key(
        "reader.first_level",
        "off",
        "`on` or `off`. If on, a process keeps the prices that it read until Redis reports a change, and reads them in less than a microsecond. It costs Redis one message per process for every price that changes. Not with sentinels or a cluster.",
    ),
    key(
        "journal.gap_below",
        "0.9",
        "Share of the universe, 0 to 1. A minute of a session with fewer live prices is a coverage gap, a sweep below it is not a good one, and a close below it is not taken.",
    ),
    hidden(
        "journal.ping_url",
        "Called (GET) after every good sweep of a session, for a service that raises the alarm if the calls stop. A secret: better in the environment.",
    ),
    hidden(
        "alerts.webhook_url",
        "Each alert is posted there as JSON. A secret, as it may hold a token: better in the environment.",
    ),
    hidden(
        "alerts.webhook_secret",
        "Signs the posts (header `Sise-Signature`), at least 16 characters. Better in the environment.",
    ),
    key(
        "universe.source",
        "auto",
        "`auto` takes the first good list of master files, CSV file, last good copy and shipped list. `master`, `csv`, `last-good` and `shipped` take that one; `master` and `csv` fall back to the last good copy.",
    ),
    key(
        "universe.file",
        "",
        "A CSV file with at least a column `code`.",
    ),
    key(
        "universe.etf",
        "false",
        "Whether to include exchange-traded funds.",
    ),
    key(
        "universe.etn",
        "false",
        "Whether to include exchange-traded notes.",
    ),
    key(
        "calendar.file",
        "config/calendar.csv",
        "Days that the shipped calendar does not know; read if it exists. A file that is set must exist.",
    ),
    key(
        "api.listen",
        "127.0.0.1:8787",
        "Address and port, or `off`. On any address but loopback every client needs an access token (`sise clients add NAME`). If nothing is set here and the port is taken, the next free one is used.",
    ),
    key(
        "api.requests_per_second",
        "100",
        "Requests of one client per second, twice as many in a burst; 0 for no limit.",
    ),
    key(
        "api.connections",
        "16000",
        "Open connections of all clients together.",
    ),
    key(
        "api.streams_per_client",
        "32",
        "Open streams of one client.",
    ),
    key(
        "api.cors_origin",
        "",
        "Origin whose pages may use the API in a browser, such as `https://example.org`. Empty for none.",
    ),
    key(
        "api.trusted_proxies",
        "",
        "Proxies that are trusted to name the client of a request (`Forwarded`, `X-Forwarded-For`): addresses and networks, such as `127.0.0.1, 10.0.0.0/8`.",
    ),
    key(
        "log.level",
        "info",
        "`off`, `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,sise::kis=debug`.",
    ),
    key("log.format", "text", "`text` or `json`."),
    hidden(
        "telemetry.otlp_endpoint",
        "A collector of traces (OTLP over HTTP), such as `http://127.0.0.1:4318`. A secret: better in the environment.",
    ),
    key(
        "state.directory",
        "",
        "Empty for `$XDG_STATE_HOME/sise` or `~/.local/state/sise`.",
    ),
];

impl Key {
    /// Returns the key of a name.
    #[must_use]
    pub fn of(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Returns the key that a variable sets.
    pub(super) fn of_variable(name: &str) -> Option<&'static Self> {
        KEYS.iter()
            .find(|key| key.variable == Some(name) || key.general_variable() == name)
    }

    /// Returns the general variable, such as `SISE__STORE__TTL`.
    #[must_use]
    pub fn general_variable(&self) -> String {
        format!("SISE__{}", self.name.to_uppercase().replace('.', "__"))
    }
}
