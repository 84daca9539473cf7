//! Distribution of changes to streams.
//!
//! A change only marks a bit for its code in each stream and wakes the stream. The price itself is
//! read from the board when the stream can send, so a slow client holds nothing but its bits and
//! always gets the latest price.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{counter, gauge};
use serde::Serialize;
use tokio::sync::Notify;

use super::message::GapReason;
use super::places::Places;
use super::subscription::Subscription;
use crate::api::access::Client;
use crate::board::{News, Onlooker, Posted, QuoteBoard};
use sise_domain::{Index, Market, Symbol};

/// What a stream has yet to send.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Codes whose price changed.
    pub(super) changed: Places,
    /// Codes whose price is requested although it did not change.
    pub(super) wanted: Places,
    /// Indices that changed or were requested.
    pub(super) indices: BTreeSet<Index>,
    /// Changes that are superseded by a later one.
    pub(super) skipped: u64,
    /// Alerts, as JSON.
    pub(super) alerts: VecDeque<Arc<str>>,
    /// What was dropped or missed, once per reason.
    pub(super) gaps: Vec<(GapReason, Vec<Symbol>)>,
    /// Changes are received again, so everything must be sent once more.
    pub(super) is_found: bool,
    /// Subscribed to the whole market, so its codes must not be noted twice.
    kospi: bool,
    /// Subscribed to the whole market, so its codes must not be noted twice.
    kosdaq: bool,
}

/// Maximum number of alerts waiting for a stream; the oldest are dropped.
const MOST_ALERTS: usize = 64;

/// A stream as the hub sees it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u64,
    client: Client,
    pending: Mutex<Pending>,
    wake: Notify,
}

/// Distributes changes on the board to streams.
pub(in crate::api) struct Hub {
    board: Arc<QuoteBoard>,
    listeners: Mutex<Listeners>,
    per_client: usize,
    next_id: AtomicU64,
    messages: AtomicU64,
    skipped: AtomicU64,
    disconnected: AtomicU64,
}

#[derive(Default)]
struct Listeners {
    streams: HashMap<u64, Arc<Stream>>,
    of_client: HashMap<Client, usize>,
    all: Vec<Arc<Stream>>,
    kospi: Vec<Arc<Stream>>,
    kosdaq: Vec<Arc<Stream>>,
    indices: Vec<Arc<Stream>>,
    alerts: Vec<Arc<Stream>>,
    /// By the board place of the code.
    places: Vec<Vec<Arc<Stream>>>,
}

/// How the streams of this process are doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(in crate::api) struct Statistics {
    /// Streams that are open.
    connections: usize,
    /// Clients with at least one stream.
    clients: usize,
    /// Messages sent so far.
    messages: u64,
    /// Changes not sent because a later one of the same code replaced them.
    skipped: u64,
    /// Streams ended because their client stopped reading.
    slow_disconnects: u64,
}

impl Hub {
    /// Creates a hub for changes on `board`, with up to `per_client` streams per client.
    pub(in crate::api) fn new(board: Arc<QuoteBoard>, per_client: usize) -> Self {
        Self {
            board,
            listeners: Mutex::default(),
            per_client,
            next_id: AtomicU64::new(fastrand::u64(..)),
            messages: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            disconnected: AtomicU64::new(0),
        }
    }

    /// Returns the statistics of the streams.
    pub(in crate::api) fn statistics(&self) -> Statistics {
        let listeners = self.listeners();
        Statistics {
            connections: listeners.streams.len(),
            clients: listeners.of_client.len(),
            messages: self.messages.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
            slow_disconnects: self.disconnected.load(Ordering::Relaxed),
        }
    }

    /// Begins a stream of a client; `None` if the client has too many.
    pub(super) fn begin(&self, client: Client) -> Option<Arc<Stream>> {
        let mut listeners = self.listeners();
        let count = listeners.of_client.entry(client.clone()).or_default();
        if *count >= self.per_client {
            return None;
        }
        *count += 1;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let stream = Arc::new(Stream {
            id,
            client,
            pending: Mutex::default(),
            wake: Notify::new(),
        });
        listeners.streams.insert(id, Arc::clone(&stream));
        gauge!("sise_stream_connections").increment(1);
        Some(stream)
    }

    /// Ends a stream.
    pub(super) fn end(&self, stream: &Arc<Stream>, subscription: &Subscription) {
        let mut listeners = self.listeners();
        listeners.forget(stream, subscription);
        listeners.streams.remove(&stream.id);
        if let Some(count) = listeners.of_client.get_mut(&stream.client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                listeners.of_client.remove(&stream.client);
            }
        }
        gauge!("sise_stream_connections").decrement(1);
    }

    /// Replaces the subscription of a stream.
    pub(super) fn subscribe(&self, stream: &Arc<Stream>, old: &Subscription, new: &Subscription) {
        let mut listeners = self.listeners();
        let mut pending = stream.pending();
        pending.kospi = new.kospi;
        pending.kosdaq = new.kosdaq;
        drop(pending);
        listeners.forget(stream, old);
        listeners.note(stream, new);
    }

    pub(super) fn count_message(&self) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        counter!("sise_stream_messages_total").increment(1);
    }

    pub(super) fn count_skipped(&self, skipped: u64) {
        if skipped > 0 {
            self.skipped.fetch_add(skipped, Ordering::Relaxed);
            counter!("sise_stream_coalesced_total").increment(skipped);
        }
    }

    pub(super) fn count_end(&self, reason: &'static str) {
        if reason == "slow" {
            self.disconnected.fetch_add(1, Ordering::Relaxed);
        }
        counter!("sise_stream_disconnects_total", "reason" => reason).increment(1);
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        // Every change leaves it consistent, so a poisoned lock is safe to use.
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listeners {
    fn note(&mut self, stream: &Arc<Stream>, subscription: &Subscription) {
        if subscription.indices {
            self.indices.push(Arc::clone(stream));
        }
        if subscription.alerts {
            self.alerts.push(Arc::clone(stream));
        }
        if subscription.all {
            // A subscription to everything includes the rest.
            self.all.push(Arc::clone(stream));
            return;
        }
        if subscription.kospi {
            self.kospi.push(Arc::clone(stream));
        }
        if subscription.kosdaq {
            self.kosdaq.push(Arc::clone(stream));
        }
        for place in subscription.places.iter() {
            if self.places.len() <= place {
                self.places.resize_with(place + 1, Vec::new);
            }
            if let Some(list) = self.places.get_mut(place) {
                list.push(Arc::clone(stream));
            }
        }
    }

    fn forget(&mut self, stream: &Arc<Stream>, subscription: &Subscription) {
        let take_out = |list: &mut Vec<Arc<Stream>>| {
            if let Some(place) = list.iter().position(|held| Arc::ptr_eq(held, stream)) {
                list.swap_remove(place);
            }
        };
        take_out(&mut self.indices);
        take_out(&mut self.alerts);
        take_out(&mut self.all);
        take_out(&mut self.kospi);
        take_out(&mut self.kosdaq);
        for place in subscription.places.iter() {
            if let Some(list) = self.places.get_mut(place) {
                take_out(list);
            }
        }
    }
}

impl Onlooker for Hub {
    fn told(&self, news: &News<'_>) {
        let listeners = self.listeners();
        match news {
            News::Prices(prices) => {
                for posted in *prices {
                    let market = match posted.quote.market {
                        Some(Market::Kospi) => listeners.kospi.as_slice(),
                        Some(Market::Kosdaq) => listeners.kosdaq.as_slice(),
                        None => &[],
                    };
                    let single = listeners.places.get(posted.place);
                    let single = single.map_or(&[][..], Vec::as_slice);
                    for stream in listeners.all.iter().chain(market) {
                        stream.pending().note(posted.place, stream);
                    }
                    for stream in single {
                        let mut pending = stream.pending();
                        if !pending.has_market(posted.quote.market) {
                            pending.note(posted.place, stream);
                        }
                    }
                }
            }
            News::Indices(indices) => {
                for stream in &listeners.indices {
                    stream.pending().indices.extend(*indices);
                    stream.wake();
                }
            }
            News::Alert(alert) => {
                // Texts and finite numbers can always be encoded.
                let json: Arc<str> = serde_json::to_string(alert).unwrap_or_default().into();
                for stream in &listeners.alerts {
                    stream.note_alert(&json);
                }
            }
            News::Gap(codes) => {
                for stream in listeners.streams.values() {
                    stream.note_gap(GapReason::Feed, codes);
                }
            }
            News::Lost => {
                for stream in listeners.streams.values() {
                    stream.note_gap(GapReason::Store, &[]);
                }
            }
            News::Found => {
                for stream in listeners.streams.values() {
                    stream.pending().is_found = true;
                    stream.wake();
                }
            }
        }
    }
}

impl Pending {
    /// Notes a new price of the code at this place.
    fn note(&mut self, place: usize, stream: &Stream) {
        let is_first = self.changed.is_empty();
        if !self.changed.add(place) {
            self.skipped += 1;
        }
        if is_first {
            stream.wake();
        }
    }

    fn has_market(&self, market: Option<Market>) -> bool {
        match market {
            Some(Market::Kospi) => self.kospi,
            Some(Market::Kosdaq) => self.kosdaq,
            None => false,
        }
    }

    /// Drops everything that is not in the subscription.
    pub(super) fn keep(&mut self, subscription: &Subscription, told: &Places) {
        // A subscription to everything includes codes outside the universe.
        if !subscription.all {
            self.changed.keep(told);
            self.wanted.keep(told);
        }
        if !subscription.indices {
            self.indices.clear();
        }
        if !subscription.alerts {
            self.alerts.clear();
        }
    }
}

impl Stream {
    fn note_alert(&self, json: &Arc<str>) {
        let mut pending = self.pending();
        pending.alerts.push_back(Arc::clone(json));
        let is_full = pending.alerts.len() > MOST_ALERTS;
        if is_full {
            pending.alerts.pop_front();
        }
        drop(pending);
        if is_full {
            self.note_gap(GapReason::Slow, &[]);
        }
        self.wake.notify_one();
    }

    fn note_gap(&self, reason: GapReason, codes: &[Symbol]) {
        let mut pending = self.pending();
        match pending.gaps.iter_mut().find(|(held, _)| *held == reason) {
            Some((_, held)) => {
                held.extend_from_slice(codes);
                held.sort_unstable();
                held.dedup();
            }
            None => pending.gaps.push((reason, codes.to_vec())),
        }
        drop(pending);
        self.wake.notify_one();
    }

    pub(super) fn pending(&self) -> MutexGuard<'_, Pending> {
        // Every change is a single step, so a poisoned lock is safe to use.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next requested prices. The result may be empty if `is_enough`, which means that
    /// there is something else to send.
    pub(super) fn next_wanted(
        &self,
        board: &QuoteBoard,
        most: usize,
        is_enough: bool,
    ) -> Vec<Arc<Posted>> {
        self.next(board, is_enough, |pending| {
            let places = pending.wanted.take(most);
            for place in &places {
                pending.changed.remove(*place);
            }
            places
        })
    }

    /// Takes the next changed prices. The result may be empty if `is_enough`, which means that
    /// there is something else to send.
    pub(super) fn next_changed(
        &self,
        board: &QuoteBoard,
        most: usize,
        is_enough: bool,
    ) -> Vec<Arc<Posted>> {
        self.next(board, is_enough, |pending| pending.changed.take(most))
    }

    /// Takes the prices at the next places that have one. Places without a price are skipped,
    /// because nothing would wake the stream for those after them.
    fn next(
        &self,
        board: &QuoteBoard,
        is_enough: bool,
        take: impl Fn(&mut Pending) -> Vec<usize>,
    ) -> Vec<Arc<Posted>> {
        loop {
            let places = take(&mut self.pending());
            let is_last = places.is_empty();
            let prices = board.at(places);
            if is_last || is_enough || !prices.is_empty() {
                return prices;
            }
        }
    }

    /// Waits until there may be something to send.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }
}

impl Hub {
    pub(super) fn board(&self) -> &QuoteBoard {
        &self.board
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("statistics", &self.statistics())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use chrono::TimeZone as _;

    use super::*;
    use sise_domain::{Quote, Seoul};

    #[test]
    fn codes_without_a_price_hide_none_of_those_behind_them() {
        let now = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
        let board = Arc::new(QuoteBoard::new(Duration::from_secs(120)));
        let hub = Hub::new(Arc::clone(&board), 1);
        let client = Client::Address(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let stream = hub.begin(client).unwrap();
        let all = Subscription {
            all: true,
            ..Subscription::default()
        };
        hub.subscribe(&stream, &Subscription::default(), &all);
        let codes: Vec<Symbol> = (0..40)
            .map(|code| format!("{code:06}").parse().unwrap())
            .collect();
        let quotes = codes.iter().map(|code| Quote::sample(*code, 1_000, now));
        hub.told(&News::Prices(&board.post(quotes.collect(), now)));
        let (gone, kept) = codes.split_at(30);
        board.take_down(gone);
        let told = |prices: Vec<Arc<Posted>>| -> Vec<Symbol> {
            prices
                .iter()
                .map(|posted| posted.quote.stock_code)
                .collect()
        };
        assert_eq!(told(stream.next_changed(&board, 10, false)), kept);
        assert!(stream.next_changed(&board, 10, false).is_empty());
        for place in board.places(codes.iter().copied()) {
            stream.pending().wanted.add(place);
        }
        assert_eq!(told(stream.next_wanted(&board, 10, false)), kept);
        assert!(stream.pending().wanted.is_empty());
    }
}
