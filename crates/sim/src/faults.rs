//! The dice, which decide which call meets which fault.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use fastrand::Rng;

use super::options::Faults;

/// One in this many answers has its `msg1` padded.
const PADDED: u8 = 16;

/// How a whole answer is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breakage {
    /// No answer; the connection is closed.
    Reset,
    /// HTTP 500 without JSON.
    Http500,
    /// HTTP 200 with a body that is no longer JSON.
    Garbage,
}

/// How the fields of one row are changed.
#[derive(Debug, Default)]
pub(super) struct Alteration {
    /// Leaves out about half of the optional fields.
    pub(super) thinning: Option<Rng>,
    /// Renames about an eighth of the optional fields.
    pub(super) renaming: Option<Rng>,
    /// Adds an undocumented field.
    pub(super) is_widened: bool,
    /// Adds fields that are not valid JSON.
    pub(super) is_damaged: bool,
    /// Removes the sign of the change.
    pub(super) is_unsigned: bool,
}

impl Alteration {
    /// Whether anything is changed.
    pub(super) fn is_any(&self) -> bool {
        self.thinning.is_some()
            || self.renaming.is_some()
            || self.is_widened
            || self.is_damaged
            || self.is_unsigned
    }
}

/// Draws the faults of every call, in the order of the calls.
#[derive(Debug)]
pub(super) struct Dice {
    faults: RwLock<Faults>,
    rng: Mutex<Rng>,
}

impl Dice {
    pub(super) fn new(faults: Faults, seed: u64) -> Self {
        Self {
            faults: RwLock::new(faults),
            rng: Mutex::new(Rng::with_seed(seed)),
        }
    }

    /// Returns the faults in force.
    pub(super) fn faults(&self) -> Faults {
        *self.faults.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        *self.faults.write().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Draws whether a fault with this share occurs.
    pub(super) fn strikes(&self, share: f64) -> bool {
        share > 0.0 && self.rng().f64() < share
    }

    pub(super) fn breakage(&self) -> Option<Breakage> {
        let faults = self.faults();
        [
            (faults.reset, Breakage::Reset),
            (faults.http_500, Breakage::Http500),
            (faults.garbage, Breakage::Garbage),
        ]
        .into_iter()
        .find_map(|(share, breakage)| self.strikes(share).then_some(breakage))
    }

    /// Draws how the fields of a row are changed.
    pub(super) fn alteration(&self) -> Alteration {
        let rng = |share| self.strikes(share).then(|| self.rng().fork());
        Alteration {
            thinning: rng(self.faults().missing_fields),
            renaming: rng(self.faults().renamed_fields),
            is_widened: self.strikes(self.faults().unknown_fields),
            is_damaged: self.strikes(self.faults().damaged),
            is_unsigned: self.strikes(self.faults().unsigned),
        }
    }

    /// Returns the price that a row reports for `price`, and whether that is a fault.
    pub(super) fn price(&self, price: i64) -> (i64, bool) {
        if self.strikes(self.faults().zero) {
            return (0, true);
        }
        self.implausible()
            .map_or((price, false), |wrong| (wrong, true))
    }

    /// Returns an impossible price if the fault occurs.
    pub(super) fn implausible(&self) -> Option<i64> {
        let strikes = self.strikes(self.faults().implausible);
        strikes.then(|| if self.rng().bool() { 1 } else { i64::MAX })
    }

    /// Returns a random number below `end`, or 0 if `end` is 0.
    pub(super) fn below(&self, end: usize) -> usize {
        self.rng().usize(..end.max(1))
    }

    pub(super) fn pads(&self) -> bool {
        self.rng().u8(..PADDED) == 0
    }

    /// Returns 32 characters for the `gt_uid` header.
    pub(super) fn transaction_id(&self) -> String {
        format!("{:032x}", self.rng().u128(..))
    }

    /// Returns `body` cut off, or garbled at one place.
    pub(super) fn garble(&self, body: &str) -> String {
        let cut = self.below(body.chars().count());
        let kept: String = body.chars().take(cut).collect();
        if self.rng().bool() {
            return kept;
        }
        // The raw line feed breaks the JSON inside a string, the lone brace anywhere else.
        let rest: String = body.chars().skip(cut).collect();
        format!("{kept}\n}}\u{fffd}{rest}")
    }

    fn rng(&self) -> MutexGuard<'_, Rng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_kept_and_garbled_bodies_are_no_json() {
        let faults = Faults {
            reset: 0.1,
            ..Faults::default()
        };
        let dice = Dice::new(faults, 5);
        let struck = (0..10_000).filter(|_| dice.breakage().is_some()).count();
        assert!((900..1_100).contains(&struck), "{struck}");
        let body = r#"{"output":{"name":"삼성전자","price":"1"},"rt_cd":"0"}"#;
        for _ in 0..500 {
            let garbled = dice.garble(body);
            assert!(
                serde_json::from_str::<serde_json::Value>(&garbled).is_err(),
                "{garbled}"
            );
        }
    }
}
