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
}

const fn key(name: &'static str, default: &'static str) -> Key {
    Key {
        name,
        default,
        variable: None,
        is_secret: false,
    }
}

const fn fixed(name: &'static str, default: &'static str, variable: &'static str) -> Key {
    Key {
        variable: Some(variable),
        ..key(name, default)
    }
}

const fn secret(name: &'static str, default: &'static str, variable: &'static str) -> Key {
    Key {
        is_secret: true,
        ..fixed(name, default, variable)
    }
}

/// Returns a secret without a fixed variable, which is unset by default.
const fn hidden(name: &'static str) -> Key {
    Key {
        is_secret: true,
        ..key(name, "")
    }
}

/// All settings, in display order. `config/sise.toml` explains each.
pub const KEYS: &[Key] = &[
    fixed("kis.env", "real", "KIS_ENV"),
    fixed("kis.base_url", "", "KIS_BASE_URL"),
    fixed("kis.master_url", "", "KIS_MASTER_URL"),
    fixed("kis.ws_url", "", "KIS_WS_URL"),
    secret("kis.app_key", "", "KIS_APP_KEY"),
    secret("kis.app_secret", "", "KIS_APP_SECRET"),
    key("kis.new_customer", "false"),
    key("kis.rate_per_second", ""),
    key("kis.calls_per_minute", ""),
    key("kis.calls_per_day", ""),
    key("kis.share_without_redis", "0.2"),
    key("kis.timeout", "5s"),
    key("sweep.batch_size", "30"),
    key("sweep.batch_pause", "0s"),
    key("sweep.in_flight", "32"),
    key("sweep.shared", "false"),
    key("schedule.interval", "60s"),
    key("schedule.reload_at", "08:20"),
    key("schedule.lease", "10s"),
    key("watch.interval", "10s"),
    key("watch.hottest", "0"),
    key("feed.registrations", "41"),
    key("feed.write_interval", "500ms"),
    secret("store.url", "redis://127.0.0.1:6379", "REDIS_URL"),
    key("store.ttl", "120s"),
    key("store.namespace", ""),
    key("store.connect_timeout", "100ms"),
    key("store.response_timeout", "100ms"),
    key("reader.first_level", "off"),
    key("journal.gap_below", "0.9"),
    hidden("journal.ping_url"),
    hidden("alerts.webhook_url"),
    hidden("alerts.webhook_secret"),
    key("universe.source", "auto"),
    key("universe.file", ""),
    key("universe.etf", "false"),
    key("universe.etn", "false"),
    key("calendar.file", "config/calendar.csv"),
    key("api.listen", "127.0.0.1:8787"),
    key("api.requests_per_second", "100"),
    key("api.connections", "16000"),
    key("api.streams_per_client", "32"),
    key("api.cors_origin", ""),
    key("api.trusted_proxies", ""),
    key("log.level", "info"),
    key("log.format", "text"),
    hidden("telemetry.otlp_endpoint"),
    key("state.directory", ""),
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
