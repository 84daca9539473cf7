//! What is to be expected of a rule when it is made: whether it holds already, and what may keep it
//! silent.

use sise_domain::{Quote, Status, Symbol, Terms};

/// Codes that are named one by one.
const NAMED: usize = 10;

/// Alerts of a rule that are told in a minute at most.
const TOLD_A_MINUTE: usize = super::delivery::MOST_A_MINUTE as usize;

/// How things stand for a rule.
#[derive(Debug, Clone, Default)]
pub struct Outlook {
    /// Codes of the rule.
    pub codes: Vec<Symbol>,
    /// Those that are not on the stock list.
    pub unlisted: Vec<Symbol>,
    /// The live prices of its codes.
    pub live: Vec<Quote>,
    /// Which process watches, where one does.
    pub watcher: Option<String>,
    /// Why the market is closed, where it is.
    pub closed: Option<String>,
    /// Seconds between two prices of a code.
    pub interval_s: u64,
}

impl Outlook {
    /// The prices that are beyond the limit now; `None` where one price alone does not tell.
    #[must_use]
    pub fn beyond(&self, terms: &Terms) -> Option<Vec<&Quote>> {
        terms.when.lasts().then(|| {
            let live = self.live.iter();
            let holds = |quote: &&Quote| terms.when.holds_for(quote) == Some(true);
            live.filter(holds).collect()
        })
    }

    /// Whether the rule holds now, and when it is told.
    #[must_use]
    pub fn promise(&self, terms: &Terms) -> String {
        let promise = self.promise_at_any_time(terms);
        match terms.quiet {
            Some(quiet) => format!("{promise}; within the quiet hours, {quiet}, after them"),
            None => promise,
        }
    }

    fn promise_at_any_time(&self, terms: &Terms) -> String {
        let Some(beyond) = self.beyond(terms) else {
            return if terms.when.is_of_stocks() {
                "it is told when it happens next".to_owned()
            } else {
                "it is told when it has lasted for its time".to_owned()
            };
        };
        let codes = |trade: bool| -> Vec<Symbol> {
            let quotes = beyond.iter();
            let of_kind = quotes.filter(|quote| (quote.status == Status::Trading) == trade);
            of_kind.map(|quote| quote.stock_code).collect()
        };
        let (trading, standing) = (codes(true), codes(false));
        let told = match (terms.next_crossing, beyond.is_empty()) {
            (false, true) => "it is told as soon as it holds",
            // The price of a stock that does not trade is no evidence for the watcher.
            (false, false) if trading.is_empty() => {
                "it is told when trade begins and it still holds"
            }
            (false, false) if self.watcher.is_none() => "it is told as soon as a process watches",
            (false, false) => "it is told at once",
            (true, true) => "what holds at the first price is not told, only the next crossing",
            (true, false) => "only the next crossing is told",
        };
        match (trading.as_slice(), standing.as_slice()) {
            _ if self.live.is_empty() => {
                format!("whether it holds is not known without a live price: {told}")
            }
            ([], []) => format!("it does not hold now: {told}"),
            (trading, []) => format!("it holds now for {}: {told}", names(trading)),
            ([], standing) => format!(
                "it holds now for {}, without trade: {told}",
                names(standing)
            ),
            (trading, standing) => format!(
                "it holds now for {}: {told}; of {} nothing is told before trade begins",
                names(trading),
                names(standing)
            ),
        }
    }

    /// What may keep the rule silent.
    #[must_use]
    pub fn warnings(&self, terms: &Terms) -> Vec<String> {
        let mut warnings = Vec::new();
        if let (Some(list), true) = (terms.of.list(), self.codes.is_empty()) {
            warnings.push(format!(
                "nothing is on the watch list {list} yet: `sise watch add {list} CODE...`"
            ));
        }
        if !self.unlisted.is_empty() {
            warnings.push(format!(
                "not on the stock list, so that no price comes of it: {}; `sise why CODE` says more",
                names(&self.unlisted)
            ));
        }
        if self.watcher.is_none() {
            warnings.push(
                "no process watches for alerts, so that nobody tells: start `sise run`".to_owned(),
            );
        }
        if terms.when.is_of_stocks() {
            warnings.extend(self.of_prices(terms));
        }
        warnings
    }

    fn of_prices(&self, terms: &Terms) -> Vec<String> {
        let mut warnings = Vec::new();
        let listed = self.codes.len() - self.unlisted.len();
        match &self.closed {
            _ if listed == 0 => {}
            Some(closed) if self.live.is_empty() => warnings.push(format!(
                "the market is closed ({closed}): nothing is told before prices come again"
            )),
            None if self.live.is_empty() => warnings.push(
                "none of its codes has a live price: `sise status` says whether anybody sweeps"
                    .to_owned(),
            ),
            _ => {}
        }
        let stands = |quote: &&Quote| quote.status != Status::Trading;
        let standing = self.live.iter().filter(stands);
        let standing: Vec<Symbol> = standing.map(|quote| quote.stock_code).collect();
        if !standing.is_empty() && standing.len() == self.live.len() {
            warnings.push(format!(
                "{} does not trade now: nothing is told of it until it does",
                names(&standing)
            ));
        }
        let beyond = self.beyond(terms).map_or(0, |beyond| beyond.len());
        if beyond > TOLD_A_MINUTE && !terms.next_crossing {
            warnings.push(format!(
                "it holds for {beyond} codes, and {TOLD_A_MINUTE} alerts of a rule are told in a \
                 minute: the rest are only counted; next_crossing tells of what comes alone"
            ));
        }
        if let Some(window) = terms.when.window_s() {
            if window < self.interval_s * 2 {
                warnings.push(format!(
                    "prices come every {} s (schedule.interval): within so short a time few but \
                     watched codes have two of them",
                    self.interval_s
                ));
            }
            if let sise_domain::Condition::VolumeTimes { .. } = terms.when {
                warnings.push(format!(
                    "it is told {} min after the first price of a day at the earliest: four windows \
                     make the base",
                    window * 4 / 60
                ));
            }
        }
        warnings
    }
}

/// Some codes by name, and how many more there are.
fn names(codes: &[Symbol]) -> String {
    let named: Vec<&str> = codes.iter().take(NAMED).map(Symbol::as_str).collect();
    let named = named.join(" ");
    match codes.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sise_domain::{Condition, Scope};
    use sise_port::clock;

    fn terms(when: Condition) -> Terms {
        Terms {
            of: Scope::Codes(vec!["005930".parse().unwrap()]),
            ..Terms::new(when)
        }
    }

    fn well() -> Outlook {
        let code = "005930".parse().unwrap();
        Outlook {
            codes: vec![code],
            live: vec![Quote::sample(code, 70_000, (clock::system())())],
            watcher: Some("daemon".to_owned()),
            interval_s: 60,
            ..Outlook::default()
        }
    }

    #[test]
    fn it_is_said_whether_a_rule_holds_and_when_it_is_told() {
        let mut below = terms(Condition::PriceBelow(80_000));
        let outlook = well();
        assert_eq!(outlook.warnings(&below), Vec::<String>::new());
        assert_eq!(
            outlook.promise(&below),
            "it holds now for 005930: it is told at once"
        );
        below.next_crossing = true;
        assert_eq!(
            outlook.promise(&below),
            "it holds now for 005930: only the next crossing is told"
        );
        let above = terms(Condition::PriceAbove(80_000));
        assert_eq!(
            outlook.promise(&above),
            "it does not hold now: it is told as soon as it holds"
        );
        let high = terms(Condition::NewHigh);
        assert_eq!(outlook.promise(&high), "it is told when it happens next");
    }

    #[test]
    fn quiet_hours_are_named_with_what_is_promised() {
        let mut low = terms(Condition::PriceBelow(80_000));
        low.quiet = Some("15:40-08:50".parse().unwrap());
        let promise = well().promise(&low);
        let end = "; within the quiet hours, 15:40-08:50, after them";
        assert!(promise.ends_with(end), "{promise}");
    }

    #[test]
    fn what_cannot_be_told_now_is_not_promised() {
        let mut below = terms(Condition::PriceBelow(80_000));
        let mut outlook = well();
        outlook.watcher = None;
        assert_eq!(
            outlook.promise(&below),
            "it holds now for 005930: it is told as soon as a process watches"
        );
        let mut outlook = well();
        for status in [Status::Halted, Status::Untraded] {
            outlook.live[0].status = status;
            assert_eq!(
                outlook.promise(&below),
                "it holds now for 005930, without trade: it is told when trade begins and it still \
                 holds"
            );
        }
        let other = "000660".parse().unwrap();
        let trades = Quote::sample(other, 70_000, (clock::system())());
        outlook.live.push(trades);
        assert_eq!(
            outlook.promise(&below),
            "it holds now for 000660: it is told at once; of 005930 nothing is told before trade \
             begins"
        );
        outlook.live.truncate(1);
        below.next_crossing = true;
        assert_eq!(
            outlook.promise(&below),
            "it holds now for 005930, without trade: only the next crossing is told"
        );
    }

    #[test]
    fn whatever_keeps_a_rule_silent_is_said() {
        let below = terms(Condition::PriceBelow(80_000));
        let says = |change: fn(&mut Outlook), terms: &Terms, words: &str| {
            let mut outlook = well();
            change(&mut outlook);
            let said = outlook.warnings(terms).join("\n");
            assert!(said.contains(words), "'{said}' lacks '{words}'");
        };
        says(
            |outlook| outlook.watcher = None,
            &below,
            "no process watches",
        );
        says(
            |outlook| {
                outlook.unlisted = outlook.codes.clone();
                outlook.live.clear();
            },
            &below,
            "not on the stock list, so that no price comes of it: 005930",
        );
        says(|outlook| outlook.live.clear(), &below, "has a live price");
        says(
            |outlook| {
                outlook.live.clear();
                outlook.closed = Some("weekend".to_owned());
            },
            &below,
            "the market is closed (weekend)",
        );
        says(
            |outlook| outlook.live[0].status = Status::Halted,
            &below,
            "005930 does not trade now",
        );
        says(
            |outlook| {
                let quote = outlook.live[0].clone();
                outlook.live = vec![quote; 101];
            },
            &below,
            "it holds for 101 codes",
        );
        let list = Terms {
            of: Scope::List("mine".to_owned()),
            ..below
        };
        says(
            |outlook| outlook.codes.clear(),
            &list,
            "the watch list mine",
        );
        let volume = terms(Condition::VolumeTimes {
            times: 3.0,
            within_s: 60,
        });
        says(|_| {}, &volume, "prices come every 60 s");
        says(|_| {}, &volume, "4 min after the first price");
    }
}
