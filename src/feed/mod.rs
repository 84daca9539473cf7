//! The live feed: trades of the watched codes go to the store as they happen.
//!
//! If trades may have been missed, the feed reports their codes, so that their prices are asked for
//! at once.

mod dropped;
mod gaps;
mod hours;
mod traded;
mod writer;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::TimeDelta;
use futures_util::FutureExt as _;
use metrics::{counter, gauge};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::leadership::{self, Candidate, LeadState};
use sise_domain::{Calendar, KrxTime, Quote, Registrations, Symbol};
use sise_net::supervisor::{Tasks, together};
use sise_port::clock::Clock;
use sise_port::{
    Change, Changes, Gap, PriceStore, Shelf, StoreError, TickSource, Told, WatchedCodes,
};

use gaps::Gaps;
use hours::has_trades;
pub use traded::Traded;
use writer::Writer;

/// Most trades that wait to be written: a second of the busiest codes.
const QUEUE: usize = 4_096;

/// Trades taken from the queue at once.
const DRAINED: usize = 512;

/// Gaps that a listener may lag behind; one that lags further is told so.
const GAPS: usize = 64;

/// Longest time between two checks of whether the feed should run, and for which codes.
const LOOK: Duration = Duration::from_secs(5);

/// Pause of a new leader before it connects.
///
/// The app key has only one session. A connection made before the old leader has closed its session
/// is locked out for a minute.
const HANDOVER: Duration = Duration::from_secs(2);

/// Time between two checks while the feed is off.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Registration takes a few seconds and should be done before the open.
const BEFORE_OPEN: TimeDelta = TimeDelta::seconds(30);

/// The closing cross may be up to half a minute late.
const AFTER_CLOSE: TimeDelta = TimeDelta::seconds(60);

/// Callback for quotes that were just written.
pub type Observe = Arc<dyn Fn(&[Quote]) + Send + Sync>;

/// Callback for the codes that are streamed now.
pub type Registered = Arc<dyn Fn(&[Symbol]) + Send + Sync>;

/// Settings of the feed.
#[derive(Debug, Clone, Copy)]
pub struct FeedOptions {
    /// Most codes that are streamed.
    pub registrations: usize,
    /// Shortest time between two writes of one code; zero writes every trade.
    pub write_interval: Duration,
    /// How often the watched codes are read.
    pub look: Duration,
    /// Lifetime of a price.
    pub ttl: Duration,
}

/// The parts a feed works with.
pub struct Parts {
    /// The source of trades.
    pub source: Arc<dyn TickSource>,
    /// The store that prices are written to, with the leader's fencing token if there is a leader.
    pub store: Arc<dyn PriceStore>,
    /// The codes that are wanted.
    pub watched: Arc<dyn WatchedCodes>,
    /// This process as a candidate for leadership; `None` if it runs alone.
    pub candidate: Option<Arc<Candidate>>,
    /// The trading calendar.
    pub calendar: Arc<ArcSwap<Calendar>>,
    /// The clock.
    pub clock: Clock,
    /// Streams at any time, without asking the calendar.
    pub always_open: bool,
    /// Settings of the feed.
    pub options: FeedOptions,
    /// Publishes gaps to all processes that follow the store.
    pub changes: Arc<dyn Changes>,
    /// Called with quotes that were written.
    pub observe: Observe,
    /// Called with the codes that are live.
    pub registered: Registered,
}

/// The room that the broker has for registrations.
#[derive(Debug, Clone)]
struct Room {
    /// Most codes.
    most: usize,
    /// Codes that the broker refuses in this session; other codes get their places.
    refused: BTreeSet<Symbol>,
}

/// The live feed, which follows the watched codes.
pub struct Feed {
    parts: Parts,
    gaps: broadcast::Sender<Gap>,
}

impl Feed {
    /// Creates a feed of `parts`.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            gaps: broadcast::Sender::new(GAPS),
        }
    }

    /// Returns a receiver of the gaps from now on.
    #[must_use]
    pub fn gaps(&self) -> broadcast::Receiver<Gap> {
        self.gaps.subscribe()
    }

    /// Runs the feed under `tasks`.
    pub fn start(self, tasks: &Tasks) {
        let this = Arc::new(self);
        tasks.lasting("feed", move |stop| Arc::clone(&this).run(stop));
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), String> {
        // Nothing is streamed yet, even if an earlier run broke off while it streamed.
        (self.parts.registered)(&[]);
        gauge!("sise_feed_connected").set(0);
        let (wants, wanted) = watch::channel(Arc::<[Symbol]>::from([]));
        let (told, hears) = mpsc::channel(QUEUE);
        let (says, room) = watch::channel(self.all_room());
        let stream = self.parts.source.stream(wanted, told, stop.clone());
        let loops = vec![
            ("stream", stream.boxed()),
            ("follow", self.follow(&wants, room, &stop).boxed()),
            ("take", self.take(hears, &says, &stop).boxed()),
            ("gaps", self.tell_gaps(self.gaps(), &stop).boxed()),
        ];
        together(&stop, loops).await
    }

    fn all_room(&self) -> Room {
        Room {
            most: self.parts.options.registrations,
            refused: BTreeSet::new(),
        }
    }

    /// Publishes gaps to all processes that follow the store.
    async fn tell_gaps(&self, mut gaps: broadcast::Receiver<Gap>, stop: &CancellationToken) {
        while let Some(gap) = stop.run_until_cancelled(gaps.recv()).await {
            let Ok(gap) = gap else {
                // So far behind that the remaining gaps cover everything.
                continue;
            };
            let change = Change::Gap(gap.codes.to_vec());
            if let Err(error) = self.parts.changes.tell(&change).await {
                tracing::debug!(%error, "a gap of the live feed was not published");
            }
        }
    }

    /// Keeps the wanted codes equal to the watched codes.
    async fn follow(
        &self,
        wants: &watch::Sender<Arc<[Symbol]>>,
        mut room: watch::Receiver<Room>,
        stop: &CancellationToken,
    ) {
        let start = Instant::now();
        let options = self.parts.options;
        let mut places = Registrations::new(options.registrations);
        let mut known = Vec::new();
        let mut states = self
            .parts
            .candidate
            .as_ref()
            .map(|candidate| candidate.changes());
        loop {
            let is_on = self.is_on();
            if is_on {
                let reading = self.parts.watched.watched();
                match stop.run_until_cancelled(reading).await {
                    None => return,
                    Some(Ok(codes)) => known = codes,
                    Some(Err(error)) => {
                        tracing::debug!(%error, "the watched codes cannot be read; the feed keeps the last ones");
                    }
                }
                let Room { most, refused } = room.borrow_and_update().clone();
                places.limit(most);
                for code in &refused {
                    places.take_back(*code);
                }
                let mut streamed = known.clone();
                streamed.retain(|code| !refused.contains(code));
                places.follow(&streamed, start.elapsed());
            } else {
                places.clear();
            }
            let codes: Arc<[Symbol]> = places.codes().collect();
            wants.send_if_modified(|held| {
                let is_new = *held != codes;
                *held = codes;
                is_new
            });
            let pause = if is_on {
                options.look.min(LOOK)
            } else {
                LOOK_AGAIN
            };
            let again = Instant::now() + pause;
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(again) => {}
                changed = room.changed() => if changed.is_err() { return },
                // A process that loses leadership must release the app key to the new leader at
                // once.
                () = leadership::changed(&mut states) => {}
            }
        }
    }

    /// Whether this process should stream: it leads, and there are trades now.
    fn is_on(&self) -> bool {
        let leads = |candidate: &Arc<Candidate>| match candidate.post() {
            LeadState::Leads { taken, .. } => taken.elapsed() >= HANDOVER,
            LeadState::Follows(_) | LeadState::Unknown => false,
        };
        let is_session = |now: KrxTime| {
            let calendar = self.parts.calendar.load();
            let is_open = |at: Option<KrxTime>| at.is_some_and(|at| calendar.moment(at).is_open());
            is_open(now.checked_add_signed(BEFORE_OPEN))
                || is_open(now.checked_sub_signed(AFTER_CLOSE))
        };
        self.parts.candidate.as_ref().is_none_or(leads)
            && (self.parts.always_open || is_session((self.parts.clock)()))
    }

    /// Writes incoming trades and reports gaps.
    async fn take(
        &self,
        mut hears: mpsc::Receiver<Told>,
        says: &watch::Sender<Room>,
        stop: &CancellationToken,
    ) {
        let mut writer = Writer::new(self.parts.options.write_interval);
        let mut gaps = Gaps::default();
        loop {
            let due = writer.next_due(Instant::now());
            let due = due.into_iter().chain(gaps.next_due()).min();
            tokio::select! {
                () = stop.cancelled() => break,
                told = hears.recv() => {
                    let Some(told) = told else { break };
                    self.hear(told, &mut writer, &mut gaps, says);
                    for _ in 1..DRAINED {
                        let Ok(told) = hears.try_recv() else { break };
                        self.hear(told, &mut writer, &mut gaps, says);
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
            for gap in gaps.take_due(Instant::now()) {
                self.tell_gap(gap);
            }
            let batch = writer.take_due(Instant::now());
            self.write(batch, &mut writer).await;
        }
        // On stop, the last trade of each code is written regardless of the interval.
        let batch = writer.take_all();
        self.write(batch, &mut writer).await;
    }

    fn tell_gap(&self, gap: Gap) {
        let (reason, codes) = (gap.reason, gap.codes.len());
        tracing::info!(%reason, codes, "trades may have been missed; the prices are asked for");
        // Fails only if there is no listener.
        let _ = self.gaps.send(gap);
    }

    fn hear(&self, told: Told, writer: &mut Writer, gaps: &mut Gaps, says: &watch::Sender<Room>) {
        match told {
            Told::Tick(quote) if !self.can_have_happened(&quote) => {
                writer.dropped.out_of_session(&quote);
            }
            Told::Tick(quote) => writer.note(*quote),
            Told::Gap(gap) => {
                counter!("sise_feed_gaps_total", "reason" => gap.reason.slug()).increment(1);
                gaps.note(&gap, Instant::now());
            }
            Told::Registered(codes) => {
                if codes.is_empty() {
                    // The next session may have room for more codes, and for others.
                    says.send_replace(self.all_room());
                }
                (self.parts.registered)(&codes);
            }
            Told::Full(most) => {
                says.send_modify(|room| room.most = most.min(self.parts.options.registrations));
            }
            Told::Refused(code) => {
                says.send_modify(|room| {
                    room.refused.insert(code);
                });
            }
        }
    }

    /// Whether trades are possible at the time of this one; with `always_open` they always are.
    fn can_have_happened(&self, quote: &Quote) -> bool {
        self.parts.always_open || has_trades(&self.parts.calendar.load(), quote.timestamp)
    }

    async fn write(&self, batch: Vec<Quote>, writer: &mut Writer) {
        if batch.is_empty() {
            return;
        }
        let shelf = Shelf::Realtime(self.parts.options.ttl);
        match self.parts.store.write(&batch, shelf, None).await {
            Ok(written) => {
                let last = written.older.last().and_then(|place| batch.get(*place));
                if let Some(last) = last {
                    writer.dropped.older(written.older.len(), last.stock_code);
                }
                let batch = written.taken(batch);
                let written = u64::try_from(batch.len()).unwrap_or(u64::MAX);
                counter!("sise_feed_written_total").increment(written);
                (self.parts.observe)(&batch);
            }
            // Another process leads and has the same trades, or the prices are from another broker.
            Err(StoreError::Superseded { .. } | StoreError::OtherBroker { .. }) => writer.clear(),
            Err(error) => {
                tracing::debug!(%error, "trades were not written; trying again");
                writer.give_back(batch, Instant::now());
            }
        }
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("candidate", &self.candidate)
            .field("always_open", &self.always_open)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("options", &self.parts.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
