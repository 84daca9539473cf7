//! What the screen shows, read from the store every second.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::super::standing::Standing;
use super::Kind;
use crate::movers::{End, Prices, Top};
use crate::setup::Wiring;
use crate::status::Status;
use sise_domain::{IndexQuote, KrxTime, Market, Symbol};

/// Interval between reads.
const EVERY: Duration = Duration::from_secs(1);

/// Longest time for a read. The timeouts of the store end most reads earlier.
const PATIENCE: Duration = Duration::from_secs(3);

/// Number of reads after which the stock list is read again, since it may have been replaced.
const LIST_EVERY: u32 = 60;

/// Number of places in a ranking: more than any terminal has lines.
const PLACES: usize = 200;

/// Number of sweeps to read from the event log: only the last one is shown.
const SWEEPS: usize = 1;

/// The state of the market and of the processes.
#[derive(Debug, Clone, Default)]
pub(super) struct Picture {
    /// `None` until the store has answered once.
    pub(super) status: Option<Status>,
    /// The indices that have a live level.
    pub(super) indices: Vec<IndexQuote>,
    pub(super) movers: Vec<Movers>,
    /// What went wrong with the last read. The rest of the picture is then older.
    pub(super) trouble: Option<Trouble>,
}

impl Picture {
    /// Returns whether any part of it comes from a simulated broker.
    pub(super) fn is_simulated(&self) -> bool {
        let status = self.status.as_ref();
        let places = self.movers.iter().flat_map(|movers| &movers.places);
        status.is_some_and(Status::is_simulated)
            || self.indices.iter().any(|index| index.simulated)
            || places.into_iter().any(|place| place.is_simulated)
    }
}

/// Why there is no newer picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trouble {
    pub(super) since: KrxTime,
    pub(super) words: String,
}

/// The top of a ranking.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Movers {
    pub(super) kind: Kind,
    pub(super) prices: Prices,
    pub(super) places: Vec<Place>,
}

/// One stock in a ranking.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    pub(super) code: Symbol,
    pub(super) name: String,
    /// Price in won.
    pub(super) price: Option<i64>,
    /// Change rate in percent.
    pub(super) rate: Option<f64>,
    /// Whether the price comes from a simulated broker.
    pub(super) is_simulated: bool,
    /// The number that it is ranked by.
    pub(super) number: f64,
    /// What is special about its price.
    pub(super) standing: Option<Standing>,
}

/// Reads a new picture every second, and at once when another market is picked.
///
/// Ends when the screen is gone.
pub(super) async fn look_on(
    wiring: Arc<Wiring>,
    mut market: watch::Receiver<Option<Market>>,
    pictures: watch::Sender<Picture>,
) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut looks = 0_u32;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = market.changed() => if changed.is_err() { return },
        }
        if looks.is_multiple_of(LIST_EVERY) {
            // If the list cannot be read, the names of the previous one are kept.
            let _ = timeout(PATIENCE, wiring.know_names()).await;
        }
        looks = looks.wrapping_add(1);
        let picked = *market.borrow_and_update();
        let seen = match timeout(PATIENCE, look(&wiring, picked)).await {
            Ok(seen) => seen,
            Err(_) => Err("the store did not answer in time".to_owned()),
        };
        let now = (wiring.clock)();
        pictures.send_modify(|held| match seen {
            Ok(picture) => *held = picture,
            Err(words) => {
                let since = held.trouble.as_ref().map_or(now, |trouble| trouble.since);
                held.trouble = Some(Trouble { since, words });
            }
        });
    }
}

async fn look(wiring: &Wiring, market: Option<Market>) -> Result<Picture, String> {
    let parts = wiring.status().map_err(|error| error.to_string())?;
    let status = Status::gather(&parts, SWEEPS);
    let status = status.await.map_err(|error| error.to_string())?;
    let mut movers = Vec::new();
    for kind in Kind::ALL {
        let (measure, end) = kind.measure();
        let top = top(wiring, market, measure, end).await?;
        movers.push(Movers {
            kind,
            prices: top.prices,
            places: places(top, wiring),
        });
    }
    let indices = wiring.indices.latest_indices().await;
    Ok(Picture {
        status: Some(status),
        indices: indices.map_err(|error| error.to_string())?,
        movers,
        trouble: None,
    })
}

async fn top(
    wiring: &Wiring,
    market: Option<Market>,
    measure: sise_domain::Measure,
    end: End,
) -> Result<Top, String> {
    let universe = wiring.universe.load_full();
    let picks = |code| {
        let listing = universe.get(code);
        market.is_none_or(|market| listing.is_some_and(|listing| listing.market == market))
    };
    let top = wiring.movers().top(measure, end, PLACES, picks).await;
    top.map_err(|error| error.to_string())
}

fn places(top: Top, wiring: &Wiring) -> Vec<Place> {
    let universe = wiring.universe.load();
    let place = |place: crate::movers::Place| {
        let quote = place.quote;
        let name = match (universe.get(place.code), &quote) {
            (Some(listing), _) => listing.name.clone(),
            (None, Some(quote)) => quote.stock_name.to_string(),
            (None, None) => String::new(),
        };
        Place {
            code: place.code,
            name,
            price: quote.as_ref().map(|quote| quote.price),
            is_simulated: quote.as_ref().is_some_and(|quote| quote.simulated),
            standing: quote.as_deref().and_then(Standing::of),
            rate: quote.and_then(|quote| quote.change_rate),
            number: place.number,
        }
    };
    top.places.into_iter().map(place).collect()
}
