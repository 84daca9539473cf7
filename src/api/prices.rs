//! Prices of one or many codes.

use axum::extract::State;
use axum::http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::extract::{Code, Params, codes};
use super::problem::{Document, Kind, Problem};
use super::shapes::{FailedCode, PricesAnswer, ReadingObject};
use sise_domain::{KrxTime, Phase, Symbol};
use sise_port::ReadCounter as _;

/// Maximum number of codes in a request.
const MOST: usize = 500;

/// Why the broker cannot be asked if nothing else is wrong.
const NO_KEY: &str = "this process has no app key to ask the broker with";

pub(super) const SOURCE: HeaderName = HeaderName::from_static("sise-source");
pub(super) const SESSION: HeaderName = HeaderName::from_static("sise-session");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A price as JSON with the values of its headers.
struct Read {
    json: String,
    age_ms: u64,
    source: &'static str,
    session: Phase,
}

/// The answer to a request for many codes.
struct Many {
    status: StatusCode,
    body: String,
    /// The oldest of the prices.
    oldest: Option<Read>,
}

/// The price of one code
///
/// From the store; if it has none, from the broker within the rate limit. Out of session, the last
/// close.
#[utoipa::path(get, path = "/v1/prices/{code}", tag = "prices",
    params(("code" = String, Path, description = "Stock code", pattern = "^Q?[0-9A-Z]{6}$", example = "005930")),
    responses(
        (status = 200, description = "The price", body = ReadingObject, headers(
            ("Age" = u64, description = "Age of the price, seconds"),
            ("Cache-Control" = String, description = "Good for one second more"),
            ("Sise-Source" = String, description = "`redis`, `api`, `close` or `memory`"),
            ("Sise-Session" = String, description = "Phase of the day when it was fetched"),
        )),
        (status = 400, description = "No stock code", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "No price is known", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The broker cannot be asked", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn price(State(api): State<Api>, Code(code): Code) -> Result<Response, Problem> {
    let now = (api.parts.clock)();
    if let Some(read) = api.read_from_board(code, now) {
        api.parts.reads.note(&[code]);
        return Ok(respond(
            read.json,
            Some((read.age_ms, read.source, read.session)),
        ));
    }
    let reading = api.parts.reader.price(code.as_str()).await?;
    let Some(reading) = reading else {
        return Err(match api.parts.broker {
            Some(_) => {
                let reason = api.parts.reasons.of_no_price(code).await;
                Kind::NoPrice.because(format!("no price of {code}: {reason}"))
            }
            None => Kind::BrokerAway.because(format!("no price of {code} in the store; {NO_KEY}")),
        });
    };
    let read = Read::new(&reading)?;
    Ok(respond(
        read.json,
        Some((read.age_ms, read.source, read.session)),
    ))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Up to 500 stock codes, separated by commas.
    #[param(
        pattern = "^Q?[0-9A-Z]{6}(,Q?[0-9A-Z]{6}){0,499}$",
        example = "005930,000660"
    )]
    codes: String,
}

/// The prices of many codes
///
/// `missing` lists the codes that have no price. `failed` lists the codes whose price is not known
/// because the broker could not be asked; request these again.
#[utoipa::path(get, path = "/v1/prices", tag = "prices", params(Wanted), responses(
    (status = 200, description = "The prices in the order asked for, and the codes without one",
        body = PricesAnswer, headers(("Age" = u64, description = "Age of the oldest, seconds"))),
    (status = 207, description = "The broker could not be asked for some of the codes: `failed` names them and why", body = PricesAnswer),
    (status = 400, description = "A code is not a stock code, or there are no codes", body = Document, content_type = "application/problem+json"),
    (status = 422, description = "Too many codes", body = Document, content_type = "application/problem+json"),
    (status = 503, description = "The broker cannot be asked, and nothing is known of any of the codes", body = Document, content_type = "application/problem+json"),
))]
pub(super) async fn prices(
    State(api): State<Api>,
    Params(wanted): Params<Wanted>,
) -> Result<Response, Problem> {
    let codes = codes(wanted.codes.split(','), MOST)?;
    let Many {
        status,
        body,
        oldest,
    } = api.read_many(&codes).await?;
    let oldest = oldest.map(|read| (read.age_ms, read.source, read.session));
    Ok((status, respond(body, oldest)).into_response())
}

impl Api {
    /// Returns the price on the board, if the board is in step with the store.
    fn read_from_board(&self, code: Symbol, now: KrxTime) -> Option<Read> {
        if !self.board.is_heard() {
            return None;
        }
        let posted = self.board.live(code, now)?;
        let age = (now - posted.quote.fetched_at).num_milliseconds();
        let age_ms = u64::try_from(age).unwrap_or(0);
        Some(Read {
            json: posted.reading(age_ms),
            age_ms,
            source: "redis",
            session: posted.quote.session,
        })
    }

    /// Returns the prices of `codes`, and why the others have none.
    async fn read_many(&self, codes: &[Symbol]) -> Result<Many, Problem> {
        let now = (self.parts.clock)();
        let on_board = codes.iter().map(|code| self.read_from_board(*code, now));
        let mut reads: Vec<Option<Read>> = on_board.collect();
        let found = codes.iter().zip(&reads).filter(|(_, read)| read.is_some());
        let found: Vec<Symbol> = found.map(|(code, _)| *code).collect();
        self.parts.reads.note(&found);
        let missing = codes.iter().zip(&reads).filter(|(_, read)| read.is_none());
        let missing: Vec<&str> = missing.map(|(code, _)| code.as_str()).collect();
        let mut failed = Vec::new();
        if !missing.is_empty() {
            let readings = match self.parts.reader.prices(&missing).await {
                Ok(readings) => readings,
                // Keep the prices that were found, even though others failed.
                Err(mut error) => {
                    let found = error.take_found();
                    let detail = error.reason();
                    let failure = |code: &Symbol| FailedCode {
                        code: code.to_string(),
                        detail: detail.clone(),
                    };
                    failed.extend(error.failed().iter().map(failure));
                    if failed.len() == codes.len() || failed.is_empty() {
                        return Err(error.into());
                    }
                    found
                }
            };
            for reading in readings {
                let code = reading.quote.stock_code;
                let place = codes.iter().position(|other| *other == code);
                if let Some(read) = place.and_then(|place| reads.get_mut(place)) {
                    *read = Some(Read::new(&reading)?);
                }
            }
        }
        let without = codes.iter().zip(&reads).filter(|(_, read)| read.is_none());
        let without = without.map(|(code, _)| code.as_str());
        let is_failed = |code: &&str| failed.iter().any(|failed| failed.code == *code);
        let mut missing: Vec<&str> = without.filter(|code| !is_failed(code)).collect();
        if self.parts.broker.is_none() {
            let failure = |code: &str| FailedCode {
                code: code.to_owned(),
                detail: NO_KEY.to_owned(),
            };
            failed.extend(missing.drain(..).map(failure));
            if failed.len() == codes.len() {
                let detail = format!("the store has no price of these codes; {NO_KEY}");
                return Err(Kind::BrokerAway.because(detail));
            }
        }
        let mut body = String::with_capacity(reads.len() * 400);
        body.push_str("{\"prices\":[");
        for (place, read) in reads.iter().flatten().enumerate() {
            if place > 0 {
                body.push(',');
            }
            body.push_str(&read.json);
        }
        body.push_str("],\"missing\":");
        body.push_str(&serde_json::to_string(&missing).unwrap_or_default());
        body.push_str(",\"failed\":");
        body.push_str(&serde_json::to_string(&failed).unwrap_or_default());
        body.push('}');
        Ok(Many {
            status: match failed.is_empty() {
                true => StatusCode::OK,
                false => StatusCode::MULTI_STATUS,
            },
            body,
            oldest: reads.into_iter().flatten().max_by_key(|read| read.age_ms),
        })
    }
}

impl Read {
    fn new(reading: &sise_domain::Reading) -> Result<Self, Problem> {
        let json = serde_json::to_string(reading)
            .map_err(|error| Kind::Internal.because(error.to_string()))?;
        Ok(Self {
            json,
            age_ms: u64::try_from(reading.age.as_millis()).unwrap_or(u64::MAX),
            source: reading.source.as_str(),
            session: reading.quote.session,
        })
    }
}

/// Returns a body with the headers of its oldest price.
fn respond(body: String, oldest: Option<(u64, &'static str, Phase)>) -> Response {
    let mut response = body.into_response();
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    let Some((age_ms, source, session)) = oldest else {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return response;
    };
    let age = age_ms / 1_000;
    headers.insert(AGE, age.into());
    // Caches subtract the age from the lifetime, so this leaves one more second at any age.
    if let Ok(value) = HeaderValue::from_str(&format!("private, max-age={}", age + 1)) {
        headers.insert(CACHE_CONTROL, value);
    }
    headers.insert(SOURCE, HeaderValue::from_static(source));
    headers.insert(SESSION, HeaderValue::from_static(session.as_str()));
    response
}
