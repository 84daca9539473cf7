//! The live feed: the trades of the watched codes go to the store as they happen, and where some
//! may have been missed the codes are named, so that their prices are asked for at once.

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

use crate::leadership::{Candidate, Post};
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

/// Trades that wait to be written at most: a second of the busiest codes.
const QUEUE: usize = 4_096;

/// Trades taken from the queue at once.
const DRAINED: usize = 512;

/// Gaps that a listener may be behind; who is further behind hears that it is.
const GAPS: usize = 64;

/// How often it is looked whether there is to be a feed, and of which codes, at the most.
const LOOK: Duration = Duration::from_secs(5);

/// A leader leaves the app key's only session to the next for so long: who connects before it is
/// closed is locked out for a minute.
const HANDOVER: Duration = Duration::from_secs(2);

/// While there is no feed it is looked this often whether there is to be one.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Registering takes a few seconds, which are better before the open than after it.
const BEFORE_OPEN: TimeDelta = TimeDelta::seconds(30);

/// The closing cross may come up to half a minute late.
const AFTER_CLOSE: TimeDelta = TimeDelta::seconds(60);

/// Told of quotes that were written just now.
pub type Observe = Arc<dyn Fn(&[Quote]) + Send + Sync>;

/// Told which codes are streamed now.
pub type Registered = Arc<dyn Fn(&[Symbol]) + Send + Sync>;

/// How the feed works.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Codes that are streamed at most.
    pub registrations: usize,
    /// Least time between two writes of one code; zero writes every trade.
    pub write_interval: Duration,
    /// How often the watched codes are looked up.
    pub look: Duration,
    /// Life of a price.
    pub ttl: Duration,
}

/// What a feed works with.
pub struct Parts {
    /// Where trades come from.
    pub source: Arc<dyn TickSource>,
    /// Where their prices go, as the leader's where there is one.
    pub store: Arc<dyn PriceStore>,
    /// Which codes are wanted.
    pub watched: Arc<dyn WatchedCodes>,
    /// This process among those that may lead; `None` where it is alone.
    pub candidate: Option<Arc<Candidate>>,
    /// Says whether there are trades.
    pub calendar: Arc<ArcSwap<Calendar>>,
    /// Tells the time.
    pub clock: Clock,
    /// The calendar is not asked.
    pub always_open: bool,
    /// How it works.
    pub manner: Manner,
    /// Told of gaps, for all who follow the store.
    pub changes: Arc<dyn Changes>,
    /// Told of what is written.
    pub observe: Observe,
    /// Told which codes are live.
    pub registered: Registered,
}

/// What the broker makes room for.
#[derive(Debug, Clone)]
struct Room {
    /// Codes at most.
    most: usize,
    /// Codes that it does not stream in this session: others get their places.
    refused: BTreeSet<Symbol>,
}

/// Follows the watched codes.
pub struct Feed {
    parts: Parts,
    gaps: broadcast::Sender<Gap>,
}

impl Feed {
    /// A feed of `parts`.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            gaps: broadcast::Sender::new(GAPS),
        }
    }

    /// Where gaps are told from now on.
    #[must_use]
    pub fn gaps(&self) -> broadcast::Receiver<Gap> {
        self.gaps.subscribe()
    }

    /// Works under `tasks`.
    pub fn start(self, tasks: &Tasks) {
        let this = Arc::new(self);
        tasks.lasting("feed", move |stop| Arc::clone(&this).run(stop));
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), String> {
        // Nothing is streamed yet, whatever a run that broke off had.
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
            most: self.parts.manner.registrations,
            refused: BTreeSet::new(),
        }
    }

    /// Tells of gaps whoever follows the store, in any process.
    async fn tell_gaps(&self, mut gaps: broadcast::Receiver<Gap>, stop: &CancellationToken) {
        while let Some(gap) = stop.run_until_cancelled(gaps.recv()).await {
            let Ok(gap) = gap else {
                // Behind by so many that those which are left say it all.
                continue;
            };
            let change = Change::Gap(gap.codes.to_vec());
            if let Err(error) = self.parts.changes.tell(&change).await {
                tracing::debug!(%error, "a gap of the live feed is not told of");
            }
        }
    }

    /// Keeps what is wanted at the watched codes.
    async fn follow(
        &self,
        wants: &watch::Sender<Arc<[Symbol]>>,
        mut room: watch::Receiver<Room>,
        stop: &CancellationToken,
    ) {
        let start = Instant::now();
        let manner = self.parts.manner;
        let mut places = Registrations::new(manner.registrations);
        let mut known = Vec::new();
        let mut posts = self
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
                        tracing::debug!(%error, "the watched codes cannot be read; the feed goes on with the last ones");
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
                manner.look.min(LOOK)
            } else {
                LOOK_AGAIN
            };
            let again = Instant::now() + pause;
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(again) => {}
                changed = room.changed() => if changed.is_err() { return },
                // Who leads no more leaves the app key to who does, at once.
                () = changed(&mut posts) => {}
            }
        }
    }

    /// Whether this process is to stream: it leads, and there are trades.
    fn is_on(&self) -> bool {
        let leads = |candidate: &Arc<Candidate>| match candidate.post() {
            Post::Leads { taken, .. } => taken.elapsed() >= HANDOVER,
            Post::Follows(_) | Post::Unknown => false,
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

    /// Writes what comes, and tells of gaps.
    async fn take(
        &self,
        mut hears: mpsc::Receiver<Told>,
        says: &watch::Sender<Room>,
        stop: &CancellationToken,
    ) {
        let mut writer = Writer::new(self.parts.manner.write_interval);
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
        // The last trade of each code is worth a write, whatever the interval.
        let batch = writer.take_all();
        self.write(batch, &mut writer).await;
    }

    fn tell_gap(&self, gap: Gap) {
        let (reason, codes) = (gap.reason, gap.codes.len());
        tracing::info!(%reason, codes, "trades may have been missed; the prices are asked for");
        // Nobody may be there to hear it.
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
                    // There may be room for more, and for others, in the next session.
                    says.send_replace(self.all_room());
                }
                (self.parts.registered)(&codes);
            }
            Told::Full(most) => {
                says.send_modify(|room| room.most = most.min(self.parts.manner.registrations));
            }
            Told::Refused(code) => {
                says.send_modify(|room| {
                    room.refused.insert(code);
                });
            }
        }
    }

    /// Whether there are trades at the time of this one. A trial takes them at any.
    fn can_have_happened(&self, quote: &Quote) -> bool {
        self.parts.always_open || has_trades(&self.parts.calendar.load(), quote.timestamp)
    }

    async fn write(&self, batch: Vec<Quote>, writer: &mut Writer) {
        if batch.is_empty() {
            return;
        }
        let shelf = Shelf::Realtime(self.parts.manner.ttl);
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
            // Another process leads, and its trades are as new; or the prices are of another broker.
            Err(StoreError::Superseded { .. } | StoreError::OtherBroker { .. }) => writer.clear(),
            Err(error) => {
                tracing::debug!(%error, "trades were not written; the next ones will be");
                writer.give_back(batch, Instant::now());
            }
        }
    }
}

/// Waits for a change of the lead; for ever where nobody else can lead.
async fn changed(posts: &mut Option<watch::Receiver<Post>>) {
    if let Some(posts) = posts
        && posts.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("candidate", &self.candidate)
            .field("always_open", &self.always_open)
            .field("manner", &self.manner)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("manner", &self.parts.manner)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
