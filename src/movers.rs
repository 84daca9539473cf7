//! The stocks of the day by change rate, volume, traded value and market capitalisation.
//!
//! After each sweep they are ranked by what stands in the store, whoever wrote it, so that a ranking
//! and the prices under it are of one piece: `realtime:rank:<measure>` lives as long as a price.
//! When the close is taken, `close:rank:<measure>` is ranked by the closes and stays until the next.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sise_cache::{Cache, CacheError, NewRanking, Ranked, Ranking};
use sise_domain::{KrxTime, Measure, Quote, Symbol, Universe};
use sise_port::{PriceStore, StoreError};

/// Places that are read at once where a market is picked out.
const PAGE: u64 = 500;

/// Ranks the stocks of the day.
#[derive(Clone)]
pub struct Movers {
    store: Arc<dyn PriceStore>,
    realtime: Cache,
    close: Cache,
    life: Duration,
}

/// Which end of a ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The highest numbers first.
    Highest,
    /// The lowest numbers first.
    Lowest,
}

/// Which prices a ranking is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prices {
    /// The live ones.
    Realtime,
    /// The last closes.
    Close,
}

/// The top of a ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct Top {
    /// Which prices it is of.
    pub prices: Prices,
    /// The places, in order; where a market was picked out, those within it.
    pub places: Vec<Place>,
}

/// A place in the top of a ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// 1 for the first.
    pub rank: u64,
    /// Which stock.
    pub code: Symbol,
    /// By which number.
    pub number: f64,
    /// Its price; `None` where it has gone meanwhile.
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
    /// Ranks what stands in `store`, into the same store: `cache` is on it, and `namespace` is what is
    /// put in front of the keys there. A ranking lives for `life`.
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

    /// Ranks the stocks of the day by their live prices, and by their closes if these were taken, at
    /// `closes_since` or later.
    ///
    /// # Errors
    ///
    /// As [`Movers::rank`]; one of the two may have been done.
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

    /// Ranks all of `universe` that has a price, of `since` or later, all measures in one round trip.
    /// Says how many have.
    ///
    /// # Errors
    ///
    /// The store failed; the rankings before stay for the rest of their life.
    pub async fn rank(
        &self,
        universe: &Universe,
        prices: Prices,
        since: Option<KrxTime>,
    ) -> Result<usize, MoversError> {
        let symbols: Vec<Symbol> = universe.symbols().collect();
        let quotes = self.quotes(&symbols, prices).await?;
        let mut quotes: Vec<Box<Quote>> = quotes.into_iter().flatten().collect();
        // A close stays: that of a code which was not asked for since is of an earlier day.
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

    /// The `count` stocks at one end of a ranking that `picks` lets pass, with their prices: of the
    /// live ranking, or of the last close where there is none.
    ///
    /// # Errors
    ///
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
            // What another program put there and is no code has no place.
            let codes = page.into_iter().filter_map(|(member, number)| {
                let code = member.parse().ok()?;
                picks(code).then_some((code, number))
            });
            // Ranked anew between two pages, a stock may stand on both.
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
