//! `sise top`

mod draw;
mod picture;
mod screen;

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::failure::{DONE, Failure, INCOMPLETE, Outcome};
use super::output::{self, grouped};
use super::paint::Ink;
use super::similar;
use super::standing::Standing;
use super::table::{Cell, Table};
use super::words;
use crate::config::{RawSettings, Settings};
use crate::movers::{End, Place, Prices, Top};
use crate::setup::Wiring;
use sise_domain::{Market, Measure};
use sise_port::clock;

/// Arguments of `sise top`.
#[derive(Debug, Args)]
pub(super) struct TopArguments {
    /// What to rank by; without it, the live screen opens
    kind: Option<Kind>,
    /// How many stocks to show
    #[arg(short = 'n', long, default_value_t = 10, value_name = "N", requires = "kind",
        value_parser = clap::value_parser!(u16).range(1..=5_000))]
    count: u16,
    /// Stocks of this market only: KOSPI or KOSDAQ
    #[arg(long, value_name = "MARKET", value_parser = market)]
    market: Option<Market>,
    /// Print JSON: an array of objects
    #[arg(long, requires = "kind")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The highest change rate
    Gainers,
    /// The lowest change rate
    Losers,
    /// The most shares traded
    Volume,
    /// The most won traded
    Value,
    /// The largest market capitalisation
    Cap,
}

impl Kind {
    /// All kinds, in display order.
    const ALL: [Self; 5] = [
        Self::Gainers,
        Self::Losers,
        Self::Volume,
        Self::Value,
        Self::Cap,
    ];

    fn measure(self) -> (Measure, End) {
        match self {
            Self::Gainers => (Measure::ChangeRate, End::Highest),
            Self::Losers => (Measure::ChangeRate, End::Lowest),
            Self::Volume => (Measure::Volume, End::Highest),
            Self::Value => (Measure::Value, End::Highest),
            Self::Cap => (Measure::MarketCap, End::Highest),
        }
    }
}

fn market(text: &str) -> Result<Market, String> {
    let market = text.to_uppercase().parse();
    let known = Market::ALL.map(Market::as_str);
    market.map_err(|trouble: String| format!("{trouble}{}", similar::meant(text, known)))
}

pub(super) async fn run(arguments: TopArguments, raw: RawSettings) -> Outcome {
    let Some(kind) = arguments.kind else {
        return watch(&arguments, &raw).await;
    };
    let wiring = super::wiring(&raw)?;
    super::redis(&wiring)?;
    wiring.know_names().await;
    let universe = wiring.universe.load_full();
    let (measure, end) = kind.measure();
    let picks = |code| {
        let of = |market| {
            universe
                .get(code)
                .is_some_and(|listing| listing.market == market)
        };
        arguments.market.is_none_or(of)
    };
    let count = usize::from(arguments.count);
    let top = wiring.movers().top(measure, end, count, picks).await?;
    if top.places.is_empty() {
        if arguments.json {
            output::json(&json!([]));
        }
        output::note(
            "nothing is ranked: rankings are written after each sweep (`sise status` shows the last)",
        );
        return Ok(INCOMPLETE);
    }
    if arguments.json {
        output::json(
            &top.places
                .iter()
                .map(|place| object(place, &top, &wiring))
                .collect::<Vec<_>>(),
        );
    } else {
        print(&top, measure, &wiring);
    }
    Ok(DONE)
}

/// Shows the live screen.
async fn watch(arguments: &TopArguments, raw: &RawSettings) -> Outcome {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "the live screen needs a terminal; elsewhere say what to rank by: `sise top gainers`, \
             losers, volume, value or cap",
        ));
    }
    // Logs would overwrite the screen, which shows what matters of them.
    let wiring = if std::io::stderr().is_terminal() {
        Wiring::new(Settings::new(raw)?, clock::system())?
    } else {
        super::wiring(raw)?
    };
    let address = super::redis(&wiring)?.address().to_owned();
    screen::show(wiring, address, arguments.market).await
}

fn name(place: &Place, wiring: &Wiring) -> String {
    let universe = wiring.universe.load();
    match universe.get(place.code) {
        Some(listing) => listing.name.clone(),
        None => place
            .quote
            .as_ref()
            .map_or(String::new(), |quote| quote.stock_name.to_string()),
    }
}

fn object(place: &Place, top: &Top, wiring: &Wiring) -> serde_json::Value {
    let quote = place.quote.as_ref();
    let market = wiring
        .universe
        .load()
        .get(place.code)
        .map(|listing| listing.market);
    json!({
        "rank": place.rank,
        "stock_code": place.code,
        "stock_name": name(place, wiring),
        "market": market,
        "number": place.number,
        "session": match top.prices {
            Prices::Realtime => "realtime",
            Prices::Close => "close",
        },
        "price": quote.map(|quote| quote.price),
        "change_rate": quote.and_then(|quote| quote.change_rate),
        "volume": quote.and_then(|quote| quote.volume),
        "value": quote.and_then(|quote| quote.value),
        "simulated": quote.is_some_and(|quote| quote.simulated),
        "status": quote.map(|quote| quote.status),
        "limit": quote.and_then(|quote| quote.limit),
        "fetched_at": quote.map(|quote| quote.fetched_at.to_rfc3339()),
    })
}

fn print(top: &Top, measure: Measure, wiring: &Wiring) {
    let ranked_by = match measure {
        Measure::ChangeRate => None,
        Measure::Volume => Some("shares"),
        Measure::Value | Measure::MarketCap => Some("won"),
    };
    let mut header = vec!["", "code", "name", "price", "%"];
    header.extend(ranked_by);
    let right = [0, 3, 4].into_iter().chain(ranked_by.map(|_| 5));
    header.push("");
    let mut table = Table::new(&header);
    for place in &top.places {
        let quote = place.quote.as_ref();
        let absent = || "-".to_owned();
        let rate = match measure {
            Measure::ChangeRate => Some(place.number),
            _ => quote.and_then(|quote| quote.change_rate),
        };
        let ink = Ink::of_change(rate);
        let mut row: Vec<Cell> = vec![
            place.rank.to_string().into(),
            place.code.to_string().into(),
            name(place, wiring).into(),
            Cell::new(quote.map_or_else(absent, |quote| grouped(quote.price)), ink),
            Cell::new(rate.map_or_else(absent, |rate| format!("{rate:+.2}")), ink),
        ];
        if ranked_by.is_some() {
            row.push(grouped(whole(place.number)).into());
        }
        if let Some(standing) = quote.and_then(|quote| Standing::of(quote)) {
            row.push(Cell::new(standing.words(), standing.ink()));
        }
        table.add_row(row);
    }
    table.right(right);
    output::rows(&table);
    let mut quotes = top.places.iter().filter_map(|place| place.quote.as_ref());
    if quotes.any(|quote| quote.simulated) {
        output::note(words::SIMULATED);
    }
    let newest = top
        .places
        .iter()
        .filter_map(|place| Some(place.quote.as_ref()?.fetched_at));
    if let Some(newest) = newest.max() {
        let of = match top.prices {
            Prices::Realtime => "live prices of",
            Prices::Close => "closes of",
        };
        output::note(format!("{of} {}", newest.format("%Y-%m-%d %H:%M:%S KST")));
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, and shares and won are whole"
)]
fn whole(number: f64) -> i64 {
    number as i64
}
