//! The exchange's price grid: tick sizes and daily price limits, won.

/// Returns the tick size at `price`: one table for KOSPI and KOSDAQ since 2023-01-25.
#[must_use]
pub fn tick_size(price: i64) -> i64 {
    match price {
        ..2_000 => 1,
        2_000..5_000 => 5,
        5_000..20_000 => 10,
        20_000..50_000 => 50,
        50_000..200_000 => 100,
        200_000..500_000 => 500,
        _ => 1_000,
    }
}

/// Returns the lower and upper price limit for a base price: 30 percent down and up.
///
/// The width is cut to the tick size of the base price, and each limit to its own tick size, both
/// towards the base price.
#[must_use]
pub fn price_limits(base: i64) -> (i64, i64) {
    let width = base * 3 / 10;
    let width = width - width % tick_size(base);
    let upper = base + width;
    let lower = base - width;
    let lower_tick = tick_size(lower);
    (
        (lower + lower_tick - 1) / lower_tick * lower_tick,
        upper - upper % tick_size(upper),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Base price, lower and upper limit of recorded bodies.
    #[test]
    fn limits_are_those_of_recorded_quotes() {
        for (base, lower, upper) in [
            (66_000, 46_200, 85_800),
            (77_300, 54_200, 100_400),
            (78_200, 54_800, 101_600),
            (193_000, 135_100, 250_500),
            (75_700, 53_000, 98_400),
        ] {
            assert_eq!(price_limits(base), (lower, upper), "base {base}");
        }
    }
}
