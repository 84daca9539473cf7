//! One stream: its subscription, and the messages that it sends.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;

use super::hub::Stream;
use super::message::{GapReason, Message, Operation, Wish, Writer};
use super::subscription::Subscription;
use crate::api::Api;
use crate::api::access::Client;
use crate::api::problem::{Kind, Problem};
use crate::api::room::Room;
use sise_cache::CacheError;
use sise_domain::{Index, Symbol};

/// Interval after which a heartbeat is sent if nothing else was.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);

/// Shortest time between two messages about skipped changes.
const GAPS_EVERY: Duration = Duration::from_secs(1);

/// Maximum number of prices per message, for streams of many codes and of few. A connection keeps a
/// buffer for the largest message it ever sent, and most streams have few codes.
const CHUNK: usize = 200;
const SMALL_CHUNK: usize = 10;

/// Up to this number of codes a stream counts as one of few.
const FEW: usize = 100;

/// Maximum number of codes per operation. Clients that want more subscribe to all.
const MOST_CODES: usize = 3_000;

/// Interval at which the access token of a stream is checked.
const LOOK: Duration = Duration::from_secs(5);

/// Longest time for a client to take a message before its stream ends.
pub(super) const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// Why the server ended a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The server stops.
    Stopped,
    /// The access token has ended.
    Expired,
}

impl Over {
    /// The label in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Expired => "expired",
        }
    }
}

/// An access token, and when it is due for a check.
struct TokenCheck {
    token: String,
    due: Instant,
    /// The look-up under way, kept here so that other events do not restart it.
    looking: Option<LookUp>,
}

/// The look-up of a token's user.
type LookUp = Pin<Box<dyn Future<Output = Result<Option<String>, CacheError>> + Send>>;

/// A stream, which ends when this is dropped.
pub(super) struct Subscriber {
    api: Api,
    stream: Arc<Stream>,
    subscription: Subscription,
    writer: Writer,
    waiting: VecDeque<Message>,
    /// Maximum number of prices per message.
    chunk: usize,
    /// Indices to send with the next snapshot.
    wanted_indices: BTreeSet<Index>,
    /// Skipped changes that the client has not been told of yet.
    skipped: u64,
    told_skipped_at: Instant,
    beats: Interval,
    is_silent: bool,
    /// When a message was last handed out.
    handed_at: Instant,
    /// The access token, if one was required.
    pass: Option<TokenCheck>,
    /// Whether the access token has ended.
    is_expired: bool,
    stop: CancellationToken,
    end: Option<&'static str>,
    /// Keeps the connection counted while the stream lasts.
    room: Room,
}

impl Subscriber {
    /// Begins a stream of a client. With `token`, it lasts as long as the token is valid.
    pub(super) fn new(
        api: &Api,
        client: Client,
        token: Option<&str>,
        room: Room,
    ) -> Result<Self, Problem> {
        let Some(stream) = api.hub.begin(client) else {
            let why = "this client already has as many streams as api.streams_per_client allows";
            return Err(Kind::TooManyRequests.because(why).retry_after(5));
        };
        room.streams(true);
        let mut beats = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut writer = Writer::default();
        let now = (api.parts.clock)();
        let hello = writer.hello(stream.id, HEARTBEAT.as_millis(), now);
        Ok(Self {
            api: api.clone(),
            stream,
            subscription: Subscription::default(),
            writer,
            waiting: VecDeque::from([hello]),
            chunk: SMALL_CHUNK,
            wanted_indices: BTreeSet::new(),
            skipped: 0,
            told_skipped_at: Instant::now(),
            beats,
            is_silent: true,
            handed_at: Instant::now(),
            pass: token.map(|token| TokenCheck {
                token: token.to_owned(),
                due: Instant::now() + LOOK,
                looking: None,
            }),
            is_expired: false,
            stop: api.stop.clone(),
            end: None,
            room,
        })
    }

    /// Waits for the next message, or for the reason why there are no more. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Message, Over> {
        let message = self.come().await;
        self.handed_at = Instant::now();
        message
    }

    async fn come(&mut self) -> Result<Message, Over> {
        loop {
            let due = self.pass.as_ref().map(|pass| pass.due);
            if due.is_some_and(|due| due <= Instant::now()) {
                self.look().await;
            }
            if self.is_expired {
                return self.waiting.pop_front().ok_or(Over::Expired);
            }
            if let Some(message) = self.take() {
                self.is_silent = false;
                return Ok(message);
            }
            tokio::select! {
                () = self.stop.cancelled() => return Err(Over::Stopped),
                () = self.stream.woken() => {}
                () = sleep_until(self.told_skipped_at + GAPS_EVERY), if self.skipped > 0 => {
                    return Ok(self.tell_skipped());
                }
                () = sleep_until(due.unwrap_or(self.handed_at)), if due.is_some() => {}
                _ = self.beats.tick() => {
                    if std::mem::replace(&mut self.is_silent, true) {
                        return Ok(self.writer.heartbeat((self.api.parts.clock)()));
                    }
                }
            }
        }
    }

    /// Checks whether the access token is still valid. If the store does not answer, the stream
    /// goes on.
    async fn look(&mut self) {
        let Some(pass) = &mut self.pass else {
            return;
        };
        let looking = pass.looking.get_or_insert_with(|| {
            let (api, token) = (self.api.clone(), pass.token.clone());
            Box::pin(async move { api.access.user_of(&token).await })
        });
        let found = looking.await;
        pass.looking = None;
        pass.due = Instant::now() + LOOK;
        if let Ok(None) = found {
            self.refuse(&Kind::Unauthorized.because("the access token has ended"));
            self.is_expired = true;
        }
    }

    /// Whether an answer waits for the client. Until it is sent, nothing more is read, so that a
    /// client cannot make the queue grow.
    pub(super) fn has_answers(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Handles a message of the client.
    pub(super) async fn hear(&mut self, text: &str) {
        match serde_json::from_str(text) {
            Ok(Operation::Subscribe(wish)) => self.change(wish, true).await,
            Ok(Operation::Unsubscribe(wish)) => self.change(wish, false).await,
            Ok(Operation::Ping) => {
                let pong = self.writer.pong();
                self.waiting.push_back(pong);
            }
            Err(error) => self.refuse(&Kind::BadRequest.because(format!(
                "the message is not understood: {error}; see docs/stream.md"
            ))),
        }
    }

    async fn change(&mut self, wish: Wish, is_wanted: bool) {
        if let Err(problem) = self.try_change(wish, is_wanted).await {
            self.refuse(&problem);
        }
    }

    /// Subscribes or unsubscribes.
    pub(super) async fn try_change(&mut self, wish: Wish, is_wanted: bool) -> Result<(), Problem> {
        let mut codes = wish.codes.clone();
        if let Some(list) = &wish.watchlist {
            let of_list = self.api.watch_lists.codes(list).await?;
            if of_list.is_empty() {
                let why = format!("there is no watch list '{}'", list.escape_debug());
                return Err(Kind::NotFound.because(why));
            }
            codes.extend(of_list.into_keys());
        }
        if codes.len() > MOST_CODES {
            let why = format!("at most {MOST_CODES} codes at once; or subscribe to all");
            return Err(Kind::Unprocessable.because(why));
        }
        let universe = self.api.parts.universe.load_full();
        let board = self.api.hub.board();
        // An unknown code gets no place on the board, because it would keep it for good.
        let (known, unknown): (Vec<Symbol>, Vec<Symbol>) = codes
            .into_iter()
            .partition(|code| universe.get(*code).is_some() || board.known_place(*code).is_some());
        let mut new = self.subscription.clone();
        new.change(&wish, &board.places(known), is_wanted);
        let told = new.told(&universe, board);
        let mut wanted = told.clone();
        wanted.take_out(&self.subscription.told(&universe, board));
        if new.indices && !self.subscription.indices {
            self.wanted_indices.extend(Index::ALL);
        }
        self.api
            .hub
            .subscribe(&self.stream, &self.subscription, &new);
        self.subscription = new;
        self.chunk = match told.len() {
            ..=FEW => SMALL_CHUNK,
            _ => CHUNK,
        };
        let Subscription {
            indices, alerts, ..
        } = self.subscription;
        if !indices {
            self.wanted_indices.clear();
        }
        let unknown = if is_wanted { &unknown[..] } else { &[] };
        let subscribed = self.writer.subscribed(told.len(), unknown, indices, alerts);
        self.waiting.push_back(subscribed);
        let mut pending = self.stream.pending();
        pending.keep(&self.subscription, &told);
        for place in wanted.iter() {
            pending.wanted.add(place);
        }
        drop(pending);
        self.stream.wake();
        Ok(())
    }

    fn refuse(&mut self, problem: &Problem) {
        let error = self.writer.error(problem);
        self.waiting.push_back(error);
    }

    /// Takes the next message to send, if there is one.
    fn take(&mut self) -> Option<Message> {
        if let Some(message) = self.waiting.pop_front() {
            self.api.hub.count_message();
            return Some(message);
        }
        let mut pending = self.stream.pending();
        if let Some(alert) = pending.alerts.pop_front() {
            drop(pending);
            self.api.hub.count_message();
            return Some(self.writer.alert(&alert));
        }
        if !pending.gaps.is_empty() {
            let (reason, codes) = pending.gaps.remove(0);
            drop(pending);
            return self.gap(reason, codes);
        }
        if std::mem::take(&mut pending.is_found) {
            drop(pending);
            self.want_all();
            pending = self.stream.pending();
        }
        let is_asked = !(pending.wanted.is_empty() && self.wanted_indices.is_empty());
        drop(pending);
        if is_asked {
            return Some(self.snapshot());
        }
        self.changes()
    }

    /// Writes the next part of the requested prices.
    fn snapshot(&mut self) -> Message {
        let indices = std::mem::take(&mut self.wanted_indices);
        let indices = self.indices(&indices);
        let board = self.api.hub.board();
        let prices = self
            .stream
            .next_wanted(board, self.chunk, !indices.is_empty());
        self.api.hub.count_message();
        self.writer.prices("snapshot", &prices, &indices)
    }

    /// Writes the next part of the changes.
    fn changes(&mut self) -> Option<Message> {
        let mut pending = self.stream.pending();
        let indices = std::mem::take(&mut pending.indices);
        let skipped = std::mem::take(&mut pending.skipped);
        drop(pending);
        let indices = self.indices(&indices);
        let board = self.api.hub.board();
        let prices = self
            .stream
            .next_changed(board, self.chunk, !indices.is_empty());
        self.skipped += skipped;
        self.api.hub.count_skipped(skipped);
        if prices.is_empty() && indices.is_empty() {
            return None;
        }
        self.api.hub.count_message();
        let changes = self.writer.prices("changes", &prices, &indices);
        if self.skipped > 0 && self.told_skipped_at.elapsed() >= GAPS_EVERY {
            let gap = self.tell_skipped();
            self.waiting.push_back(gap);
        }
        Some(changes)
    }

    /// Writes how many changes were skipped since the last such message.
    fn tell_skipped(&mut self) -> Message {
        self.told_skipped_at = Instant::now();
        let skipped = std::mem::take(&mut self.skipped);
        self.writer.gap(GapReason::Slow, skipped, &[])
    }

    /// Returns the wanted indices that are live, as JSON.
    fn indices(&self, wanted: &BTreeSet<Index>) -> Vec<String> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let all = self.api.hub.board().indices();
        let wanted = all.iter().filter(|quote| wanted.contains(&quote.index));
        wanted
            .filter_map(|quote| serde_json::to_string(quote).ok())
            .collect()
    }

    /// Writes a gap, if it concerns the subscription.
    fn gap(&mut self, reason: GapReason, codes: Vec<Symbol>) -> Option<Message> {
        let board = self.api.hub.board();
        let universe = self.api.parts.universe.load();
        let concerns = |code: &Symbol| self.subscription.has(*code, &universe, board);
        let codes: Vec<Symbol> = codes.into_iter().filter(concerns).collect();
        if reason == GapReason::Feed && codes.is_empty() {
            self.stream.wake();
            return None;
        }
        self.api.hub.count_message();
        Some(self.writer.gap(reason, 0, &codes))
    }

    /// Requests everything in the subscription once more.
    fn want_all(&mut self) {
        if self.subscription.indices {
            self.wanted_indices.extend(Index::ALL);
        }
        let universe = self.api.parts.universe.load_full();
        let told = self.subscription.told(&universe, self.api.hub.board());
        self.stream.pending().wanted = told;
        self.stream.wake();
    }

    /// Sets why the stream ends, if the client did not end it.
    pub(super) fn ends(&mut self, reason: &'static str) {
        self.end = Some(reason);
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.room.streams(false);
        let hub = &self.api.hub;
        hub.end(&self.stream, &self.subscription);
        // With Server-Sent Events, the reason why a client stops reading is not known.
        let is_slow = || {
            self.handed_at.elapsed() >= TAKEN_WITHIN && !self.stream.pending().changed.is_empty()
        };
        let of_client = || if is_slow() { "slow" } else { "gone" };
        hub.count_end(self.end.unwrap_or_else(of_client));
    }
}
