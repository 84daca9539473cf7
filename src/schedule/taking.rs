//! How the close of a day is taken: the whole list once, then the codes that are missing.

use chrono::{NaiveDate, TimeDelta};

use super::Schedule;
use super::decision::CloseOf;
use super::state::{Run, State};
use crate::sweep::Report;
use sise_domain::{KrxTime, Symbol};

/// Most passes for codes that are missing from a taken close: once a minute until the evening
/// session.
const MOST_TRIES: u32 = 30;

/// Most passes if the broker knows none of the missing codes. An answer that is a row short looks the
/// same as one for an unknown code, but an unknown code never gets a price.
const UNKNOWN_TRIES: u32 = 10;

/// If the clock was set by this much since, it is unknown when the close was taken.
const CLOCK_SET: TimeDelta = TimeDelta::minutes(1);

/// Most codes named in a log line; the rest are counted.
const NAMED: usize = 10;

/// Progress in taking the close of a day.
#[derive(Debug)]
pub(super) struct Taking {
    day: NaiveDate,
    /// The last pass of this process for it; `None` if another process took it.
    run: Option<Run>,
    /// Whether the day counts as taken.
    is_taken: bool,
    /// The codes without a close.
    left: Vec<Symbol>,
    /// Whether the broker knew none of these in the last pass.
    are_unknown: bool,
    /// Passes for the remaining codes since the day counts as taken.
    tries: u32,
}

impl Schedule {
    /// Returns the codes whose close to take now: the whole list, or what is missing of it.
    ///
    /// Returns `None` if nothing is left to ask for.
    pub(super) async fn closes_to_take(
        &self,
        state: &mut State,
        of: CloseOf,
        now: KrxTime,
    ) -> Option<Vec<Symbol>> {
        let all = || self.parts.universe.load().symbols().collect::<Vec<_>>();
        let CloseOf { day, window } = of;
        let closes = self.closes().await;
        let held = state.close.take().filter(|held| held.day == day);
        if let Some(run) = held.as_ref().and_then(|held| held.run)
            && was_set_since(run, now)
        {
            tracing::warn!(%day, "the clock was set since the close of the day was taken: taking it once more");
            // If this fails, the close is still taken once more at the end of the pass.
            let _ = closes.mark(None).await;
            return Some(all());
        }
        let was_taken = held.as_ref().is_some_and(|held| held.is_taken);
        // If the store does not answer, rely on what this process knows.
        let is_taken = closes.is_taken(day).await.unwrap_or(was_taken);
        let mut taking = match (held, is_taken) {
            (Some(held), false) if held.is_taken => {
                tracing::warn!(%day, "the store has lost the close of the day: taking it once more");
                return Some(all());
            }
            (Some(held), _) => held,
            (None, false) => return Some(all()),
            (None, true) => {
                tracing::info!(%day, "the close of the day is kept already");
                Taking {
                    day,
                    run: None,
                    is_taken,
                    left: closes.missing(&all(), window).await.unwrap_or_default(),
                    are_unknown: false,
                    tries: 0,
                }
            }
        };
        taking.is_taken = is_taken;
        let most = match taking.are_unknown {
            true => UNKNOWN_TRIES,
            false => MOST_TRIES,
        };
        let is_due = !taking.left.is_empty() && (!is_taken || taking.tries < most);
        let left = is_due.then(|| taking.left.clone());
        state.close = Some(taking);
        left
    }

    /// Handles the end of a pass for the close: logs what is kept and what is missing.
    ///
    /// Returns the close if it is taken.
    pub(super) async fn note_closes(
        &self,
        state: &mut State,
        run: Run,
        of: CloseOf,
        report: &Report,
    ) -> Option<CloseOf> {
        let CloseOf { day, window } = of;
        if report.stopped {
            return None;
        }
        let closes = self.closes().await;
        let symbols: Vec<Symbol> = self.parts.universe.load().symbols().collect();
        let missing = match closes.missing(&symbols, window).await {
            Ok(missing) => missing,
            Err(error) => {
                tracing::warn!(%day, %error, "it is unknown whether the close is kept; trying again within a minute");
                return None;
            }
        };
        let held = state.close.take().filter(|held| held.day == day);
        let tries = held.as_ref().map_or(0, |held| held.tries);
        let was_kept = held.is_some_and(|held| held.is_taken && held.are_unknown);
        let unknown = report.unknown();
        let is_taken = closes.is_enough(symbols.len(), missing.len(), unknown.len());
        let refused = missing.iter().filter(|code| !unknown.contains(code));
        let refused: Vec<&str> = refused.map(Symbol::as_str).collect();
        let was_part = run.codes < symbols.len();
        let named: Vec<&str> = refused.iter().take(NAMED).copied().collect();
        let (codes, count) = (symbols.len() - missing.len(), refused.len());
        let more = count.saturating_sub(named.len());
        let named = named.join(" ");
        if is_taken {
            // If this fails, the close is taken once more.
            let _ = closes.mark(Some(day)).await;
        }
        let are_unknown = refused.is_empty();
        match (is_taken, are_unknown) {
            (true, true) if was_kept => {}
            (true, true) => tracing::info!(%day, codes, "the close of the day is kept"),
            (true, false) => {
                tracing::warn!(%day, codes, missing = count, %named, more, "the close of the day is kept but for these; they are asked for again until {}", window.1.format("%H:%M"));
            }
            (false, _) => {
                tracing::warn!(%day, codes, missing = count, %named, more, "the close is not complete; trying again for the missing codes within a minute");
            }
        }
        state.close = Some(Taking {
            day,
            run: Some(run),
            is_taken,
            left: missing,
            are_unknown,
            tries: tries + u32::from(was_part),
        });
        is_taken.then_some(of)
    }

    /// Forgets a close of `today` while the session still runs.
    ///
    /// There cannot be one yet, so it was taken by a process with a wrong clock.
    pub(super) async fn forget_early_close(&self, state: &mut State, today: NaiveDate) {
        let closes = self.closes().await;
        if !matches!(closes.is_taken(today).await, Ok(true)) {
            return;
        }
        tracing::warn!(%today, "the close of the day was taken before its session was over: a clock was wrong; taking it again after the session");
        state.close = None;
        // If this fails, the next run does it.
        let _ = closes.mark(None).await;
    }
}

/// Whether the clock, which shows `now`, was set since a run began.
fn was_set_since(run: Run, now: KrxTime) -> bool {
    let went = TimeDelta::from_std(run.began.elapsed()).unwrap_or(TimeDelta::MAX);
    let apart = (now - run.started_at).checked_sub(&went);
    apart.is_none_or(|apart| apart.abs() >= CLOCK_SET)
}
