//! Increments not yet sent to the store.

use std::collections::{HashMap, VecDeque};

use super::queue::Full;

/// Most names in one batch: a longer one would hold up other callers.
const BATCH: usize = 500;

/// Increments by name, oldest first, and the batch being sent.
///
/// Only one batch is sent at a time, so that an unanswered batch can be sent again under its
/// number.
#[derive(Debug)]
pub(super) struct Unsent {
    most: usize,
    increments: HashMap<String, u64>,
    /// Each name with the number of the `take` call that brought it.
    order: VecDeque<(u64, String)>,
    batch: Batch,
    /// Number of the last `take` call.
    taken: u64,
}

/// Increments that are sent together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// Number of the batch, different from that of the batch before.
    pub(super) number: u64,
    /// Names and amounts.
    pub(super) increments: Vec<(String, u64)>,
    /// The `take` call that brought the first of them.
    since: u64,
}

impl Unsent {
    /// Creates an empty set for up to `most` names. The first batch has the number after `number`.
    pub(super) fn new(most: usize, number: u64) -> Self {
        Self {
            most,
            increments: HashMap::new(),
            order: VecDeque::new(),
            batch: Batch {
                number,
                ..Batch::default()
            },
            taken: 0,
        }
    }

    /// Takes increments, all or none, and returns the number of this call.
    pub(super) fn take(&mut self, increments: &[(&str, u64)]) -> Result<u64, Full> {
        let is_new = |(name, _): &&(&str, u64)| self.of(name).is_none();
        let waiting = self.len();
        if waiting + increments.iter().filter(is_new).count() > self.most {
            return Err(Full { waiting });
        }
        self.taken += 1;
        for (name, by) in increments {
            match self.increments.get_mut(*name) {
                Some(held) => *held = held.saturating_add(*by),
                None => {
                    self.increments.insert((*name).to_owned(), *by);
                    self.order.push_back((self.taken, (*name).to_owned()));
                }
            }
        }
        Ok(self.taken)
    }

    /// Returns the number of the last `take` call.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns the batch to send until everything up to call `until` is sent: the unanswered one,
    /// or the next one.
    pub(super) fn next(&mut self, until: u64) -> Option<Batch> {
        if self.batch.increments.is_empty() {
            let since = self.order.front().map(|(taken, _)| *taken);
            self.batch.since = since.filter(|since| *since <= until)?;
            self.batch.number += 1;
            let count = self.order.len().min(BATCH);
            let increments = &mut self.increments;
            let taken = self.order.drain(..count);
            let entries = taken.filter_map(|(_, name)| increments.remove_entry(&name));
            self.batch.increments = entries.collect();
        }
        (self.batch.since <= until).then(|| self.batch.clone())
    }

    /// Drops the batch, which was answered.
    pub(super) fn settle(&mut self) {
        self.batch.increments.clear();
    }

    /// Returns the amount of a name that the store is not known to have.
    pub(super) fn of(&self, name: &str) -> Option<u64> {
        let mut batch = self.batch.increments.iter();
        let in_doubt = batch.find(|(held, _)| held == name).map(|(_, by)| *by);
        match (in_doubt, self.increments.get(name).copied()) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        }
    }

    /// Returns how many names wait.
    fn len(&self) -> usize {
        let mut names = self.batch.increments.iter();
        let both = names
            .by_ref()
            .filter(|(name, _)| self.increments.contains_key(name));
        self.increments.len() + self.batch.increments.len() - both.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(batch: Option<Batch>) -> Vec<(String, u64)> {
        batch.map_or_else(Vec::new, |batch| batch.increments)
    }

    #[test]
    fn a_batch_stays_as_it_was_sent_until_it_is_answered() {
        let mut unsent = Unsent::new(10, 7);
        let first = unsent.take(&[("a", 1), ("b", 2), ("a", 3)]).unwrap();
        let batch = unsent.next(first).unwrap();
        assert_eq!(batch.number, 8);
        assert_eq!(batch.increments, [("a".to_owned(), 4), ("b".to_owned(), 2)]);
        let second = unsent.take(&[("a", 5)]).unwrap();
        assert_eq!(unsent.next(second), Some(batch));
        assert_eq!((unsent.of("a"), unsent.of("c")), (Some(9), None));
        unsent.settle();
        assert_eq!(unsent.next(first), None);
        let batch = unsent.next(second).unwrap();
        assert_eq!(
            (batch.number, batch.increments),
            (9, vec![("a".to_owned(), 5)])
        );
        unsent.settle();
        assert_eq!((unsent.next(second), unsent.of("a")), (None, None));
    }

    #[test]
    fn who_came_first_does_not_wait_for_those_who_came_later() {
        let mut unsent = Unsent::new(10_000, 0);
        let many: Vec<String> = (0..BATCH + 1).map(|name| name.to_string()).collect();
        let many: Vec<(&str, u64)> = many.iter().map(|name| (name.as_str(), 1)).collect();
        let first = unsent.take(&many).unwrap();
        let second = unsent.take(&[("z", 1)]).unwrap();
        assert_eq!(names(unsent.next(first)).len(), BATCH);
        unsent.settle();
        assert_eq!(names(unsent.next(first)).len(), 2);
        unsent.settle();
        assert_eq!((unsent.next(first), unsent.next(second)), (None, None));
        // Later increments of a name that waits go along with it.
        let third = unsent.take(&[("a", 1)]).unwrap();
        let fourth = unsent.take(&[("a", 1)]).unwrap();
        assert_eq!(names(unsent.next(third)), [("a".to_owned(), 2)]);
        unsent.settle();
        assert_eq!(unsent.next(fourth), None);
    }

    #[test]
    fn more_names_than_allowed_are_refused_and_those_that_wait_are_not() {
        let mut unsent = Unsent::new(2, 0);
        let taken = unsent.take(&[("a", 1), ("b", u64::MAX)]).unwrap();
        unsent.next(taken);
        assert_eq!(unsent.take(&[("a", 1), ("c", 1)]).unwrap_err().waiting, 2);
        unsent.take(&[("a", 1), ("b", 1)]).unwrap();
        assert_eq!((unsent.of("a"), unsent.of("b")), (Some(2), Some(u64::MAX)));
    }
}
