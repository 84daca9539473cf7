//! Texts of alerts.

use super::Condition;
use super::series::real;
use crate::{PriceLimit, Quote, Status};

/// Describes what happened to a stock, and anything unusual about its price.
pub(super) fn of_stock(when: &Condition, quote: &Quote, value: f64) -> String {
    let standing = standing(quote).map_or_else(String::new, |words| format!(", {words}"));
    let simulated = if quote.simulated { " (simulated)" } else { "" };
    format!("{}{standing}{simulated}", event(when, quote, value))
}

fn event(when: &Condition, quote: &Quote, value: f64) -> String {
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
        // These are not about a stock.
        Condition::CoverageBelow { .. } | Condition::LeaderLost { .. } => who,
    }
}

/// Describes why a price is unusual, in the words of the terminal.
fn standing(quote: &Quote) -> Option<&'static str> {
    match (quote.status, quote.limit) {
        (Status::Halted, _) => Some("halted"),
        (Status::Untraded, _) => Some("untraded"),
        (Status::Trading, Some(PriceLimit::Upper)) => Some("limit up"),
        (Status::Trading, Some(PriceLimit::Lower)) => Some("limit down"),
        (Status::Trading, None) => None,
    }
}

/// Describes what happened to the market as a whole.
pub(super) fn of_market(when: &Condition, value: f64) -> String {
    match when {
        Condition::CoverageBelow { percent, for_s } => format!(
            "{} of the list have a live price; it has been below {percent} % for {}",
            crate::percent(value / 100.0),
            length(*for_s)
        ),
        _ => format!("no process has led for {value:.0} s: prices are not refreshed"),
    }
}

/// Formats an amount with thousands separators.
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

/// Formats a duration in its largest whole unit.
fn length(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        _ if seconds.is_multiple_of(3_600) => format!("{} h", seconds / 3_600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seoul;
    use chrono::TimeZone as _;

    #[test]
    fn an_alert_says_that_its_price_is_simulated_or_no_usual_one() {
        let at = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
        let usual = Quote::sample("005930".parse().unwrap(), 69_900, at);
        let text = |change: &dyn Fn(&mut Quote)| {
            let mut quote = usual.clone();
            change(&mut quote);
            of_stock(&Condition::PriceBelow(70_000), &quote, 69_900.0)
        };
        let plain = "회사 (005930) is below 70,000 won: 69,900 won";
        assert_eq!(text(&|_| {}), plain);
        assert_eq!(
            text(&|q| q.simulated = true),
            format!("{plain} (simulated)")
        );
        assert_eq!(
            text(&|q| q.status = Status::Halted),
            format!("{plain}, halted")
        );
        assert_eq!(
            text(&|q| q.status = Status::Untraded),
            format!("{plain}, untraded")
        );
        assert_eq!(
            text(&|q| q.limit = Some(PriceLimit::Upper)),
            format!("{plain}, limit up")
        );
        let both = text(&|q| {
            q.limit = Some(PriceLimit::Lower);
            q.simulated = true;
        });
        assert_eq!(both, format!("{plain}, limit down (simulated)"));
    }
}
