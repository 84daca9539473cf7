//! The broker that the prices in a store come from. This process writes prices only if they come
//! from its own broker.
//!
//! A record in the store names the broker. It lasts as long as the prices that were written under
//! it, and as long as a daemon of that broker is running. After that, prices of another broker can
//! be written.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use sise_domain::{BrokerIdentity, IndexQuote, Quote, Symbol};
use sise_port::{
    BrokerClaims, BrokerHolder, IndexStore, Lead, PriceStore, Shelf, StoreError, Written,
};

/// Shortest life of the record: daemons renew it every few seconds.
const LEAST_LIFE: Duration = Duration::from_secs(10);

/// Returns the identity of this process's broker, as far as known so far.
pub type Identify = Arc<dyn Fn() -> BrokerIdentity + Send + Sync>;

/// The claim of this process that the prices come from its broker.
pub struct Provenance {
    claims: Arc<dyn BrokerClaims>,
    identify: Identify,
    process: String,
    life: Duration,
    confirmed: Mutex<Option<Confirmed>>,
    /// Whether it was logged that the prices are another broker's.
    said: AtomicBool,
}

/// The last claim that the store accepted, and when.
#[derive(Debug, Clone, PartialEq)]
struct Confirmed {
    at: Instant,
    broker: BrokerIdentity,
}

impl Provenance {
    /// Creates the claim of `process` for the broker of `identify`, in a store where prices live
    /// for `ttl`.
    #[must_use]
    pub fn new(
        claims: Arc<dyn BrokerClaims>,
        identify: Identify,
        process: String,
        ttl: Duration,
    ) -> Self {
        Self {
            claims,
            identify,
            process,
            life: ttl.max(LEAST_LIFE),
            confirmed: Mutex::default(),
            said: AtomicBool::new(false),
        }
    }

    /// Claims the prices for this process's broker, or renews the claim.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::OtherBroker`] if the prices come from another broker, and other errors
    /// if the store cannot be asked.
    pub async fn claim(&self) -> Result<(), StoreError> {
        let broker = (self.identify)();
        let at = Instant::now();
        let held = self.claims.claim_broker(&broker, &self.process, self.life);
        let held = held.await?;
        *self.confirmed() = held.is_none().then(|| Confirmed {
            at,
            broker: broker.clone(),
        });
        match held {
            None => Ok(()),
            Some(holder) => Err(other(&broker, holder)),
        }
    }

    /// As [`Provenance::claim`], unless the store was asked a moment ago. A process that was paused
    /// asks again, because its record may have expired.
    async fn hold(&self) -> Result<(), StoreError> {
        let broker = (self.identify)();
        let is_fresh = self.confirmed().as_ref().is_some_and(|confirmed| {
            confirmed.broker == broker && confirmed.at.elapsed() < self.life / 4
        });
        if is_fresh {
            return Ok(());
        }
        let claimed = self.claim().await;
        match &claimed {
            Err(error @ StoreError::OtherBroker { .. }) => {
                if !self.said.swap(true, Ordering::Relaxed) {
                    tracing::warn!("nothing is written: {error}");
                }
            }
            Ok(()) => self.said.store(false, Ordering::Relaxed),
            Err(_) => {}
        }
        claimed
    }

    /// Renews the claim of this process, if it has one.
    ///
    /// # Errors
    ///
    /// As [`Provenance::claim`].
    pub async fn renew(&self) -> Result<(), StoreError> {
        if self.confirmed().is_none() {
            return Ok(());
        }
        self.hold().await
    }

    fn confirmed(&self) -> std::sync::MutexGuard<'_, Option<Confirmed>> {
        let confirmed = self.confirmed.lock();
        confirmed.unwrap_or_else(PoisonError::into_inner)
    }
}

fn other(ours: &BrokerIdentity, holder: BrokerHolder) -> StoreError {
    StoreError::OtherBroker {
        ours: ours.to_string(),
        theirs: holder.broker.to_string(),
        process: holder.process,
        seconds: holder.left.as_secs() + 1,
    }
}

/// A store that only prices of this process's broker are written to.
pub struct OwnBrokerStore<S: ?Sized> {
    store: Arc<S>,
    provenance: Arc<Provenance>,
}

impl<S: ?Sized> OwnBrokerStore<S> {
    /// Wraps `store` under the claim of `provenance`.
    #[must_use]
    pub fn new(store: Arc<S>, provenance: Arc<Provenance>) -> Self {
        Self { store, provenance }
    }
}

#[async_trait]
impl<S: PriceStore + ?Sized> PriceStore for OwnBrokerStore<S> {
    async fn write(
        &self,
        quotes: &[Quote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<Written, StoreError> {
        self.provenance.hold().await?;
        self.store.write(quotes, shelf, lead).await
    }

    async fn realtime(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.store.realtime(symbols).await
    }

    async fn close(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.store.close(symbols).await
    }

    async fn lives(&self, symbols: &[Symbol]) -> Result<Vec<Option<Duration>>, StoreError> {
        self.store.lives(symbols).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}

#[async_trait]
impl<S: IndexStore + ?Sized> IndexStore for OwnBrokerStore<S> {
    async fn write_indices(
        &self,
        indices: &[IndexQuote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<(), StoreError> {
        self.provenance.hold().await?;
        self.store.write_indices(indices, shelf, lead).await
    }

    async fn indices(&self) -> Result<Vec<IndexQuote>, StoreError> {
        self.store.indices().await
    }

    async fn closing_indices(&self) -> Result<Vec<IndexQuote>, StoreError> {
        self.store.closing_indices().await
    }
}

impl fmt::Debug for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provenance")
            .field("broker", &(self.identify)())
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

impl<S: ?Sized> fmt::Debug for OwnBrokerStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnBrokerStore")
            .field("provenance", &self.provenance)
            .finish_non_exhaustive()
    }
}

/// Where the prices in the store come from.
#[derive(Clone)]
pub struct Origin {
    claims: Option<Arc<dyn BrokerClaims>>,
    own: Option<Identify>,
}

impl Origin {
    /// Creates the origin by the record in the store, if other processes can use that, and the
    /// broker of this process, if it has one.
    #[must_use]
    pub fn new(claims: Option<Arc<dyn BrokerClaims>>, own: Option<Identify>) -> Self {
        Self { claims, own }
    }

    /// Returns the broker of this process, as far as known so far.
    #[must_use]
    pub fn own(&self) -> Option<BrokerIdentity> {
        self.own.as_ref().map(|identify| identify())
    }

    /// Returns the broker of the prices in the store; `None` if none were written lately.
    ///
    /// If no other process can use the store, it is the broker of this process.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses the command.
    pub async fn broker(&self) -> Result<Option<BrokerIdentity>, StoreError> {
        match &self.claims {
            Some(claims) => Ok(claims.broker_holder().await?.map(|held| held.broker)),
            None => Ok(self.own()),
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("own", &self.own())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;
    use sise_domain::Seoul;
    use sise_store::MemoryStore;

    /// The record as a store keeps it, in simulated time.
    #[derive(Default)]
    struct Record(Mutex<Option<(BrokerIdentity, String, Instant)>>);

    #[async_trait]
    impl BrokerClaims for Record {
        async fn claim_broker(
            &self,
            broker: &BrokerIdentity,
            process: &str,
            life: Duration,
        ) -> Result<Option<BrokerHolder>, StoreError> {
            if let Some(held) = self.broker_holder().await?
                && broker.differs_from(&held.broker)
            {
                return Ok(Some(held));
            }
            let known = self.0.lock().unwrap().take();
            let known = known.and_then(|(held, ..)| held.simulated);
            let broker = BrokerIdentity {
                simulated: broker.simulated.or(known),
                ..broker.clone()
            };
            let until = Instant::now() + life;
            *self.0.lock().unwrap() = Some((broker, process.to_owned(), until));
            Ok(None)
        }

        async fn broker_holder(&self) -> Result<Option<BrokerHolder>, StoreError> {
            let held = self.0.lock().unwrap().clone();
            let held = held.filter(|(_, _, until)| Instant::now() < *until);
            Ok(held.map(|(broker, process, until)| BrokerHolder {
                broker,
                process,
                left: until - Instant::now(),
            }))
        }
    }

    const TTL: Duration = Duration::from_secs(120);

    fn identity(address: &str, simulated: Option<bool>) -> BrokerIdentity {
        BrokerIdentity {
            address: address.to_owned(),
            account: "real".to_owned(),
            simulated,
        }
    }

    fn provenance(record: &Arc<Record>, broker: BrokerIdentity) -> Arc<Provenance> {
        let process = format!("process of {}", broker.address);
        let identify: Identify = Arc::new(move || broker.clone());
        Arc::new(Provenance::new(record.clone(), identify, process, TTL))
    }

    fn quote(price: i64) -> Quote {
        let at = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
        Quote::sample("005930".parse().unwrap(), price, at)
    }

    async fn price(store: &MemoryStore) -> Option<i64> {
        let symbol = "005930".parse().unwrap();
        let held = store.realtime(&[symbol]).await.unwrap().pop().unwrap();
        held.map(|quote| quote.price)
    }

    #[tokio::test(start_paused = true)]
    async fn while_one_brokers_prices_live_another_ones_are_not_written() {
        let (memory, record) = (
            Arc::new(MemoryStore::default()),
            Arc::new(Record::default()),
        );
        let real = provenance(&record, identity("http://real", Some(false)));
        let simulated = provenance(&record, identity("http://simulated", Some(true)));
        let of_real = OwnBrokerStore::new(memory.clone(), real.clone());
        let of_simulated = OwnBrokerStore::new(memory.clone(), simulated);
        let shelf = Shelf::Realtime(TTL);
        of_real.write(&[quote(1_000)], shelf, None).await.unwrap();
        let refused = of_simulated.write(&[quote(7)], shelf, None).await;
        let said = refused.unwrap_err().to_string();
        for words in [
            "http://real (real account)",
            "the simulated broker at http://simulated",
            "store.namespace",
        ] {
            assert!(said.contains(words), "{words} in: {said}");
        }
        assert_eq!(price(&memory).await, Some(1_000));
        // A running daemon holds the prices, even if nothing is written for hours.
        for _ in 0..2_400 {
            tokio::time::sleep(Duration::from_secs(3)).await;
            real.renew().await.unwrap();
        }
        assert!(of_simulated.write(&[quote(7)], shelf, None).await.is_err());
        assert!(
            of_simulated
                .write(&[quote(7)], Shelf::Close, None)
                .await
                .is_err()
        );
        // It stops, and its prices expire.
        tokio::time::sleep(TTL).await;
        of_simulated.write(&[quote(7)], shelf, None).await.unwrap();
        assert_eq!(price(&memory).await, Some(7));
        // It was only paused, and comes back.
        let refused = of_real.write(&[quote(1_001)], shelf, None).await;
        assert!(
            matches!(refused, Err(StoreError::OtherBroker { .. })),
            "{refused:?}"
        );
        assert_eq!(price(&memory).await, Some(7));
        real.renew().await.unwrap();
        let held = record.broker_holder().await.unwrap().unwrap();
        assert_eq!(held.broker.address, "http://simulated");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_where_a_simulator_takes_the_brokers_place_is_another_broker() {
        let (memory, record) = (
            Arc::new(MemoryStore::default()),
            Arc::new(Record::default()),
        );
        let at = |simulated| provenance(&record, identity("http://here", simulated));
        let before = at(None);
        before.claim().await.unwrap();
        at(Some(false)).claim().await.unwrap();
        before.claim().await.unwrap();
        let simulated = OwnBrokerStore::new(memory.clone(), at(Some(true)));
        let refused = simulated.write(&[quote(7)], Shelf::Close, None).await;
        assert!(refused.is_err(), "{refused:?}");
    }
}
