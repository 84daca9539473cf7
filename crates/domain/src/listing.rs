//! Listed instruments, and the stock list.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{PriceRange, Symbol};

/// The two markets that sise covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Market {
    /// The main board.
    Kospi,
    /// The growth market.
    Kosdaq,
}

impl Market {
    /// All markets.
    pub const ALL: [Self; 2] = [Self::Kospi, Self::Kosdaq];

    /// Returns `KOSPI` or `KOSDAQ`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kospi => "KOSPI",
            Self::Kosdaq => "KOSDAQ",
        }
    }
}

impl FromStr for Market {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "KOSPI" => Ok(Self::Kospi),
            // Lists of the exchange name the premium segment of KOSDAQ separately.
            "KOSDAQ" | "KOSDAQ GLOBAL" => Ok(Self::Kosdaq),
            _ => Err(format!("market '{text}' is neither KOSPI nor KOSDAQ")),
        }
    }
}

impl fmt::Display for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Security group in the broker's symbol files (contract 6.3 field 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Group {
    /// Common and preferred shares.
    #[serde(rename = "ST")]
    Stock,
    /// Real-estate investment trusts.
    #[serde(rename = "RT")]
    Reit,
    /// Infrastructure funds.
    #[serde(rename = "IF")]
    Infrastructure,
    /// Closed-end funds listed like shares.
    #[serde(rename = "MF")]
    Fund,
    /// Foreign shares.
    #[serde(rename = "FS")]
    Foreign,
    /// Depositary receipts.
    #[serde(rename = "DR")]
    Depositary,
    /// Exchange-traded funds.
    #[serde(rename = "EF")]
    Etf,
    /// Exchange-traded funds of foreign issuers.
    #[serde(rename = "FE")]
    ForeignEtf,
    /// Exchange-traded notes.
    #[serde(rename = "EN")]
    Etn,
}

impl Group {
    /// Returns the broker's two-letter code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Stock => "ST",
            Self::Reit => "RT",
            Self::Infrastructure => "IF",
            Self::Fund => "MF",
            Self::Foreign => "FS",
            Self::Depositary => "DR",
            Self::Etf => "EF",
            Self::ForeignEtf => "FE",
            Self::Etn => "EN",
        }
    }

    /// Returns the group for a two-letter code.
    ///
    /// `None` for groups that are neither stocks nor funds (warrants, rights, beneficiary
    /// certificates).
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [
            Self::Stock,
            Self::Reit,
            Self::Infrastructure,
            Self::Fund,
            Self::Foreign,
            Self::Depositary,
            Self::Etf,
            Self::ForeignEtf,
            Self::Etn,
        ]
        .into_iter()
        .find(|group| group.code() == code)
    }
}

/// One listed instrument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Short code.
    pub code: Symbol,
    /// Korean short name.
    pub name: String,
    /// Market it is listed on.
    pub market: Market,
    /// Security group.
    pub group: Group,
    /// Whether trading was halted when the list was made; absent if the list does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted: Option<bool>,
    /// Number of listed shares; absent if the list does not say.
    ///
    /// The broker's symbol files count in thousands, so their numbers are up to 999 short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<u64>,
    /// Industry sector of the exchange, named alike on both markets; absent if the list does not
    /// say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sector: Option<String>,
    /// First trading day; absent if the list does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<NaiveDate>,
    /// Whether it is in its last days of trading before it is delisted, without price limits.
    ///
    /// Absent if the list does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_liquidation: Option<bool>,
}

impl Listing {
    /// Returns how far its price may move on `day`.
    #[must_use]
    pub fn price_range(&self, day: NaiveDate) -> PriceRange {
        match (self.group, self.in_liquidation) {
            // Some move twice as far as the index they track.
            (Group::Etf | Group::ForeignEtf | Group::Etn, _) => PriceRange::Unknown,
            (_, Some(true)) => PriceRange::Unlimited,
            _ if self.listed == Some(day) => PriceRange::FirstDay,
            (_, Some(false)) => PriceRange::Usual,
            (_, None) => PriceRange::Unknown,
        }
    }
}

/// Groups of a list that are kept fresh.
///
/// All groups that the exchange lists as stocks always are: common, preferred and foreign shares,
/// depositary receipts, REITs and listed closed-end funds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Selection {
    /// Whether to include exchange-traded funds.
    pub etf: bool,
    /// Whether to include exchange-traded notes.
    pub etn: bool,
}

impl Selection {
    fn keeps(self, group: Group) -> bool {
        match group {
            Group::Etf | Group::ForeignEtf => self.etf,
            Group::Etn => self.etn,
            _ => true,
        }
    }
}

/// The stock list: unique listings by code, in the order of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Universe {
    /// The day that the list is for, if it says so.
    pub date: Option<NaiveDate>,
    listings: Vec<Listing>,
    places: HashMap<Symbol, usize>,
}

impl Universe {
    /// Creates a list. If a code comes twice, the first listing is kept.
    #[must_use]
    pub fn new(date: Option<NaiveDate>, listings: impl IntoIterator<Item = Listing>) -> Self {
        let mut universe = Self {
            date,
            ..Self::default()
        };
        for listing in listings {
            if !universe.places.contains_key(&listing.code) {
                universe
                    .places
                    .insert(listing.code, universe.listings.len());
                universe.listings.push(listing);
            }
        }
        universe
    }

    /// Returns the part of the list that `selection` keeps.
    #[must_use]
    pub fn select(&self, selection: Selection) -> Self {
        let kept = self.listings.iter().filter(|l| selection.keeps(l.group));
        Self::new(self.date, kept.cloned())
    }

    /// Returns all listings, in the order of the list.
    #[must_use]
    pub fn listings(&self) -> &[Listing] {
        &self.listings
    }

    /// Returns the listing of one code.
    #[must_use]
    pub fn get(&self, symbol: Symbol) -> Option<&Listing> {
        self.listings.get(*self.places.get(&symbol)?)
    }

    /// Returns all codes, in the order of the list.
    pub fn symbols(&self) -> impl Iterator<Item = Symbol> + '_ {
        self.listings.iter().map(|listing| listing.code)
    }

    /// Returns the number of codes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.listings.len()
    }

    /// Returns whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listings.is_empty()
    }
}
