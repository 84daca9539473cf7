//! Watches prices by rules: price in, time in, alerts out.

use std::collections::{BTreeSet, HashMap};

use chrono::{NaiveDate, TimeDelta};

use super::mark::{Manner, Mark, Outcome, Verdict};
use super::series::{Series, real};
use super::{Alert, Condition, Rule, id, words};
use crate::domain::{KrxTime, Phase, Quote, Status, Symbol};

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
    changed: Vec<(u32, Option<Symbol>)>,
}

/// A rule that is watched.
#[derive(Debug)]
struct Post {
    number: u32,
    rule: Rule,
    reach: Reach,
    /// Of a rule about the market as a whole.
    mark: Mark,
    /// Since when its limit is passed without a break.
    since: Option<KrxTime>,
}

/// What is known of a code.
#[derive(Debug, Default)]
struct Track {
    day: NaiveDate,
    last: Option<Seen>,
    high: Option<i64>,
    low: Option<i64>,
    series: Vec<Series>,
    marks: Vec<(u32, Mark)>,
}

/// A price that was seen.
#[derive(Debug, Clone, Copy)]
struct Seen {
    price: i64,
    at: KrxTime,
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

    /// Watches by these rules from now on. A rule that stays as it was goes on with what it knows.
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
                    }
                }
            };
            self.posts.push(post);
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
        if !self.is_evidence(quote, now) {
            return alerts;
        }
        if self.codes.len() >= MOST_CODES && !self.codes.contains_key(&code) {
            return alerts;
        }
        let track = self.codes.entry(code).or_default();
        let at = quote.fetched_at;
        if let Some(last) = track.last {
            // One that came late is no news; after a clock that was ahead nothing else would come.
            if at < last.at && last.at - now <= CLOCKS_DIFFER {
                return alerts;
            }
            if at < last.at || at - last.at > self.life {
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

impl Post {
    fn window(&self) -> Option<i64> {
        let seconds = self.rule.terms.when.window_s()?;
        i64::try_from(seconds).ok()?.checked_mul(1_000)
    }

    /// Takes in a price of a code that the rule is of.
    fn watch(
        &self,
        track: &mut Track,
        quote: &Quote,
        now: KrxTime,
        changed: &mut Vec<(u32, Option<Symbol>)>,
    ) -> Option<Alert> {
        if let Some(window) = self.window() {
            track.keep_series(window);
        }
        let terms = &self.rule.terms;
        let held = track.mark(self.number);
        let mut mark = held.unwrap_or_default();
        if terms.when.is_of_a_day() && day_of(mark.at_ms) != Some(now.date_naive()) {
            mark.side = 0;
        }
        let mut manner = self.manner(&mark, track.last.is_none(), now);
        if held.is_none()
            && let Some(last) = track.last
        {
            // The rule is new: on which side the price was before is known all the same.
            let first = Manner {
                is_first: true,
                ..manner
            };
            if let Some(verdict) = self.level(last.price) {
                mark.judge(verdict, first);
            }
            manner.is_first = false;
        }
        let outcome = self
            .measure(track, quote)
            .map_or(Outcome::Same, |verdict| mark.judge(verdict, manner));
        track.set_mark(self.number, mark);
        if outcome != Outcome::Same {
            changed.push((self.number, Some(quote.stock_code)));
        }
        let Outcome::Due(value) = outcome else {
            return None;
        };
        let kind = terms.when.kind();
        Some(Alert {
            id: id(
                &self.rule.name,
                Some(quote.stock_code),
                kind,
                quote.fetched_at,
            ),
            rule: self.rule.name.clone(),
            kind,
            code: Some(quote.stock_code),
            name: (!quote.stock_name.is_empty()).then(|| quote.stock_name.clone()),
            text: words::of_stock(&terms.when, quote, value),
            at: quote.fetched_at,
            value: Some(value),
            list: terms.of.list().map(str::to_owned),
        })
    }

    /// Takes in how the market is.
    fn look(
        &mut self,
        around: Surroundings,
        now: KrxTime,
        changed: &mut Vec<(u32, Option<Symbol>)>,
    ) -> Option<Alert> {
        let when = self.rule.terms.when;
        // Whether the limit is passed, whether the value is clearly back, the value, how long.
        let (is_beyond, is_back, value, for_s) = match when {
            Condition::CoverageBelow { percent, for_s } => {
                let share = around.coverage.map(|share| share * 100.0);
                let back = percent + self.rule.terms.way_back();
                let is_back = share.is_some_and(|share| share >= back);
                let is_below = share.is_some_and(|share| share < percent);
                (is_below, is_back, share.unwrap_or_default(), for_s)
            }
            Condition::LeaderLost { for_s } => {
                let (lost, led) = (Some(false), Some(true));
                let since = self.since.unwrap_or(now);
                let seconds = real((now - since).num_seconds());
                (around.is_led == lost, around.is_led == led, seconds, for_s)
            }
            _ => return None,
        };
        if when.is_of_a_day() && day_of(self.mark.at_ms) != Some(now.date_naive()) {
            self.mark.side = 0;
        }
        self.since = is_beyond.then(|| self.since.unwrap_or(now));
        let lasting = TimeDelta::try_seconds(i64::try_from(for_s).ok()?)?;
        let is_due = self.since.is_some_and(|since| now - since >= lasting);
        let verdict = match (is_due, is_back) {
            (true, _) => Verdict::Beyond(1, value),
            (false, true) => Verdict::Back,
            (false, false) => Verdict::Between,
        };
        let manner = self.manner(&self.mark, false, now);
        let outcome = self.mark.judge(verdict, manner);
        if outcome != Outcome::Same {
            changed.push((self.number, None));
        }
        let Outcome::Due(value) = outcome else {
            return None;
        };
        Some(Alert {
            id: id(&self.rule.name, None, when.kind(), now),
            rule: self.rule.name.clone(),
            kind: when.kind(),
            code: None,
            name: None,
            text: words::of_market(&when, value),
            at: now,
            value: Some(value),
            list: None,
        })
    }

    fn manner(&self, mark: &Mark, is_first: bool, now: KrxTime) -> Manner {
        let terms = &self.rule.terms;
        let now_ms = now.timestamp_millis();
        let every_ms = i64::try_from(terms.every_s).map_or(i64::MAX, |every| every * 1_000);
        let is_quiet = terms.quiet.is_some_and(|quiet| quiet.holds(now.time()));
        Manner {
            is_first,
            is_of_a_moment: terms.when.is_of_a_moment(),
            may_be_told: !is_quiet && !mark.is_too_soon(every_ms, now_ms),
            now_ms,
        }
    }

    /// On which side of the rule's level a price is; `None` where the rule has none.
    fn level(&self, price: i64) -> Option<Verdict> {
        let (level, sign) = match self.rule.terms.when {
            Condition::PriceAbove(level) => (level, 1),
            Condition::PriceBelow(level) => (level, -1),
            _ => return None,
        };
        let beyond = (price - level) * i64::from(sign);
        let way_back = real(level) * self.rule.terms.way_back() / 100.0;
        Some(if beyond > 0 {
            Verdict::Beyond(sign, real(price))
        } else if real(-beyond) >= way_back {
            Verdict::Back
        } else {
            Verdict::Between
        })
    }

    /// What a price says of the rule; `None` where too little is known.
    fn measure(&self, track: &Track, quote: &Quote) -> Option<Verdict> {
        let terms = &self.rule.terms;
        let way_back = terms.way_back();
        let price = quote.price;
        let at = quote.fetched_at.timestamp_millis();
        let series = || track.series_over(self.window()?);
        match terms.when {
            Condition::PriceAbove(_) | Condition::PriceBelow(_) => self.level(price),
            Condition::ChangeBeyond(percent) => {
                let rate = quote.change_rate.filter(|rate| rate.is_finite())?;
                Some(sided(rate, percent, way_back))
            }
            Condition::Jump { percent, .. } => {
                let (low, high) = series()?.extremes(at)?;
                let rise = real(price - low) * 100.0 / real(low);
                let fall = real(price - high) * 100.0 / real(high);
                let farther = if rise >= -fall { rise } else { fall };
                Some(sided(farther, percent, way_back))
            }
            Condition::NewHigh => {
                let held = track.high?;
                let high = quote.high.map_or(price, |high| high.max(price));
                let back = real(held) * (1.0 - way_back / 100.0);
                Some(beaten(high > held, 1, high, real(price) <= back))
            }
            Condition::NewLow => {
                let held = track.low?;
                let low = lowest(quote);
                let back = real(held) * (1.0 + way_back / 100.0);
                Some(beaten(low < held, -1, low, real(price) >= back))
            }
            Condition::VolumeTimes { times, .. } => {
                let pace = series()?.pace(at, quote.volume?)?;
                Some(if pace >= times {
                    Verdict::Beyond(1, pace)
                } else if pace <= times * (1.0 - way_back / 100.0) {
                    Verdict::Back
                } else {
                    Verdict::Between
                })
            }
            Condition::CoverageBelow { .. } | Condition::LeaderLost { .. } => None,
        }
    }
}

/// What a value says whose limit is the same up and down.
fn sided(value: f64, limit: f64, way_back: f64) -> Verdict {
    if value.abs() >= limit {
        Verdict::Beyond(if value > 0.0 { 1 } else { -1 }, value)
    } else if value.abs() <= limit - way_back {
        Verdict::Back
    } else {
        Verdict::Between
    }
}

/// What it says that the highest or lowest of the day was beaten, or not.
fn beaten(is_beaten: bool, side: i8, value: i64, is_back: bool) -> Verdict {
    match (is_beaten, is_back) {
        (true, _) => Verdict::Beyond(side, real(value)),
        (false, true) => Verdict::Back,
        (false, false) => Verdict::Between,
    }
}

/// The lowest price of the day that a quote tells of.
fn lowest(quote: &Quote) -> i64 {
    let low = quote.low.filter(|low| *low > 0);
    low.map_or(quote.price, |low| low.min(quote.price))
}

impl Track {
    /// Forgets what nobody knows to have gone on. What was told stays.
    fn begin(&mut self) {
        self.last = None;
        self.high = None;
        self.low = None;
        for series in &mut self.series {
            series.clear();
        }
    }

    fn note(&mut self, quote: &Quote) {
        let at = quote.fetched_at.timestamp_millis();
        let high = quote.high.map_or(quote.price, |high| high.max(quote.price));
        self.high = self.high.max(Some(high));
        self.low = Some(self.low.map_or(i64::MAX, |low| low).min(lowest(quote)));
        for series in &mut self.series {
            series.note(at, quote.price, quote.volume);
        }
        self.last = Some(Seen {
            price: quote.price,
            at: quote.fetched_at,
        });
    }

    fn keep_series(&mut self, window: i64) {
        if self.series_over(window).is_none() {
            self.series.push(Series::new(window));
        }
    }

    fn series_over(&self, window: i64) -> Option<&Series> {
        self.series.iter().find(|series| series.is_over(window))
    }

    fn mark(&self, number: u32) -> Option<Mark> {
        let mut marks = self.marks.iter();
        let (_, mark) = marks.find(|(held, _)| *held == number)?;
        Some(*mark)
    }

    fn set_mark(&mut self, number: u32, mark: Mark) {
        match self.marks.iter_mut().find(|(held, _)| *held == number) {
            Some((_, held)) => *held = mark,
            None => self.marks.push((number, mark)),
        }
    }
}

/// The day of Seoul.
fn day_of(milliseconds: i64) -> Option<NaiveDate> {
    let time = chrono::DateTime::from_timestamp_millis(milliseconds)?;
    Some(time.with_timezone(&crate::domain::Seoul).date_naive())
}
