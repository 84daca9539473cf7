//! Watches the board by the rules.

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

/// Rules, lists and surroundings are looked at this often.
const LOOK: Duration = Duration::from_secs(3);

/// Who does not tell reads what was told this often, and who tells clears out.
const READ_MARKS: Duration = Duration::from_secs(30);

/// What another process should have told is remembered for so long: longer than its lease.
const UNSAID: TimeDelta = TimeDelta::seconds(60);

/// Of that so much at most.
const MOST_UNSAID: usize = 256;

/// Two processes see the same happen so far apart at most.
const SEEN_APART_MS: i64 = 30_000;

/// Watches the board by the rules.
pub(super) struct Engine {
    parts: Parts,
    inbox: Arc<Inbox>,
    ways: Ways,
    kept: AlertRules,
    lists: WatchLists,
    marks: Marks,
    sentry: Sentry,
    rules: Vec<Rule>,
    /// The codes of the lists that rules are of, as they were read last.
    codes: BTreeMap<String, BTreeSet<Symbol>>,
    unreadable: BTreeMap<String, String>,
    /// Rules and marks were read once, so that prices can be judged.
    is_ready: bool,
    /// This process tells, and knows what was told before.
    tells: bool,
    marks_read_at: Option<Instant>,
    /// What happened while another process was to tell of it.
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

    /// Looks at the rules, and at what is no price.
    async fn look(&mut self) {
        let now = (self.parts.clock)();
        if let Err(error) = self.read_rules().await {
            tracing::debug!(%error, "the rules of alerts are read later");
        } else if let Err(error) = self.read_marks(now).await {
            tracing::debug!(%error, "what was told is read later");
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
                tracing::warn!(rule = name, %trouble, "what is kept as a rule of alerts is none");
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

    /// Reads what was told, where it is time for that, and takes over what another process left.
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

    /// Tells what the process before should have told and did not.
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
            // What was told before the rule was changed is of another one.
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

    /// Tells of alerts, or keeps them in mind for the case that who is to tell does not.
    async fn tell(&mut self, alerts: Vec<Alert>, now: KrxTime) {
        let changes = self.sentry.take_changes();
        self.tells &= self.leads();
        if !self.tells {
            // Who tells now knows better.
            self.marks.drop_waiting();
            self.unsaid.extend(alerts);
            self.unsaid.retain(|alert| now - alert.at <= UNSAID);
            let surplus = self.unsaid.len().saturating_sub(MOST_UNSAID);
            self.unsaid.drain(..surplus);
            return;
        }
        self.marks.put(changes);
        if !alerts.is_empty() {
            // First: who takes over after a crash in between must not tell it again.
            self.marks.write().await;
        }
        for alert in alerts {
            self.ways.tell(alert);
        }
    }

    /// Whether this process is the one that tells.
    fn leads(&self) -> bool {
        let candidate = self.parts.candidate.as_ref();
        candidate.is_none_or(|candidate| candidate.lead().is_some())
    }

    /// How the market is, as far as a rule asks for it.
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

    /// Share of the list with a live price, in an open session and where the board knows.
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
