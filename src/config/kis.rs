//! Settings of the broker: account, key and rate.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use super::raw::RawSettings;
use super::{ConfigError, profile};
use sise_domain::{BrokerIdentity, Caps};
use sise_kis::host;
use sise_pace::Rate;

/// One of the broker's environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KisEnvironment {
    /// A real account.
    Real,
    /// A paper account: one call per second, and no multi-price call.
    Paper,
}

impl KisEnvironment {
    /// Returns its name in the settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Paper => "paper",
        }
    }
}

/// Settings of the broker.
#[derive(Debug, Clone)]
pub struct KisSettings {
    /// Real or paper.
    pub environment: KisEnvironment,
    /// REST host.
    pub base_url: String,
    /// Address of the master files, without `/kospi_code.mst.zip`.
    pub master_url: String,
    /// Address of the live feed; `None` if the host of `base_url` has none.
    pub ws_url: Option<String>,
    /// App key, if set.
    pub app_key: Option<SecretString>,
    /// App secret, if set.
    pub app_secret: Option<SecretString>,
    /// Calls per second and burst.
    pub rate: Rate,
    /// Cap on calls in any minute, if there is one.
    pub calls_per_minute: Option<u32>,
    /// Cap on calls per day, in Seoul time, if there is one.
    pub calls_per_day: Option<u32>,
    /// Share of the caps, above 0 and up to 1, for a process while Redis is unreachable.
    pub share_without_redis: f64,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

impl KisSettings {
    /// Returns whether the host is the broker's own, and not one set by hand.
    #[must_use]
    pub fn is_of_the_broker(&self) -> bool {
        let own = match self.environment {
            KisEnvironment::Real => host::REAL,
            KisEnvironment::Paper => host::PAPER,
        };
        self.base_url.trim_end_matches('/') == own
    }

    /// Returns the identity by which processes tell brokers apart.
    ///
    /// Whether the broker is a simulator is not known yet.
    #[must_use]
    pub fn identity(&self) -> BrokerIdentity {
        BrokerIdentity {
            address: self.shown_address(),
            account: self.environment.as_str().to_owned(),
            simulated: None,
        }
    }

    /// Returns the address of the host in a normal form without secrets.
    #[must_use]
    pub fn shown_address(&self) -> String {
        let Ok(mut url) = Url::parse(&self.base_url) else {
            return "an invalid address".to_owned();
        };
        // A login is not part of the address.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// Returns the budget of all processes of the app key together.
    #[must_use]
    pub fn caps(&self) -> Caps {
        Caps {
            per_second: self.rate.booked_per_second(),
            per_minute: self.calls_per_minute,
            per_day: self.calls_per_day,
            late: self.rate.late_booking(),
        }
    }
}

pub(super) fn kis(raw: &RawSettings) -> Result<KisSettings, ConfigError> {
    let environment = raw.one_of(
        "kis.env",
        &[
            ("real", KisEnvironment::Real),
            ("paper", KisEnvironment::Paper),
        ],
    )?;
    let is_new_customer = raw.yes_or_no("kis.new_customer")?;
    let base_url = raw.address("kis.base_url")?;
    let base_url = base_url.unwrap_or_else(|| match environment {
        KisEnvironment::Real => host::REAL.to_owned(),
        KisEnvironment::Paper => host::PAPER.to_owned(),
    });
    let ws_url = ws_url(raw, environment, &base_url)?;
    let master_url = raw.address("kis.master_url")?;
    Ok(KisSettings {
        environment,
        rate: profile::rate(raw, environment, is_new_customer, &base_url)?,
        base_url,
        ws_url,
        master_url: master_url.unwrap_or_else(|| host::MASTER.to_owned()),
        app_key: header_secret(raw, "kis.app_key")?,
        app_secret: header_secret(raw, "kis.app_secret")?,
        calls_per_minute: calls(raw, "kis.calls_per_minute")?,
        calls_per_day: calls(raw, "kis.calls_per_day")?,
        share_without_redis: raw
            .number("kis.share_without_redis", 0.01..=1.0)?
            .unwrap_or(0.2),
        timeout: raw.duration("kis.timeout", "100ms", "60s")?,
    })
}

/// Returns the address of the live feed: as set, or that of the host.
///
/// A host that was set by hand is expected to have a feed on the same port, as `sise sim` does. The
/// broker's feed would not know its keys.
fn ws_url(
    raw: &RawSettings,
    environment: KisEnvironment,
    base_url: &str,
) -> Result<Option<String>, ConfigError> {
    let text = raw.text("kis.ws_url");
    if !text.is_empty() {
        let is_address =
            Url::parse(text).is_ok_and(|url| url.scheme() == "ws" && url.host_str().is_some());
        return match is_address {
            true => Ok(Some(text.to_owned())),
            false => Err(raw.refuse("kis.ws_url", "an address such as ws://127.0.0.1:9080")),
        };
    }
    Ok(match (base_url.trim_end_matches('/'), environment) {
        (host::REAL, KisEnvironment::Real) => Some(host::REAL_FEED.to_owned()),
        (host::PAPER, KisEnvironment::Paper) => Some(host::PAPER_FEED.to_owned()),
        (base, _) => {
            let host = base.strip_prefix("http://");
            host.map(|host| format!("ws://{host}/tryitout"))
        }
    })
}

/// Returns a cap on calls; `None` if the setting is empty.
fn calls(raw: &RawSettings, key: &'static str) -> Result<Option<u32>, ConfigError> {
    if raw.text(key).is_empty() {
        return Ok(None);
    }
    let count = raw.count(key, 1..=100_000_000)?;
    Ok(u32::try_from(count).ok())
}

/// Returns a secret that will be sent in a header, and checks that a header can hold it.
fn header_secret(
    raw: &RawSettings,
    key: &'static str,
) -> Result<Option<SecretString>, ConfigError> {
    let Some(secret) = raw.secret(key) else {
        return Ok(None);
    };
    HeaderValue::from_str(secret.expose_secret())
        .map_err(|_| raw.refuse(key, "printable ASCII, as the broker's portal shows it"))?;
    Ok(Some(secret))
}
