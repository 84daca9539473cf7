//! The stock list.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::encoded::Encoded;
use sise_domain::{Listing, Universe};

/// The list as last encoded.
#[derive(Debug, Default)]
pub(super) struct UniversePage {
    held: Mutex<Option<(Arc<Universe>, Arc<Encoded>)>>,
}

#[derive(Serialize)]
struct Answer<'a> {
    date: Option<chrono::NaiveDate>,
    count: usize,
    listings: &'a [Listing],
}

/// The stock list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UniverseAnswer {
    /// The day it is valid for.
    date: Option<String>,
    /// Number of codes.
    count: u64,
    /// The codes, in order.
    listings: Vec<ListingObject>,
}

/// One listed instrument.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ListingObject {
    /// Stock code.
    code: String,
    /// Korean short name.
    name: String,
    /// `KOSPI` or `KOSDAQ`.
    market: String,
    /// Security group: `ST` for shares.
    group: String,
    /// Sector, if the list has it.
    sector: Option<String>,
    /// Whether trading was halted when the list was made, if the list says so.
    halted: Option<bool>,
    /// Listed shares, if the list has them.
    shares: Option<u64>,
}

/// The stock list
#[utoipa::path(get, path = "/v1/universe", tag = "market", responses(
    (status = 200, description = "The list", body = UniverseAnswer, headers(("ETag" = String, description = "Changes with the content"))),
    (status = 304, description = "As the client has it"),
))]
pub(super) async fn universe(State(api): State<Api>, headers: HeaderMap) -> Response {
    let universe = api.parts.universe.load_full();
    api.universe_page.of(&universe).respond(&headers)
}

impl UniversePage {
    fn of(&self, universe: &Arc<Universe>) -> Arc<Encoded> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, body)) = held.as_ref()
            && Arc::ptr_eq(of, universe)
        {
            return Arc::clone(body);
        }
        let answer = Answer {
            date: universe.date,
            count: universe.len(),
            listings: universe.listings(),
        };
        let json = serde_json::to_vec(&answer).unwrap_or_default();
        let body = Arc::new(Encoded::json(json));
        *held = Some((Arc::clone(universe), Arc::clone(&body)));
        body
    }
}
