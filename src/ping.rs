//! The dead man's switch: an outside service is called after every successful sweep, and raises the
//! alarm when the calls stop.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::counter;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret as _, SecretString};

use sise_net::causes::causes;
use sise_net::outbound;

/// Longest time a call may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The caller of one address.
pub struct Ping {
    client: Client,
    url: SecretString,
    has_failed: AtomicBool,
}

impl Ping {
    /// Creates a caller of `url`.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is not valid or the TLS set-up of the machine is unusable.
    pub fn new(url: SecretString) -> Result<Self, String> {
        let trouble = |error: &dyn fmt::Display| format!("no client for journal.ping_url: {error}");
        let address = Url::parse(url.expose_secret()).map_err(|error| trouble(&error))?;
        let builder = outbound::client(&address).timeout(PATIENCE);
        let client = builder.build().map_err(|error| trouble(&error))?;
        Ok(Self {
            client,
            url,
            has_failed: AtomicBool::new(false),
        })
    }

    /// Calls once. Failures are counted; only the first in a row is logged.
    pub async fn call(&self) {
        let answer = self.client.get(self.url.expose_secret()).send().await;
        let trouble = match answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("HTTP {}", answer.status().as_u16())),
            // The address is a secret, so it must not be in the error.
            Err(error) => Some(causes(&error.without_url())),
        };
        let outcome = if trouble.is_none() { "ok" } else { "failed" };
        counter!("sise_pings_total", "outcome" => outcome).increment(1);
        let had_failed = self.has_failed.swap(trouble.is_some(), Ordering::Relaxed);
        match trouble {
            Some(trouble) if !had_failed => tracing::warn!(
                %trouble,
                "the call of journal.ping_url failed; sweeps go on, further failures are only counted"
            ),
            None if had_failed => tracing::info!("the call of journal.ping_url succeeds again"),
            _ => {}
        }
    }
}

impl fmt::Debug for Ping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ping").finish_non_exhaustive()
    }
}
