//! The alert engine: checks the board against the rules.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use metrics::gauge;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::delivery::Ways;
use super::inbox::Inbox;
use super::marks::{Marks, Place};
use super::{AlertRules, Parts};
use crate::watch::WatchLists;
use sise_cache::CacheError;
use sise_domain::{
    Alert, Condition, Coverage, KrxTime, Mark, Reach, Rule, Scope, Sentry, Surroundings, Symbol,
};

/// Interval at which rules, watch lists and conditions other than prices are checked.
const LOOK: Duration = Duration::from_secs(3);

/// Interval at which marks are read by processes that only watch, and cleared out by the one that
/// fires alerts.
const READ_MARKS: Duration = Duration::from_secs(30);

/// How long a process remembers alerts that another one should have fired: longer than the lease.
const UNSAID: TimeDelta = TimeDelta::seconds(60);

/// Maximum number of remembered alerts.
const MOST_UNSAID: usize = 256;

/// Largest difference between the times at which two processes see the same event, in milliseconds.
const SEEN_APART_MS: i64 = 30_000;

/// The alert engine: checks the board against the rules.
pub(super) struct Engine {
    parts: Parts,
    inbox: Arc<Inbox>,
    ways: Ways,
    kept: AlertRules,
    lists: WatchLists,
    marks: Marks,
    sentry: Sentry,
    rules: Vec<Rule>,
    /// The codes of the watch lists in rules, as last read.
    codes: BTreeMap<String, BTreeSet<Symbol>>,
    unreadable: BTreeMap<String, String>,
    /// Whether rules and marks were read, so that prices can be judged.
    is_ready: bool,
    /// Whether this process fires alerts, and knows which were fired before.
    tells: bool,
    marks_read_at: Option<Instant>,
    /// Alerts that another process should have fired.
    unsaid: VecDeque<Alert>,
}

impl Engine {
    pub(super) fn new(parts: Parts, inbox: Arc<Inbox>, ways: Ways) -> Self {
        let life = TimeDelta::from_std(parts.life).unwrap_or(TimeDelta::MAX);
        Self {
            kept: AlertRules::new(&parts.cache),
            lists: WatchLists::new(&parts.cache),
            marks: Marks::new(&parts.bulk_cache),
            sentry: Sentry::new(life, parts.always_open),
            rules: Vec::new(),
            codes: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            is_ready: false,
            tells: false,
            marks_read_at: None,
            unsaid: VecDeque::new(),
            parts,
            inbox,
            ways,
        }
    }

    /// Watches until `stop`.
    pub(super) async fn run(&mut self, stop: CancellationToken) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_ready = self.is_ready;
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = looks.tick() => {
                    if stop.run_until_cancelled(self.look()).await.is_none() {
                        break;
                    }
                }
                () = self.inbox.arrived(), if is_ready => self.take_prices().await,
            }
        }
        if self.tells {
            self.marks.write().await;
        }
    }

    async fn take_prices(&mut self) {
        let now = (self.parts.clock)();
        let mut alerts = Vec::new();
        for posted in self.inbox.take() {
            alerts.extend(self.sentry.price(&posted.quote, now));
        }
        self.tell(alerts, now).await;
    }

    /// Checks the rules, and the conditions that do not depend on prices.
    async fn look(&mut self) {
        let now = (self.parts.clock)();
        if let Err(error) = self.read_rules().await {
            tracing::debug!(%error, "could not read the alert rules; trying again");
        } else if let Err(error) = self.read_marks(now).await {
            tracing::debug!(%error, "could not read the marks of alerts; trying again");
        }
        if !self.is_ready {
            return;
        }
        let around = self.surroundings(now).await;
        let mut alerts = self.sentry.look(around, now);
        if self.sentry.has_new_rules() {
            let universe = self.parts.universe.load();
            let prices = self.parts.board.latest_of(universe.symbols(), now);
            let live = prices.iter().flatten().filter(|(_, is_live)| *is_live);
            let live = live.map(|(posted, _)| &posted.quote);
            alerts.extend(self.sentry.first_look(live, now));
        }
        self.tell(alerts, now).await;
        if self.tells {
            self.marks.write().await;
        }
    }

    async fn read_rules(&mut self) -> Result<(), CacheError> {
        let kept = self.kept.all().await?;
        for (name, trouble) in &kept.unreadable {
            if self.unreadable.get(name) != Some(trouble) {
                tracing::warn!(rule = name, %trouble, "a stored alert rule is not valid");
            }
        }
        let names: BTreeSet<&str> = kept
            .rules
            .iter()
            .filter_map(|rule| rule.terms.of.list())
            .collect();
        let mut codes = BTreeMap::new();
        for name in names {
            let on_it = self.lists.codes(name).await?;
            codes.insert(name.to_owned(), on_it.into_keys().collect());
        }
        self.codes = codes;
        self.unreadable = kept.unreadable;
        gauge!("sise_alert_rules").set(u32::try_from(kept.rules.len()).unwrap_or(u32::MAX));
        self.rules = kept.rules;
        let reach = |rule: &Rule| match &rule.terms.of {
            Scope::Market => Reach::Market,
            Scope::Codes(codes) => Reach::Codes(codes.iter().copied().collect()),
            Scope::List(list) => Reach::Codes(self.codes.get(list).cloned().unwrap_or_default()),
        };
        let reached = self.rules.iter().map(|rule| (rule.clone(), reach(rule)));
        self.sentry.set_rules(reached.collect());
        Ok(())
    }

    /// Reads the marks if it is time for that, and takes over from another process.
    async fn read_marks(&mut self, now: KrxTime) -> Result<(), CacheError> {
        let takes_over = self.leads() && !self.tells;
        let is_due = self
            .marks_read_at
            .is_none_or(|at| at.elapsed() >= READ_MARKS);
        if !takes_over && !is_due {
            return Ok(());
        }
        let marks = self.marks.read().await?;
        self.marks_read_at = Some(Instant::now());
        if self.tells {
            self.marks.clear_out(&marks, &self.rules, now).await;
            return Ok(());
        }
        for ((rule, code), mark) in &marks {
            self.sentry.restore(rule, *code, *mark, now);
        }
        self.is_ready = true;
        if takes_over {
            self.tells = true;
            self.tell_the_unsaid(&marks, now);
        }
        Ok(())
    }

    /// Fires the alerts that the previous process should have fired but did not.
    fn tell_the_unsaid(&mut self, marks: &BTreeMap<Place, Mark>, now: KrxTime) {
        for alert in std::mem::take(&mut self.unsaid) {
            if now - alert.at > UNSAID {
                continue;
            }
            let mark = marks.get(&(alert.rule.clone(), alert.code));
            let since = alert.at.timestamp_millis() - SEEN_APART_MS;
            let is_told =
                |mark: &Mark| mark.side != 0 || mark.told_ms.is_some_and(|told| told >= since);
            let of_rule = |rule: &&Rule| rule.name == alert.rule;
            let since_rule = self.rules.iter().find(of_rule).map(|rule| rule.since);
            // A mark from before the rule was changed belongs to the old rule.
            let is_its = |mark: &&Mark| {
                since_rule.is_some_and(|since| mark.at_ms >= since.timestamp_millis())
            };
            if since_rule.is_some() && !mark.filter(is_its).is_some_and(is_told) {
                let mark = self.sentry.mark(&alert.rule, alert.code);
                let change = mark.map(|mark| (alert.rule.clone(), alert.code, mark));
                self.marks.put(change);
                self.ways.tell(alert);
            }
        }
    }

    /// Fires alerts, or remembers them in case the process in charge does not.
    async fn tell(&mut self, alerts: Vec<Alert>, now: KrxTime) {
        let changes = self.sentry.take_changes();
        self.tells &= self.leads();
        if !self.tells {
            // The marks of the process in charge are better.
            self.marks.drop_waiting();
            self.unsaid.extend(alerts);
            self.unsaid.retain(|alert| now - alert.at <= UNSAID);
            let surplus = self.unsaid.len().saturating_sub(MOST_UNSAID);
            self.unsaid.drain(..surplus);
            return;
        }
        self.marks.put(changes);
        if !alerts.is_empty() {
            // Written first: after a crash in between, the next process must not fire it again.
            self.marks.write().await;
        }
        for alert in alerts {
            self.ways.tell(alert);
        }
    }

    /// Whether this process is the one that fires alerts.
    fn leads(&self) -> bool {
        let candidate = self.parts.candidate.as_ref();
        candidate.is_none_or(|candidate| candidate.lead().is_some())
    }

    /// Gathers the conditions that rules ask for.
    async fn surroundings(&self, now: KrxTime) -> Surroundings {
        let asks = |is_asked: fn(&Condition) -> bool| {
            self.rules.iter().any(|rule| is_asked(&rule.terms.when))
        };
        let coverage = asks(|when| matches!(when, Condition::CoverageBelow { .. }))
            .then(|| self.coverage(now))
            .flatten();
        let is_led = match &self.parts.sweeps {
            Some(lease) if asks(|when| matches!(when, Condition::LeaderLost { .. })) => {
                lease.leader().await.ok().map(|leader| leader.is_some())
            }
            _ => None,
        };
        Surroundings { coverage, is_led }
    }

    /// Share of the universe with a live price; `None` out of session or if the board could not be
    /// read.
    fn coverage(&self, now: KrxTime) -> Option<f64> {
        let parts = &self.parts;
        let is_open = parts.always_open || parts.calendar.load().moment(now).is_open();
        if !is_open || !parts.board.is_read() {
            return None;
        }
        let universe = parts.universe.load();
        let prices = parts.board.latest_of(universe.symbols(), now);
        let live = prices.iter().flatten().filter(|(_, is_live)| *is_live);
        let coverage = Coverage {
            live: live.count(),
            codes: prices.len(),
        };
        coverage.share()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("rules", &self.rules.len())
            .field("tells", &self.tells)
            .finish_non_exhaustive()
    }
}
