//! Makes up, out of session, for a last close that was not taken.
//!
//! One pass is made, and its prices are kept as the last known ones.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::Instant;

use super::decision::{self, Due};
use super::state::State;
use super::{Schedule, state::Run};
use crate::closes::LastKnown;
use crate::sweep::Report;
use sise_domain::{KrxTime, Phase, Symbol};

/// Wait after the first pass that brought too few prices. It doubles with every further one, up to
/// about an hour.
const WAIT: Duration = Duration::from_secs(60);

/// How far the clock of the process that took a price may have been ahead of this one.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::hours(1);

/// Most doublings of the wait.
const DOUBLINGS: u32 = 6;

/// Progress in making up for the last close.
#[derive(Debug)]
pub(super) struct Want {
    /// The end of the session whose close may be missing.
    since: KrxTime,
    /// Whether enough prices are there.
    is_met: bool,
    /// Passes that brought too few prices.
    failed: u32,
    again_at: Instant,
}

impl Schedule {
    /// Returns the codes to ask for out of session, or `None` if nothing is needed now.
    ///
    /// These are the codes without any price since the last session, if there are too many of them.
    pub(super) async fn wanted(
        &self,
        state: &mut State,
        now: KrxTime,
    ) -> Option<(Due, Vec<Symbol>)> {
        decision::by_post(self.candidate.as_deref()).ok()?;
        let calendar = self.parts.calendar.load_full();
        // Right before the open, better prices come soon, and the broker reports expected matches.
        if calendar.moment(now).phase == Phase::OpeningAuction {
            return None;
        }
        let (_, since) = calendar.last_session(now)?;
        let held = state.want.as_ref().filter(|want| want.since == since);
        if held.is_some_and(|want| want.is_met || Instant::now() < want.again_at) {
            return None;
        }
        let symbols: Vec<Symbol> = self.parts.universe.load().symbols().collect();
        let closes = self.closes().await;
        // If the store does not answer, the next tick checks again.
        let is_taken = closes.is_taken(since.date_naive()).await.ok()?;
        let missing = closes
            .missing(&symbols, (since, now + CLOCKS_DIFFER))
            .await
            .ok()?;
        if is_taken || symbols.is_empty() || closes.is_enough(symbols.len(), missing.len(), 0) {
            state.want = Some(Want {
                since,
                is_met: true,
                failed: 0,
                again_at: Instant::now(),
            });
            return None;
        }
        let due = Due {
            last_known_since: Some(since),
            ..Due::default()
        };
        Some((due, missing))
    }

    /// Handles the end of a pass that makes up for a close.
    ///
    /// If enough prices are kept, returns from when on they are to be ranked.
    pub(super) async fn note_last_known(
        &self,
        state: &mut State,
        run: Run,
        report: &Report,
    ) -> Option<KrxTime> {
        let since = run.due.last_known_since.filter(|_| !report.stopped)?;
        let symbols: Vec<Symbol> = self.parts.universe.load().symbols().collect();
        let closes = self.closes().await;
        let until = (self.parts.clock)() + CLOCKS_DIFFER;
        let missing = closes.missing(&symbols, (since, until)).await;
        let missing = missing.map_or(symbols.len(), |missing| missing.len());
        let is_met = closes.is_enough(symbols.len(), missing, report.unknown().len());
        let held = state.want.take().filter(|want| want.since == since);
        let failed = held.map_or(0, |want| want.failed) + u32::from(!is_met);
        let wait = WAIT * 2_u32.pow(failed.saturating_sub(1).min(DOUBLINGS));
        let (day, codes) = (since.date_naive(), symbols.len().saturating_sub(missing));
        if is_met {
            let known = LastKnown {
                of: day,
                at: run.started_at,
            };
            // If this fails, the status does not mention it.
            let _ = closes.mark_last_known(known).await;
            tracing::info!(%day, codes, missing, "these prices are kept as the last known ones: the close of the day was not taken; the next official close replaces them");
        } else {
            let again_s = wait.as_secs();
            tracing::warn!(%day, codes, missing, again_s, "too few last known prices were available; asking again for the missing ones");
        }
        state.want = Some(Want {
            since,
            is_met,
            failed,
            again_at: Instant::now() + wait,
        });
        is_met.then_some(since)
    }
}
