//! Rankings: members by score.

use std::collections::HashMap;
use std::time::Duration;

use super::key::{RANK, beside, key};
use super::{Cache, CacheError, or_miss};
use sise_net::unique;
use sise_port::{Order, Replacement, Scored};

/// Most members that are set at once: more would hold up other callers.
const PART: usize = 1_000;

/// A sorted set under `<namespace>rank:<name>`: members by score, the highest first.
///
/// Of equal scores, the member with the greater bytes comes first (`b` before `a`). This is the
/// order of `ZREVRANGE`, so any program sees the same. Scores are finite numbers; whole ones are
/// exact up to 2^53.
#[derive(Debug, Clone)]
pub struct Ranking {
    cache: Cache,
    key: String,
}

/// A place in a ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Rank, 1 for the first.
    pub rank: u64,
    /// The member.
    pub member: String,
    /// Its score.
    pub score: f64,
}

/// A complete ranking that replaces the one before.
#[derive(Debug, Clone)]
pub struct NewRanking<'a> {
    /// The ranking to replace.
    pub ranking: &'a Ranking,
    /// New members; if one occurs twice, the last score counts.
    pub members: Vec<Scored>,
    /// How long it lives; `None` until it is replaced.
    pub life: Option<Duration>,
}

impl Cache {
    /// Returns the ranking named `name`.
    #[must_use]
    pub fn ranking(&self, name: &str) -> Ranking {
        Ranking {
            key: key(&self.prefix, RANK, name),
            cache: self.clone(),
        }
    }

    /// Replaces rankings completely, all in one round trip. Readers see the old ranking or the new
    /// one, never a part.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed or a score is not a finite number. Some of the rankings
    /// may have been replaced.
    pub async fn replace_rankings(&self, rankings: Vec<NewRanking<'_>>) -> Result<(), CacheError> {
        let mut sets = Vec::with_capacity(rankings.len());
        for NewRanking {
            ranking,
            members,
            life,
        } in rankings
        {
            all_finite(&members)?;
            // Each member once, as the store counts them.
            let members: HashMap<String, f64> = members.into_iter().collect();
            let number = unique::number();
            sets.push(Replacement {
                beside: beside(&self.prefix, "next", &ranking.key) + &format!("{number:x}"),
                key: ranking.key.clone(),
                members: members.into_iter().collect(),
                life,
            });
        }
        let replaced = self.shared.store.replace_sets(&sets);
        self.run("replace_sets", replaced).await
    }
}

impl Ranking {
    /// Sets the score of a member.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed or the score is not a finite number.
    pub async fn set_score(&self, member: &str, score: f64) -> Result<(), CacheError> {
        self.set_score_bulk(&[(member, score)]).await
    }

    /// Sets the scores of members; if one occurs twice, the last score counts.
    ///
    /// # Errors
    ///
    /// Returns an error if a score is not a finite number; then none is set. Also returns an error
    /// if the store failed; of more than a thousand members, some may then be set.
    pub async fn set_score_bulk(&self, members: &[(&str, f64)]) -> Result<(), CacheError> {
        let member = |(member, score): &(&str, f64)| ((*member).to_owned(), *score);
        let members: Vec<Scored> = members.iter().map(member).collect();
        all_finite(&members)?;
        for part in members.chunks(PART) {
            let set = self.cache.shared.store.set_scores(&self.key, part);
            self.cache.run("set_scores", set).await?;
        }
        Ok(())
    }

    /// Returns rank and score of a member; `None` if it is not in the ranking or the store fails.
    pub async fn get_rank(&self, member: &str) -> Option<Ranked> {
        or_miss(self.try_get_rank(member).await)
    }

    /// Like [`Ranking::get_rank`], but returns the error.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn try_get_rank(&self, member: &str) -> Result<Option<Ranked>, CacheError> {
        let place = self
            .cache
            .shared
            .store
            .place(&self.key, member, Order::Descending);
        let place = self.cache.run("place", place).await?;
        Ok(place.map(|(before, score)| Ranked {
            rank: before + 1,
            member: member.to_owned(),
            score,
        }))
    }

    /// Returns `count` members from rank `first` on, highest score first; none if the store fails.
    pub async fn get_rank_range(&self, first: u64, count: u64) -> Vec<Ranked> {
        or_miss(self.try_get_rank_range(first, count).await)
    }

    /// Like [`Ranking::get_rank_range`], but returns the error.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed or `first` is 0.
    pub async fn try_get_rank_range(
        &self,
        first: u64,
        count: u64,
    ) -> Result<Vec<Ranked>, CacheError> {
        let Some(skip) = first.checked_sub(1) else {
            return Err(CacheError::Invalid("ranks start at 1".to_owned()));
        };
        let found = self.range(Order::Descending, skip, count).await?;
        let ranked = |(rank, (member, score))| Ranked {
            rank,
            member,
            score,
        };
        Ok((first..).zip(found).map(ranked).collect())
    }

    /// Returns `count` members from the end, after `skip` of them, lowest score first, without
    /// ranks; none if the store fails.
    pub async fn get_lowest(&self, skip: u64, count: u64) -> Vec<Scored> {
        or_miss(self.try_get_lowest(skip, count).await)
    }

    /// Like [`Ranking::get_lowest`], but returns the error.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn try_get_lowest(&self, skip: u64, count: u64) -> Result<Vec<Scored>, CacheError> {
        self.range(Order::Ascending, skip, count).await
    }

    /// Returns the number of members; 0 if the store fails.
    pub async fn get_count(&self) -> u64 {
        or_miss(self.try_get_count().await)
    }

    /// Like [`Ranking::get_count`], but returns the error.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn try_get_count(&self) -> Result<u64, CacheError> {
        let size = self.cache.shared.store.size(&self.key);
        self.cache.run("size", size).await
    }

    /// Removes members and returns how many there were.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn remove(&self, members: &[&str]) -> Result<u64, CacheError> {
        let members: Vec<String> = members.iter().map(|member| (*member).to_owned()).collect();
        let removed = self.cache.shared.store.remove_members(&self.key, &members);
        self.cache.run("remove_members", removed).await
    }

    /// Removes all members. Returns whether there were any.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn clear(&self) -> Result<bool, CacheError> {
        let keys = [self.key.clone()];
        let deleted = self.cache.shared.store.delete(&keys);
        Ok(self.cache.run("delete", deleted).await? > 0)
    }

    /// Turns the current ranking into the snapshot `name` (such as `yesterday`), in one step.
    ///
    /// The next score that is set starts a new ranking. An earlier snapshot of this name is
    /// replaced. Returns whether there was a ranking.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn take_snapshot(&self, name: &str) -> Result<bool, CacheError> {
        let snapshot = self.snapshot(name).key;
        let renamed = self.cache.shared.store.rename(&self.key, &snapshot);
        self.cache.run("rename", renamed).await
    }

    /// Returns the snapshot `name` of this ranking.
    #[must_use]
    pub fn snapshot(&self, name: &str) -> Self {
        Self {
            key: beside(&self.cache.prefix, "snapshot", &self.key) + ":" + name,
            cache: self.cache.clone(),
        }
    }

    /// Sets the life of the ranking to `life` from now. Returns whether there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn expire(&self, life: Duration) -> Result<bool, CacheError> {
        let expire = self.cache.shared.store.expire(&self.key, life);
        self.cache.run("expire", expire).await
    }

    async fn range(&self, order: Order, skip: u64, count: u64) -> Result<Vec<Scored>, CacheError> {
        let range = self.cache.shared.store.range(&self.key, order, skip, count);
        self.cache.run("range", range).await
    }
}

fn all_finite(members: &[Scored]) -> Result<(), CacheError> {
    match members.iter().find(|(_, score)| !score.is_finite()) {
        None => Ok(()),
        Some((member, score)) => Err(CacheError::Invalid(format!(
            "the score of {member} is {score}; it must be a finite number"
        ))),
    }
}
