//! What a process asks of Redis: sise's ports over a [`Link`].

use std::time::Duration;

use async_trait::async_trait;
use chrono::{NaiveDate, NaiveTime};
use sise::domain::{BanRecord, Booking, Coverage, Entry, Presence, Quote, Row, Symbol, Urgency};
use sise::port::{
    BanStore, Claim, CopyStore, CoverageLog, Flights, Issue, Journal, Landed, Lead, Leader,
    Leadership, Ledger, Place, PriceStore, RateBudget, Roster, SharedToken, Shelf, Standing,
    StoreError, TokenStore, WatchedCodes, Written,
};

use super::link::{Kind, Link};

#[async_trait]
impl PriceStore for Link {
    async fn write(
        &self,
        quotes: &[Quote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<Written, StoreError> {
        if quotes.is_empty() {
            return Ok(Written::default());
        }
        let (slot, quotes) = (self.slot, quotes.to_vec());
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

    async fn lives(&self, symbols: &[Symbol]) -> Result<Vec<Option<Duration>>, StoreError> {
        let symbols = symbols.to_vec();
        self.ask("lives", Kind::Reads, move |world, redis| {
            redis.lives(world.timeline.now(), &symbols)
        })
        .await?
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.ask("ping", Kind::Reads, |_, _| ()).await
    }
}

#[async_trait]
impl WatchedCodes for Link {
    async fn watched(&self) -> Result<Vec<Symbol>, StoreError> {
        let watched = self.ask("watched", Kind::Reads, |world, _| {
            world.setup.watched.clone()
        });
        watched.await
    }
}

#[async_trait]
impl Leadership for Link {
    async fn campaign(&self, process: &str, life: Duration) -> Result<Standing, StoreError> {
        let process = process.to_owned();
        self.ask("campaign", Kind::Writes, move |world, redis| {
            let now = world.timeline.now();
            let standing = redis.run(now, |shelves| shelves.store.campaign(&process, life))?;
            Ok(match standing {
                Standing::Leading(leader) => Standing::Leading(redis.named(leader)),
                Standing::Following(leader) => Standing::Following(redis.named(leader)),
            })
        })
        .await?
    }

    async fn resign(&self, process: &str) -> Result<(), StoreError> {
        let process = process.to_owned();
        self.ask("resign", Kind::Reads, move |world, redis| {
            redis.run(world.timeline.now(), |shelves| {
                shelves.store.resign(&process)
            })
        })
        .await?
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
        let telling = self.count.tell();
        let known = telling.known;
        let asking = self.ask("book", Kind::Writes, move |world, redis| {
            let now = world.redis_clock();
            redis.cells.tell(&caps, known, now);
            let booking = redis.cells.book(&caps, urgency, now);
            (booking, redis.cells.made(now))
        });
        let (booking, heard) = asking.await?;
        telling.answered(heard);
        Ok(booking)
    }

    async fn refused(&self) -> Result<f64, StoreError> {
        self.ask("refused", Kind::Writes, |world, redis| {
            redis.cells.refused(world.redis_clock())
        })
        .await
    }
}

#[async_trait]
impl TokenStore for Link {
    async fn load(&self) -> Result<Option<SharedToken>, StoreError> {
        self.ask("load_token", Kind::Reads, |world, redis| {
            let token = redis.run(world.timeline.now(), |shelves| shelves.tokens.load())?;
            Ok(token.map(|token| SharedToken {
                generation: redis.outer(token.generation),
                ..token
            }))
        })
        .await?
    }

    async fn claim(
        &self,
        process: &str,
        replacing: u64,
        spacing: Duration,
    ) -> Result<Issue, StoreError> {
        let process = process.to_owned();
        self.ask("claim", Kind::Writes, move |world, redis| {
            redis.run(world.timeline.now(), |shelves| {
                shelves.tokens.claim(&process, replacing, spacing)
            })
        })
        .await?
    }

    async fn unclaim(&self, process: &str, replacing: u64) -> Result<(), StoreError> {
        let process = process.to_owned();
        self.ask("unclaim", Kind::Reads, move |world, redis| {
            redis.run(world.timeline.now(), |shelves| {
                shelves.tokens.unclaim(&process, replacing)
            })
        })
        .await?
    }

    async fn save(&self, sealed: &str, life: Duration) -> Result<u64, StoreError> {
        let sealed = sealed.to_owned();
        self.ask("save_token", Kind::Writes, move |world, redis| {
            let now = world.timeline.now();
            let generation = redis.run(now, |shelves| shelves.tokens.save(&sealed, life))?;
            Ok(redis.outer(generation))
        })
        .await?
    }
}

#[async_trait]
impl BanStore for Link {
    async fn load(&self) -> Result<Option<BanRecord>, StoreError> {
        self.ask("load_ban", Kind::Reads, |world, redis| {
            redis.run(world.timeline.now(), |shelves| shelves.bans.load())
        })
        .await?
    }

    async fn save(&self, record: &BanRecord, life: Duration) -> Result<(), StoreError> {
        let record = record.clone();
        self.ask("save_ban", Kind::Writes, move |world, redis| {
            redis.run(world.timeline.now(), |shelves| {
                shelves.bans.save(&record, life)
            })
        })
        .await?
    }

    async fn claim_trial(&self, process: &str, life: Duration) -> Result<bool, StoreError> {
        let process = process.to_owned();
        self.ask("claim_trial", Kind::Writes, move |world, redis| {
            redis.run(world.timeline.now(), |shelves| {
                shelves.bans.claim_trial(&process, life)
            })
        })
        .await?
    }

    async fn unclaim_trial(&self, process: &str) -> Result<(), StoreError> {
        let process = process.to_owned();
        self.ask("unclaim_trial", Kind::Reads, move |world, redis| {
            redis.run(world.timeline.now(), |shelves| {
                shelves.bans.unclaim_trial(&process)
            })
        })
        .await?
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
            redis.run(world.timeline.now(), |shelves| {
                Flights::claim(&shelves.store, &process, &symbols, life)
            })
        })
        .await?
    }

    async fn land(&self, process: &str, landed: &[(Symbol, Landed)]) -> Result<(), StoreError> {
        let (process, landed) = (process.to_owned(), landed.to_vec());
        self.ask("land_codes", Kind::Writes, move |world, redis| {
            redis.run(world.timeline.now(), |shelves| {
                shelves.store.land(&process, &landed)
            })
        })
        .await?
    }
}

#[async_trait]
impl CopyStore for Link {
    async fn load_copy(&self, name: &str) -> Result<Option<String>, StoreError> {
        let name = name.to_owned();
        self.ask("load_copy", Kind::Reads, move |world, redis| {
            redis.run(world.timeline.now(), |shelves| {
                shelves.store.load_copy(&name)
            })
        })
        .await?
    }

    async fn save_copy(&self, name: &str, text: &str) -> Result<(), StoreError> {
        let (name, text) = (name.to_owned(), text.to_owned());
        self.ask("save_copy", Kind::Writes, move |world, redis| {
            redis.run(world.timeline.now(), |shelves| {
                shelves.store.save_copy(&name, &text)
            })
        })
        .await?
    }
}

#[async_trait]
impl Journal for Link {
    async fn append(&self, entry: &Entry, earlier: Option<&Place>) -> Result<Place, StoreError> {
        let (entry, earlier) = (entry.clone(), earlier.cloned());
        self.ask("append", Kind::Writes, move |world, redis| {
            redis.run(world.timeline.now(), |shelves| {
                shelves.store.append(&entry, earlier.as_ref())
            })
        })
        .await?
    }

    async fn entries(&self, most: usize) -> Result<Vec<Entry>, StoreError> {
        self.ask("entries", Kind::Reads, move |world, redis| {
            redis.run(world.timeline.now(), |shelves| shelves.store.entries(most))
        })
        .await?
    }
}

#[async_trait]
impl Ledger for Link {
    async fn keep_rows(
        &self,
        rows: &[(Symbol, Row)],
        lead: Option<Lead>,
    ) -> Result<(), StoreError> {
        let rows = rows.to_vec();
        self.ask("keep_rows", Kind::Writes, move |world, redis| {
            redis.run(world.timeline.now(), |shelves| {
                shelves.store.keep_rows(&rows, lead)
            })
        })
        .await?
    }

    async fn row(&self, symbol: Symbol) -> Result<Option<Row>, StoreError> {
        self.ask("row", Kind::Reads, move |world, redis| {
            redis.run(world.timeline.now(), |shelves| shelves.store.row(symbol))
        })
        .await?
    }

    async fn rows(&self) -> Result<Vec<(Symbol, Row)>, StoreError> {
        self.ask("rows", Kind::Reads, |world, redis| {
            redis.run(world.timeline.now(), |shelves| shelves.store.rows())
        })
        .await?
    }
}

#[async_trait]
impl CoverageLog for Link {
    async fn keep_minutes(
        &self,
        day: NaiveDate,
        minutes: &[(NaiveTime, Coverage)],
    ) -> Result<(), StoreError> {
        let minutes = minutes.to_vec();
        self.ask("keep_minutes", Kind::Writes, move |world, redis| {
            redis.run(world.timeline.now(), |shelves| {
                shelves.store.keep_minutes(day, &minutes)
            })
        })
        .await?
    }

    async fn minutes(&self, day: NaiveDate) -> Result<Vec<(NaiveTime, Coverage)>, StoreError> {
        self.ask("minutes", Kind::Reads, move |world, redis| {
            redis.run(world.timeline.now(), |shelves| shelves.store.minutes(day))
        })
        .await?
    }
}

#[async_trait]
impl Roster for Link {
    async fn sign_in(&self, presence: &Presence, life: Duration) -> Result<(), StoreError> {
        let presence = presence.clone();
        self.ask("sign_in", Kind::Writes, move |world, redis| {
            redis.run(world.timeline.now(), |shelves| {
                shelves.store.sign_in(&presence, life)
            })
        })
        .await?
    }

    async fn sign_out(&self, process: &str) -> Result<(), StoreError> {
        let process = process.to_owned();
        self.ask("sign_out", Kind::Reads, move |world, redis| {
            redis.run(world.timeline.now(), |shelves| {
                shelves.store.sign_out(&process)
            })
        })
        .await?
    }

    async fn present(&self) -> Result<Vec<Presence>, StoreError> {
        self.ask("present", Kind::Reads, |world, redis| {
            redis.run(world.timeline.now(), |shelves| shelves.store.present())
        })
        .await?
    }
}
