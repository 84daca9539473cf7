//! Passes over the watched codes, which run beside the sweeps and more often.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use metrics::{counter, gauge};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Parts;
use super::decision::{self, Due, Skip};
use super::pass::{Passes, SLACK};
use crate::sweep::{Reason, Report, Task};
use sise_domain::{Closed, KrxTime, Plan, Symbol, Watching};
use sise_port::{Gap, Urgency};

/// Gaps reported within this time are handled together.
const TOGETHER: Duration = Duration::from_millis(50);

/// Shortest time between two passes for gaps.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Most codes in one pass for gaps; the next regular pass brings the rest.
const MOST_ASKED: usize = 500;

/// Refreshes the watched codes every `watch.interval`.
pub(super) struct Watched {
    parts: Arc<Parts>,
    passes: Passes,
    always_open: bool,
    /// The codes as last read.
    known: Vec<Symbol>,
    /// The number of codes, for the plan of the sweeps.
    count: Arc<AtomicUsize>,
    /// Whether the list could not be read since.
    is_list_old: bool,
    /// The last logged reason why codes are not refreshed; `None` while they are.
    trouble: Option<String>,
    /// The last logged warning that there are more codes than calls.
    strain: Option<String>,
    /// Codes for which the live feed may have missed trades.
    gaps: Option<broadcast::Receiver<Gap>>,
}

impl Watched {
    pub(super) fn new(
        parts: Arc<Parts>,
        passes: Passes,
        always_open: bool,
        count: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            parts,
            passes,
            always_open,
            known: Vec::new(),
            count,
            is_list_old: false,
            trouble: None,
            strain: None,
            gaps: None,
        }
    }

    /// Returns the same, but asks at once for the codes of `gaps`.
    pub(super) fn told_of(mut self, gaps: Option<broadcast::Receiver<Gap>>) -> Self {
        self.gaps = gaps;
        self
    }

    /// Refreshes the codes until `stop`.
    ///
    /// Passes never overlap: a late one begins when the one before is over.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let interval = self.parts.watch_interval;
        let mut due = Instant::now();
        loop {
            self.look(&stop).await;
            due += interval;
            let now = Instant::now();
            if due < now {
                counter!("sise_watched_late_total").increment(1);
                due = now;
            }
            let waiting = self.until(due, &stop);
            if stop.run_until_cancelled(waiting).await.is_none() {
                return;
            }
        }
    }

    /// Waits for the next pass, and meanwhile asks for the codes of gaps.
    async fn until(&mut self, due: Instant, stop: &CancellationToken) {
        let mut asked = BTreeSet::new();
        let mut ask_at = Instant::now();
        loop {
            tokio::select! {
                () = sleep_until(due) => return,
                codes = next_gap(&mut self.gaps) => {
                    if asked.is_empty() {
                        // Wait a moment, as several gaps of one cause arrive together.
                        ask_at = ask_at.max(Instant::now() + TOGETHER);
                    }
                    match codes {
                        Some(codes) => asked.extend(codes.iter().copied()),
                        None => asked.extend(&self.known),
                    }
                }
                () = sleep_until(ask_at), if !asked.is_empty() => {
                    let codes = std::mem::take(&mut asked).into_iter().take(MOST_ASKED).collect();
                    self.ask_for(codes, stop).await;
                    ask_at = Instant::now() + ASK_AGAIN;
                }
            }
        }
    }

    /// Asks for the prices of some codes now, unless passes are skipped at present.
    async fn ask_for(&self, codes: Vec<Symbol>, stop: &CancellationToken) {
        let now = (self.parts.clock)();
        if self.decide(now).await.is_err() {
            return;
        }
        let list = self.parts.universe.load().len();
        let plan = self.parts.planner.plan(list, codes.len());
        let task = Task {
            deadline: plan.watched_time() * 2 + SLACK,
            symbols: codes,
            kept: None,
            urgency: Urgency::Watched,
        };
        let report = self.passes.make(&task, now, stop).await;
        counter!("sise_feed_gap_sweeps_total").increment(1);
        let (codes, written) = (report.universe, report.written);
        tracing::info!(
            codes,
            written,
            "asked for the prices of codes whose trades may have been missed"
        );
    }

    /// Makes a pass, or logs why not.
    async fn look(&mut self, stop: &CancellationToken) {
        if stop.run_until_cancelled(self.read_codes()).await.is_none() {
            return;
        }
        if self.known.is_empty() {
            self.parts.activity.set_watching(None);
            (self.trouble, self.strain) = (None, None);
            return;
        }
        let now = (self.parts.clock)();
        match stop.run_until_cancelled(self.decide(now)).await {
            None => {}
            Some(Ok(())) => self.refresh(now, stop).await,
            Some(Err(skip)) => self.skip(&skip),
        }
    }

    /// Reads the watched codes. If that fails, the last ones stay in use.
    async fn read_codes(&mut self) {
        match self.parts.watched.watched().await {
            Ok(codes) => {
                self.known.clear();
                for code in codes {
                    if !self.known.contains(&code) {
                        self.known.push(code);
                    }
                }
                if std::mem::take(&mut self.is_list_old) {
                    let codes = self.known.len();
                    tracing::info!(codes, "the list of watched codes can be read again");
                }
            }
            Err(error) => {
                counter!("sise_watched_list_errors_total").increment(1);
                if !std::mem::replace(&mut self.is_list_old, true) {
                    let codes = self.known.len();
                    tracing::warn!(%error, codes, "the list of watched codes cannot be read; keeping the last one");
                }
            }
        }
        let codes = self.known.len();
        self.count.store(codes, Ordering::Relaxed);
        gauge!("sise_watched_codes").set(u32::try_from(codes).unwrap_or(u32::MAX));
    }

    /// Decides whether the codes are refreshed at `now`.
    async fn decide(&self, now: KrxTime) -> Result<(), Skip> {
        if !self.always_open
            && let Due {
                close_of: Some(_), ..
            } = decision::by_calendar(&self.parts.calendar.load(), now)?
        {
            return Err(Skip::Closed(Closed::AfterClose));
        }
        decision::by_post(self.passes.candidate.as_deref())?;
        // These passes use this process's own app key, even if sweeps are shared.
        if let Some(broker) = &self.parts.broker
            && let Some(ban) = broker.rest.bans().in_force().await
        {
            return Err(Skip::Banned(ban));
        }
        let ping = self.parts.store.ping().await;
        ping.map_err(|error| Skip::StoreAway(error.to_string()))
    }

    async fn refresh(&mut self, now: KrxTime, stop: &CancellationToken) {
        let symbols = self.not_streamed();
        let list = self.parts.universe.load().len();
        let plan = self.parts.planner.plan(list, symbols.len());
        self.note_strain(&plan);
        let task = Task {
            deadline: plan.watched_time() * 2 + SLACK,
            symbols,
            kept: None,
            urgency: Urgency::Watched,
        };
        let report = self.passes.make(&task, now, stop).await;
        counter!("sise_watched_passes_total").increment(1);
        let written = u64::try_from(report.written).unwrap_or(u64::MAX);
        counter!("sise_watched_written_total").increment(written);
        let missing = report.missing_by_reason();
        for (reason, count) in &missing {
            let count = u64::try_from(*count).unwrap_or(u64::MAX);
            counter!("sise_watched_missing_total", "reason" => reason.slug()).increment(count);
        }
        // A stopped pass needs no further explanation.
        if !report.stopped {
            self.note_missing(&report, &missing);
        }
        if report.written > 0 || report.universe == 0 {
            let interval = self.parts.watch_interval.as_millis();
            self.parts.activity.set_watching(Some(Watching {
                codes: self.known.len(),
                interval_ms: u64::try_from(interval).unwrap_or(u64::MAX),
                refreshed_at: (self.parts.clock)(),
            }));
        }
    }

    /// Returns the codes without a trade from the live feed since the last pass.
    fn not_streamed(&self) -> Vec<Symbol> {
        let (traded, interval) = (&self.parts.traded, self.parts.watch_interval);
        let is_due = |code: &&Symbol| !traded.is_live(**code, interval);
        self.known.iter().filter(is_due).copied().collect()
    }

    /// Logs which codes got no new price, if the reasons have changed.
    fn note_missing(&mut self, report: &Report, missing: &[(Reason, usize)]) {
        let reasons: Vec<&str> = missing.iter().map(|(reason, _)| reason.slug()).collect();
        if reasons.is_empty() {
            if self.trouble.take().is_some() {
                tracing::info!(codes = report.universe, "watched codes are refreshed again");
            }
            return;
        }
        let reasons = reasons.join(", ");
        if self.trouble.as_ref() == Some(&reasons) {
            return;
        }
        let codes: Vec<&str> = report.missing.iter().map(|m| m.code.as_str()).collect();
        let codes = codes.join(" ");
        let detail = report.missing.iter().map(|missing| missing.detail.as_str());
        let detail = detail.max().unwrap_or_default();
        let universe = report.universe;
        let count = report.missing.len();
        if matches!(missing, [(Reason::Unknown, _)]) {
            tracing::info!(count, universe, %codes, "watched codes that the broker does not know");
        } else {
            tracing::warn!(count, universe, %reasons, %detail, %codes, "watched codes without a new price");
        }
        self.trouble = Some(reasons);
    }

    /// Counts a skipped pass, and logs the reason if it has changed.
    fn skip(&mut self, skip: &Skip) {
        counter!("sise_watched_skipped_total", "reason" => skip.slug()).increment(1);
        if self.trouble.as_deref() != Some(skip.slug()) {
            self.trouble = Some(skip.slug().to_owned());
            let codes = self.known.len();
            tracing::info!(
                reason = skip.slug(),
                codes,
                "watched codes are not refreshed: {skip}"
            );
        }
        self.parts.activity.set_watching(None);
    }

    /// Warns if there are more watched codes than calls; repeated only if the warning changes.
    fn note_strain(&mut self, plan: &Plan) {
        // Other app keys may have calls for the list.
        let is_shared = self.parts.shares_sweeps;
        let of_list = plan.list_strain().filter(|_| !is_shared);
        let strains: Vec<String> = plan.watched_strain().into_iter().chain(of_list).collect();
        let strain = (!strains.is_empty()).then(|| strains.join("; "));
        if let Some(words) = strain
            .as_ref()
            .filter(|words| Some(*words) != self.strain.as_ref())
        {
            tracing::warn!("{words}: see `sise plan`");
        }
        self.strain = strain;
    }
}

/// Returns the codes of the next gap, or `None` if so many came that some were lost.
///
/// Never returns without a live feed.
async fn next_gap(gaps: &mut Option<broadcast::Receiver<Gap>>) -> Option<Arc<[Symbol]>> {
    if let Some(told) = gaps {
        match told.recv().await {
            Ok(gap) => return Some(gap.codes),
            Err(RecvError::Lagged(_)) => return None,
            Err(RecvError::Closed) => *gaps = None,
        }
    }
    std::future::pending().await
}
