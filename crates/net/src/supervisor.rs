//! Supervised tasks of a process. Each task has a name, a grace time, and a rule for what its end
//! means. No task ends or panics unnoticed.
//!
//! | kind | if it ends on its own | use it for |
//! |---|---|---|
//! | [`Tasks::vital`] | the process ends with an error | work that everything depends on and that cannot restart |
//! | [`Tasks::lasting`] | it restarts, after a growing pause | loops |
//! | [`Tasks::brief`] | expected; an error or a panic is logged | work that ends by itself |
//!
//! Tasks are told to stop by a token. Each then has its grace time to finish, after which it is cut
//! off. With a grace of zero it is cut off at once.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use metrics::counter;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time a task has to finish after a stop, unless set otherwise.
pub const GRACE: Duration = Duration::from_secs(5);

/// Pauses before a task restarts, growing from the first to the last, each shortened by up to half
/// at random.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// After running this long a task is healthy, and its next pause is the first one again.
const WELL: Duration = Duration::from_secs(60);

/// The tasks of a process, or of a part of it. Dropping it tells them to stop.
#[derive(Debug)]
pub struct Supervisor {
    tasks: Tasks,
}

/// Starts tasks. A cheap handle.
#[derive(Clone)]
pub struct Tasks {
    shared: Arc<Shared>,
    stop: CancellationToken,
    grace: Duration,
}

struct Shared {
    tracker: TaskTracker,
    cut: CancellationToken,
    standing: Mutex<BTreeMap<&'static str, Standing>>,
    failed: watch::Sender<Option<TaskEnded>>,
}

/// State of the task of one name.
#[derive(Clone)]
struct Standing {
    begun: u64,
    is_running: bool,
    breaks: Arc<Notify>,
}

/// A vital task that ended before the stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the task `{task}` {trouble}")]
pub struct TaskEnded {
    /// Name of the task.
    pub task: &'static str,
    /// What happened to it.
    pub trouble: String,
}

/// Output of a task: nothing, or a result.
pub trait Outcome: Send {
    /// Returns what went wrong, if anything did.
    fn trouble(self) -> Option<String>;
}

impl Outcome for () {
    fn trouble(self) -> Option<String> {
        None
    }
}

impl<E: Display + Send> Outcome for Result<(), E> {
    fn trouble(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

/// How one run of a task ended.
enum End {
    Done,
    Failed(String),
    Panicked(String),
}

impl Supervisor {
    /// Creates a supervisor without tasks. They are told to stop by `stop`, which is also cancelled
    /// when the supervisor is dropped.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        let shared = Shared {
            tracker: TaskTracker::new(),
            cut: CancellationToken::new(),
            standing: Mutex::default(),
            failed: watch::Sender::new(None),
        };
        Self {
            tasks: Tasks {
                shared: Arc::new(shared),
                stop,
                grace: GRACE,
            },
        }
    }

    /// Returns the handle that starts tasks of this supervisor.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Waits for the first vital task that ends before the stop.
    pub async fn failed(&self) -> TaskEnded {
        let mut failed = self.tasks.shared.failed.subscribe();
        if let Ok(ended) = failed.wait_for(Option::is_some).await
            && let Some(ended) = ended.clone()
        {
            return ended;
        }
        std::future::pending().await
    }

    /// Cuts all tasks off at once, as the end of the process would.
    pub fn cut_off(&self) {
        self.tasks.shared.cut.cancel();
    }

    /// Tells all tasks to stop, and waits until each has finished or its grace is over.
    pub async fn finish(self) {
        self.tasks.stop.cancel();
        self.tasks.shared.tracker.close();
        self.tasks.shared.tracker.wait().await;
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new(CancellationToken::new())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.tasks.stop.cancel();
    }
}

impl Tasks {
    /// Returns a handle for tasks that are told to stop by `stop`.
    #[must_use]
    pub fn until(&self, stop: &CancellationToken) -> Self {
        Self {
            stop: stop.clone(),
            ..self.clone()
        }
    }

    /// Returns a handle for tasks with this grace. With zero they are cut off at the stop.
    #[must_use]
    pub fn within(&self, grace: Duration) -> Self {
        Self {
            grace,
            ..self.clone()
        }
    }

    /// Returns the token that tells the tasks to stop.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Starts a task that ends the process if it ends before the stop.
    pub fn vital<F>(&self, task: &'static str, work: F)
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        let tasks = self.clone();
        let breaks = self.begins(task);
        self.track(async move {
            let end = tasks.run(work, &breaks).await;
            tasks.ends(task);
            if tasks.stop.is_cancelled() {
                return end.say_after_stop(task);
            }
            let trouble = end.unasked();
            count(task);
            tracing::error!(task, "the task {trouble}: the process ends");
            tasks.shared.failed.send_if_modified(|failed| {
                let is_first = failed.is_none();
                failed.get_or_insert(TaskEnded { task, trouble });
                is_first
            });
        });
    }

    /// Starts a task that restarts, with a future from `begin`, whenever it ends before the stop.
    pub fn lasting<F>(
        &self,
        task: &'static str,
        mut begin: impl FnMut(CancellationToken) -> F + Send + 'static,
    ) where
        F: Future<Output: Outcome> + Send + 'static,
    {
        let tasks = self.clone();
        let mut breaks = self.begins(task);
        self.track(async move {
            let [first, longest] = AGAIN;
            let mut pause = first;
            loop {
                let began = Instant::now();
                // `begin` may panic as well as the future it returns.
                let made = std::panic::catch_unwind(AssertUnwindSafe(|| begin(tasks.stop.clone())));
                let end = match made {
                    Ok(work) => tasks.run(work, &breaks).await,
                    Err(panic) => End::Panicked(words(&*panic)),
                };
                tasks.ends(task);
                if tasks.stop.is_cancelled() {
                    return end.say_after_stop(task);
                }
                if began.elapsed() >= WELL {
                    pause = first;
                }
                let trouble = end.unasked();
                count(task);
                let wait = pause.mul_f64(1.0 - fastrand::f64() / 2.0);
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                tracing::error!(task, wait_ms, "the task {trouble}: it restarts");
                if tasks.stop.run_until_cancelled(sleep(wait)).await.is_none() {
                    return;
                }
                pause = (pause * 2).min(longest);
                breaks = tasks.begins(task);
            }
        });
    }

    /// Starts a task that ends by itself. It is cut off if it is still running at the end of its
    /// grace.
    pub fn brief<F>(&self, task: &'static str, work: F)
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        let tasks = self.clone();
        let breaks = self.begins(task);
        self.track(async move {
            let end = tasks.run(work, &breaks).await;
            tasks.ends(task);
            match end {
                End::Done => {}
                End::Failed(_) | End::Panicked(_) => {
                    count(task);
                    let trouble = end.unasked();
                    tracing::error!(task, "the task {trouble}");
                }
            }
        });
    }

    /// Returns the running tasks, and how often each has started.
    #[must_use]
    pub fn running(&self) -> BTreeMap<&'static str, u64> {
        let standing = self.shared.standing();
        let running = standing.iter().filter(|(_, task)| task.is_running);
        running.map(|(name, task)| (*name, task.begun)).collect()
    }

    /// Makes the running task of a name panic, to show how its end is handled.
    pub fn break_off(&self, task: &str) {
        if let Some(standing) = self.shared.standing().get(task) {
            standing.breaks.notify_one();
        }
    }

    fn track(&self, keeper: impl Future<Output = ()> + Send + 'static) {
        let cut = self.shared.cut.clone();
        let work = async move { cut.run_until_cancelled_owned(keeper).await };
        self.shared.tracker.spawn(work);
    }

    /// Runs `work` until it ends, or until its grace after the stop is over.
    async fn run<F>(&self, work: F, breaks: &Notify) -> End
    where
        F: Future<Output: Outcome>,
    {
        let breaking = async {
            breaks.notified().await;
            resume_unwind(Box::new("broken off"))
        };
        let work = async {
            tokio::select! {
                outcome = work => outcome.trouble(),
                () = breaking => None,
            }
        };
        let late = async {
            self.stop.cancelled().await;
            sleep(self.grace).await;
        };
        tokio::select! {
            biased;
            end = AssertUnwindSafe(work).catch_unwind() => match end {
                Ok(None) => End::Done,
                Ok(Some(trouble)) => End::Failed(trouble),
                Err(panic) => End::Panicked(words(&*panic)),
            },
            () = late => match self.grace {
                Duration::ZERO => End::Done,
                grace => End::Failed(format!("did not finish within {grace:?} and is cut off")),
            },
        }
    }

    fn begins(&self, task: &'static str) -> Arc<Notify> {
        let breaks = Arc::new(Notify::new());
        let mut standing = self.shared.standing();
        let begun = standing.get(task).map_or(0, |before| before.begun) + 1;
        let now = Standing {
            begun,
            is_running: true,
            breaks: Arc::clone(&breaks),
        };
        standing.insert(task, now);
        breaks
    }

    fn ends(&self, task: &'static str) {
        if let Some(standing) = self.shared.standing().get_mut(task) {
            standing.is_running = false;
        }
    }
}

impl Shared {
    fn standing(&self) -> MutexGuard<'_, BTreeMap<&'static str, Standing>> {
        // Every change is a single step, so a poisoned lock is usable.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl End {
    /// Describes the end of a task that was not told to stop.
    fn unasked(self) -> String {
        match self {
            Self::Done => "ended without being asked to".to_owned(),
            Self::Failed(trouble) => format!("failed: {trouble}"),
            Self::Panicked(words) => format!("panicked: {words}"),
        }
    }

    /// Logs a bad end after the stop. A good one is expected.
    fn say_after_stop(self, task: &'static str) {
        match self {
            Self::Done => {}
            Self::Failed(trouble) => tracing::warn!(task, "after the stop the task {trouble}"),
            Self::Panicked(words) => {
                count(task);
                tracing::error!(task, "after the stop the task panicked: {words}");
            }
        }
    }
}

/// Runs several loops as one task until the stop. The first loop that ends earlier ends the others,
/// so that they restart together.
///
/// # Errors
///
/// Returns an error if a loop ended before `stop`.
pub async fn together(
    stop: &CancellationToken,
    loops: Vec<(&'static str, BoxFuture<'_, ()>)>,
) -> Result<(), String> {
    let loops = loops
        .into_iter()
        .map(|(name, work)| work.map(move |()| name));
    let mut running: futures_util::stream::FuturesUnordered<_> = loops.collect();
    while let Some(name) = futures_util::StreamExt::next(&mut running).await {
        if !stop.is_cancelled() {
            return Err(format!("its part `{name}` ended without being asked to"));
        }
    }
    Ok(())
}

/// Logs and counts a panic in `work` under the name of `task`, and passes it on. For tasks that
/// other code spawns.
pub fn seen<T>(task: &'static str, work: impl Future<Output = T>) -> impl Future<Output = T> {
    // An async function would reserve space for `work` twice.
    AssertUnwindSafe(work).catch_unwind().map(move |ended| {
        ended.unwrap_or_else(|panic| {
            count(task);
            tracing::error!(task, "the task panicked: {}", words(&*panic));
            resume_unwind(panic)
        })
    })
}

/// Spawns work that ends by itself and need not be awaited. A panic in it is logged.
pub fn spawn_brief<T: Send + 'static>(
    task: &'static str,
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    tokio::spawn(seen(task, work))
}

fn count(task: &'static str) {
    counter!("sise_task_failures_total", "task" => task).increment(1);
}

/// Returns the message of a panic.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a message").to_owned()
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks")
            .field("running", &self.running())
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
