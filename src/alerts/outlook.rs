//! The outlook of a new rule: whether it holds already, and what may keep it from firing.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::watch::WatchLists;
use sise_cache::CacheError;
use sise_domain::{Calendar, Quote, Scope, Status, Symbol, Terms, Universe};
use sise_port::clock::Clock;
use sise_port::{Leadership, PriceStore, StoreError};

/// Maximum number of codes listed by name.
const NAMED: usize = 10;

/// Maximum number of alerts per rule and minute.
const TOLD_A_MINUTE: usize = super::delivery::MOST_A_MINUTE as usize;

/// The present state of everything that a rule depends on.
#[derive(Debug, Clone, Default)]
pub struct Outlook {
    /// Codes of the rule.
    pub codes: Vec<Symbol>,
    /// Codes that are not in the universe.
    pub unlisted: Vec<Symbol>,
    /// The live prices of its codes.
    pub live: Vec<Quote>,
    /// The process that watches, if there is one.
    pub watcher: Option<String>,
    /// Why the market is closed, if it is.
    pub closed: Option<String>,
    /// Seconds between two prices of a code.
    pub interval_s: u64,
}

impl Outlook {
    /// Returns the prices beyond the limit; `None` if one price alone does not decide.
    #[must_use]
    pub fn beyond(&self, terms: &Terms) -> Option<Vec<&Quote>> {
        terms.when.lasts().then(|| {
            let live = self.live.iter();
            let holds = |quote: &&Quote| terms.when.holds_for(quote) == Some(true);
            live.filter(holds).collect()
        })
    }

    /// Describes whether the rule holds now and when it fires.
    #[must_use]
    pub fn promise(&self, terms: &Terms) -> String {
        let promise = self.promise_at_any_time(terms);
        match terms.quiet {
            Some(quiet) => format!("{promise}; during quiet hours, {quiet}, only after them"),
            None => promise,
        }
    }

    fn promise_at_any_time(&self, terms: &Terms) -> String {
        let Some(beyond) = self.beyond(terms) else {
            return if terms.when.is_of_stocks() {
                "it fires when that happens next".to_owned()
            } else {
                "it fires once that has lasted for its time".to_owned()
            };
        };
        let codes = |trade: bool| -> Vec<Symbol> {
            let quotes = beyond.iter();
            let of_kind = quotes.filter(|quote| (quote.status == Status::Trading) == trade);
            of_kind.map(|quote| quote.stock_code).collect()
        };
        let (trading, standing) = (codes(true), codes(false));
        let told = match (terms.next_crossing, beyond.is_empty()) {
            (false, true) => "it fires as soon as it holds",
            // The engine ignores the price of a stock that does not trade.
            (false, false) if trading.is_empty() => {
                "it fires when trading begins and it still holds"
            }
            (false, false) if self.watcher.is_none() => "it fires as soon as a process watches",
            (false, false) => "it fires at once",
            (true, true) => "it fires at the next crossing, not if it holds at the first price",
            (true, false) => "it fires only at the next crossing",
        };
        match (trading.as_slice(), standing.as_slice()) {
            _ if self.live.is_empty() => {
                format!("whether it holds is not known without a live price: {told}")
            }
            ([], []) => format!("it does not hold now: {told}"),
            (trading, []) => format!("it holds now for {}: {told}", names(trading)),
            ([], standing) => format!(
                "it holds now for {}, without trading: {told}",
                names(standing)
            ),
            (trading, standing) => format!(
                "it holds now for {}: {told}; for {} not before trading begins",
                names(trading),
                names(standing)
            ),
        }
    }

    /// Lists what may keep the rule from firing.
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
                "not in the stock list, so there are no prices: {}; `sise why CODE` says more",
                names(&self.unlisted)
            ));
        }
        if self.watcher.is_none() {
            warnings.push(
                "no process watches for alerts, so none will fire: start `sise run`".to_owned(),
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
                "the market is closed ({closed}): it cannot fire before prices arrive again"
            )),
            None if self.live.is_empty() => warnings.push(
                "none of its codes has a live price: `sise status` says whether a process sweeps"
                    .to_owned(),
            ),
            _ => {}
        }
        let stands = |quote: &&Quote| quote.status != Status::Trading;
        let standing = self.live.iter().filter(stands);
        let standing: Vec<Symbol> = standing.map(|quote| quote.stock_code).collect();
        if !standing.is_empty() && standing.len() == self.live.len() {
            warnings.push(format!(
                "{} does not trade now: it cannot fire until that changes",
                names(&standing)
            ));
        }
        let beyond = self.beyond(terms).map_or(0, |beyond| beyond.len());
        if beyond > TOLD_A_MINUTE && !terms.next_crossing {
            warnings.push(format!(
                "it holds for {beyond} codes, but a rule fires at most {TOLD_A_MINUTE} alerts a \
                 minute: the rest are only counted; next_crossing fires only at new crossings"
            ));
        }
        if let Some(window) = terms.when.window_s() {
            if window < self.interval_s * 2 {
                warnings.push(format!(
                    "prices come every {} s (schedule.interval): in so short a window few but \
                     watched codes have two of them",
                    self.interval_s
                ));
            }
            if let sise_domain::Condition::VolumeTimes { .. } = terms.when {
                warnings.push(format!(
                    "it fires {} min after the first price of a day at the earliest: the base needs \
                     four windows",
                    window * 4 / 60
                ));
            }
        }
        warnings
    }
}

/// Lists some codes by name, and how many more there are.
fn names(codes: &[Symbol]) -> String {
    let named: Vec<&str> = codes.iter().take(NAMED).map(Symbol::as_str).collect();
    let named = named.join(" ");
    match codes.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// An error while the outlook of a rule is gathered.
#[derive(Debug, thiserror::Error)]
pub enum OutlookError {
    /// The watch list could not be read.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The prices could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What outlooks are gathered from.
#[derive(Clone)]
pub struct Outlooks {
    /// The clock.
    pub clock: Clock,
    /// The trading calendar.
    pub calendar: Arc<ArcSwap<Calendar>>,
    /// The stock list.
    pub universe: Arc<ArcSwap<Universe>>,
    /// The watch lists.
    pub lists: WatchLists,
    /// The prices.
    pub store: Arc<dyn PriceStore>,
    /// The lease of the process that watches for alerts; `None` if no other can use the store.
    pub lease: Option<Arc<dyn Leadership>>,
    /// Seconds between two prices of a code.
    pub interval_s: u64,
}

impl Outlooks {
    /// Returns the name of the process that watches for alerts, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the lease cannot be read.
    pub async fn watcher(&self) -> Result<Option<String>, StoreError> {
        let Some(lease) = &self.lease else {
            return Ok(None);
        };
        Ok(lease.leader().await?.map(|leader| leader.process))
    }

    /// Returns the outlook of a rule with these terms, by the present prices.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses the command.
    pub async fn of(&self, terms: &Terms) -> Result<Outlook, OutlookError> {
        let universe = self.universe.load();
        let codes: Vec<Symbol> = match &terms.of {
            _ if !terms.when.is_of_stocks() => Vec::new(),
            Scope::List(list) => self.lists.codes(list).await?.into_keys().collect(),
            Scope::Codes(codes) => codes.clone(),
            Scope::Market => universe.symbols().collect(),
        };
        let prices = self.store.realtime(&codes).await?;
        let live: Vec<Quote> = prices.into_iter().flatten().map(|quote| *quote).collect();
        // A watched code has prices without being on the list.
        let is_unlisted = |code: &&Symbol| {
            !universe.is_empty()
                && universe.get(**code).is_none()
                && live.iter().all(|quote| quote.stock_code != **code)
        };
        let moment = self.calendar.load().moment((self.clock)());
        Ok(Outlook {
            unlisted: codes.iter().filter(is_unlisted).copied().collect(),
            live,
            watcher: self.watcher().await?,
            closed: moment.closed.as_ref().map(ToString::to_string),
            interval_s: self.interval_s,
            codes,
        })
    }
}

impl fmt::Debug for Outlooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlooks").finish_non_exhaustive()
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
            "it holds now for 005930: it fires at once"
        );
        below.next_crossing = true;
        assert_eq!(
            outlook.promise(&below),
            "it holds now for 005930: it fires only at the next crossing"
        );
        let above = terms(Condition::PriceAbove(80_000));
        assert_eq!(
            outlook.promise(&above),
            "it does not hold now: it fires as soon as it holds"
        );
        let high = terms(Condition::NewHigh);
        assert_eq!(outlook.promise(&high), "it fires when that happens next");
    }

    #[test]
    fn quiet_hours_are_named_with_what_is_promised() {
        let mut low = terms(Condition::PriceBelow(80_000));
        low.quiet = Some("15:40-08:50".parse().unwrap());
        let promise = well().promise(&low);
        let end = "; during quiet hours, 15:40-08:50, only after them";
        assert!(promise.ends_with(end), "{promise}");
    }

    #[test]
    fn what_cannot_be_told_now_is_not_promised() {
        let mut below = terms(Condition::PriceBelow(80_000));
        let mut outlook = well();
        outlook.watcher = None;
        assert_eq!(
            outlook.promise(&below),
            "it holds now for 005930: it fires as soon as a process watches"
        );
        let mut outlook = well();
        for status in [Status::Halted, Status::Untraded] {
            outlook.live[0].status = status;
            assert_eq!(
                outlook.promise(&below),
                "it holds now for 005930, without trading: it fires when trading begins and it \
                 still holds"
            );
        }
        let other = "000660".parse().unwrap();
        let trades = Quote::sample(other, 70_000, (clock::system())());
        outlook.live.push(trades);
        assert_eq!(
            outlook.promise(&below),
            "it holds now for 000660: it fires at once; for 005930 not before trading begins"
        );
        outlook.live.truncate(1);
        below.next_crossing = true;
        assert_eq!(
            outlook.promise(&below),
            "it holds now for 005930, without trading: it fires only at the next crossing"
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
            "not in the stock list, so there are no prices: 005930",
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
