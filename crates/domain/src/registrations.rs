//! Assignment of codes to the few places of the live feed.

use std::time::Duration;

use super::Symbol;

/// Minimum time for which a code keeps its place.
///
/// The broker dislikes codes that come and go quickly.
const LEAST_STAY: Duration = Duration::from_secs(60);

/// A code not watched for this long is really dropped, not just missing from one look.
const CLEARLY_DROPPED: Duration = Duration::from_secs(30);

/// The codes that have a place.
///
/// A code keeps its place while it is watched. New codes take free places.
#[derive(Debug, Clone)]
pub struct Registrations {
    most: usize,
    held: Vec<Registration>,
}

#[derive(Debug, Clone, Copy)]
struct Registration {
    code: Symbol,
    /// Since when it has the place.
    since: Duration,
    /// When it was last watched.
    watched: Duration,
}

impl Registrations {
    /// Creates `most` free places.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            held: Vec::new(),
        }
    }

    /// Sets the number of places.
    ///
    /// If there are fewer, unwatched codes lose theirs first, then those that got it last.
    pub fn limit(&mut self, most: usize) {
        self.most = most;
        while self.held.len() > most {
            let last = |held: &&Registration| (std::cmp::Reverse(held.watched), held.since);
            let Some(code) = self.held.iter().max_by_key(last).map(|held| held.code) else {
                return;
            };
            self.take_back(code);
        }
    }

    /// Removes a code from its place, regardless of how long it has had it.
    pub fn take_back(&mut self, code: Symbol) {
        self.held.retain(|held| held.code != code);
    }

    /// Assigns places to the codes that are watched now, in order.
    ///
    /// `now` is the time since any fixed moment.
    pub fn follow(&mut self, watched: &[Symbol], now: Duration) {
        for held in &mut self.held {
            if watched.contains(&held.code) {
                held.watched = now;
            }
        }
        self.held.retain(|held| {
            now.saturating_sub(held.since) < LEAST_STAY
                || now.saturating_sub(held.watched) < CLEARLY_DROPPED
        });
        for code in watched {
            if self.held.len() >= self.most {
                return;
            }
            if self.held.iter().all(|held| held.code != *code) {
                self.held.push(Registration {
                    code: *code,
                    since: now,
                    watched: now,
                });
            }
        }
    }

    /// Frees all places.
    pub fn clear(&mut self) {
        self.held.clear();
    }

    /// Returns the codes that have a place, in the order in which they got it.
    pub fn codes(&self) -> impl Iterator<Item = Symbol> + '_ {
        self.held.iter().map(|held| held.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(number: usize) -> Symbol {
        format!("{number:06}").parse().unwrap()
    }

    fn codes(numbers: impl IntoIterator<Item = usize>) -> Vec<Symbol> {
        numbers.into_iter().map(code).collect()
    }

    fn held(registrations: &Registrations) -> Vec<Symbol> {
        registrations.codes().collect()
    }

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_newcomer_waits_for_a_place_that_is_free_or_clearly_dropped() {
        let mut places = Registrations::new(2);
        places.follow(&codes([1, 2, 3]), s(0));
        assert_eq!(held(&places), codes([1, 2]));
        // A new order of the watched codes takes no place away.
        places.follow(&codes([3, 2, 1]), s(100));
        assert_eq!(held(&places), codes([1, 2]));
        // A code missing from one look is not dropped.
        places.follow(&codes([3, 2]), s(101));
        places.follow(&codes([3, 2, 1]), s(102));
        assert_eq!(held(&places), codes([1, 2]));
        places.follow(&codes([3, 2]), s(131));
        assert_eq!(held(&places), codes([1, 2]));
        places.follow(&codes([3, 2]), s(132));
        assert_eq!(held(&places), codes([2, 3]));
    }

    #[test]
    fn a_code_stays_for_a_minute_at_least() {
        let mut places = Registrations::new(1);
        places.follow(&codes([1]), s(10));
        places.follow(&codes([2]), s(11));
        places.follow(&codes([2]), s(69));
        assert_eq!(held(&places), codes([1]));
        places.follow(&codes([2]), s(70));
        assert_eq!(held(&places), codes([2]));
        places.follow(&[], s(130));
        assert_eq!(held(&places), []);
    }

    #[test]
    fn a_lower_limit_takes_the_places_of_those_not_watched_and_then_of_the_last() {
        let mut places = Registrations::new(4);
        places.follow(&codes([1, 2]), s(0));
        places.follow(&codes([2, 3, 4]), s(10));
        places.limit(3);
        assert_eq!(held(&places), codes([2, 3, 4]));
        places.limit(1);
        assert_eq!(held(&places), codes([2]));
        places.follow(&codes([2, 3]), s(20));
        assert_eq!(held(&places), codes([2]));
        places.limit(0);
        assert_eq!(held(&places), []);
    }

    proptest! {
        #[test]
        fn there_are_never_too_many_and_nobody_goes_before_the_minute_is_over(
            looks in proptest::collection::vec(
                (proptest::collection::vec(0_usize..12, 0..12), 1_u64..40), 1..40)
        ) {
            let mut places = Registrations::new(5);
            let mut now = 0;
            let mut since = std::collections::BTreeMap::new();
            for (watched, pause) in looks {
                now += pause;
                places.follow(&codes(watched), s(now));
                let held = held(&places);
                prop_assert!(held.len() <= 5);
                for code in since.keys() {
                    prop_assert!(held.contains(code) || now - since[code] >= 60);
                }
                since.retain(|code, _| held.contains(code));
                for code in held {
                    since.entry(code).or_insert(now);
                }
            }
        }
    }
}
