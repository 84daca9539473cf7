//! The live feed as a [`TickSource`]: one session after another, never in a fast loop.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use metrics::counter;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::pace::{After, Pace};
use super::refusals::Refusals;
use super::reply::Verdict;
use super::session::{Ended, Reading, Session};
use super::socket::Dial;
use super::teller::Teller;
use crate::{Approvals, Bases};
use sise_domain::{Calendar, Symbol, Universe};
use sise_port::clock::Clock;
use sise_port::{SourceError, TickSource, Told};

/// Source of trades from the broker's WebSocket.
pub struct KisTicks {
    dial: Arc<dyn Dial>,
    approvals: Arc<Approvals>,
    reading: Reading,
    /// Spacing of sessions. It outlives a stream, so that a process that loses the lead and regains
    /// it does not connect faster.
    ///
    /// Locked while there is a stream, because the app key may have only one session.
    pace: Mutex<Spacing>,
}

/// When the next session may begin.
struct Spacing {
    pace: Pace,
    not_before: Option<Instant>,
}

/// Outcome of an attempt at a session.
enum Attempt {
    Ended(Ended),
    /// There was no connection; the reason as text.
    NoWay(String),
    /// There is no approval key.
    NotApproved(SourceError),
}

impl KisTicks {
    /// Creates a stream over connections of `dial`, opened with keys of `approvals`.
    #[must_use]
    pub fn new(
        dial: Arc<dyn Dial>,
        approvals: Arc<Approvals>,
        calendar: Arc<ArcSwap<Calendar>>,
        universe: Arc<ArcSwap<Universe>>,
        bases: Arc<Bases>,
        clock: Clock,
    ) -> Self {
        Self {
            dial,
            approvals,
            reading: Reading {
                calendar,
                universe,
                bases,
                clock,
            },
            pace: Mutex::new(Spacing {
                pace: Pace::default(),
                not_before: None,
            }),
        }
    }

    /// Opens a session and runs it to its end.
    async fn attempt(
        &self,
        wanted: &mut watch::Receiver<Arc<[Symbol]>>,
        teller: &mut Teller,
        refusals: &mut Refusals,
        missed: &mut BTreeSet<Symbol>,
        stop: &CancellationToken,
    ) -> Attempt {
        let opening = async {
            let key = self.approvals.key().await.map_err(Attempt::NotApproved)?;
            let socket = self.dial.dial().await.map_err(Attempt::NoWay)?;
            Ok((key, socket))
        };
        let (key, socket) = match stop.run_until_cancelled(opening).await {
            None => return Attempt::Ended(Ended::Stopped),
            Some(Err(attempt)) => return attempt,
            Some(Ok(open)) => open,
        };
        let session = Session::new(socket, key, &self.reading, teller, refusals, missed);
        Attempt::Ended(session.run(wanted, stop).await)
    }

    /// Logs how a session ended, and returns its meaning for the next.
    async fn settle(&self, attempt: &Attempt) -> After {
        match attempt {
            Attempt::Ended(Ended::Stopped | Ended::Idle) => {
                tracing::debug!("the live feed is closed");
                After::End
            }
            Attempt::Ended(Ended::Lost(said)) => {
                let said = self.approvals.shown(said);
                tracing::warn!(%said, "the live feed is lost; connecting again");
                After::End
            }
            Attempt::Ended(Ended::Silent) => {
                tracing::warn!("the live feed is silent; connecting again");
                After::End
            }
            Attempt::Ended(Ended::Unanswered) => {
                tracing::warn!("the live feed does not answer a registration; connecting again");
                After::End
            }
            Attempt::NoWay(said) => {
                let said = self.approvals.shown(said);
                tracing::warn!(%said, "the live feed cannot be reached; trying again");
                After::End
            }
            Attempt::NotApproved(error @ (SourceError::Denied(_) | SourceError::Banned(_))) => {
                tracing::warn!(%error, "the broker gives no key for the live feed");
                After::Refused
            }
            Attempt::NotApproved(error) => {
                tracing::warn!(%error, "no key for the live feed; trying again");
                After::End
            }
            Attempt::Ended(Ended::Refused(reply)) => {
                let code = &reply.code;
                let said = self.approvals.shown(&reply.words);
                match reply.verdict {
                    Verdict::InUse | Verdict::Full => {
                        tracing::warn!(
                            code, %said,
                            "another session has the app key, or the broker still counts one that \
                             ended: no live feed for at least a minute; make sure that no other \
                             program uses the key"
                        );
                        After::InUse
                    }
                    Verdict::KeyRefused => {
                        tracing::warn!(
                            code, %said,
                            "the broker refuses the app key for the live feed: check KIS_APP_KEY \
                             and KIS_ENV"
                        );
                        After::Refused
                    }
                    Verdict::Unapproved => {
                        self.approvals.forget().await;
                        tracing::info!(code, %said, "the live feed key is rejected; getting a new one");
                        After::End
                    }
                    _ => {
                        tracing::warn!(code, %said, "the live feed is refused; trying again");
                        After::End
                    }
                }
            }
        }
    }
}

#[async_trait]
impl TickSource for KisTicks {
    async fn stream(
        &self,
        mut wanted: watch::Receiver<Arc<[Symbol]>>,
        told: mpsc::Sender<Told>,
        stop: CancellationToken,
    ) {
        let Some(mut spacing) = stop.run_until_cancelled(self.pace.lock()).await else {
            return;
        };
        let mut teller = Teller::new(told);
        let mut refusals = Refusals::default();
        let mut missed = BTreeSet::new();
        let mut is_first = true;
        loop {
            let something = stop.run_until_cancelled(async {
                let something = wanted.wait_for(|codes| !codes.is_empty()).await.is_ok();
                if let Some(not_before) = spacing.not_before {
                    sleep_until(not_before).await;
                }
                something
            });
            if something.await != Some(true) {
                return;
            }
            // The codes may no longer be wanted after the pause.
            if wanted.borrow().is_empty() {
                missed.clear();
                continue;
            }
            if !std::mem::replace(&mut is_first, false) {
                counter!("sise_feed_reconnects_total").increment(1);
            }
            let began = Instant::now();
            let attempt = self
                .attempt(&mut wanted, &mut teller, &mut refusals, &mut missed, &stop)
                .await;
            let after = self.settle(&attempt).await;
            let pause = spacing.pace.pause(after, began.elapsed(), fastrand::f64());
            spacing.not_before = Some(Instant::now() + pause);
            if matches!(attempt, Attempt::Ended(Ended::Stopped)) {
                return;
            }
            tracing::debug!(
                seconds = pause.as_secs(),
                "pausing before the next session of the live feed"
            );
        }
    }
}

impl fmt::Debug for KisTicks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KisTicks").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
