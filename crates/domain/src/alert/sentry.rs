//! Watches prices by rules: prices and times in, alerts out.

use std::collections::{BTreeSet, HashMap};

use chrono::TimeDelta;

use super::series::Series;
use super::track::{Track, day_of};
use super::watched_rule::WatchedRule;
use super::{Alert, Mark, Rule};
use crate::{KrxTime, Phase, Quote, Status, Symbol};

/// Maximum number of tracked codes; the exchange lists less than half as many.
const MOST_CODES: usize = 8_192;

/// Allowed clock difference. A price further in the future is ignored.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::seconds(60);

/// Longest pause between two checks of the market across which a state is known to have lasted.
const LOOKS_APART: TimeDelta = TimeDelta::seconds(30);

/// The codes that a rule covers at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All codes.
    Market,
    /// A fixed set of codes.
    Codes(BTreeSet<Symbol>),
}

/// State of the market as a whole at one check.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings {
    /// Share of the list with a live price, 0 to 1; `None` if no session is open or it is unknown.
    pub coverage: Option<f64>,
    /// Whether some process leads; `None` if unknown.
    pub is_led: Option<bool>,
}

/// Changed marks: the number of the rule, and the code if it is about a stock.
pub(super) type Changed = Vec<(u32, Option<Symbol>)>;

/// Watches prices by rules.
///
/// Its memory is bounded: a few numbers for each rule and code, and for each window in use.
#[derive(Debug)]
pub struct Sentry {
    life: TimeDelta,
    always_open: bool,
    posts: Vec<WatchedRule>,
    last_post: u32,
    codes: HashMap<Symbol, Track>,
    looked_at: Option<KrxTime>,
    /// Marks that changed since the last [`Sentry::take_changes`].
    changed: Changed,
}

impl Sentry {
    /// Creates a sentry without rules.
    ///
    /// A code without a price for longer than `life` starts afresh. If `always_open` is set, the
    /// phase of a price does not matter.
    #[must_use]
    pub fn new(life: TimeDelta, always_open: bool) -> Self {
        Self {
            life,
            always_open,
            posts: Vec::new(),
            last_post: 0,
            codes: HashMap::new(),
            looked_at: None,
            changed: Vec::new(),
        }
    }

    /// Replaces the rules.
    ///
    /// An unchanged rule keeps its state. To check whether a new rule already holds, call
    /// [`Sentry::first_look`].
    pub fn set_rules(&mut self, rules: Vec<(Rule, Reach)>) {
        let mut before = std::mem::take(&mut self.posts);
        let mut dropped = BTreeSet::new();
        for (rule, reach) in rules {
            let held = before.iter().position(|post| post.rule == rule);
            let post = match held.map(|place| before.swap_remove(place)) {
                Some(post) => {
                    if let (Reach::Codes(old), Reach::Codes(new)) = (&post.reach, &reach) {
                        // A code that comes back later is new to the rule.
                        dropped.extend(old.difference(new).map(|code| (post.number, *code)));
                    }
                    WatchedRule { reach, ..post }
                }
                None => {
                    self.last_post += 1;
                    WatchedRule {
                        number: self.last_post,
                        rule,
                        reach,
                        mark: Mark::default(),
                        since: None,
                        is_new: true,
                    }
                }
            };
            self.posts.push(post);
        }
        if self.posts.is_empty() {
            self.codes = HashMap::new();
        }
        let windows = self.posts.iter().filter_map(WatchedRule::window);
        let windows: BTreeSet<i64> = windows.collect();
        let numbers: BTreeSet<u32> = self.posts.iter().map(|post| post.number).collect();
        for (code, track) in &mut self.codes {
            let is_kept = |number: u32| numbers.contains(&number);
            track
                .marks
                .retain(|(number, _)| is_kept(*number) && !dropped.contains(&(*number, *code)));
            let is_over = |series: &Series| windows.iter().any(|window| series.is_over(*window));
            track.series.retain(is_over);
        }
    }

    /// Applies a price and returns the alerts it raises.
    pub fn price(&mut self, quote: &Quote, now: KrxTime) -> Vec<Alert> {
        let mut alerts = Vec::new();
        let code = quote.stock_code;
        // Without rules there is nothing to remember.
        if self.posts.is_empty() || !self.is_evidence(quote, now) {
            return alerts;
        }
        if self.codes.len() >= MOST_CODES && !self.codes.contains_key(&code) {
            return alerts;
        }
        let track = self.codes.entry(code).or_default();
        let at = quote.fetched_at;
        if let Some(last) = track.last {
            // A late price is not news. But after a price from a clock far ahead, start afresh:
            // otherwise every price would be dropped as late.
            if at < last && last - now <= CLOCKS_DIFFER {
                return alerts;
            }
            if at < last || at - last > self.life {
                track.begin();
            }
        }
        if track.day != at.date_naive() {
            track.day = at.date_naive();
            track.begin();
        }
        for post in &self.posts {
            if !post.rule.terms.when.is_of_stocks() || !post.reach.holds(code) {
                continue;
            }
            if let Some(alert) = post.watch(track, quote, now, &mut self.changed) {
                alerts.push(alert);
            }
        }
        track.note(quote);
        alerts
    }

    /// Returns whether some rules have not yet been checked against the known prices.
    #[must_use]
    pub fn has_new_rules(&self) -> bool {
        self.posts.iter().any(|post| post.is_new)
    }

    /// Checks the known prices against the new rules.
    pub fn first_look<'a>(
        &mut self,
        quotes: impl IntoIterator<Item = &'a Quote>,
        now: KrxTime,
    ) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for quote in quotes {
            let code = quote.stock_code;
            let is_known = self.codes.contains_key(&code) || self.codes.len() < MOST_CODES;
            if !is_known || !self.is_evidence(quote, now) {
                continue;
            }
            let track = self.codes.entry(code).or_default();
            let is_asked = |post: &&WatchedRule| post.is_new && post.rule.terms.when.lasts();
            for post in self.posts.iter().filter(is_asked) {
                if post.reach.holds(code) {
                    alerts.extend(post.watch(track, quote, now, &mut self.changed));
                }
            }
        }
        for post in &mut self.posts {
            post.is_new = false;
        }
        alerts
    }

    /// Applies the state of the market and returns the alerts it raises.
    pub fn look(&mut self, around: Surroundings, now: KrxTime) -> Vec<Alert> {
        let is_next = |before: KrxTime| (TimeDelta::zero()..=LOOKS_APART).contains(&(now - before));
        let goes_on = self.looked_at.is_some_and(is_next);
        self.looked_at = Some(now);
        let mut alerts = Vec::new();
        for post in &mut self.posts {
            if !goes_on {
                post.since = None;
            }
            if let Some(alert) = post.look(around, now, &mut self.changed) {
                alerts.push(alert);
            }
        }
        alerts
    }

    /// Returns the marks that changed since the last call, each with its rule and code.
    pub fn take_changes(&mut self) -> Vec<(String, Option<Symbol>, Mark)> {
        let changed = std::mem::take(&mut self.changed);
        let mark = |(number, code): (u32, Option<Symbol>)| {
            let post = self.posts.iter().find(|post| post.number == number)?;
            let mark = match code {
                Some(code) => self.codes.get(&code)?.mark(number)?,
                None => post.mark,
            };
            Some((post.rule.name.clone(), code, mark))
        };
        changed.into_iter().filter_map(mark).collect()
    }

    /// Returns the state of a rule for a code, or for the market.
    #[must_use]
    pub fn mark(&self, rule: &str, code: Option<Symbol>) -> Option<Mark> {
        let post = self.posts.iter().find(|post| post.rule.name == rule)?;
        match code {
            Some(code) => self.codes.get(&code)?.mark(post.number),
            None => Some(post.mark),
        }
    }

    /// Takes over a mark that another process left.
    ///
    /// It is ignored if it is older than the rule or than the mark known here. If the condition
    /// starts afresh every day, the side of another day than `now` is reset.
    pub fn restore(&mut self, rule: &str, code: Option<Symbol>, mark: Mark, now: KrxTime) {
        let mut posts = self.posts.iter_mut();
        let Some(post) = posts.find(|post| post.rule.name == rule) else {
            return;
        };
        if mark.at_ms < post.rule.since.timestamp_millis() {
            return;
        }
        let is_of_today = day_of(mark.at_ms) == Some(now.date_naive());
        let side = if is_of_today || !post.rule.terms.when.is_of_a_day() {
            mark.side.signum()
        } else {
            0
        };
        let mark = Mark { side, ..mark };
        match code {
            None => {
                if post.mark.at_ms < mark.at_ms {
                    post.mark = mark;
                }
            }
            Some(code) if post.reach.holds(code) => {
                if self.codes.len() >= MOST_CODES && !self.codes.contains_key(&code) {
                    return;
                }
                let track = self.codes.entry(code).or_default();
                let held = track.mark(post.number);
                if held.is_none_or(|held| held.at_ms < mark.at_ms) {
                    track.set_mark(post.number, mark);
                }
            }
            Some(_) => {}
        }
    }

    /// Returns whether a price is current: of a stock that trades, in a phase with trading.
    fn is_evidence(&self, quote: &Quote, now: KrxTime) -> bool {
        let trades = matches!(
            quote.session,
            Phase::Regular
                | Phase::ClosingAuction
                | Phase::Main
                | Phase::PreMarket
                | Phase::AfterMarket
        );
        // Other programs write no phase; their price counts if it is young enough.
        let trades =
            trades || (quote.source == Quote::OTHER_PROGRAM && quote.session == Phase::default());
        let age = now - quote.fetched_at;
        quote.price > 0
            && quote.status == Status::Trading
            && (trades || self.always_open)
            && age <= self.life
            && age >= -CLOCKS_DIFFER
    }
}

impl Reach {
    /// Returns whether the rule covers this code.
    #[must_use]
    pub fn holds(&self, code: Symbol) -> bool {
        match self {
            Self::Market => true,
            Self::Codes(codes) => codes.contains(&code),
        }
    }
}
