//! The shapes of answers that are built elsewhere, for the API's document. A test compares them
//! with real answers.

use serde::Serialize;
use utoipa::ToSchema;

use sise_domain::Condition;

/// A stock code.
#[derive(Debug, Serialize, ToSchema)]
#[schema(pattern = "^Q?[0-9A-Z]{6}$", example = "005930")]
pub(super) struct StockCode(String);

/// The price object, as it is stored in Redis. Unknown values are absent.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PriceObject {
    /// Stock code.
    #[schema(example = "005930")]
    stock_code: String,
    /// Korean name.
    #[schema(example = "삼성전자")]
    stock_name: String,
    /// Won.
    #[schema(minimum = 1, example = 72000)]
    price: i64,
    /// Won, signed.
    change: Option<i64>,
    /// Percent, signed.
    change_rate: Option<f64>,
    /// Shares traded today.
    volume: Option<i64>,
    /// Seoul, without zone.
    #[schema(example = "2025-10-27T14:30:00")]
    timestamp: String,
    /// `KOSPI` or `KOSDAQ`.
    market: Option<String>,
    /// Won.
    open: Option<i64>,
    /// Won.
    high: Option<i64>,
    /// Won.
    low: Option<i64>,
    /// The reference for change and change rate, won.
    base_price: Option<i64>,
    /// Won traded today.
    value: Option<i64>,
    /// Trading venue.
    venue: String,
    /// Phase of the day when it was fetched.
    session: String,
    /// `trading`, `halted` or `untraded`.
    status: String,
    /// `upper` or `lower` if the price is at that limit of the day.
    limit: Option<String>,
    /// Where the price comes from.
    source: String,
    /// True if it comes from a simulated broker; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    simulated: Option<bool>,
    /// When it was fetched.
    fetched_at: String,
}

/// A price object with its age and where it was read.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReadingObject {
    #[serde(flatten)]
    price: PriceObject,
    /// Where the price comes from; `source` says where it was read.
    quote_source: String,
    /// Whether an expired price is given in place of a current one.
    stale: bool,
    /// Age, milliseconds.
    age_ms: u64,
}

/// Prices, and the codes without one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PricesAnswer {
    prices: Vec<ReadingObject>,
    /// Codes that have no price.
    missing: Vec<String>,
    /// Codes for which it is not known whether there is a price.
    failed: Vec<FailedCode>,
}

/// A code for which the broker could not be asked.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FailedCode {
    /// Stock code.
    pub(super) code: String,
    /// Why the broker could not be asked.
    pub(super) detail: String,
}

/// The whole market: a row for each code of the universe, in its order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MarketAnswer {
    /// Version of this format: 1.
    v: u32,
    /// When it was built.
    at: String,
    /// Phase of the day.
    session: String,
    /// Whether the regular session is open.
    open: bool,
    /// Why the regular session is closed, by the calendar; null while it is open.
    reason: Option<String>,
    /// What is shown: `kind` is `live`, `closes` (of the day `of`), `last_known` (taken at `at`) or
    /// `nothing`.
    shown: serde_json::Value,
    /// Life of a price, milliseconds.
    ttl_ms: u64,
    /// Whether some of the prices come from a simulated broker and are not the market's.
    simulated: bool,
    /// Names of the columns of a row.
    columns: Vec<String>,
    /// The rows; null for unknown values.
    rows: Vec<Vec<serde_json::Value>>,
}

/// What the calendar says about one instant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CalendarAnswer {
    at: String,
    open: bool,
    phase: String,
    continuous: bool,
    nxt_phase: String,
    reason: Option<String>,
    next_open: Option<String>,
    closes_at: Option<String>,
    trading_day: bool,
    covered: bool,
    covered_through: String,
    warning: Option<String>,
    phases: Vec<PhaseObject>,
}

/// When a phase begins and ends.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PhaseObject {
    phase: String,
    start: String,
    end: String,
}

/// The level of an index. Unknown values are absent.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IndexObject {
    /// `KOSPI`, `KOSDAQ` or `KOSPI200`.
    index: String,
    /// Korean name.
    name: String,
    /// Points.
    level: f64,
    /// Points, signed.
    change: Option<f64>,
    /// Percent, signed.
    change_rate: Option<f64>,
    /// Shares traded today.
    volume: Option<i64>,
    /// Won traded today.
    value: Option<i64>,
    /// Points.
    open: Option<f64>,
    /// Points.
    high: Option<f64>,
    /// Points.
    low: Option<f64>,
    /// Points.
    prev_close: Option<f64>,
    /// Seoul, without zone.
    timestamp: String,
    /// Phase of the day when it was fetched.
    session: String,
    /// Where the level comes from.
    source: String,
    /// True if it comes from a simulated broker; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    simulated: Option<bool>,
    /// When it was fetched.
    fetched_at: String,
    /// Age, milliseconds.
    age_ms: u64,
    /// Whether it is live; otherwise it is the last known level, of the close or taken after it.
    live: bool,
}

/// The state of all processes, as in `sise status --json`, and of the streams of this process.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatusAnswer {
    at: String,
    open: bool,
    phase: String,
    reason: Option<String>,
    market_open_at: Option<String>,
    closes_at: Option<String>,
    /// Whether this process sweeps regardless of the calendar.
    always_open: bool,
    leader: Option<serde_json::Value>,
    /// The broker that the prices come from: `address`, `account`, and `simulated` if known.
    broker: Option<serde_json::Value>,
    processes: Vec<serde_json::Value>,
    sweeps: Vec<serde_json::Value>,
    last_skip: Option<serde_json::Value>,
    /// `of` (a day) and `at`, if last known prices stand in for the last close.
    last_known: Option<serde_json::Value>,
    coverage: serde_json::Value,
    /// How the clocks of this machine and of Redis differ, and which is wrong; null while they
    /// agree.
    clock: Option<String>,
    bans: Vec<serde_json::Value>,
    rates: Vec<serde_json::Value>,
    calls: serde_json::Value,
    ages_ms: Option<serde_json::Value>,
    next_run: Option<String>,
    idle: Option<serde_json::Value>,
    /// The streams of the process that answers.
    stream: serde_json::Value,
}

/// An alert.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AlertObject {
    /// Id that is the same wherever and however often the alert is delivered.
    id: String,
    /// Name of the rule.
    rule: String,
    /// `price_above`, `price_below`, `change_beyond`, `jump`, `new_high`, `new_low`,
    /// `volume_times`, `coverage_below`, `leader_lost` or `test`.
    kind: String,
    /// Stock code; absent if the alert is about the market.
    code: Option<String>,
    /// Korean name.
    name: Option<String>,
    /// What happened, in English.
    text: String,
    /// When.
    at: String,
    /// What was measured.
    value: Option<f64>,
    /// The watch list of the rule.
    list: Option<String>,
    /// True if the price comes from a simulated broker; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    simulated: Option<bool>,
}

/// An alert rule.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleObject {
    /// Its name.
    name: String,
    /// When it was last changed.
    since: String,
    #[serde(flatten)]
    terms: TermsObject,
}

/// The terms of a rule.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TermsObject {
    /// The stocks: `"market"`, `{"list":"mine"}` or `{"codes":["005930"]}`; the market if omitted.
    #[schema(value_type = Option<ScopeObject>)]
    of: Option<serde_json::Value>,
    /// The condition.
    #[schema(value_type = Condition)]
    when: serde_json::Value,
    /// How far the value must move back before the alert can fire again: percent of a price, high,
    /// low or volume, percentage points of a change, jump or coverage.
    #[schema(minimum = 0.01)]
    hysteresis: Option<f64>,
    /// Hours, in Seoul time, in which no alert fires.
    #[schema(
        example = "15:40-08:50",
        pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$"
    )]
    quiet: Option<String>,
    /// Shortest time between two alerts of one code, seconds; 600 if omitted.
    #[schema(maximum = 86_400)]
    every_s: Option<u64>,
    /// If true, a condition that already holds when the rule is added does not fire; the alert
    /// fires at the next crossing. If false, it fires at once. For `price_above`, `price_below` and
    /// `change_beyond`.
    next_crossing: Option<bool>,
}

/// A rule that was added, and whether it holds now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleMadeObject {
    #[serde(flatten)]
    rule: RuleObject,
    /// The codes for which it already holds and fires at once, unless `next_crossing` is set;
    /// absent for conditions that only fire when they happen.
    #[schema(value_type = Option<Vec<StockCode>>)]
    holds: Option<Vec<String>>,
    /// Whether it holds and when it fires, in words.
    outlook: Option<String>,
    /// Reasons why the rule may not fire.
    warnings: Vec<String>,
}

/// The stocks of a rule.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "it describes what the domain reads")]
pub(super) enum ScopeObject {
    /// Those of a watch list.
    List(String),
    /// Up to 500 codes.
    Codes(Vec<StockCode>),
    /// All.
    Market,
}
