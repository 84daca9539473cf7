//! Delivery of alerts to the log, the event log, the stream and the webhook.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::Webhook;
use sise_domain::{Alert, Event};
use sise_port::{Change, Changes, Recorder};

/// Maximum number of alerts per rule and minute. More would not be read, and a rule that is too
/// wide must not crowd out other alerts and other events.
pub(super) const MOST_A_MINUTE: u32 = 100;

/// One minute.
const MINUTE: Duration = Duration::from_secs(60);

/// Maximum number of alerts waiting for the stream.
const QUEUE: usize = 1_024;

/// Longest time to deliver waiting alerts to the stream after the stop.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The destinations of alerts.
pub(super) struct Ways {
    recorder: Arc<dyn Recorder>,
    stream: mpsc::Sender<Alert>,
    webhook: Option<Arc<Webhook>>,
    /// When the current minute of each rule began, and how many alerts it has had since.
    minutes: HashMap<String, (Instant, u32)>,
}

/// Publishes alerts to the streams of all processes, one after the other.
pub(super) struct Teller {
    alerts: mpsc::Receiver<Alert>,
    changes: Arc<dyn Changes>,
}

/// Creates the destinations, and the [`Teller`] that must be run to publish to streams.
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
        minutes: HashMap::new(),
    };
    (ways, Teller { alerts, changes })
}

impl Ways {
    /// Sends an alert to all destinations. Never waits.
    pub(super) fn tell(&mut self, alert: Alert) {
        if !self.has_room(&alert.rule) {
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

    /// Counts an alert of a rule; returns whether it is within the limit.
    fn has_room(&mut self, rule: &str) -> bool {
        self.minutes
            .retain(|_, (began, _)| began.elapsed() < MINUTE);
        let now = Instant::now();
        let (_, told) = self.minutes.entry(rule.to_owned()).or_insert((now, 0));
        *told += 1;
        if *told == MOST_A_MINUTE + 1 {
            tracing::warn!(
                rule,
                "more than {MOST_A_MINUTE} alerts of this rule within a minute: the rest are only \
                 counted; use a narrower rule to get all of them"
            );
        }
        *told <= MOST_A_MINUTE
    }
}

impl Teller {
    /// Publishes until `stop`, and then what is left.
    pub(super) async fn run(&mut self, stop: CancellationToken) {
        while let Some(Some(alert)) = stop.run_until_cancelled(self.alerts.recv()).await {
            self.tell(alert).await;
        }
        let rest = async {
            while let Ok(alert) = self.alerts.try_recv() {
                self.tell(alert).await;
            }
        };
        // Alerts are also in the log and the event log, so losing the rest here is acceptable.
        let _ = timeout(LAST_WORDS, rest).await;
    }

    async fn tell(&self, alert: Alert) {
        if let Err(error) = self.changes.tell(&Change::Alert(alert)).await {
            counter!("sise_alerts_dropped_total", "what" => "messages").increment(1);
            tracing::debug!(%error, "could not publish an alert to the streams");
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

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use sise_port::Unrecorded;
    use sise_store::MemoryStore;

    #[tokio::test(start_paused = true)]
    async fn a_rule_that_is_too_wide_takes_nothing_from_the_others() {
        let changes = Arc::new(MemoryStore::default());
        let (mut ways, _teller) = ways(Arc::new(Unrecorded), changes, None);
        let mut told = |rule: &str, times: u32| (0..times).filter(|_| ways.has_room(rule)).count();
        assert_eq!(told("wide", 250), 100);
        assert_eq!(told("narrow", 3), 3);
        assert_eq!(told("wide", 1), 0);
        advance(MINUTE).await;
        assert_eq!(told("wide", 101), 100);
    }
}
