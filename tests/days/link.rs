//! The way of one process to Redis, and what may happen on it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sise::domain::{Booking, Caps, Quote, Symbol, Urgency};
use sise::port::{
    Claim, CopyStore, Flights, Issue, Landed, Lead, Leader, Leadership, PriceStore, RateBudget,
    SharedToken, Shelf, Standing, StoreError, TokenStore,
};
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
}

/// Whether a command needs memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
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
    async fn ask<T: Send + 'static>(
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
            Way::Slow => return self.ask_slowly(command).await,
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
        command: impl FnOnce(&World, &mut Redis) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let world = &self.world;
        let (there, back) = (world.delay(), world.delay());
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

#[async_trait]
impl PriceStore for Link {
    async fn write(
        &self,
        quotes: &[Quote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<(), StoreError> {
        if quotes.is_empty() {
            return Ok(());
        }
        let quotes = quotes.to_vec();
        let slot = self.slot;
        self.ask("write", Kind::Writes, move |world, redis| {
            world.take_prices(redis, slot, &quotes, shelf, lead)
        })
        .await?
    }

    async fn realtime(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        let symbols = symbols.to_vec();
        self.ask("realtime", Kind::Reads, move |world, redis| {
            redis.realtime(world.timeline.now(), &symbols)
        })
        .await
    }

    async fn close(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        let symbols = symbols.to_vec();
        self.ask("close", Kind::Reads, move |world, redis| {
            redis.close(world.timeline.now(), &symbols)
        })
        .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.ask("ping", Kind::Reads, |_, _| ()).await
    }
}

#[async_trait]
impl CopyStore for Link {
    async fn load_copy(&self, name: &str) -> Result<Option<String>, StoreError> {
        let name = name.to_owned();
        self.ask("load_copy", Kind::Reads, move |world, redis| {
            redis.load_copy(world.timeline.now(), &name)
        })
        .await
    }

    async fn save_copy(&self, name: &str, text: &str) -> Result<(), StoreError> {
        let (name, text) = (name.to_owned(), text.to_owned());
        self.ask("save_copy", Kind::Writes, move |world, redis| {
            redis.save_copy(world.timeline.now(), &name, &text);
        })
        .await
    }
}

#[async_trait]
impl Leadership for Link {
    async fn campaign(&self, process: &str, life: Duration) -> Result<Standing, StoreError> {
        let process = process.to_owned();
        self.ask("campaign", Kind::Writes, move |world, redis| {
            redis.campaign(world.timeline.now(), &process, life)
        })
        .await
    }

    async fn resign(&self, process: &str) -> Result<(), StoreError> {
        let process = process.to_owned();
        self.ask("resign", Kind::Reads, move |world, redis| {
            redis.resign(world.timeline.now(), &process);
        })
        .await
    }

    async fn leader(&self) -> Result<Option<Leader>, StoreError> {
        self.ask("leader", Kind::Reads, |world, redis| {
            redis.leader(world.timeline.now())
        })
        .await
    }
}

#[async_trait]
impl RateBudget for Link {
    async fn book(&self, urgency: Urgency) -> Result<Booking, StoreError> {
        let caps = self.caps;
        self.ask("book", Kind::Writes, move |world, redis| {
            redis.book(world.redis_clock(), &caps, urgency)
        })
        .await
    }

    async fn refused(&self) -> Result<f64, StoreError> {
        self.ask("refused", Kind::Writes, |world, redis| {
            redis.refused(world.redis_clock())
        })
        .await
    }
}

#[async_trait]
impl Flights for Link {
    async fn claim(
        &self,
        process: &str,
        symbols: &[Symbol],
        life: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let (process, symbols) = (process.to_owned(), symbols.to_vec());
        self.ask("claim_codes", Kind::Writes, move |world, redis| {
            redis.claim_codes(world.timeline.now(), &process, &symbols, life)
        })
        .await
    }

    async fn land(&self, process: &str, landed: &[(Symbol, Landed)]) -> Result<(), StoreError> {
        let (process, landed) = (process.to_owned(), landed.to_vec());
        self.ask("land_codes", Kind::Writes, move |world, redis| {
            redis.land_codes(world.timeline.now(), &process, &landed);
        })
        .await
    }
}

#[async_trait]
impl TokenStore for Link {
    async fn load(&self) -> Result<Option<SharedToken>, StoreError> {
        self.ask("load_token", Kind::Reads, |world, redis| {
            redis.load_token(world.timeline.now())
        })
        .await
    }

    async fn claim(
        &self,
        process: &str,
        replacing: u64,
        spacing: Duration,
    ) -> Result<Issue, StoreError> {
        let process = process.to_owned();
        self.ask("claim", Kind::Writes, move |world, redis| {
            redis.claim(world.timeline.now(), &process, replacing, spacing)
        })
        .await
    }

    async fn unclaim(&self, process: &str, replacing: u64) -> Result<(), StoreError> {
        let process = process.to_owned();
        self.ask("unclaim", Kind::Reads, move |world, redis| {
            redis.unclaim(world.timeline.now(), &process, replacing);
        })
        .await
    }

    async fn save(&self, sealed: &str, life: Duration) -> Result<u64, StoreError> {
        let sealed = sealed.to_owned();
        self.ask("save_token", Kind::Writes, move |world, redis| {
            redis.save_token(world.timeline.now(), &sealed, life)
        })
        .await
    }
}
