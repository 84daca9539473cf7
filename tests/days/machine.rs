//! A simulated machine: a runtime of its own, whose clock moves only when the world lets it.
//!
//! A runtime with paused time moves its clock to the next timer whenever it has nothing left to
//! do. [`Machine::run`] stops it right there, before it does anything at that new time, so that
//! the world always runs the machine whose next moment is the earliest. A machine that is killed
//! is dropped with all its tasks; one that is frozen is not run, and finds its timers late.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::task::AtomicWaker;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep};

use super::timeline::{Timeline, micros};

/// Longer than any day: a runtime without a timer would wait for ever.
const FOR_EVER: Duration = Duration::from_secs(10 * 24 * 3_600);

pub(crate) struct Machine {
    runtime: Runtime,
    gate: Arc<Gate>,
    /// When it has something to do again.
    next: Duration,
    work: JoinHandle<()>,
}

/// Where a run of a machine ends.
struct Gate {
    timeline: Arc<Timeline>,
    born: Duration,
    started: OnceLock<Instant>,
    /// Microseconds: the run began here, and ends before this.
    from: AtomicU64,
    horizon: AtomicU64,
    main: AtomicWaker,
}

impl Gate {
    fn local(&self) -> Duration {
        self.born + self.started.get().map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Called whenever the runtime comes out of its idleness, its clock moved or not.
    fn unparked(&self) {
        let local = micros(self.local());
        if local <= self.from.load(Ordering::Relaxed) {
            return;
        }
        let horizon = self.horizon.load(Ordering::Relaxed);
        if local >= horizon.min(self.timeline.next_effect()) {
            self.main.wake();
        } else {
            self.timeline.move_to(local);
        }
    }
}

impl Machine {
    /// A machine that does `work` from now on.
    pub(crate) fn start(
        timeline: &Arc<Timeline>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let born = timeline.now();
        let gate = Arc::new(Gate {
            timeline: Arc::clone(timeline),
            born,
            started: OnceLock::new(),
            from: AtomicU64::new(0),
            horizon: AtomicU64::new(0),
            main: AtomicWaker::new(),
        });
        let unparked = Arc::clone(&gate);
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .on_thread_unpark(move || unparked.unparked())
            .build()
            .unwrap();
        let entered = runtime.enter();
        gate.started.set(Instant::now()).unwrap();
        drop(entered);
        runtime.spawn(async { sleep(FOR_EVER).await });
        let work = runtime.spawn(work);
        Self {
            runtime,
            gate,
            next: born,
            work,
        }
    }

    /// When it has something to do again.
    pub(crate) fn next(&self) -> Duration {
        self.next
    }

    /// Runs it from its next moment up to `horizon`, or to the next effect of the world.
    pub(crate) fn run(&mut self, horizon: Duration) {
        let gate = &self.gate;
        gate.timeline.move_to(micros(self.next));
        gate.from.store(micros(self.next), Ordering::Relaxed);
        gate.horizon.store(micros(horizon), Ordering::Relaxed);
        let mut is_first = true;
        self.runtime.block_on(poll_fn(|context| {
            gate.main.register(context.waker());
            match std::mem::take(&mut is_first) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        }));
        let entered = self.runtime.enter();
        self.next = gate.local();
        drop(entered);
    }

    /// It was not run until `at`: its clock stands there now, and its timers are late.
    pub(crate) fn thaw(&mut self, at: Duration) {
        let late = at.saturating_sub(self.next);
        let entered = self.runtime.enter();
        let _ = advance(late).now_or_never();
        drop(entered);
        self.next += late;
    }

    /// Whether its work is over.
    pub(crate) fn is_done(&self) -> bool {
        self.work.is_finished()
    }
}
