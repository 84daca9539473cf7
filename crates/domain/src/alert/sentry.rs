//! Watches prices by rules: price in, time in, alerts out.

use std::collections::{BTreeSet, HashMap};

use chrono::TimeDelta;

use super::post::Post;
use super::series::Series;
use super::track::{Track, day_of};
use super::{Alert, Mark, Rule};
use crate::{KrxTime, Phase, Quote, Status, Symbol};

/// Codes that are remembered at most; the exchange lists less than half of it.
const MOST_CODES: usize = 8_192;

/// Clocks may differ so much: a price from further ahead is none.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::seconds(60);

/// After a longer pause between two looks nobody knows what was in between.
const LOOKS_APART: TimeDelta = TimeDelta::seconds(30);

/// Which codes a rule is of, at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All.
    Market,
    /// These.
    Codes(BTreeSet<Symbol>),
}

/// How the market as a whole is at a look around.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings {
    /// Share of the list with a live price, 0 to 1; `None` where no session is open, or nobody
    /// knows.
    pub coverage: Option<f64>,
    /// Whether anybody leads; `None` where nobody knows.
    pub is_led: Option<bool>,
}

/// The numbers of rules, and codes of theirs.
pub(super) type Changed = Vec<(u32, Option<Symbol>)>;

/// Watches prices by rules. What it remembers is bounded: some numbers of each rule and code, and
/// of each window that rules measure over.
#[derive(Debug)]
pub struct Sentry {
    life: TimeDelta,
    always_open: bool,
    posts: Vec<Post>,
    last_post: u32,
    codes: HashMap<Symbol, Track>,
    looked_at: Option<KrxTime>,
    /// Marks that changed since they were asked for.
    changed: Changed,
}

impl Sentry {
    /// Watches by no rules. Prices live for `life`: after a longer time without one a code begins
    /// anew. Where it is `always_open` the phase of a price does not matter.
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

    /// Watches by these rules from now on. A rule that stays as it was goes on with what it knows; what
    /// holds already of a new one is to be looked for by [`Sentry::first_look`].
    pub fn set_rules(&mut self, rules: Vec<(Rule, Reach)>) {
        let mut before = std::mem::take(&mut self.posts);
        let mut dropped = BTreeSet::new();
        for (rule, reach) in rules {
            let held = before.iter().position(|post| post.rule == rule);
            let post = match held.map(|place| before.swap_remove(place)) {
                Some(post) => {
                    if let (Reach::Codes(old), Reach::Codes(new)) = (&post.reach, &reach) {
                        // Who comes back later is new to the rule.
                        dropped.extend(old.difference(new).map(|code| (post.number, *code)));
                    }
                    Post { reach, ..post }
                }
                None => {
                    self.last_post += 1;
                    Post {
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
        let windows = self.posts.iter().filter_map(Post::window);
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

    /// Takes in a price and says what it is an alert of.
    pub fn price(&mut self, quote: &Quote, now: KrxTime) -> Vec<Alert> {
        let mut alerts = Vec::new();
        let code = quote.stock_code;
        // Without a rule there is nothing to remember.
        if self.posts.is_empty() || !self.is_evidence(quote, now) {
            return alerts;
        }
        if self.codes.len() >= MOST_CODES && !self.codes.contains_key(&code) {
            return alerts;
        }
        let track = self.codes.entry(code).or_default();
        let at = quote.fetched_at;
        if let Some(last) = track.last {
            // One that came late is no news; after a clock that was ahead nothing else would come.
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

    /// Whether there are rules that nobody looked by whether they hold already.
    #[must_use]
    pub fn has_new_rules(&self) -> bool {
        self.posts.iter().any(|post| post.is_new)
    }

    /// Looks by the new rules whether they hold already, at the prices that are known.
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
            let is_asked = |post: &&Post| post.is_new && post.rule.terms.when.lasts();
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

    /// Takes in how the market is and says what that is an alert of.
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

    /// The marks that changed since this was asked for last: of which rule and code, and the mark.
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

    /// What is remembered of a rule and a code, or of a rule about the market.
    #[must_use]
    pub fn mark(&self, rule: &str, code: Option<Symbol>) -> Option<Mark> {
        let post = self.posts.iter().find(|post| post.rule.name == rule)?;
        match code {
            Some(code) => self.codes.get(&code)?.mark(post.number),
            None => Some(post.mark),
        }
    }

    /// Goes on with a mark that another process left, where it is of a rule as it is now and newer
    /// than what is known here. What was of another day than `now` counts no more where every day
    /// begins anew.
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

    /// Whether a price says anything of now: of a stock that trades, while it does.
    fn is_evidence(&self, quote: &Quote, now: KrxTime) -> bool {
        let trades = matches!(
            quote.session,
            Phase::Regular
                | Phase::ClosingAuction
                | Phase::Main
                | Phase::PreMarket
                | Phase::AfterMarket
        );
        // Another program says no phase; what it wrote is of now if it is young enough.
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
    /// Whether the rule is of this code.
    #[must_use]
    pub fn holds(&self, code: Symbol) -> bool {
        match self {
            Self::Market => true,
            Self::Codes(codes) => codes.contains(&code),
        }
    }
}
