//! The way of one process to Redis, and what may happen on it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sise::domain::Caps;
use sise::pace::CallCount;
use sise::port::StoreError;
use tokio::time::sleep;

use super::redis::Redis;
use super::world::World;

/// As in the settings: no command waits longer.
const PATIENCE: Duration = Duration::from_millis(100);

/// How Redis answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    /// Nobody listens.
    Refused,
    /// The socket swallows everything.
    Silent,
    /// Commands arrive late, answers too; nobody may wait for them any more.
    Slow,
    /// Its memory is full: what would grow it is refused.
    Full,
}

/// The way to Redis of the process in one slot.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) world: Arc<World>,
    pub(crate) slot: usize,
    pub(crate) caps: Caps,
    pub(crate) count: Arc<CallCount>,
}

/// Whether a command needs memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Reads,
    Writes,
}

fn failed(trouble: &str) -> StoreError {
    StoreError::Failed {
        store: "redis:6379".to_owned(),
        trouble: trouble.to_owned(),
    }
}

impl Link {
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        kind: Kind,
        command: impl FnOnce(&World, &mut Redis) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let world = &self.world;
        let way = world.way_to_redis(self.slot);
        world.note(self.slot, what, way as u64);
        match way {
            Way::Up => {}
            Way::Full if kind == Kind::Reads => {}
            Way::Full => return Err(failed("its memory is full: raise maxmemory")),
            Way::Refused => return Err(failed("connection refused")),
            Way::Silent => {
                sleep(PATIENCE).await;
                return Err(failed("no answer in time"));
            }
            Way::Slow => return self.ask_slowly(what, command).await,
        }
        let half = world.setup.redis_latency / 2;
        if half.is_zero() {
            return Ok(command(world, &mut world.redis()));
        }
        sleep(half).await;
        let answer = command(world, &mut world.redis());
        sleep(half).await;
        Ok(answer)
    }

    /// The command arrives whether or not anybody still waits for the answer, or lives.
    async fn ask_slowly<T: Send + 'static>(
        &self,
        what: &'static str,
        command: impl FnOnce(&World, &mut Redis) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let world = &self.world;
        let delay = || world.delay(self.slot, what);
        let (there, back) = (delay(), delay());
        let answer = Arc::new(Mutex::new(None));
        let (cell, far) = (Arc::clone(&answer), Arc::clone(world));
        world.timeline.at(world.timeline.now() + there, move || {
            *cell.lock().unwrap() = Some(command(&far, &mut far.redis()));
        });
        sleep((there + back).min(PATIENCE)).await;
        let answer = answer.lock().unwrap().take();
        answer
            .filter(|_| there + back <= PATIENCE)
            .ok_or_else(|| failed("no answer in time"))
    }
}
