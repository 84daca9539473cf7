//! Numbers as people read them.

use std::time::Duration;

/// Formats a number with thousands separators.
#[must_use]
pub fn grouped(number: impl TryInto<i64>) -> String {
    let Ok(number) = number.try_into() else {
        return "?".to_owned();
    };
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// Formats a time in seconds, or in minutes from two minutes on.
#[must_use]
pub fn rounded_time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    // A time that would be rounded to 120.0 s is shown in minutes.
    if seconds < 119.95 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.1} min", seconds / 60.0)
    }
}

/// Formats a share in percent, rounded down: 100 % means that nothing is missing.
#[must_use]
pub fn percent(share: f64) -> String {
    // The small addend makes up for shares that binary fractions cannot represent.
    let tenths = (share * 1_000.0 + 1e-9).floor();
    format!("{:.1} %", tenths / 10.0)
}

/// Returns the value `percent` of the way through sorted values, at the nearest place; `None` if there
/// are none.
#[must_use]
pub fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last * percent + 50) / 100).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_just_below_a_limit_is_not_shown_as_the_limit() {
        for (share, text) in [
            (1.0, "100.0 %"),
            (0.9999, "99.9 %"),
            (0.8997, "89.9 %"),
            (0.9, "90.0 %"),
            (0.0, "0.0 %"),
        ] {
            assert_eq!(percent(share), text);
        }
    }

    #[test]
    fn percentiles_are_values_that_are_there() {
        let thousand: Vec<i64> = (0..=1_000).collect();
        for (percent, expected) in [(0, 0), (50, 500), (99, 990), (100, 1_000)] {
            assert_eq!(percentile(&thousand, percent), Some(expected));
        }
        assert_eq!(percentile(&[7], 50), Some(7));
        assert_eq!(percentile::<i64>(&[], 50), None);
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (-1_234_567, "-1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
