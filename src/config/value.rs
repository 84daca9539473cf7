//! Parses values. An error names key, origin and allowed range.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::keys::Key;
use super::raw::RawSettings;
use super::{ConfigError, Origin};
use sise_store::RedisAddress;

impl RawSettings {
    pub(super) fn text(&self, key: &str) -> &str {
        self.values.get(key).map_or("", |(text, _)| text.trim())
    }

    pub(super) fn has_blanks_around(&self, key: &str) -> bool {
        let text = self.values.get(key).map_or("", |(text, _)| text.as_str());
        text.trim() != text
    }

    /// Returns the text of a secret; `None` if it is empty.
    pub(super) fn secret(&self, key: &str) -> Option<SecretString> {
        let text = self.text(key);
        (!text.is_empty()).then(|| text.to_owned().into())
    }

    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        let text = self.text(key);
        (!text.is_empty()).then(|| PathBuf::from(text))
    }

    pub(super) fn address(&self, key: &'static str) -> Result<Option<String>, ConfigError> {
        let text = self.text(key);
        if text.is_empty() {
            return Ok(None);
        }
        let fits = |url: &reqwest::Url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && !text.contains(['@', '?', '#'])
        };
        if reqwest::Url::parse(text).is_ok_and(|url| fits(&url)) {
            Ok(Some(text.trim_end_matches('/').to_owned()))
        } else {
            let allowed = "an address that begins with http:// or https://, without login or query";
            Err(self.refuse(key, allowed))
        }
    }

    pub(super) fn one_of<T: Copy>(
        &self,
        key: &'static str,
        allowed: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        let text = self.text(key);
        let found = allowed.iter().find(|(name, _)| *name == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<&str> = allowed.iter().map(|(name, _)| *name).collect();
            self.refuse(key, &format!("one of {}", names.join(", ")))
        })
    }

    pub(super) fn yes_or_no(&self, key: &'static str) -> Result<bool, ConfigError> {
        self.one_of(key, &[("true", true), ("false", false)])
    }

    pub(super) fn count(
        &self,
        key: &'static str,
        allowed: RangeInclusive<usize>,
    ) -> Result<usize, ConfigError> {
        let number = self.text(key).parse().ok();
        number
            .filter(|number| allowed.contains(number))
            .ok_or_else(|| self.refuse(key, &range("a whole number", &allowed)))
    }

    /// Returns a number; `None` if the setting is empty.
    pub(super) fn number(
        &self,
        key: &'static str,
        allowed: RangeInclusive<f64>,
    ) -> Result<Option<f64>, ConfigError> {
        if self.text(key).is_empty() {
            return Ok(None);
        }
        let number = self.text(key).parse().ok();
        number
            .filter(|number| allowed.contains(number))
            .map(Some)
            .ok_or_else(|| self.refuse(key, &range("a number", &allowed)))
    }

    pub(super) fn duration(
        &self,
        key: &'static str,
        least: &str,
        most: &str,
    ) -> Result<Duration, ConfigError> {
        let parse = |text: &str| match text {
            "0" => Ok(Duration::ZERO),
            text => humantime::parse_duration(text),
        };
        let within = |value: &Duration| {
            parse(least).is_ok_and(|least| *value >= least)
                && parse(most).is_ok_and(|most| *value <= most)
        };
        parse(self.text(key)).ok().filter(within).ok_or_else(|| {
            let allowed = format!("a duration with its unit from {least} to {most}, such as 90s");
            self.refuse(key, &allowed)
        })
    }

    /// Returns the error for a value that is not allowed.
    pub(super) fn refuse(&self, key: &'static str, allowed: &str) -> ConfigError {
        ConfigError::Value {
            key,
            shown: self.shown_value(key),
            origin: self.origin(key).unwrap_or(&Origin::Default).to_string(),
            allowed: format!("allowed is {allowed}"),
        }
    }

    /// Returns a value as people may see it.
    pub(super) fn shown_value(&self, key: &str) -> String {
        let text = self.text(key);
        let is_secret = Key::of(key).is_some_and(|key| key.is_secret) && !text.is_empty();
        // Any address may hold a login, even one that should not.
        if is_secret || (text.contains("://") && text.contains('@')) {
            redacted(text)
        } else {
            format!("\"{text}\"")
        }
    }
}

/// Redacts a text. Only an address of Redis keeps the parts that are not secret.
fn redacted(text: &str) -> String {
    // A text that cannot be parsed may be a password from beginning to end.
    let Ok(address) = RedisAddress::parse(text) else {
        return "(set)".to_owned();
    };
    // The parser below takes one host only. In an address that was parsed, the login ends at the
    // last '@'.
    if address.is_of_many()
        && let Some((scheme, rest)) = text.split_once("://")
    {
        return match rest.rsplit_once('@') {
            Some((_, hosts)) => format!("\"{scheme}://***@{hosts}\""),
            None => format!("\"{text}\""),
        };
    }
    let Ok(mut url) = reqwest::Url::parse(text) else {
        return "(set)".to_owned();
    };
    url.set_fragment(None);
    if url.password().is_some() {
        // This fails only for addresses that cannot have a login.
        let _ = url.set_password(Some("(redacted)"));
    }
    url.set_query(None);
    format!("\"{url}\"")
        .replace("%28redacted%29", "***")
        .replace("(redacted)", "***")
}

fn range<T: Display>(kind: &str, allowed: &RangeInclusive<T>) -> String {
    format!("{kind} from {} to {}", allowed.start(), allowed.end())
}
