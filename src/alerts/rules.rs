//! The rules, kept for all processes.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use sise_cache::{Cache, CacheError, Profiles};
use sise_domain::{KrxTime, Rule, RuleError, Seoul, Terms, check_name};

/// Rules at most.
const MOST: usize = 200;

/// Under which user the rules are kept.
pub(super) const RULES: &str = "rules";

/// The rules of alerts, kept as a profile: a field is a rule.
#[derive(Debug, Clone)]
pub struct AlertRules {
    profiles: Profiles,
}

/// A rule as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    since: DateTime<FixedOffset>,
    terms: Terms,
}

/// What stands in the store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeptRules {
    /// The rules, by name.
    pub rules: Vec<Rule>,
    /// What stands there and is no rule, with the reason.
    pub unreadable: BTreeMap<String, String>,
}

/// Why a rule could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AlertRulesError {
    /// Name or terms are not allowed; nothing was changed.
    #[error("{0}")]
    Invalid(String),
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl From<RuleError> for AlertRulesError {
    fn from(error: RuleError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl AlertRules {
    /// The rules in `cache`.
    #[must_use]
    pub fn new(cache: &Cache) -> Self {
        Self {
            profiles: cache.profiles(super::PROFILES),
        }
    }

    /// Adds a rule, or replaces the one of that name. Says whether it is new.
    ///
    /// # Errors
    ///
    /// Name or terms are none, there would be too many rules, or the store failed.
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
                "there are {MOST} rules already, and no more are kept: remove one"
            )));
        }
        let kept = Kept {
            since: now.fixed_offset(),
            terms: terms.clone(),
        };
        self.profiles.set(RULES, name, &kept).await?;
        Ok(is_new)
    }

    /// Removes a rule. Says whether there was one.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn remove(&self, name: &str) -> Result<bool, AlertRulesError> {
        Ok(self.profiles.remove(RULES, &[name]).await? > 0)
    }

    /// A rule.
    ///
    /// # Errors
    ///
    /// The store failed, or what stands there is no rule.
    pub async fn get(&self, name: &str) -> Result<Option<Rule>, AlertRulesError> {
        let found: Option<Value> = self.profiles.try_get(RULES, name).await?;
        let rule = found.map(|value| rule(name, value)).transpose();
        rule.map_err(|trouble| AlertRulesError::Invalid(format!("{name} is no rule: {trouble}")))
    }

    /// All rules.
    ///
    /// # Errors
    ///
    /// The store failed.
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

/// What another program put there may be no rule.
fn rule(name: &str, value: Value) -> Result<Rule, String> {
    let kept: Kept = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let checked = check_name(name).and_then(|()| kept.terms.check());
    checked.map_err(|error| error.to_string())?;
    Ok(Rule {
        name: name.to_owned(),
        since: kept.since.with_timezone(&Seoul),
        terms: kept.terms,
    })
}
