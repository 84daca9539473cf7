//! A set of board places, one bit each.

/// A set of places.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    words: Vec<u64>,
    count: usize,
}

impl Places {
    /// Adds a place. Returns whether it is new.
    pub(super) fn add(&mut self, place: usize) -> bool {
        let (word, bit) = (place / 64, 1_u64 << (place % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let Some(held) = self.words.get_mut(word) else {
            return false;
        };
        let is_new = *held & bit == 0;
        *held |= bit;
        self.count += usize::from(is_new);
        is_new
    }

    /// Removes a place.
    pub(super) fn remove(&mut self, place: usize) {
        let bit = 1_u64 << (place % 64);
        if let Some(held) = self.words.get_mut(place / 64)
            && *held & bit != 0
        {
            *held &= !bit;
            self.count -= 1;
        }
    }

    pub(super) fn contains(&self, place: usize) -> bool {
        let word = self.words.get(place / 64);
        word.is_some_and(|word| word & (1_u64 << (place % 64)) != 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Keeps the places that are also in `other`.
    pub(super) fn keep(&mut self, other: &Self) {
        self.words.truncate(other.words.len());
        for (held, other) in self.words.iter_mut().zip(&other.words) {
            *held &= other;
        }
        self.recount();
    }

    /// Removes the places of `other`.
    pub(super) fn take_out(&mut self, other: &Self) {
        for (held, other) in self.words.iter_mut().zip(&other.words) {
            *held &= !other;
        }
        self.recount();
    }

    fn recount(&mut self) {
        let ones = self.words.iter().map(|word| word.count_ones());
        self.count = usize::try_from(ones.sum::<u32>()).unwrap_or(usize::MAX);
    }

    /// Iterates over the places in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let words = self.words.iter().enumerate();
        words.flat_map(|(word, bits)| {
            let mut left = *bits;
            std::iter::from_fn(move || {
                (left != 0).then(|| {
                    let bit = left.trailing_zeros();
                    left &= left - 1;
                    word * 64 + usize::try_from(bit).unwrap_or(0)
                })
            })
        })
    }

    /// Removes and returns the first places, up to `most`.
    pub(super) fn take(&mut self, most: usize) -> Vec<usize> {
        let taken: Vec<usize> = self.iter().take(most).collect();
        for place in &taken {
            self.remove(*place);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_of_places_is_a_set(steps in prop::collection::vec((0_usize..300, any::<bool>()), 0..200)) {
            let (mut places, mut model) = (Places::default(), BTreeSet::new());
            for (place, is_added) in steps {
                if is_added {
                    prop_assert_eq!(places.add(place), model.insert(place));
                } else {
                    places.remove(place);
                    model.remove(&place);
                }
                prop_assert_eq!(places.len(), model.len());
                prop_assert_eq!(places.contains(place), model.contains(&place));
            }
            prop_assert!(places.iter().eq(model.iter().copied()));
            let (even, evens): (Places, BTreeSet<usize>) = {
                let evens: BTreeSet<usize> = (0..200).step_by(2).collect();
                let mut even = Places::default();
                for place in &evens {
                    even.add(*place);
                }
                (even, evens)
            };
            let (mut kept, mut left) = (places.clone(), places.clone());
            kept.keep(&even);
            left.take_out(&even);
            prop_assert!(kept.iter().eq(model.intersection(&evens).copied()));
            prop_assert!(left.iter().eq(model.difference(&evens).copied()));
            prop_assert_eq!(kept.len() + left.len(), places.len());
            let taken = places.take(5);
            prop_assert!(taken.iter().eq(model.iter().take(5)));
            prop_assert!(places.iter().eq(model.iter().skip(5).copied()));
        }
    }
}
