//! Rankings of the day.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::extract::{Name, Params};
use super::problem::{Document, Kind, Problem};
use super::shapes::ReadingObject;
use crate::movers::{End, Prices};
use sise_domain::{Market, Measure, Reading, Source};

/// The available rankings.
const KINDS: [(&str, Measure, End); 5] = [
    ("gainers", Measure::ChangeRate, End::Highest),
    ("losers", Measure::ChangeRate, End::Lowest),
    ("volume", Measure::Volume, End::Highest),
    ("value", Measure::Value, End::Highest),
    ("cap", Measure::MarketCap, End::Highest),
];

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// How many.
    #[param(minimum = 1, maximum = 500)]
    n: Option<u16>,
    /// `KOSPI` or `KOSDAQ`.
    #[param(pattern = "^(KOSPI|KOSDAQ)$")]
    market: Option<String>,
}

/// The top of a ranking.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MoversAnswer {
    /// The ranking.
    kind: String,
    /// `realtime` or `close`: the prices that were ranked.
    prices: &'static str,
    /// In order; empty before the first sweep.
    places: Vec<PlaceObject>,
}

/// A place in a ranking.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PlaceObject {
    /// 1 for the first.
    rank: u64,
    /// Stock code.
    code: String,
    /// Korean name.
    name: String,
    /// The value that is ranked: percent, shares or won.
    number: f64,
    /// Its price; absent if it has expired meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ReadingObject>)]
    price: Option<Reading>,
}

/// Rankings of the day
///
/// By change rate (gainers, losers), volume, traded value or market capitalisation. Rankings are
/// updated after each sweep; out of session they are of the last closes.
#[utoipa::path(get, path = "/v1/movers/{kind}", tag = "market",
    params(("kind" = String, Path, description = "gainers, losers, volume, value or cap",
        pattern = "^(gainers|losers|volume|value|cap)$", example = "gainers"), Wanted),
    responses(
        (status = 200, description = "The top", body = MoversAnswer),
        (status = 400, description = "The query is not understood", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "There is no such ranking", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The store does not answer", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn movers(
    State(api): State<Api>,
    Name(kind): Name,
    Params(wanted): Params<Wanted>,
) -> Result<Json<MoversAnswer>, Problem> {
    let found = KINDS.iter().find(|(name, ..)| *name == kind);
    let Some((_, measure, end)) = found else {
        let kinds = "gainers, losers, volume, value, cap";
        return Err(Kind::NotFound.because(format!("there is no such ranking; there are {kinds}")));
    };
    let count = wanted.n.unwrap_or(20);
    if !(1..=500).contains(&count) {
        return Err(Kind::BadRequest.because("n must be from 1 to 500"));
    }
    let market: Option<Market> = match &wanted.market {
        Some(text) => Some(
            text.parse()
                .map_err(|error: String| Kind::BadRequest.because(error))?,
        ),
        None => None,
    };
    let universe = api.parts.universe.load_full();
    let picks = |code| {
        let of = |market| {
            universe
                .get(code)
                .is_some_and(|listing| listing.market == market)
        };
        market.is_none_or(of)
    };
    let top = api
        .parts
        .movers
        .top(*measure, *end, count.into(), picks)
        .await?;
    let now = (api.parts.clock)();
    let (prices, source) = match top.prices {
        Prices::Realtime => ("realtime", Source::Redis),
        Prices::Close => ("close", Source::Close),
    };
    let places = top.places.into_iter().map(|place| {
        let listing = universe.get(place.code);
        let quote_name = place
            .quote
            .as_ref()
            .map(|quote| quote.stock_name.to_string());
        let name = listing.map(|listing| listing.name.clone()).or(quote_name);
        PlaceObject {
            rank: place.rank,
            code: place.code.to_string(),
            name: name.unwrap_or_default(),
            number: place.number,
            price: place.quote.map(|quote| Reading::new(quote, source, now)),
        }
    });
    Ok(Json(MoversAnswer {
        kind,
        prices,
        places: places.collect(),
    }))
}
