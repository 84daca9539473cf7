//! The whole market in one answer.

use std::fmt;
use std::fmt::Write as _;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::NaiveDate;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::Api;
use super::encoded::Encoded;
use super::problem::{Kind, Problem};
use super::shapes::MarketAnswer;
use sise_domain::{Calendar, KrxTime, Listing, Measure, Quote};
use sise_net::supervisor::spawn_brief;

/// How long an answer is served before a new one is made.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// Age from which an answer is no longer served: the first request after a pause waits for a new
/// one.
const OLDEST: Duration = Duration::from_secs(3);

const COLUMNS: [&str; 15] = [
    "code",
    "price",
    "change",
    "change_rate",
    "volume",
    "value",
    "market_cap",
    "open",
    "high",
    "low",
    "base_price",
    "status",
    "limit",
    "age_ms",
    "live",
];

/// The current answer.
#[derive(Default)]
pub(super) struct MarketPage {
    page: Mutex<Option<Page>>,
    is_making: AtomicBool,
}

#[derive(Clone)]
struct Page {
    made_at: Instant,
    body: Arc<Encoded>,
}

#[derive(Serialize)]
struct Market {
    v: u32,
    at: String,
    session: &'static str,
    open: bool,
    reason: Option<String>,
    shown: Shown,
    ttl_ms: u64,
    simulated: bool,
    columns: [&'static str; 15],
    rows: Vec<Vec<Value>>,
}

/// What the rows show.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Shown {
    /// At least some live prices.
    Live,
    /// The closes of a day.
    Closes { of: NaiveDate },
    /// Prices fetched out of session, the latest of them at this time.
    LastKnown { at: String },
    /// No price.
    Nothing,
}

impl Shown {
    /// Classifies the prices by when each was fetched and whether it is live.
    fn of(prices: impl Iterator<Item = (KrxTime, bool)>, calendar: &Calendar) -> Self {
        let (mut closes, mut others) = (Vec::new(), Vec::new());
        for (at, is_live) in prices {
            match is_live {
                true => return Self::Live,
                false if calendar.is_close(at) => closes.push(at),
                false => others.push(at),
            }
        }
        let last_close = closes.iter().max().filter(|_| closes.len() >= others.len());
        match (last_close, others.iter().max()) {
            (Some(at), _) => Self::Closes {
                of: at.date_naive(),
            },
            (None, Some(at)) => Self::LastKnown {
                at: at.to_rfc3339_opts(chrono::SecondsFormat::Secs, false),
            },
            (None, None) => Self::Nothing,
        }
    }
}

/// The whole market
///
/// Every code of the universe in one compact answer: live prices, or else the last closes. The
/// answer is at most three seconds old. It has an `ETag` and is compressed if the client accepts
/// that. The tag changes with the prices, not with their ages: on a 304 the client adds the elapsed
/// time to the ages it holds.
#[utoipa::path(get, path = "/v1/market", tag = "prices", responses(
    (status = 200, description = "The market", body = MarketAnswer, headers(("ETag" = String, description = "Weak; changes with the prices, not with their ages alone"))),
    (status = 304, description = "As the client has it"),
))]
pub(super) async fn market(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let body = api.market_page().await?;
    Ok(body.respond(&headers))
}

impl Api {
    async fn market_page(&self) -> Result<Arc<Encoded>, Problem> {
        let held = self.market.held();
        if let Some(page) = &held {
            let age = page.made_at.elapsed();
            if age < GOOD_FOR {
                return Ok(Arc::clone(&page.body));
            }
            if age < OLDEST {
                self.make_beside(page);
                return Ok(Arc::clone(&page.body));
            }
        }
        let (api, held) = (self.clone(), held.map(|page| page.body));
        let made = spawn_blocking(move || api.make_page(held.as_deref()));
        made.await
            .map_err(|error| Kind::Internal.because(error.to_string()))
    }

    /// Makes a new page in the background while the old one is served.
    fn make_beside(&self, old: &Page) {
        let (api, old) = (self.clone(), Arc::clone(&old.body));
        self.market.beside(move || drop(api.make_page(Some(&old))));
    }

    fn make_page(&self, old: Option<&Encoded>) -> Arc<Encoded> {
        let now = (self.parts.clock)();
        let (market, meaning) = self.rows(now);
        let json = serde_json::to_vec(&market).unwrap_or_default();
        let body = Arc::new(Encoded::json_that_means(json, meaning.as_bytes()));
        if let Some(old) = old {
            body.prepare_as(old);
        }
        let page = Page {
            made_at: Instant::now(),
            body: Arc::clone(&body),
        };
        *self
            .market
            .page
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(page);
        body
    }

    /// Returns the market, and a text of everything in it except the passing of time, from which
    /// the tag is made.
    fn rows(&self, now: KrxTime) -> (Market, String) {
        let universe = self.parts.universe.load_full();
        let moment = self.parts.calendar.load().moment(now);
        let latest = self.board.latest_of(universe.symbols(), now);
        let is_open = moment.is_open() || self.is_always_open();
        let mut meaning = format!("{} {is_open}\n", moment.phase.as_str());
        let mut simulated = false;
        let fetched = latest.iter().flatten();
        let fetched = fetched.map(|(posted, is_live)| (posted.quote.fetched_at, *is_live));
        let shown = Shown::of(fetched, &self.parts.calendar.load());
        let rows = universe.listings().iter().zip(latest);
        let rows = rows.map(|(listing, latest)| match latest {
            Some((posted, is_live)) => {
                simulated |= posted.quote.simulated;
                // Writing to a String cannot fail.
                let _ = writeln!(
                    meaning,
                    "{} {:?} {is_live}",
                    posted.object(),
                    listing.shares
                );
                row(listing, &posted.quote, is_live, now)
            }
            None => {
                let _ = writeln!(meaning, "{}", listing.code);
                let nothing = std::iter::repeat_n(Value::Null, COLUMNS.len() - 2);
                let code = std::iter::once(json!(listing.code));
                code.chain(nothing).chain([Value::Bool(false)]).collect()
            }
        });
        let rows: Vec<_> = rows.collect();
        let ttl = self.parts.ttl.as_millis();
        let market = Market {
            v: 1,
            at: now.to_rfc3339_opts(chrono::SecondsFormat::Millis, false),
            session: moment.phase.as_str(),
            open: is_open,
            reason: moment.closed.as_ref().map(ToString::to_string),
            shown,
            ttl_ms: u64::try_from(ttl).unwrap_or(u64::MAX),
            simulated,
            columns: COLUMNS,
            rows,
        };
        (market, meaning)
    }
}

fn row(listing: &Listing, quote: &Quote, is_live: bool, now: KrxTime) -> Vec<Value> {
    let cap = Measure::MarketCap.of(quote, Some(listing));
    #[expect(
        clippy::cast_possible_truncation,
        reason = "no company is worth 2^53 won"
    )]
    let cap = cap.map(|cap| cap as i64);
    let age = (now - quote.fetched_at).num_milliseconds().max(0);
    vec![
        json!(listing.code),
        json!(quote.price),
        json!(quote.change),
        json!(quote.change_rate),
        json!(quote.volume),
        json!(quote.value),
        json!(cap),
        json!(quote.open),
        json!(quote.high),
        json!(quote.low),
        json!(quote.base_price),
        json!(quote.status),
        json!(quote.limit),
        json!(age),
        json!(is_live),
    ]
}

impl MarketPage {
    /// Runs `work` on a blocking thread, unless it is already running.
    fn beside(self: &Arc<Self>, work: impl FnOnce() + Send + 'static) {
        if self.is_making.swap(true, Ordering::AcqRel) {
            return;
        }
        let making = Making(Arc::clone(self));
        spawn_brief("market page", async {
            let made = spawn_blocking(move || {
                let _making = making;
                work();
            });
            if let Err(error) = made.await
                && let Ok(panic) = error.try_into_panic()
            {
                resume_unwind(panic);
            }
        });
    }

    fn held(&self) -> Option<Page> {
        let page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        page.clone()
    }
}

/// Marks that a page is being made. Dropping it clears the mark, even after a panic.
struct Making(Arc<MarketPage>);

impl Drop for Making {
    fn drop(&mut self) {
        self.0.is_making.store(false, Ordering::Release);
    }
}

impl fmt::Debug for MarketPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MarketPage").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;
    use sise_domain::Seoul;

    #[tokio::test]
    async fn a_page_that_breaks_off_is_counted_and_the_next_one_is_made() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let counts = recorder.handle();
        let _counting = metrics::set_default_local_recorder(&recorder);
        let page = Arc::new(MarketPage::default());
        page.beside(|| panic!("a page that cannot be made"));
        let ends = async || {
            while page.is_making.load(Ordering::Acquire) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        ends().await;
        let made = Arc::new(AtomicBool::default());
        let makes = Arc::clone(&made);
        page.beside(move || makes.store(true, Ordering::Release));
        ends().await;
        assert!(made.load(Ordering::Acquire));
        let counted = r#"sise_task_failures_total{task="market page"} 1"#;
        for _ in 0..1_000 {
            if counts.render().contains(counted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{}", counts.render());
    }

    #[test]
    fn it_says_what_is_shown() {
        let calendar = Calendar::shipped();
        let on = |day, hour| Seoul.with_ymd_and_hms(2026, 11, day, hour, 38, 0).unwrap();
        let shown = |prices: &[(KrxTime, bool)]| {
            let shown = Shown::of(prices.iter().copied(), &calendar);
            serde_json::to_value(shown).unwrap()
        };
        assert_eq!(shown(&[]), json!({"kind": "nothing"}));
        let (close, evening) = ((on(20, 15), false), (on(20, 17), false));
        assert_eq!(
            shown(&[close, close, evening]),
            json!({"kind": "closes", "of": "2026-11-20"})
        );
        assert_eq!(
            shown(&[evening, close, evening]),
            json!({"kind": "last_known", "at": "2026-11-20T17:38:00+09:00"})
        );
        assert_eq!(shown(&[close, (on(20, 17), true)]), json!({"kind": "live"}));
    }
}
