//! The event log of this process: a queue that never blocks, and a task that writes it to the
//! store.
//!
//! While the store is unreachable the newest entries are kept here and written later. Entries that
//! do not fit are counted, and the count becomes an entry too.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::counter;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use sise_domain::{Entry, Event, KrxTime};
use sise_net::supervisor::Tasks;
use sise_port::clock::Clock;
use sise_port::{Journal, Place, Recorder};

/// Capacity of the queue between two reads of the writing task.
const QUEUE: usize = 1_024;

/// Maximum number of entries kept while the store is unreachable.
const KEPT: usize = 1_000;

/// First and last back-off pause between attempts; half of each is jitter.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// Longest time to write what is left after the stop.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The sending end of the queue.
pub struct EventQueue {
    queue: mpsc::Sender<(KrxTime, Event)>,
    lost: Arc<AtomicU64>,
    clock: Clock,
}

/// The receiving end of the queue.
pub struct Notes {
    queue: mpsc::Receiver<(KrxTime, Event)>,
    lost: Arc<AtomicU64>,
}

/// Creates a queue of events, timed by `clock`.
#[must_use]
pub fn event_queue(clock: Clock) -> (EventQueue, Notes) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let lost = Arc::new(AtomicU64::new(0));
    let event_queue = EventQueue {
        queue: sender,
        lost: Arc::clone(&lost),
        clock,
    };
    let notes = Notes {
        queue: receiver,
        lost,
    };
    (event_queue, notes)
}

impl Recorder for EventQueue {
    fn note(&self, event: Event) {
        if self.queue.try_send(((self.clock)(), event)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            counter!("sise_journal_lost_total").increment(1);
        }
    }
}

/// Writes queued events to the event log.
pub struct EventWriter {
    notes: Notes,
    journal: Arc<dyn Journal>,
    process: String,
    clock: Clock,
    pages: VecDeque<Page>,
    last_number: u64,
    pause: Duration,
    is_away: bool,
}

/// An entry that is still to be written, or may still grow.
struct Page {
    entry: Entry,
    place: Option<Place>,
    is_written: bool,
    may_grow: bool,
}

impl EventWriter {
    /// Creates a writer that writes `notes` to `journal` as entries of `process`.
    #[must_use]
    pub fn new(notes: Notes, journal: Arc<dyn Journal>, process: String, clock: Clock) -> Self {
        let [pause, _] = AGAIN;
        Self {
            notes,
            journal,
            process,
            clock,
            pages: VecDeque::new(),
            last_number: 0,
            pause,
            is_away: false,
        }
    }

    /// Writes under `tasks` until they stop, and then writes what is left.
    pub fn start(self, tasks: &Tasks) {
        // Shared, so that the state survives a run that was interrupted.
        let this = Arc::new(Mutex::new(self));
        tasks.lasting("journal", move |stop| {
            let this = Arc::clone(&this);
            async move { this.lock().await.run(stop).await }
        });
    }

    async fn run(&mut self, stop: CancellationToken) {
        let mut again = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some((at, event)) = self.notes.queue.recv() => self.take(at, event),
                () = sleep_until(again), if self.has_unwritten() => {
                    again = Instant::now() + self.write(Some(&stop)).await;
                }
            }
        }
        while let Ok((at, event)) = self.notes.queue.try_recv() {
            self.take(at, event);
        }
        if timeout(LAST_WORDS, self.write(None)).await.is_err() || self.has_unwritten() {
            let count = self.pages.iter().filter(|page| !page.is_written).count();
            tracing::warn!(count, "entries of the event log could not be written");
        }
    }

    /// Writes what is queued, and ends.
    pub async fn close(mut self) {
        let stop = CancellationToken::new();
        stop.cancel();
        self.run(stop).await;
    }

    fn has_unwritten(&self) -> bool {
        self.pages.iter().any(|page| !page.is_written)
    }

    /// Adds an entry for an event, or extends an earlier one.
    fn take(&mut self, at: KrxTime, event: Event) {
        for page in self.pages.iter_mut().rev().filter(|page| page.may_grow) {
            if page.entry.absorb(at, &event) {
                page.is_written = false;
                return;
            }
            page.may_grow = !page.entry.ends_with(&event);
        }
        self.last_number += 1;
        let entry = Entry::new(self.process.clone(), self.last_number, at, event);
        self.pages.push_back(Page {
            may_grow: entry.may_grow(),
            entry,
            place: None,
            is_written: false,
        });
        self.pages.retain(|page| page.may_grow || !page.is_written);
        if self.pages.len() > KEPT
            && let Some(Page {
                is_written: false, ..
            }) = self.pages.pop_front()
        {
            self.notes.lost.fetch_add(1, Ordering::Relaxed);
            counter!("sise_journal_lost_total").increment(1);
        }
    }

    /// Writes entries until `stop` or an error; returns when to try again.
    async fn write(&mut self, stop: Option<&CancellationToken>) -> Duration {
        let [first, last] = AGAIN;
        for page in self.pages.iter_mut().filter(|page| !page.is_written) {
            // Only between entries: one that is interrupted would be written twice.
            if stop.is_some_and(CancellationToken::is_cancelled) {
                return Duration::ZERO;
            }
            match self.journal.append(&page.entry, page.place.as_ref()).await {
                Ok(place) => {
                    page.place = Some(place);
                    page.is_written = true;
                    self.pause = first;
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_away, true) {
                        tracing::warn!(%error, "the event log cannot be written; the newest {KEPT} entries are kept");
                    }
                    let pause = self.pause.mul_f64(1.0 - fastrand::f64() / 2.0);
                    self.pause = (self.pause * 2).min(last);
                    return pause;
                }
            }
        }
        self.pages.retain(|page| page.may_grow);
        if std::mem::take(&mut self.is_away) {
            tracing::info!("the event log is being written again");
        }
        let count = self.notes.lost.swap(0, Ordering::Relaxed);
        if count > 0 {
            self.take((self.clock)(), Event::Lost { count });
        }
        Duration::ZERO
    }
}

impl fmt::Debug for EventQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventQueue")
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notes")
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EventWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWriter")
            .field("process", &self.process)
            .field("pages", &self.pages.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
