//! The codes that are read most at present.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Symbol;

/// Time without a read after which half of a code's heat is gone.
const HALF_LIFE: Duration = Duration::from_secs(120);

/// Reads per minute that make a code hot.
const HOT: f64 = 1.0;

/// Reads per minute below which a hot code cools off.
///
/// The distance to [`HOT`] keeps codes from joining and leaving with every look.
const COLD: f64 = 0.5;

/// A hot code keeps its place while it is among the hottest `most * HOLD` codes.
const HOLD: usize = 2;

/// A hot code gives its place to a code that is this many times as hot.
const HOTTER: f64 = 1.5;

/// The hottest codes, computed from the total number of reads of each code.
#[derive(Debug, Clone)]
pub struct Heat {
    most: usize,
    /// Reads per minute; recent reads count more.
    warmth: BTreeMap<Symbol, f64>,
    totals: Option<BTreeMap<Symbol, u64>>,
    hot: BTreeSet<Symbol>,
}

impl Heat {
    /// Creates a tracker of the `most` hottest codes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            warmth: BTreeMap::new(),
            totals: None,
            hot: BTreeSet::new(),
        }
    }

    /// Applies the total reads of each code, `elapsed` after the last look.
    ///
    /// The first look only sets the starting point, because earlier reads may be old. Codes in
    /// `listed` are watched anyway and take no place.
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
            // A total that fell was reset: all of it is new.
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
        // The hottest codes join. If all places are taken, they replace the coolest if clearly
        // hotter.
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

    /// Returns the hottest codes at the last look, ordered by code.
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

    /// Readers that read each code a given number of times between two looks.
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
        // Another code is read and takes the place of the cooler one.
        let hot = readers.read_for(60, &[(1, 10), (3, 50)]);
        assert_eq!(hot, [code(1), code(3)]);
        // No reads any more: 60 per minute fall below 0.5 in seven half-lives.
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
        // The other code comes close, and passes it now and then.
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
        // Off the list, it is as hot as it has been all along.
        heat.look(totals.clone(), LOOK, &none);
        assert!(heat.hottest().eq([code(1)]));
        heat.look(totals, LOOK, &listed);
        assert!(heat.hottest().eq([code(2)]));
    }
}
