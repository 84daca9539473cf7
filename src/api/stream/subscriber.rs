//! One stream: what its client asks for, and what it is told.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;

use super::hub::{Stream, Subscription};
use super::message::{GapReason, Message, Operation, Wish, Writer};
use crate::api::Api;
use crate::api::access::Client;
use crate::api::problem::{Kind, Problem};
use crate::api::server::Room;
use crate::domain::{Index, Market, Symbol};

/// Where nothing else was sent for so long, a heartbeat is.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);

/// A client is told this often at most that changes were left out.
const GAPS_EVERY: Duration = Duration::from_secs(1);

/// Prices of one message at most, of a stream of many codes and of one of few. A connection keeps room
/// for the largest message that it ever sent, and most streams are of few codes.
const CHUNK: usize = 200;
const SMALL_CHUNK: usize = 10;

/// Codes of a stream of few at most.
const FEW: usize = 100;

/// Answers that wait for a client at most: one that asks on without listening is no client.
const WAITING: usize = 32;

/// Codes of one operation at most; who wants more wants all.
const MOST_CODES: usize = 3_000;

/// A stream. Ends with its last use.
pub(super) struct Subscriber {
    api: Api,
    stream: Arc<Stream>,
    subscription: Subscription,
    writer: Writer,
    waiting: VecDeque<Message>,
    /// Prices of one message.
    chunk: usize,
    /// Indices of the next snapshot.
    wanted_indices: BTreeSet<Index>,
    /// Changes that were left out and that the client is not told of yet.
    skipped: u64,
    told_skipped_at: Instant,
    beats: Interval,
    is_silent: bool,
    stop: CancellationToken,
    /// The connection counts for as long as the stream lasts.
    _room: Room,
}

impl Subscriber {
    /// Begins a stream of a client.
    pub(super) fn new(api: &Api, client: Client, room: Room) -> Result<Self, Problem> {
        let Some(stream) = api.hub.begin(client) else {
            let why = "this client has as many streams as api.streams_per_client allows";
            return Err(Kind::TooManyRequests.because(why).retry_after(5));
        };
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
            stop: api.stop.clone(),
            _room: room,
        })
    }

    /// The next message, as soon as there is one; `None` where the server stops. What is not awaited
    /// to its end loses nothing.
    pub(super) async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.take() {
                self.is_silent = false;
                return Some(message);
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = self.stream.woken() => {}
                () = sleep_until(self.told_skipped_at + GAPS_EVERY), if self.skipped > 0 => {
                    return Some(self.tell_skipped());
                }
                _ = self.beats.tick() => {
                    if std::mem::replace(&mut self.is_silent, true) {
                        return Some(self.writer.heartbeat((self.api.parts.clock)()));
                    }
                }
            }
        }
    }

    /// Takes a message of the client. `false` where it is to be disconnected.
    pub(super) async fn hear(&mut self, text: &str) -> bool {
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
        self.waiting.len() <= WAITING
    }

    /// Subscribes or unsubscribes.
    pub(super) async fn change(&mut self, wish: Wish, is_wanted: bool) {
        if let Err(problem) = self.try_change(wish, is_wanted).await {
            self.refuse(&problem);
        }
    }

    async fn try_change(&mut self, wish: Wish, is_wanted: bool) -> Result<(), Problem> {
        let mut codes = wish.codes;
        if let Some(list) = &wish.watchlist {
            let of_list = self.api.watch_lists.codes(list).await?;
            if of_list.is_empty() {
                let why = format!("there is no watch list '{}'", list.escape_debug());
                return Err(Kind::NotFound.because(why));
            }
            codes.extend(of_list.into_keys());
        }
        if codes.len() > MOST_CODES {
            let why = format!("{MOST_CODES} codes at once at most; or subscribe to all");
            return Err(Kind::Unprocessable.because(why));
        }
        let api = self.api.clone();
        let board = api.hub.board();
        let mut new = Subscription {
            places: self.subscription.places.clone(),
            ..self.subscription
        };
        let mut wanted: Vec<usize> = Vec::new();
        for code in &codes {
            let place = board.place(*code);
            if !is_wanted {
                new.places.remove(place);
            } else if new.places.add(place) {
                wanted.push(place);
            }
        }
        let of_market = |market: Option<Market>| {
            let universe = api.parts.universe.load_full();
            let listings = universe.listings().iter();
            let listings =
                listings.filter(|listing| market.is_none_or(|market| listing.market == market));
            let codes: Vec<Symbol> = listings.map(|listing| listing.code).collect();
            codes
                .into_iter()
                .map(|code| board.place(code))
                .collect::<Vec<_>>()
        };
        if let Some(market) = wish.market {
            let flag = match market {
                Market::Kospi => &mut new.kospi,
                Market::Kosdaq => &mut new.kosdaq,
            };
            if is_wanted && !*flag {
                wanted.extend(of_market(Some(market)));
            }
            *flag = is_wanted;
        }
        if wish.all {
            if is_wanted && !new.all {
                wanted.extend(of_market(None));
            }
            if !is_wanted {
                new = Subscription {
                    indices: new.indices,
                    alerts: new.alerts,
                    ..Subscription::default()
                };
            }
            new.all = is_wanted;
        }
        if wish.indices {
            if is_wanted && !new.indices {
                self.wanted_indices.extend(Index::ALL);
            }
            new.indices = is_wanted;
        }
        if wish.alerts {
            new.alerts = is_wanted;
        }
        self.api
            .hub
            .subscribe(&self.stream, &self.subscription, &new);
        self.subscription = new;
        let codes = match &self.subscription {
            Subscription { all: true, .. } => self.api.parts.universe.load().len(),
            Subscription {
                kospi: false,
                kosdaq: false,
                places,
                ..
            } => places.len(),
            _ => self.count(),
        };
        self.chunk = match codes {
            ..=FEW => SMALL_CHUNK,
            _ => CHUNK,
        };
        let Subscription {
            indices, alerts, ..
        } = self.subscription;
        let subscribed = self.writer.subscribed(codes, indices, alerts);
        self.waiting.push_back(subscribed);
        let mut pending = self.stream.pending();
        for place in wanted {
            pending.wanted.add(place);
        }
        drop(pending);
        self.stream.wake();
        Ok(())
    }

    /// Codes of the markets and the single ones beside them.
    fn count(&self) -> usize {
        let universe = self.api.parts.universe.load();
        let board = self.api.hub.board();
        let has = |market| match market {
            Market::Kospi => self.subscription.kospi,
            Market::Kosdaq => self.subscription.kosdaq,
        };
        let listings = universe.listings().iter();
        let is_told = |listing: &&crate::domain::Listing| {
            has(listing.market) || self.subscription.places.contains(board.place(listing.code))
        };
        listings.filter(is_told).count()
    }

    fn refuse(&mut self, problem: &Problem) {
        let error = self.writer.error(problem);
        self.waiting.push_back(error);
    }

    /// What is to be told now.
    fn take(&mut self) -> Option<Message> {
        if let Some(message) = self.waiting.pop_front() {
            self.api.hub.count_message(0);
            return Some(message);
        }
        let mut pending = self.stream.pending();
        if let Some(alert) = pending.alerts.pop_front() {
            drop(pending);
            self.api.hub.count_message(0);
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
        if !(pending.wanted.is_empty() && self.wanted_indices.is_empty()) {
            let places = pending.wanted.take(self.chunk);
            for place in &places {
                pending.changed.remove(*place);
            }
            drop(pending);
            let indices = std::mem::take(&mut self.wanted_indices);
            let indices = self.indices(&indices);
            let prices = self.api.hub.board().at(places);
            self.api.hub.count_message(0);
            return Some(self.writer.prices("snapshot", &prices, &indices));
        }
        let indices = std::mem::take(&mut pending.indices);
        if pending.changed.is_empty() && indices.is_empty() {
            return None;
        }
        let places = pending.changed.take(self.chunk);
        let skipped = std::mem::take(&mut pending.skipped);
        drop(pending);
        self.skipped += skipped;
        let prices = self.api.hub.board().at(places);
        let indices = self.indices(&indices);
        if prices.is_empty() && indices.is_empty() {
            return None;
        }
        self.api.hub.count_message(skipped);
        let changes = self.writer.prices("changes", &prices, &indices);
        if self.skipped > 0 && self.told_skipped_at.elapsed() >= GAPS_EVERY {
            let gap = self.tell_skipped();
            self.waiting.push_back(gap);
        }
        Some(changes)
    }

    /// Tells how many changes were left out since it was told last.
    fn tell_skipped(&mut self) -> Message {
        self.told_skipped_at = Instant::now();
        let skipped = std::mem::take(&mut self.skipped);
        self.writer.gap(GapReason::Slow, skipped, &[])
    }

    /// Those of the indices that live, as JSON.
    fn indices(&self, wanted: &BTreeSet<Index>) -> Vec<String> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let all = self.api.hub.board().indices((self.api.parts.clock)());
        let wanted = all.iter().filter(|quote| wanted.contains(&quote.index));
        wanted
            .filter_map(|quote| serde_json::to_string(quote).ok())
            .collect()
    }

    /// Tells of a gap, where it concerns what the stream is told.
    fn gap(&mut self, reason: GapReason, codes: Vec<Symbol>) -> Option<Message> {
        let board = self.api.hub.board();
        let universe = self.api.parts.universe.load();
        let Subscription {
            all,
            kospi,
            kosdaq,
            places,
            ..
        } = &self.subscription;
        let concerns = |code: &Symbol| {
            let market = universe.get(*code).map(|listing| listing.market);
            *all || (*kospi && market == Some(Market::Kospi))
                || (*kosdaq && market == Some(Market::Kosdaq))
                || places.contains(board.place(*code))
        };
        let codes: Vec<Symbol> = codes.into_iter().filter(concerns).collect();
        if reason == GapReason::Feed && codes.is_empty() {
            self.stream.wake();
            return None;
        }
        self.api.hub.count_message(0);
        Some(self.writer.gap(reason, 0, &codes))
    }

    /// Everything that the stream is subscribed to is told once more.
    fn want_all(&mut self) {
        if self.subscription.indices {
            self.wanted_indices.extend(Index::ALL);
        }
        let board = self.api.hub.board();
        let universe = self.api.parts.universe.load_full();
        let Subscription {
            all,
            kospi,
            kosdaq,
            places,
            ..
        } = &self.subscription;
        let of_lists = universe.listings().iter().filter(|listing| {
            *all || match listing.market {
                Market::Kospi => *kospi,
                Market::Kosdaq => *kosdaq,
            }
        });
        let of_lists: Vec<usize> = of_lists.map(|listing| board.place(listing.code)).collect();
        let mut pending = self.stream.pending();
        for place in of_lists.into_iter().chain(places.iter()) {
            pending.wanted.add(place);
        }
        drop(pending);
        self.stream.wake();
    }

    pub(super) fn count_end(&self, reason: &'static str) {
        self.api.hub.count_end(reason);
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.api.hub.end(&self.stream, &self.subscription);
    }
}
