//! One pass over the list, or over some codes of it.
//!
//! Codes go to the source in batches, quotes go to the store, and every code is accounted for.

mod entry;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, field};

pub use sise_domain::Reason;
use sise_domain::{Calling, IndexQuote, KrxTime, Quote, Symbol};
use sise_port::{
    Answer, IndexStore, PriceStore, QuoteSource, Shelf, SourceError, StoreError, Tally, Urgency,
};

use sise_net::spans;
use sise_net::supervisor::seen;

/// Time that calls in flight get to finish after a stop.
const GRACE: Duration = Duration::from_secs(4);

/// Settings of a pass.
#[derive(Debug, Clone, Copy)]
pub struct SweepOptions {
    /// Codes per batch, if the source takes several in one call.
    pub batch_size: usize,
    /// Shortest time between the starts of two batches.
    pub batch_pause: Duration,
    /// Most batches in flight: enough that the limiter, not the round trip, sets the pace.
    pub in_flight: usize,
    /// Lifetime of a price.
    pub ttl: Duration,
}

/// How the prices of a pass are kept beyond their lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Prices from the first instant until the second are the close of the session.
    Close((KrxTime, KrxTime)),
    /// They are the last known prices, taken after the session of this day.
    LastKnown(NaiveDate),
}

impl Kept {
    /// Returns the shelf for a price fetched at `at`, or `None` if it is not kept.
    ///
    /// A price counts as the close only within its window: the pass may last into the evening
    /// session, or the clock may be set back into the regular session during it.
    fn shelf(self, at: KrxTime) -> Option<Shelf> {
        match self {
            Self::Close((from, until)) => (from <= at && at < until).then_some(Shelf::Close),
            Self::LastKnown(day) => Some(Shelf::LastKnown(day)),
        }
    }
}

/// The task of one pass.
#[derive(Debug, Clone)]
pub struct Task {
    /// The codes, in order.
    pub symbols: Vec<Symbol>,
    /// How its prices are kept beyond their lifetime; `None` if they are not.
    pub kept: Option<Kept>,
    /// The longest duration of the pass; codes left by then are reported as not reached.
    pub deadline: Duration,
    /// Priority of its calls.
    pub urgency: Urgency,
}

/// The result of one batch.
#[derive(Debug)]
pub struct Step<'a> {
    /// Quotes just written, or not written because the store already has a newer one.
    pub written: &'a [Quote],
    /// Codes settled so far.
    pub done: usize,
    /// Codes in the pass.
    pub total: usize,
    /// Priority of its calls.
    pub urgency: Urgency,
}

/// A code without a new price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The code.
    pub code: Symbol,
    /// The reason.
    pub reason: Reason,
    /// Details of what happened.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The account of one pass: each code is either `written` or in `missing`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Codes in the pass.
    pub universe: usize,
    /// Codes whose price was written.
    pub written: usize,
    /// Share written, 0 to 1.
    pub coverage: f64,
    /// Calls sent, including retries.
    pub calls: u64,
    /// Calls refused as over the rate limit.
    pub refused_calls: u64,
    /// Calls that were retries.
    pub retries: u64,
    /// Time from the first call to the last write, in milliseconds.
    pub elapsed_ms: u64,
    /// Codes without a new price, in the order of the list.
    pub missing: Vec<Missing>,
    /// Whether the pass was stopped.
    pub stopped: bool,
}

/// Makes passes from a source to a store.
#[derive(Clone)]
pub struct Sweeper {
    source: Arc<dyn QuoteSource>,
    store: Arc<dyn PriceStore>,
    /// Where the indices that come with a sweep are written; `None` to drop them.
    indices: Option<Arc<dyn IndexStore>>,
    options: SweepOptions,
}

/// The state of one code during a pass.
enum Standing {
    Written,
    Missing(Reason, String),
    /// Fetched, but the store failed; to be written again at the end.
    Unwritten(Box<Quote>, StoreError),
}

/// The state of one pass.
struct Pass<'a> {
    standings: HashMap<Symbol, Standing>,
    /// The newest index levels that came with the quotes.
    indices: Vec<IndexQuote>,
    tally: Tally,
    total: usize,
    urgency: Urgency,
    /// When the next batch may start.
    next_start: Instant,
    /// An error that makes further calls useless.
    hopeless: Option<SourceError>,
    stopped: bool,
    /// Whether the deadline has passed.
    is_late: bool,
    deadline: Instant,
    /// The kind of calls that the deadline is computed for.
    calling: Calling,
    observe: &'a (dyn Fn(Step<'_>) + Send + Sync),
}

impl Sweeper {
    /// Creates a sweeper that fetches from `source` and writes to `store`.
    #[must_use]
    pub fn new(
        source: Arc<dyn QuoteSource>,
        store: Arc<dyn PriceStore>,
        options: SweepOptions,
    ) -> Self {
        Self {
            source,
            store,
            indices: None,
            options,
        }
    }

    /// Returns the same sweeper, which also writes the indices that come with a sweep to `store`.
    #[must_use]
    pub fn keeping_indices(mut self, store: Arc<dyn IndexStore>) -> Self {
        self.indices = Some(store);
        self
    }

    /// Returns the same sweeper on another source, with up to `in_flight` batches in flight.
    #[must_use]
    pub fn on(mut self, source: Arc<dyn QuoteSource>, in_flight: usize) -> Self {
        self.source = source;
        self.options.in_flight = in_flight;
        self
    }

    /// Goes over the list once.
    ///
    /// `observe` is called after every batch; `stop` ends the pass within four seconds.
    pub async fn sweep(
        &self,
        task: &Task,
        observe: &(dyn Fn(Step<'_>) + Send + Sync),
        stop: &CancellationToken,
    ) -> Report {
        let span = tracing::info_span!(
            target: spans::TARGET, "sweep", urgency = ?task.urgency, codes = task.symbols.len(),
            written = field::Empty, calls = field::Empty
        );
        let report = self
            .pass(task, observe, stop)
            .instrument(span.clone())
            .await;
        span.record("written", report.written);
        span.record("calls", report.calls);
        report
    }

    async fn pass(
        &self,
        task: &Task,
        observe: &(dyn Fn(Step<'_>) + Send + Sync),
        stop: &CancellationToken,
    ) -> Report {
        let start = Instant::now();
        let mut pass = Pass {
            standings: HashMap::with_capacity(task.symbols.len()),
            indices: Vec::new(),
            tally: Tally::default(),
            total: task.symbols.len(),
            urgency: task.urgency,
            next_start: start,
            hopeless: None,
            stopped: false,
            is_late: false,
            deadline: start + task.deadline,
            calling: self.source.calling(),
            observe,
        };
        self.go(&mut pass, &task.symbols, task, stop).await;
        // Ask once more, but only for codes that a short or partly bad answer left out.
        let again = pass.deserving_another_call(&task.symbols);
        let size = self.source.calling().codes_a_call(self.options.batch_size);
        pass.tally.retries += u64::try_from(again.len().div_ceil(size)).unwrap_or(0);
        self.go(&mut pass, &again, task, stop).await;
        self.write_again(&mut pass, &task.symbols, task.kept).await;
        self.write_indices(&pass.indices, task.kept).await;
        pass.report(&task.symbols, start.elapsed())
    }

    /// Fetches `symbols` in batches, several in flight.
    async fn go(
        &self,
        pass: &mut Pass<'_>,
        symbols: &[Symbol],
        task: &Task,
        stop: &CancellationToken,
    ) {
        let mut left = symbols;
        let mut in_flight = JoinSet::new();
        loop {
            let may_start = !pass.stopped
                && !pass.is_late
                && pass.hopeless.is_none()
                && !left.is_empty()
                && in_flight.len() < self.options.in_flight;
            if !may_start && in_flight.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                () = stop.cancelled(), if !pass.stopped => {
                    pass.stopped = true;
                    pass.deadline = pass.deadline.min(Instant::now() + GRACE);
                }
                () = sleep_until(pass.deadline) => {
                    // Codes that are cut off here are reported as not reached.
                    in_flight.shutdown().await;
                    pass.is_late = true;
                    return;
                }
                () = self.may_begin(pass.next_start, task.urgency), if may_start => {
                    // Read anew each time, as the broker may start to refuse the multi-price call
                    // half way.
                    let calling = self.source.calling();
                    let size = calling.codes_a_call(self.options.batch_size);
                    if pass.calling == Calling::Multi && calling == Calling::Single {
                        // The pass needs that many times as many calls, and as much more time.
                        let factor = u32::try_from(self.options.batch_size).unwrap_or(u32::MAX);
                        let left = pass.deadline.saturating_duration_since(Instant::now());
                        pass.deadline += left.saturating_mul(factor.saturating_sub(1));
                        pass.calling = calling;
                    }
                    let size = self.batch_length(left.len(), size, task.urgency);
                    let (batch, rest) = left.split_at(size);
                    let (kept, urgency) = (task.kept, task.urgency);
                    let codes = batch.len();
                    let batch = self.clone().batch(batch.to_vec(), kept, urgency);
                    let span = tracing::info_span!(target: spans::TARGET, "batch", codes);
                    in_flight.spawn(seen("batch", batch.instrument(span)));
                    left = rest;
                    // Counted from now: batches missed during a stall are not made up for.
                    pass.next_start = Instant::now() + self.options.batch_pause;
                }
                Some(done) = in_flight.join_next() => {
                    match done {
                        Ok(batch) => pass.absorb(batch),
                        Err(error) => tracing::error!(%error, "a batch broke off"),
                    }
                }
            }
        }
    }

    /// Waits until the next batch may begin.
    ///
    /// The pause must be kept between calls. Batches that begin while they wait for a token or for
    /// the rate limiter would all go out together.
    async fn may_begin(&self, start: Instant, urgency: Urgency) {
        reached(start).await;
        if !self.options.batch_pause.is_zero() {
            // If nothing can be asked for, the batch fails and reports it.
            let _ = self.source.ready(urgency).await;
        }
    }

    /// Returns the number of codes in the next batch, if `left` are left and a call takes `size`.
    ///
    /// The last batch of a sweep leaves room for the indices. If it would be full, there is one
    /// more.
    fn batch_length(&self, left: usize, size: usize, urgency: Urgency) -> usize {
        let room = match urgency {
            Urgency::Sweep if self.indices.is_some() => self.source.places_for_indices(),
            _ => 0,
        };
        let with_room = Calling::MOST_CODES.saturating_sub(room).max(1);
        if left <= size && left > with_room {
            with_room
        } else {
            size.min(left)
        }
    }

    async fn write_indices(&self, indices: &[IndexQuote], kept: Option<Kept>) {
        let Some(store) = self.indices.as_ref().filter(|_| !indices.is_empty()) else {
            return;
        };
        // Failures are not retried: the levels expire on their own, and the next pass brings new
        // ones.
        let realtime = Shelf::Realtime(self.options.ttl);
        if let Err(error) = store.write_indices(indices, realtime, None).await {
            tracing::debug!(%error, "the indices were not written");
        }
        let shelf = |index: &IndexQuote| kept?.shelf(index.fetched_at);
        for index in indices {
            if let Some(shelf) = shelf(index)
                && let Err(error) = store
                    .write_indices(std::slice::from_ref(index), shelf, None)
                    .await
            {
                tracing::warn!(%error, "the last level of {} was not kept", index.index);
            }
        }
    }

    async fn batch(self, symbols: Vec<Symbol>, kept: Option<Kept>, urgency: Urgency) -> Batch {
        let answers = self.source.quotes(&symbols, urgency).await;
        let mut quotes = Vec::with_capacity(symbols.len());
        let mut others = Vec::new();
        for (symbol, answer) in answers.answers {
            match answer {
                Answer::Quote(quote) => quotes.push(*quote),
                other => others.push((symbol, other)),
            }
        }
        let written = self.write(&quotes, kept).await;
        Batch {
            quotes,
            indices: answers.indices,
            written,
            others,
            tally: answers.tally,
        }
    }

    async fn write(&self, quotes: &[Quote], kept: Option<Kept>) -> Result<(), StoreError> {
        // If the store has a newer price, the sweep counts the code as written too.
        let realtime = Shelf::Realtime(self.options.ttl);
        self.store.write(quotes, realtime, None).await?;
        if let Some(kept) = kept {
            let shelf = |quote: &Quote| kept.shelf(quote.fetched_at);
            let closes: Vec<Quote> = quotes
                .iter()
                .filter(|q| shelf(q).is_some())
                .cloned()
                .collect();
            if let Some(shelf) = closes.first().and_then(shelf) {
                self.store.write(&closes, shelf, None).await?;
            }
        }
        Ok(())
    }

    async fn write_again(&self, pass: &mut Pass<'_>, symbols: &[Symbol], kept: Option<Kept>) {
        let unwritten: Vec<Quote> = symbols
            .iter()
            .filter_map(|symbol| match pass.standings.get(symbol)? {
                Standing::Unwritten(quote, _) => Some(Quote::clone(quote)),
                Standing::Written | Standing::Missing(..) => None,
            })
            .collect();
        for quotes in unwritten.chunks(self.options.batch_size.max(1)) {
            if self.write(quotes, kept).await.is_err() {
                // The store is still unreachable, so the rest would fail too.
                return;
            }
            pass.settle_written(quotes);
        }
    }
}

/// The outcome of one batch.
struct Batch {
    quotes: Vec<Quote>,
    indices: Vec<IndexQuote>,
    written: Result<(), StoreError>,
    others: Vec<(Symbol, Answer)>,
    tally: Tally,
}

impl Pass<'_> {
    fn absorb(&mut self, batch: Batch) {
        self.tally.add(batch.tally);
        for new in batch.indices {
            self.take_index(new);
        }
        for (symbol, answer) in batch.others {
            let (reason, detail) = match answer {
                Answer::Unknown => (Reason::Unknown, String::new()),
                Answer::Refused(why) => (Reason::Refused, why),
                Answer::Failed(error) => {
                    let said = error.to_string();
                    if matches!(error, SourceError::Denied(_) | SourceError::Banned(_)) {
                        self.hopeless = Some(error);
                    }
                    (Reason::NotReached, said)
                }
                Answer::Quote(_) => continue,
            };
            self.standings
                .insert(symbol, Standing::Missing(reason, detail));
        }
        match batch.written {
            Ok(()) => self.settle_written(&batch.quotes),
            Err(error) => {
                for quote in batch.quotes {
                    let symbol = quote.stock_code;
                    let standing = Standing::Unwritten(Box::new(quote), error.clone());
                    self.standings.insert(symbol, standing);
                }
            }
        }
    }

    /// Keeps the newest level of each index: batches may end in any order.
    fn take_index(&mut self, new: IndexQuote) {
        match self.indices.iter_mut().find(|held| held.index == new.index) {
            Some(held) if held.fetched_at > new.fetched_at => {}
            Some(held) => *held = new,
            None => self.indices.push(new),
        }
    }

    fn settle_written(&mut self, quotes: &[Quote]) {
        for quote in quotes {
            self.standings.insert(quote.stock_code, Standing::Written);
        }
        (self.observe)(Step {
            written: quotes,
            done: self.standings.len(),
            total: self.total,
            urgency: self.urgency,
        });
    }

    /// Whether the broker answered for most of the list.
    ///
    /// If not, asking once more would only take calls from the next pass.
    fn was_mostly_answered(&self) -> bool {
        let failed =
            |standing: &&Standing| matches!(standing, Standing::Missing(Reason::NotReached, _));
        self.standings.values().filter(failed).count() * 2 < self.total
    }

    /// Returns the codes that a short, bad or failed answer left out.
    fn deserving_another_call(&self, symbols: &[Symbol]) -> Vec<Symbol> {
        if self.stopped || self.is_late || self.hopeless.is_some() {
            return Vec::new();
        }
        let also_failed = self.was_mostly_answered();
        let deserves = |symbol: &Symbol| match self.standings.get(symbol) {
            Some(Standing::Missing(Reason::NotReached, _)) | None => also_failed,
            Some(Standing::Missing(..)) => true,
            Some(Standing::Written | Standing::Unwritten(..)) => false,
        };
        symbols.iter().copied().filter(deserves).collect()
    }

    fn report(mut self, symbols: &[Symbol], elapsed: Duration) -> Report {
        let never = match (&self.hopeless, self.stopped) {
            (Some(error), _) => error.to_string(),
            (None, true) => SourceError::Stopped.to_string(),
            (None, false) if self.is_late => "the pass took too long and was ended".to_owned(),
            (None, false) => "no answer".to_owned(),
        };
        let mut missing = Vec::new();
        let mut written = 0;
        for symbol in symbols {
            let (reason, detail) = match self.standings.remove(symbol) {
                Some(Standing::Written) => {
                    written += 1;
                    continue;
                }
                Some(Standing::Missing(reason, detail)) => (reason, detail),
                Some(Standing::Unwritten(_, error)) => (Reason::NotStored, error.to_string()),
                None => (Reason::NotReached, never.clone()),
            };
            missing.push(Missing {
                code: *symbol,
                reason,
                detail,
            });
        }
        Report {
            universe: symbols.len(),
            written,
            coverage: share(written, symbols.len()),
            calls: self.tally.calls,
            refused_calls: self.tally.refused_calls,
            retries: self.tally.retries,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            missing,
            stopped: self.stopped,
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of codes are far below 2^52"
)]
pub(crate) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}

impl Report {
    /// Returns the number of missing codes for each reason.
    #[must_use]
    pub fn missing_by_reason(&self) -> Vec<(Reason, usize)> {
        let counted = Reason::ALL.map(|reason| {
            let count = self.missing.iter().filter(|m| m.reason == reason).count();
            (reason, count)
        });
        let found = counted.into_iter().filter(|(_, count)| *count > 0);
        found.collect()
    }
}

impl fmt::Debug for Sweeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweeper")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Waits for `start`.
///
/// The timer has a resolution of a millisecond, and would delay even a start that is already due.
async fn reached(start: Instant) {
    if Instant::now() < start {
        sleep_until(start).await;
    }
}

#[cfg(test)]
mod tests;
