//! The subscription of a stream.

use super::message::Wish;
use super::places::Places;
use crate::board::QuoteBoard;
use sise_domain::{Listing, Market, Symbol, Universe};

/// The subscription of a stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Subscription {
    /// All codes.
    pub(super) all: bool,
    /// All codes of KOSPI.
    pub(super) kospi: bool,
    /// All codes of KOSDAQ.
    pub(super) kosdaq: bool,
    /// Single codes.
    pub(super) places: Places,
    /// The indices.
    pub(super) indices: bool,
    /// Alerts.
    pub(super) alerts: bool,
}

impl Subscription {
    /// Adds the wish, or removes it. `places` are the places of its single codes.
    pub(super) fn change(&mut self, wish: &Wish, places: &[usize], is_wanted: bool) {
        if wish.all {
            if !is_wanted {
                *self = Self {
                    indices: self.indices,
                    alerts: self.alerts,
                    ..Self::default()
                };
            }
            self.all = is_wanted;
        }
        match wish.market {
            Some(Market::Kospi) => self.kospi = is_wanted,
            Some(Market::Kosdaq) => self.kosdaq = is_wanted,
            None => {}
        }
        for place in places {
            if is_wanted {
                self.places.add(*place);
            } else {
                self.places.remove(*place);
            }
        }
        if wish.indices {
            self.indices = is_wanted;
        }
        if wish.alerts {
            self.alerts = is_wanted;
        }
    }

    /// Whether it includes all codes of a market.
    pub(super) fn has_market(&self, market: Option<Market>) -> bool {
        self.all
            || match market {
                Some(Market::Kospi) => self.kospi,
                Some(Market::Kosdaq) => self.kosdaq,
                None => false,
            }
    }

    /// Whether it includes a code.
    pub(super) fn has(&self, code: Symbol, universe: &Universe, board: &QuoteBoard) -> bool {
        let market = universe.get(code).map(|listing| listing.market);
        let is_single = || {
            let place = board.known_place(code);
            place.is_some_and(|place| self.places.contains(place))
        };
        self.has_market(market) || is_single()
    }

    /// Returns the places of all its codes.
    pub(super) fn told(&self, universe: &Universe, board: &QuoteBoard) -> Places {
        let mut told = self.places.clone();
        if self.all || self.kospi || self.kosdaq {
            let is_told = |listing: &&Listing| self.has_market(Some(listing.market));
            let listings = universe.listings().iter().filter(is_told);
            for place in board.places(listings.map(|listing| listing.code)) {
                told.add(place);
            }
        }
        told
    }
}
