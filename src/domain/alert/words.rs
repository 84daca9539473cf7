//! Alerts in words.

use super::Condition;
use super::series::real;
use crate::domain::Quote;

/// What happened to a stock.
pub(super) fn of_stock(when: &Condition, quote: &Quote, value: f64) -> String {
    let who = match quote.stock_name.as_str() {
        "" => quote.stock_code.to_string(),
        name => format!("{name} ({})", quote.stock_code),
    };
    let now = won(real(quote.price));
    match when {
        Condition::PriceAbove(level) => format!("{who} is above {}: {now}", won(real(*level))),
        Condition::PriceBelow(level) => format!("{who} is below {}: {now}", won(real(*level))),
        Condition::ChangeBeyond(percent) => {
            format!("{who} is {value:+.2} % from the base price, {percent} % or more: {now}")
        }
        Condition::Jump { within_s, .. } => {
            format!(
                "{who} moved by {value:+.2} % within {}: {now}",
                length(*within_s)
            )
        }
        Condition::NewHigh => format!("{who} has a new high of the day: {}", won(value)),
        Condition::NewLow => format!("{who} has a new low of the day: {}", won(value)),
        Condition::VolumeTimes { within_s, .. } => format!(
            "{who} traded {value:.1} times as much as before over the last {}: {now}",
            length(*within_s)
        ),
        // Not about a stock.
        Condition::CoverageBelow { .. } | Condition::LeaderLost { .. } => who,
    }
}

/// What happened to the market as a whole.
pub(super) fn of_market(when: &Condition, value: f64) -> String {
    match when {
        Condition::CoverageBelow { percent, for_s } => format!(
            "{value:.1} % of the list have a live price, and fewer than {percent} % for {}",
            length(*for_s)
        ),
        _ => format!("nobody has led for {value:.0} s: nobody sweeps"),
    }
}

/// An amount with thousands separators.
fn won(amount: f64) -> String {
    let digits = format!("{amount:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + " won"
}

/// A length of time as it is set.
fn length(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        _ if seconds.is_multiple_of(3_600) => format!("{} h", seconds / 3_600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}
