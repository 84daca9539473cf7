//! Rankings: members by score.

use std::collections::HashMap;
use std::time::Duration;

use super::key::{RANK, beside, key};
use super::{Cache, CacheError, or_miss};
use sise_net::unique;
use sise_port::{Order, Replacement, Scored};

/// Members that are set at once: more would keep everybody else waiting.
const PART: usize = 1_000;

/// A sorted set under `<namespace>rank:<name>`: members by score, the highest first.
///
/// Of equal scores the member comes first whose bytes are greater (`b` before `a`): the order of
/// `ZREVRANGE`, so that any program sees the same. Scores are finite numbers; whole ones are exact up
/// to 2^53.
#[derive(Debug, Clone)]
pub struct Ranking {
    cache: Cache,
    key: String,
}

/// A place in a ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// 1 for the first.
    pub rank: u64,
    /// Who.
    pub member: String,
    /// With which score.
    pub score: f64,
}

/// A whole ranking that takes the place of the one before.
#[derive(Debug, Clone)]
pub struct NewRanking<'a> {
    /// Of which ranking.
    pub ranking: &'a Ranking,
    /// Its members; of one that comes twice the last score counts.
    pub members: Vec<Scored>,
    /// How long it lives; `None` until it is replaced.
    pub life: Option<Duration>,
}

impl Cache {
    /// The ranking that is called `name`.
    #[must_use]
    pub fn ranking(&self, name: &str) -> Ranking {
        Ranking {
            key: key(&self.prefix, RANK, name),
            cache: self.clone(),
        }
    }

    /// Replaces whole rankings, all in one round trip. Whoever reads meanwhile sees the old one or
    /// the new one, never a part.
    ///
    /// # Errors
    ///
    /// The store failed, or a score is no finite number; some of the rankings may be replaced.
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
    /// Gives a member a score.
    ///
    /// # Errors
    ///
    /// The store failed, or the score is no finite number.
    pub async fn set_score(&self, member: &str, score: f64) -> Result<(), CacheError> {
        self.set_score_bulk(&[(member, score)]).await
    }

    /// Gives members scores; of one that comes twice the last counts.
    ///
    /// # Errors
    ///
    /// The store failed, or a score is no finite number: then none is set. Of more than a thousand
    /// members some may be set where the store fails.
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

    /// Rank and score of a member; `None` where it is not in the ranking, or the store fails.
    pub async fn get_rank(&self, member: &str) -> Option<Ranked> {
        or_miss(self.try_get_rank(member).await)
    }

    /// As [`Ranking::get_rank`], and says what failed.
    ///
    /// # Errors
    ///
    /// The store failed.
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

    /// `count` members from rank `first` on, the highest score first; none where the store fails.
    pub async fn get_rank_range(&self, first: u64, count: u64) -> Vec<Ranked> {
        or_miss(self.try_get_rank_range(first, count).await)
    }

    /// As [`Ranking::get_rank_range`], and says what failed.
    ///
    /// # Errors
    ///
    /// The store failed, or `first` is 0.
    pub async fn try_get_rank_range(
        &self,
        first: u64,
        count: u64,
    ) -> Result<Vec<Ranked>, CacheError> {
        let Some(skip) = first.checked_sub(1) else {
            return Err(CacheError::Invalid("ranks begin with 1".to_owned()));
        };
        let found = self.range(Order::Descending, skip, count).await?;
        let ranked = |(rank, (member, score))| Ranked {
            rank,
            member,
            score,
        };
        Ok((first..).zip(found).map(ranked).collect())
    }

    /// `count` members from the end, after `skip` of them, the lowest score first, without their
    /// ranks; none where the store fails.
    pub async fn get_lowest(&self, skip: u64, count: u64) -> Vec<Scored> {
        or_miss(self.try_get_lowest(skip, count).await)
    }

    /// As [`Ranking::get_lowest`], and says what failed.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn try_get_lowest(&self, skip: u64, count: u64) -> Result<Vec<Scored>, CacheError> {
        self.range(Order::Ascending, skip, count).await
    }

    /// The number of members; 0 where the store fails.
    pub async fn get_count(&self) -> u64 {
        or_miss(self.try_get_count().await)
    }

    /// As [`Ranking::get_count`], and says what failed.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn try_get_count(&self) -> Result<u64, CacheError> {
        let size = self.cache.shared.store.size(&self.key);
        self.cache.run("size", size).await
    }

    /// Removes members and says how many there were.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn remove(&self, members: &[&str]) -> Result<u64, CacheError> {
        let members: Vec<String> = members.iter().map(|member| (*member).to_owned()).collect();
        let removed = self.cache.shared.store.remove_members(&self.key, &members);
        self.cache.run("remove_members", removed).await
    }

    /// Removes all members. Says whether there were any.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn clear(&self) -> Result<bool, CacheError> {
        let keys = [self.key.clone()];
        let deleted = self.cache.shared.store.delete(&keys);
        Ok(self.cache.run("delete", deleted).await? > 0)
    }

    /// Makes the ranking as it stands the snapshot `name` (`yesterday`), in one step: whoever sets a
    /// score afterwards begins a new ranking. A snapshot of this name before is gone. Says whether
    /// there was a ranking.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn take_snapshot(&self, name: &str) -> Result<bool, CacheError> {
        let snapshot = self.snapshot(name).key;
        let renamed = self.cache.shared.store.rename(&self.key, &snapshot);
        self.cache.run("rename", renamed).await
    }

    /// The snapshot `name` of this ranking.
    #[must_use]
    pub fn snapshot(&self, name: &str) -> Self {
        Self {
            key: beside(&self.cache.prefix, "snapshot", &self.key) + ":" + name,
            cache: self.cache.clone(),
        }
    }

    /// Has the ranking live for `life` from now on. Says whether there is one.
    ///
    /// # Errors
    ///
    /// The store failed.
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
            "the score of {member} is {score}; allowed is a finite number"
        ))),
    }
}
