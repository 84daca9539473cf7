//! The alert rules, stored for all processes.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use sise_cache::{Cache, CacheError, Profiles};
use sise_domain::{KrxTime, NameError, Rule, RuleError, Seoul, Terms, check_name};

/// Maximum number of rules.
const MOST: usize = 200;

/// Name of the profile that holds the rules.
pub(super) const RULES: &str = "rules";

/// The alert rules, stored as a profile with one field per rule.
#[derive(Debug, Clone)]
pub struct AlertRules {
    profiles: Profiles,
}

/// A rule as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    since: DateTime<FixedOffset>,
    terms: Terms,
}

/// The stored rules.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeptRules {
    /// The rules, by name.
    pub rules: Vec<Rule>,
    /// Fields that are not valid rules, with the reason.
    pub unreadable: BTreeMap<String, String>,
}

/// Why a rule could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AlertRulesError {
    /// The name or terms are not allowed; nothing was changed.
    #[error("{0}")]
    Invalid(String),
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl From<NameError> for AlertRulesError {
    fn from(error: NameError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<RuleError> for AlertRulesError {
    fn from(error: RuleError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl AlertRules {
    /// Opens the rules in `cache`.
    #[must_use]
    pub fn new(cache: &Cache) -> Self {
        Self {
            profiles: cache.profiles(super::PROFILES),
        }
    }

    /// Adds a rule, or replaces the one with that name. Returns whether it is new.
    ///
    /// # Errors
    ///
    /// Returns [`AlertRulesError::Invalid`] if the name or terms are not allowed or there are too
    /// many rules, and [`AlertRulesError::Cache`] if the store failed.
    pub async fn set(
        &self,
        name: &str,
        terms: &Terms,
        now: KrxTime,
    ) -> Result<bool, AlertRulesError> {
        check_name(name)?;
        terms.check()?;
        let names = self.fields().await?;
        let is_new = !names.contains_key(name);
        if is_new && names.len() >= MOST {
            return Err(AlertRulesError::Invalid(format!(
                "there are {MOST} rules already, which is the limit: remove one"
            )));
        }
        let kept = Kept {
            since: now.fixed_offset(),
            terms: terms.clone(),
        };
        self.profiles.set(RULES, name, &kept).await?;
        Ok(is_new)
    }

    /// Removes a rule. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn remove(&self, name: &str) -> Result<bool, AlertRulesError> {
        Ok(self.profiles.remove(RULES, &[name]).await? > 0)
    }

    /// Returns a rule.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed or the stored field is not a valid rule.
    pub async fn get(&self, name: &str) -> Result<Option<Rule>, AlertRulesError> {
        let found: Option<Value> = self.profiles.try_get(RULES, name).await?;
        let rule = found.map(|value| rule(name, value)).transpose();
        rule.map_err(|trouble| AlertRulesError::Invalid(format!("{name} is not a rule: {trouble}")))
    }

    /// Returns all rules.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn all(&self) -> Result<KeptRules, CacheError> {
        let mut kept = KeptRules::default();
        for (name, value) in self.fields().await?.into_iter().take(MOST) {
            match rule(&name, value) {
                Ok(rule) => kept.rules.push(rule),
                Err(trouble) => drop(kept.unreadable.insert(name, trouble)),
            }
        }
        Ok(kept)
    }

    async fn fields(&self) -> Result<BTreeMap<String, Value>, CacheError> {
        self.profiles.try_get_all(RULES).await
    }
}

/// Parses a stored rule, which another program may have written.
fn rule(name: &str, value: Value) -> Result<Rule, String> {
    let kept: Kept = serde_json::from_value(value).map_err(|error| error.to_string())?;
    check_name(name).map_err(|error| error.to_string())?;
    kept.terms.check().map_err(|error| error.to_string())?;
    Ok(Rule {
        name: name.to_owned(),
        since: kept.since.with_timezone(&Seoul),
        terms: kept.terms,
    })
}
