//! Settings of alerts.

use secrecy::SecretString;

use super::ConfigError;
use super::raw::RawSettings;

/// Smallest length of a secret. A shorter one could be guessed.
const SHORTEST_SECRET: usize = 16;

/// Settings of alerts, which also go to the log, the event log and the stream.
#[derive(Debug, Clone)]
pub struct AlertSettings {
    /// Address to which each alert is posted. Its path or query may be the receiver's secret.
    pub webhook_url: Option<SecretString>,
    /// Secret that signs the posts.
    pub webhook_secret: Option<SecretString>,
}

pub(super) fn alerts(raw: &RawSettings) -> Result<AlertSettings, ConfigError> {
    let text = raw.text("alerts.webhook_url");
    let fits = |url: &reqwest::Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    };
    if !text.is_empty() && !reqwest::Url::parse(text).is_ok_and(|url| fits(&url)) {
        let allowed = "an address that begins with http:// or https://, without login";
        return Err(raw.refuse("alerts.webhook_url", allowed));
    }
    let secret = raw.text("alerts.webhook_secret");
    if (1..SHORTEST_SECRET).contains(&secret.len()) {
        let allowed = format!("a secret of at least {SHORTEST_SECRET} characters");
        return Err(raw.refuse("alerts.webhook_secret", &allowed));
    }
    Ok(AlertSettings {
        webhook_url: raw.secret("alerts.webhook_url"),
        webhook_secret: raw.secret("alerts.webhook_secret"),
    })
}
