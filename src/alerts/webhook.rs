//! A webhook: posts alerts to an external address.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use metrics::counter;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::signature::signature;
use sise_domain::Alert;
use sise_net::causes::causes;
use sise_net::outbound;
use sise_port::clock::Clock;

/// The times of a webhook.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Longest time of one attempt.
    pub(super) patience: Duration,
    /// First back-off pause; later ones grow from it, with jitter.
    pub(super) first_pause: Duration,
    /// A post is only repeated within this time from the first attempt.
    pub(super) within: Duration,
}

const PACE: Pace = Pace {
    patience: Duration::from_secs(5),
    first_pause: Duration::from_secs(1),
    within: Duration::from_secs(60),
};

/// Maximum number of repeats of a post.
const REPEATS: usize = 4;

/// If a caller waits for the result, a post is only repeated within this time from the first
/// attempt.
const WAITED_FOR: Duration = Duration::from_secs(10);

/// Maximum number of waiting alerts.
const QUEUE: usize = 256;

/// Number of concurrent posts, so that one that is repeated does not hold up the others.
const AT_ONCE: usize = 4;

/// Longest time to post waiting alerts after the stop.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Client error statuses that allow a repeat.
const TRY_AGAIN: [u16; 2] = [408, 429];

/// Posts alerts to one address.
pub struct Webhook {
    client: Client,
    url: SecretString,
    secret: Option<SecretString>,
    clock: Clock,
    pace: Pace,
    queue: Mutex<VecDeque<Letter>>,
    arrived: Notify,
    has_failed: AtomicBool,
}

/// One attempt of a post.
#[derive(Debug)]
pub struct Try {
    /// Number of the attempt, from 1.
    pub number: usize,
    /// The result.
    pub delivery: Delivery,
    /// The pause before the next attempt, if there is one.
    pub again_in: Option<Duration>,
}

/// An alert as it is posted.
#[derive(Debug)]
struct Letter {
    id: String,
    body: String,
}

/// The result of a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The receiver accepted it.
    Delivered,
    /// The receiver refused it for good with this status.
    Refused(u16),
    /// All attempts failed.
    Failed(String),
}

impl Delivery {
    fn slug(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered => f.write_str("delivered"),
            Self::Refused(status) => write!(f, "refused with HTTP {status}, and not tried again"),
            Self::Failed(trouble) => write!(f, "not delivered: {trouble}"),
        }
    }
}

impl Webhook {
    /// Creates a webhook for `url`, signed with `secret` if given.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is not valid or the TLS set-up of the machine is unusable.
    pub fn new(
        url: SecretString,
        secret: Option<SecretString>,
        clock: Clock,
    ) -> Result<Self, String> {
        Self::at_pace(url, secret, clock, PACE)
    }

    pub(super) fn at_pace(
        url: SecretString,
        secret: Option<SecretString>,
        clock: Clock,
        pace: Pace,
    ) -> Result<Self, String> {
        let trouble =
            |error: &dyn fmt::Display| format!("no client for alerts.webhook_url: {error}");
        let address = Url::parse(url.expose_secret()).map_err(|error| trouble(&error))?;
        let builder = outbound::client(&address).timeout(pace.patience);
        let client = builder.build().map_err(|error| trouble(&error))?;
        Ok(Self {
            client,
            url,
            secret,
            clock,
            pace,
            queue: Mutex::default(),
            arrived: Notify::new(),
            has_failed: AtomicBool::new(false),
        })
    }

    /// Queues an alert. Never waits: if the queue is full, the oldest alert is dropped.
    pub fn post(&self, alert: &Alert) {
        let mut queue = self.queue();
        queue.push_back(Letter::new(alert));
        let is_full = queue.len() > QUEUE;
        let dropped = if is_full { queue.pop_front() } else { None };
        drop(queue);
        self.arrived.notify_one();
        if let Some(dropped) = dropped {
            counter!("sise_alert_webhooks_total", "outcome" => "dropped").increment(1);
            tracing::warn!(
                alert = dropped.id,
                "{QUEUE} alerts are waiting to be posted to alerts.webhook_url: dropping the oldest"
            );
        }
    }

    /// Posts an alert for a caller that waits, reports each attempt to `told`, and returns the
    /// result.
    pub async fn deliver(&self, alert: &Alert, told: impl FnMut(&Try)) -> Delivery {
        let within = self.pace.within.min(WAITED_FOR);
        self.send(Letter::new(alert), within, told).await
    }

    /// Posts waiting alerts until `stop`, and then what is left, for a short time.
    pub async fn run(&self, stop: CancellationToken) {
        let mut under_way = FuturesUnordered::new();
        while !stop.is_cancelled() {
            self.fill(&mut under_way, |letter| self.send_unwatched(letter));
            let has_room = under_way.len() < AT_ONCE;
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = under_way.next() => {}
                () = self.arrived.notified(), if has_room => {}
            }
        }
        let rest = async {
            self.fill(&mut under_way, |letter| self.send_unwatched(letter));
            while under_way.next().await.is_some() {
                self.fill(&mut under_way, |letter| self.send_unwatched(letter));
            }
        };
        let is_late = timeout(LAST_WORDS, rest).await.is_err();
        let count = under_way.len() + self.queue().len();
        if is_late && count > 0 {
            tracing::warn!(
                count,
                "alerts could not be posted to alerts.webhook_url before the stop"
            );
        }
    }

    /// Begins waiting posts, up to the limit.
    fn fill<F>(&self, under_way: &mut FuturesUnordered<F>, begin: impl Fn(Letter) -> F) {
        while under_way.len() < AT_ONCE {
            let Some(letter) = self.queue().pop_front() else {
                return;
            };
            under_way.push(begin(letter));
        }
    }

    async fn send_unwatched(&self, letter: Letter) -> Delivery {
        self.send(letter, self.pace.within, |_| {}).await
    }

    /// Posts until the alert is accepted, refused, or was tried often enough.
    async fn send(&self, letter: Letter, within: Duration, mut told: impl FnMut(&Try)) -> Delivery {
        let deadline = Instant::now() + within;
        let mut number = 0;
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(self.pace.first_pause)
            .with_max_times(REPEATS)
            .with_jitter()
            .with_jitter_seed(fastrand::u64(..))
            .build();
        let delivery = loop {
            let delivery = self.attempt(&letter).await;
            let has_failed = matches!(delivery, Delivery::Failed(_));
            let pause = if has_failed { pauses.next() } else { None };
            let is_in_time =
                |pause: &Duration| Instant::now() + *pause + self.pace.patience <= deadline;
            number += 1;
            let attempt = Try {
                number,
                delivery,
                again_in: pause.filter(is_in_time),
            };
            told(&attempt);
            match attempt.again_in {
                Some(pause) => sleep(pause).await,
                None => break attempt.delivery,
            }
        };
        counter!("sise_alert_webhooks_total", "outcome" => delivery.slug()).increment(1);
        let is_taken = delivery == Delivery::Delivered;
        let had_failed = self.has_failed.swap(!is_taken, Ordering::Relaxed);
        if !is_taken && !had_failed {
            tracing::warn!(
                alert = letter.id,
                "the post to alerts.webhook_url was {delivery}; further failures are only counted"
            );
        } else if is_taken && had_failed {
            tracing::info!("posts to alerts.webhook_url succeed again");
        }
        delivery
    }

    async fn attempt(&self, letter: &Letter) -> Delivery {
        let mut request = self
            .client
            .post(self.url.expose_secret())
            .header(CONTENT_TYPE, "application/json")
            .header("Sise-Delivery", &letter.id);
        if let Some(secret) = &self.secret {
            let at = (self.clock)().timestamp();
            request = request.header("Sise-Signature", signature(secret, at, &letter.body));
        }
        match request.body(letter.body.clone()).send().await {
            Ok(answer) if answer.status().is_success() => Delivery::Delivered,
            Ok(answer) => {
                let status = answer.status().as_u16();
                if answer.status().is_server_error() || TRY_AGAIN.contains(&status) {
                    Delivery::Failed(format!("HTTP {status}"))
                } else {
                    Delivery::Refused(status)
                }
            }
            // The address is a secret, so it must not be in the error.
            Err(error) if error.is_timeout() => {
                Delivery::Failed(format!("no answer within {:?}", self.pace.patience))
            }
            Err(error) => Delivery::Failed(causes(&error.without_url())),
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Letter>> {
        // Every change is a single step, so a poisoned lock is safe to use.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Letter {
    fn new(alert: &Alert) -> Self {
        Self {
            id: alert.id.clone(),
            // Texts and finite numbers can always be encoded.
            body: serde_json::to_string(alert).unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("is_signed", &self.secret.is_some())
            .field("waiting", &self.queue().len())
            .finish_non_exhaustive()
    }
}
