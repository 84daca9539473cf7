//! Ages of the live prices.

use serde::Serialize;

use sise_domain::{KrxTime, percentile};

/// Ages by quantile, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ages {
    /// Half of the prices are younger.
    pub p50: u64,
    /// Nine of ten are younger.
    pub p90: u64,
    /// 99 of 100 are younger.
    pub p99: u64,
    /// The oldest.
    pub max: u64,
}

impl Ages {
    /// Returns the ages at `now` of prices fetched at these times; `None` if there are none.
    #[must_use]
    pub fn of(now: KrxTime, fetched: impl Iterator<Item = KrxTime>) -> Option<Self> {
        let age = |fetched: KrxTime| {
            let age = now.signed_duration_since(fetched).num_milliseconds();
            // The clock of another host may be ahead.
            u64::try_from(age).unwrap_or(0)
        };
        let mut ages: Vec<u64> = fetched.map(age).collect();
        ages.sort_unstable();
        let at = |percent| percentile(&ages, percent);
        Some(Self {
            p50: at(50)?,
            p90: at(90)?,
            p99: at(99)?,
            max: at(100)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeDelta, TimeZone as _};
    use sise_domain::Seoul;

    #[test]
    fn quantiles_are_ages_that_are_there() {
        let now = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
        let ages = |ages: &[i64]| {
            let fetched = ages.iter().map(|age| now - TimeDelta::milliseconds(*age));
            Ages::of(now, fetched).map(|ages| [ages.p50, ages.p90, ages.p99, ages.max])
        };
        assert_eq!(ages(&[]), None);
        assert_eq!(ages(&[700]), Some([700; 4]));
        assert_eq!(ages(&[-5, -5]), Some([0; 4]), "a clock that is ahead");
        let thousand: Vec<i64> = (0..=1_000).rev().collect();
        assert_eq!(ages(&thousand), Some([500, 900, 990, 1_000]));
    }
}
