//! The shapes of answers that are made elsewhere, for the API's document. A test holds real answers
//! against them.

use serde::Serialize;
use utoipa::ToSchema;

use sise_domain::Condition;

/// A stock code.
#[derive(Debug, Serialize, ToSchema)]
#[schema(pattern = "^Q?[0-9A-Z]{6}$", example = "005930")]
pub(super) struct StockCode(String);

/// The price object, as it stands in Redis. What is not known is absent.
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
    /// What change and change rate are measured against, won.
    base_price: Option<i64>,
    /// Won traded today.
    value: Option<i64>,
    /// Trading venue.
    venue: String,
    /// Phase of the day when it was fetched.
    session: String,
    /// `trading`, `halted` or `untraded`.
    status: String,
    /// `upper` or `lower` where the price stands at that limit of the day.
    limit: Option<String>,
    /// What gave the price.
    source: String,
    /// True where a simulated broker gave it; else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    simulated: Option<bool>,
    /// When it was asked for.
    fetched_at: String,
}

/// A price object with its age, and where it was read.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReadingObject {
    #[serde(flatten)]
    price: PriceObject,
    /// What gave the price; `source` says where it was read.
    quote_source: String,
    /// Whether an older price stands in.
    stale: bool,
    /// Age, milliseconds.
    age_ms: u64,
}

/// Prices, and the codes without one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PricesAnswer {
    prices: Vec<ReadingObject>,
    /// Codes of which nobody knows a price.
    missing: Vec<String>,
    /// Codes of which it is not known whether there is a price.
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

/// The whole market: a row for each code of the list, in its order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MarketAnswer {
    /// Version of this form: 1.
    v: u32,
    /// When it was put together.
    at: String,
    /// Phase of the day.
    session: String,
    /// Whether the regular session is on.
    open: bool,
    /// Why the regular session is not on, by the calendar; null while it is.
    reason: Option<String>,
    /// What is shown: `kind` is `live`, `closes` (of the day `of`), `last_known` (taken at `at`) or
    /// `nothing`.
    shown: serde_json::Value,
    /// Life of a price, milliseconds.
    ttl_ms: u64,
    /// Whether a simulated broker gave some of the prices: they are not the market's.
    simulated: bool,
    /// What stands where in a row.
    columns: Vec<String>,
    /// The rows; null where something is not known.
    rows: Vec<Vec<serde_json::Value>>,
}

/// What the calendar says of one instant.
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

/// The level of an index. What is not known is absent.
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
    /// What gave the level.
    source: String,
    /// True where a simulated broker gave it; else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    simulated: Option<bool>,
    /// When it was asked for.
    fetched_at: String,
    /// Age, milliseconds.
    age_ms: u64,
    /// Whether it lives; else it is the last that is known, of the close or taken after it.
    live: bool,
}

/// How everything is doing: as `sise status --json`, and the streams of this process.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatusAnswer {
    at: String,
    open: bool,
    phase: String,
    reason: Option<String>,
    market_open_at: Option<String>,
    closes_at: Option<String>,
    /// Whether this process sweeps without asking the calendar.
    always_open: bool,
    leader: Option<serde_json::Value>,
    /// Of which broker the prices are: `address`, `account`, and `simulated` where that is known.
    broker: Option<serde_json::Value>,
    processes: Vec<serde_json::Value>,
    sweeps: Vec<serde_json::Value>,
    last_skip: Option<serde_json::Value>,
    /// `of` (a day) and `at`, if last known prices stand in for the last close.
    last_known: Option<serde_json::Value>,
    coverage: serde_json::Value,
    /// How the clocks of this machine and of Redis are apart, and which is wrong; null while they agree.
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
    /// The same wherever and however often it is delivered.
    id: String,
    /// Name of the rule.
    rule: String,
    /// `price_above`, `price_below`, `change_beyond`, `jump`, `new_high`, `new_low`,
    /// `volume_times`, `coverage_below`, `leader_lost` or `test`.
    kind: String,
    /// Stock code; absent where it is about the market.
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
    /// True where a simulated broker gave the price; else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    simulated: Option<bool>,
}

/// A rule of alerts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleObject {
    /// Its name.
    name: String,
    /// Since when it is as it is.
    since: String,
    #[serde(flatten)]
    terms: TermsObject,
}

/// What a rule asks for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TermsObject {
    /// Of which stocks: `"market"`, `{"list":"mine"}` or `{"codes":["005930"]}`; the market where it
    /// is left out.
    #[schema(value_type = Option<ScopeObject>)]
    of: Option<serde_json::Value>,
    /// What is to happen.
    #[schema(value_type = Condition)]
    when: serde_json::Value,
    /// How far the value must go back before an alert may follow again: percent of a price, high,
    /// low or volume, percentage points of a change, jump or coverage.
    #[schema(minimum = 0.01)]
    hysteresis: Option<f64>,
    /// Hours of Seoul in which nothing is told.
    #[schema(
        example = "15:40-08:50",
        pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$"
    )]
    quiet: Option<String>,
    /// Least time between two alerts of one code, seconds; 600 where it is left out.
    #[schema(maximum = 86_400)]
    every_s: Option<u64>,
    /// What holds already when the rule is made is not told, only when the limit is crossed the next
    /// time; otherwise it is told at once. For `price_above`, `price_below` and `change_beyond`.
    next_crossing: Option<bool>,
}

/// A rule that was made, and what is to be expected of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleMadeObject {
    #[serde(flatten)]
    rule: RuleObject,
    /// The codes for which it holds already, which is told at once but for `next_crossing`; absent for
    /// what is told when it happens.
    #[schema(value_type = Option<Vec<StockCode>>)]
    holds: Option<Vec<String>>,
    /// Whether it holds, and when it is told, in words.
    outlook: Option<String>,
    /// What may keep the rule silent.
    warnings: Vec<String>,
}

/// Of which stocks a rule is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "it describes what the domain reads")]
pub(super) enum ScopeObject {
    /// Those on a watch list.
    List(String),
    /// These, 500 at most.
    Codes(Vec<StockCode>),
    /// All.
    Market,
}
