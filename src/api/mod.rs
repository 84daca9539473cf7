//! The HTTP API: prices, streams, the whole market on one page, health and metrics. It listens on
//! loopback by default.
//!
//! ```text
//!  server (connections: room, proxies) -> problem, measure -> access -> routes -> board, reader, store
//!                                                  '---> stream <- hub <- board
//! ```

mod access;
mod alerts;
mod calendar;
mod document;
mod encoded;
mod extract;
mod health;
mod indices;
mod latest;
mod lines;
mod market;
mod metrics;
mod movers;
mod origin;
mod page;
mod prices;
mod problem;
mod problems;
mod proxies;
mod refresh;
mod room;
mod server;
mod sessions;
mod shapes;
mod status;
mod stream;
mod universe;
mod watchlists;

use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{
    AGE, ALLOW, CONTENT_ENCODING, ETAG, HeaderName, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware;
use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowMethods, CorsLayer};
use tower_http::timeout::TimeoutLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::access::Access;
use self::latest::Latest;
use self::market::MarketPage;
use self::proxies::Proxies;
use self::refresh::UnderWay;
use self::room::Capacity;
use self::stream::Hub;
use self::universe::UniversePage;
use crate::alerts::{AlertRules, Alerts, Outlooks};
use crate::board::{self, History, Keeper, QuoteBoard};
use crate::broker::Broker;
use crate::clients::Clients;
use crate::freshness::Freshness;
use crate::leadership::Candidate;
use crate::movers::Movers;
use crate::provenance::Origin;
use crate::reader::Reader;
use crate::status::{self as statuses, Reasons};
use crate::sweep::Sweeper;
use crate::watch::{Reads, WatchLists};
use sise_cache::{Cache, CacheError};
use sise_domain::{Calendar, Universe};
use sise_net::descriptors::{Descriptors, RESERVE};
use sise_net::supervisor::Tasks;
use sise_port::clock::Clock;
use sise_port::{IndexStore, PriceStore, Records};
use sise_store::RedisStore;

/// Interval at which histograms are drained; without it they would grow between two scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Longest time to answer a request. Streams have no such limit.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);

/// Longest wait for the first read of the store before requests are answered anyway.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// Headers that a page of another origin may read, beyond those that browsers always expose.
const EXPOSED: [HeaderName; 9] = [
    AGE,
    ALLOW,
    CONTENT_ENCODING,
    ETAG,
    LOCATION,
    RETRY_AFTER,
    WWW_AUTHENTICATE,
    prices::SOURCE,
    prices::SESSION,
];

/// Largest request body, in bytes.
const LARGEST_BODY: usize = 64 * 1024;

/// State that only a sweeping daemon has.
#[derive(Clone)]
pub struct Sweeping {
    /// When each code was written.
    pub freshness: Arc<Freshness>,
    /// This process as a candidate for the lead; `None` if it runs alone.
    pub candidate: Option<Arc<Candidate>>,
    /// Whether to sweep regardless of the calendar.
    pub always_open: bool,
}

/// Who may use the API, and how much of it.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Address to serve it on; `None` if it is off.
    pub listen: Option<SocketAddr>,
    /// Most requests of one client per second; 0 for no limit.
    pub requests_per_second: usize,
    /// Most open connections of all clients.
    pub connections: usize,
    /// Most open streams of one client.
    pub streams_per_client: usize,
    /// Origin whose pages may use the API in a browser; `None` for the own page only.
    pub cors_origin: Option<String>,
    /// Proxies that are trusted to name the client of a request.
    pub trusted_proxies: Vec<IpNet>,
}

/// What the API answers from.
pub struct Parts {
    /// The clock.
    pub clock: Clock,
    /// The trading calendar.
    pub calendar: Arc<ArcSwap<Calendar>>,
    /// The stock list.
    pub universe: Arc<ArcSwap<Universe>>,
    /// The broker, if credentials are set.
    pub broker: Option<Broker>,
    /// Looks prices up that are not on the board.
    pub reader: Reader,
    /// The store of the reader.
    pub store: Arc<dyn PriceStore>,
    /// Redis, if that is the store.
    pub redis: Option<Arc<RedisStore>>,
    /// The levels of the indices.
    pub indices: Arc<dyn IndexStore>,
    /// The records about the work.
    pub records: Arc<dyn Records>,
    /// Small values: watch lists, rules, tokens, refreshes.
    pub cache: Cache,
    /// Large values: the lines of the day.
    pub bulk_cache: Cache,
    /// Counts reads by code.
    pub reads: Reads,
    /// The rankings of the day.
    pub movers: Movers,
    /// Where the prices come from.
    pub origin: Origin,
    /// Reasons why a code has no price.
    pub reasons: Reasons,
    /// What the outlooks of alert rules are gathered from.
    pub outlooks: Outlooks,
    /// What the status is gathered from.
    pub status: statuses::Parts,
    /// Refreshes prices on request; `None` without credentials.
    pub sweeper: Option<Sweeper>,
    /// Who may use the API, and how much of it.
    pub limits: Limits,
    /// Life of a price.
    pub ttl: Duration,
    /// Calls per second that the app key may make.
    pub rate_per_second: f64,
    /// The interval of the sweeps.
    pub interval: Duration,
}

/// The board that the API answers from, and the alerts that watch it.
pub struct Watching {
    /// The board and how it is kept.
    pub board: board::Parts,
    /// The alerts.
    pub alerts: Alerts,
}

/// The API server.
pub struct ApiServer {
    api: Api,
    keeper: Keeper,
    alerts: Alerts,
}

/// State handed to the routes. A cheap handle: clones share everything.
#[derive(Clone)]
struct Api {
    shared: Arc<Shared>,
}

/// Everything that the routes answer from.
struct Shared {
    parts: Parts,
    sweeping: Option<Sweeping>,
    metrics: PrometheusHandle,
    board: Arc<QuoteBoard>,
    hub: Arc<Hub>,
    watch_lists: WatchLists,
    alert_rules: AlertRules,
    clients: Clients,
    access: Access,
    market: Arc<MarketPage>,
    universe_page: UniversePage,
    readiness: Latest<(StatusCode, String)>,
    scrape: Latest<Bytes>,
    capacity: Arc<Capacity>,
    refreshes: Arc<UnderWay>,
    tasks: Tasks,
    stop: CancellationToken,
}

/// Reasons for not serving the API.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The API would be reachable from other hosts, and there are no access tokens.
    #[error(
        "api.listen is no loopback address, so that every client needs an access token, and there \
         is none: make one with `sise clients add NAME`, or set api.listen to 127.0.0.1:8787"
    )]
    NoClients,
}

impl ApiServer {
    /// Creates the API on `parts`, with `sweeping` if the daemon sweeps. Background work runs under
    /// `tasks`.
    #[must_use]
    pub fn new(
        parts: Parts,
        watching: Watching,
        sweeping: Option<Sweeping>,
        metrics: PrometheusHandle,
        tasks: &Tasks,
    ) -> Self {
        let Watching {
            board: kept,
            alerts,
        } = watching;
        let limits = &parts.limits;
        let board = Arc::clone(&kept.board);
        let hub = Arc::new(Hub::new(Arc::clone(&board), limits.streams_per_client));
        let keeper = Keeper::new(board::Parts {
            onlookers: vec![hub.clone(), alerts.onlooker()],
            ..kept
        });
        let clients = Clients::new(&parts.cache);
        let is_open = limits
            .listen
            .is_none_or(|address| address.ip().is_loopback());
        let (connections, leaving) = connections(limits.connections);
        let shared = Shared {
            hub,
            watch_lists: WatchLists::new(&parts.cache),
            alert_rules: AlertRules::new(&parts.cache),
            access: Access::new(clients.clone(), is_open, limits),
            clients,
            market: Arc::default(),
            universe_page: UniversePage::default(),
            readiness: Latest::default(),
            scrape: Latest::default(),
            capacity: Capacity::new(
                connections,
                leaving,
                limits.streams_per_client,
                Proxies::new(&limits.trusted_proxies),
            ),
            refreshes: Arc::default(),
            tasks: tasks.clone(),
            board,
            sweeping,
            metrics,
            stop: tasks.stop().clone(),
            parts,
        };
        Self {
            api: Api {
                shared: Arc::new(shared),
            },
            keeper,
            alerts,
        }
    }

    /// Checks whether the settings allow serving: an address other than loopback needs at least one
    /// access token.
    ///
    /// If the store does not answer, the check passes, because then no token is accepted anyway.
    ///
    /// # Errors
    ///
    /// Returns [`ApiError::NoClients`] if there are no access tokens.
    pub async fn check(&self) -> Result<(), ApiError> {
        let listen = self.api.parts.limits.listen;
        if listen.is_none_or(|address| address.ip().is_loopback()) {
            return Ok(());
        }
        let sessions: Result<_, CacheError> = self.api.clients.list(None).await;
        match sessions {
            Ok(sessions) if sessions.is_empty() => Err(ApiError::NoClients),
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "could not check whether any access tokens exist");
                Ok(())
            }
        }
    }

    /// Serves on `listener` and starts the background work that the API needs.
    pub fn start(self, listener: TcpListener) {
        let Self {
            api,
            keeper,
            alerts,
        } = self;
        let tasks = api.tasks.clone();
        keeper.start(&tasks);
        alerts.start(&tasks);
        let history = History::new(
            Arc::clone(&api.board),
            &api.parts.bulk_cache,
            Arc::clone(&api.parts.clock),
        );
        let leads = api.clone();
        history.start(move || leads.leads(), &tasks);
        api.parts.reads.start(&tasks);
        let kept = api.clone();
        tasks.lasting("upkeep", move |stop| {
            let api = kept.clone();
            async move { api.keep_up(stop).await }
        });
        tasks.vital("API", async move {
            // Before the first read of the store, clients would be told that there is no price.
            let _ = timeout(FIRST_LOOK, api.board.heard()).await;
            let proxies = Proxies::new(&api.parts.limits.trusted_proxies);
            let capacity = &api.capacity;
            server::serve(listener, api.router(), capacity, proxies, api.stop.clone()).await
        });
    }
}

impl Api {
    /// Whether this process leads, and so writes what must be written only once.
    fn leads(&self) -> bool {
        self.sweeping.as_ref().is_some_and(|sweeping| {
            let candidate = sweeping.candidate.as_ref();
            candidate.is_none_or(|candidate| candidate.lead().is_some())
        })
    }

    /// Whether this process sweeps at any hour, as in a trial.
    pub(super) fn is_always_open(&self) -> bool {
        let sweeping = self.sweeping.as_ref();
        sweeping.is_some_and(|sweeping| sweeping.always_open)
    }

    /// Drains histograms and drops expired state until the stop.
    async fn keep_up(&self, stop: CancellationToken) {
        let mut ticks = interval(UPKEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.metrics.run_upkeep();
            self.access.clear_out();
            self.capacity.clear_out();
        }
    }

    /// All routes with their middleware.
    fn router(&self) -> Router {
        let timed = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, ANSWERED_WITHIN);
        let answered = OpenApiRouter::new()
            .routes(routes!(prices::prices))
            .routes(routes!(prices::price))
            .routes(routes!(market::market))
            .routes(routes!(lines::line))
            .routes(routes!(indices::indices))
            .routes(routes!(movers::movers))
            .routes(routes!(universe::universe))
            .routes(routes!(calendar::calendar))
            .routes(routes!(status::status))
            .routes(routes!(watchlists::all))
            .routes(routes!(
                watchlists::one,
                watchlists::put,
                watchlists::delete
            ))
            .routes(routes!(alerts::all))
            .routes(routes!(alerts::fired))
            .routes(routes!(alerts::put, alerts::delete))
            .routes(routes!(refresh::refresh))
            .routes(routes!(refresh::result))
            .routes(routes!(sessions::begin, sessions::list, sessions::end))
            .routes(routes!(metrics::metrics))
            .layer(timed);
        let mut guarded = answered
            .routes(routes!(stream::stream))
            .layer(middleware::from_fn_with_state(self.clone(), access::guard));
        document::say_guarded(guarded.get_openapi_mut());
        let all = OpenApiRouter::with_openapi(document::head())
            .routes(routes!(health::live))
            .routes(routes!(health::ready))
            .routes(routes!(problems::problem))
            .merge(guarded);
        let (router, document) = all.split_for_parts();
        let mut router = router
            .merge(document::pages(document))
            .merge(page::files())
            .route_layer(middleware::from_fn(metrics::measure))
            .layer(DefaultBodyLimit::max(LARGEST_BODY))
            .layer(CatchPanicLayer::new());
        let origin = self.parts.limits.cors_origin.as_ref();
        if let Some(origin) = origin.and_then(|origin| HeaderValue::from_str(origin).ok()) {
            let cors = CorsLayer::new()
                .allow_origin(origin)
                .allow_methods(AllowMethods::mirror_request())
                .allow_headers(AllowHeaders::mirror_request())
                .expose_headers(EXPOSED);
            router = router.layer(cors);
        }
        // Outside of CORS, which answers every OPTIONS by itself.
        let router = router
            .layer(middleware::from_fn(server::check))
            .layer(middleware::from_fn(problem::dress));
        router.with_state(self.clone())
    }
}

/// Number of connections that the open-file limit allows, up to `wanted`, and how many more may be
/// closing. Those share half of the files kept in reserve.
fn connections(wanted: usize) -> (usize, usize) {
    let Ok(limit) = Descriptors::get() else {
        return (wanted, RESERVE / 2);
    };
    let room = limit.room(wanted);
    if room < wanted {
        tracing::warn!(
            "there is room for {room} connections and not for {wanted} (api.connections): the system \
             gives this process {} open files, and some are kept for Redis and the broker; raise the \
             limit to {} (LimitNOFILE of the unit, ulimit -n in a shell)",
            limit.soft,
            wanted + RESERVE
        );
    }
    let soft = usize::try_from(limit.soft).unwrap_or(usize::MAX);
    (room, RESERVE.min(soft.saturating_sub(room)) / 2)
}

impl Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching")
            .field("board", &self.board.board)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Sweeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweeping")
            .field("candidate", &self.candidate)
            .field("always_open", &self.always_open)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServer")
            .field("board", &self.api.board)
            .field("hub", &self.api.hub)
            .field("access", &self.api.access)
            .finish_non_exhaustive()
    }
}
