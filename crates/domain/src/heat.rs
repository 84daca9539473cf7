//! Which codes are read most at present.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Symbol;

/// After so long without a read half of a code's heat is gone.
const HALF_LIFE: Duration = Duration::from_secs(120);

/// Reads a minute that make a code hot.
const HOT: f64 = 1.0;

/// Reads a minute below which a hot code is hot no more. The gap between the two keeps a code from
/// joining and leaving with every look.
const COLD: f64 = 0.5;

/// A hot code stays among the hottest until so many times as many others are hotter,
const HOLD: usize = 2;

/// and gives its place to one that is so many times as hot.
const HOTTER: f64 = 1.5;

/// The hottest codes, from how often each was read in all.
#[derive(Debug, Clone)]
pub struct Heat {
    most: usize,
    /// Reads a minute, the recent ones counting more.
    warmth: BTreeMap<Symbol, f64>,
    totals: Option<BTreeMap<Symbol, u64>>,
    hot: BTreeSet<Symbol>,
}

impl Heat {
    /// Finds the `most` hottest codes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            warmth: BTreeMap::new(),
            totals: None,
            hot: BTreeSet::new(),
        }
    }

    /// Takes in how often each code was read in all, `elapsed` after the last look. The first look
    /// tells nothing yet: what was read before it may have been read long ago. Codes that are
    /// `listed` are watched anyway and take no place of another.
    pub fn look(
        &mut self,
        totals: BTreeMap<Symbol, u64>,
        elapsed: Duration,
        listed: &BTreeSet<Symbol>,
    ) {
        let Some(before) = self.totals.take() else {
            self.totals = Some(totals);
            return;
        };
        let elapsed = elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        let kept = (-elapsed / HALF_LIFE.as_secs_f64()).exp2();
        for warmth in self.warmth.values_mut() {
            *warmth *= kept;
        }
        for (code, total) in &totals {
            // Totals that fell began anew: all of it is new.
            let earlier = before.get(code).copied().filter(|earlier| earlier <= total);
            let reads = total - earlier.unwrap_or(0);
            if reads > 0 {
                let a_minute = real(reads) * 60.0 / elapsed;
                *self.warmth.entry(*code).or_default() += a_minute * (1.0 - kept);
            }
        }
        self.warmth.retain(|_, warmth| *warmth >= COLD / 10.0);
        self.totals = Some(totals);
        self.choose(listed);
    }

    fn choose(&mut self, listed: &BTreeSet<Symbol>) {
        let rest = self
            .warmth
            .iter()
            .filter(|(code, _)| !listed.contains(code));
        let mut order: Vec<(Symbol, f64)> = rest.map(|(code, warmth)| (*code, *warmth)).collect();
        order.sort_by(|(a, a_warmth), (b, b_warmth)| b_warmth.total_cmp(a_warmth).then(a.cmp(b)));
        let near = self.most.saturating_mul(HOLD);
        let stays = |code: &Symbol, warmth: f64| self.hot.contains(code) && warmth >= COLD;
        let mut hot: BTreeSet<Symbol> = order
            .iter()
            .take(near)
            .filter(|(code, warmth)| stays(code, *warmth))
            .take(self.most)
            .map(|(code, _)| *code)
            .collect();
        // Who is among the hottest joins, and takes the place of the coolest where it is clearly hotter.
        for (code, warmth) in order.iter().take(self.most) {
            if *warmth < HOT || hot.contains(code) {
                continue;
            }
            if hot.len() >= self.most {
                let coolest = order.iter().rev().find(|(code, _)| hot.contains(code));
                let Some((coolest, its_warmth)) = coolest else {
                    break;
                };
                if *warmth < its_warmth * HOTTER {
                    break;
                }
                hot.remove(coolest);
            }
            hot.insert(*code);
        }
        self.hot = hot;
    }

    /// The hottest codes at the last look, in the order of the codes.
    pub fn hottest(&self) -> impl Iterator<Item = Symbol> + '_ {
        self.hot.iter().copied()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "reads between two looks are far below 2^52"
)]
fn real(reads: u64) -> f64 {
    reads as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_secs(10);

    fn code(number: u32) -> Symbol {
        format!("{number:06}").parse().unwrap()
    }

    /// Reads each code so often between two looks.
    struct Readers {
        heat: Heat,
        totals: BTreeMap<Symbol, u64>,
    }

    impl Readers {
        fn new(most: usize) -> Self {
            let mut readers = Self {
                heat: Heat::new(most),
                totals: BTreeMap::new(),
            };
            readers.read(&[]);
            readers
        }

        fn read(&mut self, reads: &[(u32, u64)]) -> Vec<Symbol> {
            for (number, count) in reads {
                *self.totals.entry(code(*number)).or_default() += count;
            }
            self.heat.look(self.totals.clone(), LOOK, &BTreeSet::new());
            self.heat.hottest().collect()
        }

        fn read_for(&mut self, looks: usize, reads: &[(u32, u64)]) -> Vec<Symbol> {
            let all = (0..looks).map(|_| self.read(reads));
            all.last().unwrap_or_default()
        }
    }

    #[test]
    fn the_most_read_join_and_leave_again() {
        let mut readers = Readers::new(2);
        let hot = readers.read_for(30, &[(1, 10), (2, 5), (3, 1)]);
        assert_eq!(hot, [code(1), code(2)]);
        // Another one is read: it takes the place of the cooler.
        let hot = readers.read_for(60, &[(1, 10), (3, 50)]);
        assert_eq!(hot, [code(1), code(3)]);
        // Nobody reads any more: 60 a minute fall below the half in seven half-lives.
        let hot = readers.read_for(12 * 10, &[]);
        assert_eq!(hot, []);
    }

    #[test]
    fn what_was_read_before_the_first_look_is_no_heat() {
        let mut heat = Heat::new(5);
        let totals = BTreeMap::from([(code(1), 1_000_000)]);
        heat.look(totals.clone(), LOOK, &BTreeSet::new());
        heat.look(totals, LOOK, &BTreeSet::new());
        assert_eq!(heat.hottest().count(), 0);
    }

    #[test]
    fn totals_that_begin_anew_are_reads() {
        let mut heat = Heat::new(5);
        heat.look(BTreeMap::from([(code(1), 1_000)]), LOOK, &BTreeSet::new());
        for total in 1..30 {
            heat.look(BTreeMap::from([(code(1), total)]), LOOK, &BTreeSet::new());
        }
        assert_eq!(heat.hottest().collect::<Vec<_>>(), [code(1)]);
    }

    #[test]
    fn two_that_are_read_alike_do_not_swap_places() {
        let mut readers = Readers::new(1);
        let first = readers.read_for(60, &[(2, 10)]);
        assert_eq!(first, [code(2)]);
        // The other comes as near as can be, and passes it now and then.
        let mut changes = 0;
        let mut last = first;
        for turn in 0..100 {
            let reads = if turn % 2 == 0 {
                [(1, 11), (2, 9)]
            } else {
                [(1, 9), (2, 11)]
            };
            let hot = readers.read(&reads);
            changes += usize::from(hot != last);
            last = hot;
        }
        assert!(changes <= 1, "{changes}");
    }

    #[test]
    fn one_read_is_not_hot_and_none_are_wanted_by_nobody() {
        let mut readers = Readers::new(3);
        assert_eq!(readers.read(&[(1, 1)]), []);
        let mut nobody = Readers::new(0);
        assert_eq!(nobody.read_for(30, &[(1, 100)]), []);
    }

    #[test]
    fn what_is_watched_anyway_takes_no_place() {
        let mut heat = Heat::new(1);
        let listed = BTreeSet::from([code(1)]);
        let none = BTreeSet::new();
        heat.look(BTreeMap::new(), LOOK, &listed);
        let totals = BTreeMap::from([(code(1), 500), (code(2), 100)]);
        heat.look(totals.clone(), LOOK, &listed);
        assert!(heat.hottest().eq([code(2)]));
        // Taken off its list it is as hot as it was all along.
        heat.look(totals.clone(), LOOK, &none);
        assert!(heat.hottest().eq([code(1)]));
        heat.look(totals, LOOK, &listed);
        assert!(heat.hottest().eq([code(2)]));
    }
}
