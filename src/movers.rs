//! Rankings of the stocks of the day by change rate, volume, traded value and market
//! capitalisation.
//!
//! After each sweep, they are computed from the prices in the store, whichever process wrote them,
//! so that a ranking matches the prices in it. `realtime:rank:<measure>` lives as long as a price.
//! When the close is taken, `close:rank:<measure>` is computed from the closes and stays until the
//! next.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sise_cache::{Cache, CacheError, NewRanking, Ranked, Ranking};
use sise_domain::{KrxTime, Measure, Quote, Symbol, Universe};
use sise_port::{PriceStore, StoreError};

/// Places read per page if only one market is picked.
const PAGE: u64 = 500;

/// Ranks the stocks of the day.
#[derive(Clone)]
pub struct Movers {
    store: Arc<dyn PriceStore>,
    realtime: Cache,
    close: Cache,
    life: Duration,
}

/// An end of a ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Highest numbers first.
    Highest,
    /// Lowest numbers first.
    Lowest,
}

/// The prices that a ranking is based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prices {
    /// The live prices.
    Realtime,
    /// The last closes.
    Close,
}

/// The top of a ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct Top {
    /// The prices that it is based on.
    pub prices: Prices,
    /// The places, in order; if one market was picked, those within it.
    pub places: Vec<Place>,
}

/// A place in the top of a ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Rank, from 1.
    pub rank: u64,
    /// The stock.
    pub code: Symbol,
    /// The number it is ranked by.
    pub number: f64,
    /// Its price; `None` if it has expired meanwhile.
    pub quote: Option<Box<Quote>>,
}

/// Why there is no ranking.
#[derive(Debug, thiserror::Error)]
pub enum MoversError {
    /// The prices could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The rankings could not be written or read.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl Movers {
    /// Creates rankings of the prices in `store`.
    ///
    /// They are written to the same Redis: `cache` uses it, and `namespace` is its key prefix. A
    /// live ranking lives for `life`.
    #[must_use]
    pub fn new(store: Arc<dyn PriceStore>, cache: &Cache, namespace: &str, life: Duration) -> Self {
        let below = |kind: &str| match namespace {
            "" => cache.with_namespace(kind),
            namespace => cache.with_namespace(&[namespace.trim_end_matches(':'), kind].join(":")),
        };
        Self {
            store,
            realtime: below("realtime"),
            close: below("close"),
            life,
        }
    }

    /// Ranks the stocks of the day by their live prices.
    ///
    /// If closes were taken, at `closes_since` or later, ranks them by their closes too.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Movers::rank`]; one of the two may have been done.
    pub async fn rank_day(
        &self,
        universe: &Universe,
        closes_since: Option<KrxTime>,
    ) -> Result<(), MoversError> {
        let live = self.rank(universe, Prices::Realtime, None).await;
        if closes_since.is_some() {
            self.rank(universe, Prices::Close, closes_since).await?;
        }
        live.map(drop)
    }

    /// Ranks the stocks of `universe` that have a price of `since` or later, and returns their
    /// number.
    ///
    /// All measures are written in one round trip.
    ///
    /// # Errors
    ///
    /// Returns an error if the store fails. Earlier rankings then stay until they expire.
    pub async fn rank(
        &self,
        universe: &Universe,
        prices: Prices,
        since: Option<KrxTime>,
    ) -> Result<usize, MoversError> {
        let symbols: Vec<Symbol> = universe.symbols().collect();
        let quotes = self.quotes(&symbols, prices).await?;
        let mut quotes: Vec<Box<Quote>> = quotes.into_iter().flatten().collect();
        // Closes do not expire, so that of a code not asked since is from an earlier day.
        quotes.retain(|quote| since.is_none_or(|since| since <= quote.fetched_at));
        let rankings = Measure::ALL.map(|measure| self.ranking(measure, prices));
        let new = Measure::ALL
            .iter()
            .zip(&rankings)
            .map(|(measure, ranking)| {
                let member = |quote: &Quote| {
                    let number = measure.of(quote, universe.get(quote.stock_code))?;
                    Some((quote.stock_code.to_string(), number))
                };
                NewRanking {
                    ranking,
                    members: quotes.iter().filter_map(|quote| member(quote)).collect(),
                    life: (prices == Prices::Realtime).then_some(self.life),
                }
            });
        self.cache(prices).replace_rankings(new.collect()).await?;
        Ok(quotes.len())
    }

    /// Returns the first `count` stocks at one end of a ranking that `picks` accepts, with their
    /// prices.
    ///
    /// The ranking is the live one or, if there is none, that of the last close.
    ///
    /// # Errors
    ///
    /// Returns an error if the store fails.
    /// The store failed.
    pub async fn top(
        &self,
        measure: Measure,
        end: End,
        count: usize,
        picks: impl Fn(Symbol) -> bool,
    ) -> Result<Top, MoversError> {
        let mut prices = Prices::Realtime;
        let mut found = self.find(measure, prices, end, count, &picks).await?;
        if found.is_empty() {
            prices = Prices::Close;
            found = self.find(measure, prices, end, count, &picks).await?;
        }
        let symbols: Vec<Symbol> = found.iter().map(|(code, _)| *code).collect();
        let quotes = self.quotes(&symbols, prices).await?;
        let place = |(rank, ((code, number), quote))| Place {
            rank,
            code,
            number,
            quote,
        };
        Ok(Top {
            prices,
            places: (1..)
                .zip(found.into_iter().zip(quotes))
                .map(place)
                .collect(),
        })
    }

    async fn find(
        &self,
        measure: Measure,
        prices: Prices,
        end: End,
        count: usize,
        picks: &impl Fn(Symbol) -> bool,
    ) -> Result<Vec<(Symbol, f64)>, CacheError> {
        let ranking = self.ranking(measure, prices);
        let mut found: Vec<(Symbol, f64)> = Vec::new();
        let mut skip = 0;
        while found.len() < count {
            let page = match end {
                End::Highest => {
                    let page = ranking.try_get_rank_range(skip + 1, PAGE).await?;
                    let pair = |ranked: Ranked| (ranked.member, ranked.score);
                    page.into_iter().map(pair).collect()
                }
                End::Lowest => ranking.try_get_lowest(skip, PAGE).await?,
            };
            let is_last = u64::try_from(page.len()).is_ok_and(|size| size < PAGE);
            // Members written by other programs that are not codes are ignored.
            let codes = page.into_iter().filter_map(|(member, number)| {
                let code = member.parse().ok()?;
                picks(code).then_some((code, number))
            });
            // If the ranking changes between two pages, a stock may be on both.
            for (code, number) in codes {
                if found.iter().all(|(held, _)| *held != code) {
                    found.push((code, number));
                }
            }
            if is_last {
                break;
            }
            skip += PAGE;
        }
        found.truncate(count);
        Ok(found)
    }

    async fn quotes(
        &self,
        symbols: &[Symbol],
        prices: Prices,
    ) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        match prices {
            Prices::Realtime => self.store.realtime(symbols).await,
            Prices::Close => self.store.close(symbols).await,
        }
    }

    fn ranking(&self, measure: Measure, prices: Prices) -> Ranking {
        self.cache(prices).ranking(measure.as_str())
    }

    fn cache(&self, prices: Prices) -> &Cache {
        match prices {
            Prices::Realtime => &self.realtime,
            Prices::Close => &self.close,
        }
    }
}

impl fmt::Debug for Movers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Movers")
            .field("realtime", &self.realtime)
            .field("close", &self.close)
            .finish_non_exhaustive()
    }
}
