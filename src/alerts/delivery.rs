//! All the ways that an alert takes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::Webhook;
use crate::domain::{Alert, Event};
use crate::port::{Change, Changes, Recorder};

/// Alerts told in a minute at most. Nobody reads more, and the journal is to hold other things too.
const MOST_A_MINUTE: u32 = 100;

/// A minute.
const MINUTE: Duration = Duration::from_secs(60);

/// Alerts that wait for the stream at most; a minute of them.
const QUEUE: usize = 128;

/// After the stop what waits for the stream is told within this time.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Where alerts go.
pub(super) struct Ways {
    recorder: Arc<dyn Recorder>,
    stream: mpsc::Sender<Alert>,
    webhook: Option<Arc<Webhook>>,
    /// When the minute began, and what was told in it.
    minute: (Instant, u32),
}

/// Tells the stream of all processes, one alert after the other.
pub(super) struct Teller {
    alerts: mpsc::Receiver<Alert>,
    changes: Arc<dyn Changes>,
}

/// The ways of alerts; the other end of the one into the stream is to be run.
pub(super) fn ways(
    recorder: Arc<dyn Recorder>,
    changes: Arc<dyn Changes>,
    webhook: Option<Arc<Webhook>>,
) -> (Ways, Teller) {
    let (stream, alerts) = mpsc::channel(QUEUE);
    let ways = Ways {
        recorder,
        stream,
        webhook,
        minute: (Instant::now(), 0),
    };
    (ways, Teller { alerts, changes })
}

impl Ways {
    /// Tells of an alert everywhere. Never waits.
    pub(super) fn tell(&mut self, alert: Alert) {
        if !self.has_room() {
            counter!("sise_alerts_dropped_total", "what" => "alerts").increment(1);
            return;
        }
        counter!("sise_alerts_fired_total", "kind" => alert.kind.slug()).increment(1);
        tracing::warn!(
            rule = alert.rule,
            kind = alert.kind.slug(),
            id = alert.id,
            "alert: {}",
            alert.text
        );
        if let Some(webhook) = &self.webhook {
            webhook.post(&alert);
        }
        self.recorder.note(Event::Alert {
            alert: Box::new(alert.clone()),
        });
        if self.stream.try_send(alert).is_err() {
            counter!("sise_alerts_dropped_total", "what" => "messages").increment(1);
        }
    }

    fn has_room(&mut self) -> bool {
        let (began, told) = &mut self.minute;
        if began.elapsed() >= MINUTE {
            self.minute = (Instant::now(), 1);
            return true;
        }
        *told += 1;
        if *told == MOST_A_MINUTE + 1 {
            tracing::warn!(
                "more than {MOST_A_MINUTE} alerts within a minute: the rest of them are only counted"
            );
        }
        *told <= MOST_A_MINUTE
    }
}

impl Teller {
    /// Tells until `stop`, and then what is left.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while let Some(Some(alert)) = stop.run_until_cancelled(self.alerts.recv()).await {
            self.tell(alert).await;
        }
        let rest = async {
            while let Ok(alert) = self.alerts.try_recv() {
                self.tell(alert).await;
            }
        };
        // Who listens is told by the log and the journal too.
        let _ = timeout(LAST_WORDS, rest).await;
    }

    async fn tell(&self, alert: Alert) {
        if let Err(error) = self.changes.tell(&Change::Alert(alert)).await {
            counter!("sise_alerts_dropped_total", "what" => "messages").increment(1);
            tracing::debug!(%error, "an alert does not reach the stream");
        }
    }
}

impl fmt::Debug for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ways")
            .field("webhook", &self.webhook)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teller").finish_non_exhaustive()
    }
}
