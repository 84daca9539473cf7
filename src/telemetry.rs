//! Logs and metric names.
//!
//! Log levels: error, a person must act; warn, something was lost or is about to be; info, what a
//! person wants to read the next morning; debug, single calls. Bodies, headers and keys are never
//! logged.

use std::sync::{Mutex, PoisonError};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use sise_cache::State as CacheState;
use sise_domain::{AlertKind, ClockJump, Reason};
use sise_kis::{FEED_REFUSALS, NoTrade};
use sise_port::GapReason;

/// Bucket bounds of histograms in seconds.
const SECONDS: [f64; 14] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 120.0,
];

/// Bucket bounds for operations of the cache, which end within its time-out.
const CACHE_SECONDS: [f64; 9] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1,
];

/// The recorder that this module installed.
static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);

/// Installs the metrics recorder of the process and describes every metric. All daemons of a process
/// share one recorder.
///
/// # Errors
///
/// Returns an error if the process has a recorder that is not from here.
pub fn install_metrics() -> Result<PrometheusHandle, BuildError> {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    let handle = described_recorder()?;
    *installed = Some(handle.clone());
    Ok(handle)
}

fn described_recorder() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(
            Matcher::Full("sise_cache_operation_seconds".to_owned()),
            &CACHE_SECONDS,
        )?
        .install_recorder()?;
    describe_gauge!("sise_build_info", "The version of this program; always 1");
    // Processor time, memory and files, under the usual names of Prometheus clients.
    metrics_process::Collector::default().describe();
    describe_gauge!("sise_tasks", "Tasks of this process that are alive");
    describe_gauge!("sise_universe_codes", "Codes in the stock list");
    describe_gauge!(
        "sise_market_open",
        "Whether the regular session is open, by the calendar: 1 or 0"
    );
    describe_gauge!(
        "sise_leading",
        "Whether this process leads and sweeps: 1 or 0"
    );
    describe_gauge!(
        "sise_call_limit_per_second",
        "Calls to the broker that the settings allow per second"
    );
    describe_gauge!(
        "sise_coverage_ratio",
        "Share of the stock list written by the last sweep, 0 to 1"
    );
    describe_gauge!(
        "sise_fresh_ratio",
        "Share of the stock list whose price is younger than its life, 0 to 1"
    );
    describe_gauge!(
        "sise_price_age_seconds",
        Unit::Seconds,
        "Ages of prices by percentile"
    );
    describe_counter!("sise_calls_total", "Calls to the broker by outcome");
    describe_histogram!(
        "sise_limiter_wait_seconds",
        Unit::Seconds,
        "Time that a call waits for its turn"
    );
    describe_histogram!(
        "sise_sweep_duration_seconds",
        Unit::Seconds,
        "Length of a sweep"
    );
    describe_counter!("sise_sweeps_total", "Sweeps made");
    describe_gauge!(
        "sise_missing_codes",
        "Codes that the last sweep left without a new price, by reason"
    );
    describe_counter!(
        "sise_task_failures_total",
        "Tasks of the process that ended unasked or panicked, by task"
    );
    describe_counter!(
        "sise_reader_hits_total",
        "Codes that a reader found in the store"
    );
    describe_counter!(
        "sise_reader_misses_total",
        "Codes that a reader did not find in the store"
    );
    describe_counter!(
        "sise_reader_early_refreshes_total",
        "Codes that a reader refreshed before their price expired"
    );
    describe_counter!(
        "sise_reader_stale_total",
        "Expired prices given to readers that allow them"
    );
    describe_counter!(
        "sise_first_level_hits_total",
        "Codes that a reader found in its process, without asking Redis"
    );
    describe_counter!("sise_store_errors_total", "Store commands that failed");
    describe_gauge!(
        "sise_store_rights_lacking",
        "Rights that the Redis user lacks"
    );
    describe_gauge!(
        "sise_changes_heard",
        "Whether this process receives the store's changes (1) or reads it again every 10 s (0)"
    );
    describe_counter!(
        "sise_changes_untold_total",
        "Writes that the store did not publish to listeners"
    );
    describe_counter!(
        "sise_store_unreadable_total",
        "Values in the store that are not valid for their keys"
    );
    describe_gauge!(
        "sise_rate_share_ratio",
        "Share of the configured rate in force, 0 to 1; below 1 after the broker refused calls"
    );
    describe_counter!(
        "sise_posted_batches_total",
        "Batches posted as shared work by outcome"
    );
    describe_counter!(
        "sise_taken_batches_total",
        "Batches of shared work taken by outcome"
    );
    describe_gauge!(
        "sise_breaker_state",
        "Circuit breaker of calls to the broker: 0 closed, 1 half-open (one trial call), 2 open"
    );
    describe_counter!(
        "sise_breaker_openings_total",
        "Times that the circuit breaker opened because the broker did not answer"
    );
    describe_gauge!(
        "sise_ban_until_timestamp_seconds",
        Unit::Seconds,
        "Until when the app key is banned, seconds since 1970; 0 for no ban"
    );
    describe_counter!("sise_bans_total", "Bans by what the broker does not accept");
    describe_gauge!(
        "sise_schema_drift_fields",
        "Fields of the broker's last answer that are not as documented, by call and kind"
    );
    describe_counter!(
        "sise_schema_drift_total",
        "Fields found not to be as documented, each counted once, and values that contradict price and base price"
    );
    describe_counter!(
        "sise_rows_refused_total",
        "Rows of the broker that are not valid prices, by call and reason"
    );
    describe_counter!(
        "sise_answers_mended_total",
        "Answers of the broker with damaged bytes that were repaired"
    );
    describe_counter!(
        "sise_cache_operations_total",
        "Operations of the cache by operation and outcome"
    );
    describe_histogram!(
        "sise_cache_operation_seconds",
        Unit::Seconds,
        "Time of an operation of the cache"
    );
    describe_counter!("sise_cache_hits_total", "Values that the cache had");
    describe_counter!(
        "sise_cache_misses_total",
        "Values that the cache did not have"
    );
    describe_counter!(
        "sise_cache_state_changes_total",
        "Changes of the state of the cache by the new state"
    );
    describe_counter!(
        "sise_cache_loads_total",
        "Values that a loader was asked for because the cache did not have them"
    );
    describe_counter!("sise_cache_load_failures_total", "Loaders that failed");
    describe_counter!(
        "sise_cache_early_loads_total",
        "Values reloaded before they expired"
    );
    describe_counter!(
        "sise_cache_stale_total",
        "Expired values given because a loader failed"
    );
    describe_counter!(
        "sise_cache_behind_written_total",
        "Values written behind to the durable side"
    );
    describe_counter!(
        "sise_cache_behind_failures_total",
        "Batches that the durable side did not take"
    );
    describe_gauge!(
        "sise_watched_codes",
        "Codes that are refreshed more often than the rest"
    );
    describe_counter!(
        "sise_watched_passes_total",
        "Passes made over the watched codes"
    );
    describe_counter!(
        "sise_watched_late_total",
        "Passes over the watched codes that began late because the previous one took longer than the interval"
    );
    describe_counter!(
        "sise_watched_written_total",
        "Prices of watched codes written by their passes"
    );
    describe_counter!(
        "sise_watched_missing_total",
        "Watched codes that a pass over them left without a new price, by reason"
    );
    describe_counter!(
        "sise_watched_skipped_total",
        "Passes over the watched codes that were not made, by reason"
    );
    describe_counter!(
        "sise_watched_list_errors_total",
        "Times that the list of watched codes could not be read"
    );
    describe_gauge!(
        "sise_feed_connected",
        "Live feed, if set up: 1 while a session streams, 0 otherwise"
    );
    describe_gauge!(
        "sise_feed_registrations",
        "Codes that the live feed streams"
    );
    describe_counter!("sise_feed_ticks_total", "Trades that the live feed brought");
    describe_counter!(
        "sise_feed_written_total",
        "Prices of the live feed that were written"
    );
    describe_counter!(
        "sise_feed_dropped_total",
        "Messages and trades of the live feed that were not used, by reason"
    );
    describe_counter!(
        "sise_store_older_total",
        "Prices that were not written because the store has a newer one"
    );
    describe_counter!(
        "sise_expected_matches_total",
        "Prices that were ignored because they may be of expected matches only"
    );
    describe_counter!(
        "sise_feed_gaps_total",
        "Times that trades may have been missed, by reason"
    );
    describe_counter!(
        "sise_feed_gap_sweeps_total",
        "Passes over codes of which trades may have been missed"
    );
    describe_counter!(
        "sise_feed_reconnects_total",
        "Reconnections of the live feed, including failed attempts"
    );
    describe_counter!(
        "sise_feed_refusals_total",
        "Refusals of the live feed by the broker's code"
    );
    describe_counter!(
        "sise_http_requests_total",
        "Requests of the API by route and status"
    );
    describe_histogram!(
        "sise_http_request_duration_seconds",
        Unit::Seconds,
        "Time from a request to its answer, by route"
    );
    describe_gauge!(
        "sise_http_connections",
        "Connections of the API that are open"
    );
    describe_counter!(
        "sise_http_connections_refused_total",
        "Connections closed at once because api.connections was reached"
    );
    describe_counter!(
        "sise_http_throttled_total",
        "Requests refused because their client exceeded its rate or connections"
    );
    describe_gauge!("sise_stream_connections", "Streams that are open");
    describe_counter!("sise_stream_messages_total", "Messages sent on streams");
    describe_counter!(
        "sise_stream_coalesced_total",
        "Changes not sent on streams because a later one of the same code replaced them"
    );
    describe_counter!(
        "sise_stream_disconnects_total",
        "Streams that ended, by reason"
    );
    describe_counter!("sise_skipped_runs_total", "Runs skipped by reason");
    describe_gauge!(
        "sise_next_run_timestamp_seconds",
        Unit::Seconds,
        "When the next sweep is due, seconds since 1970"
    );
    describe_counter!(
        "sise_coverage_gaps_total",
        "Minutes of a session in which fewer codes than set had a live price"
    );
    describe_counter!(
        "sise_clock_jumps_total",
        "Jumps of the time of day, and pauses of this process, by kind"
    );
    describe_counter!(
        "sise_pings_total",
        "Calls of journal.ping_url after successful sweeps, by outcome"
    );
    describe_counter!(
        "sise_journal_lost_total",
        "Events lost because the queue to the event log was full"
    );
    describe_counter!("sise_alerts_fired_total", "Alerts fired, by kind");
    describe_gauge!("sise_alert_rules", "Alert rules");
    describe_counter!(
        "sise_alert_webhooks_total",
        "Alerts posted to alerts.webhook_url, by outcome"
    );
    describe_counter!(
        "sise_alerts_dropped_total",
        "Prices, alerts and messages to streams dropped because a queue or limit was exceeded"
    );
    // Counters exist from the start: a rate over a counter that appears with its first event misses
    // that event.
    for name in [
        "sise_sweeps_total",
        "sise_reader_hits_total",
        "sise_reader_misses_total",
        "sise_reader_early_refreshes_total",
        "sise_reader_stale_total",
        "sise_first_level_hits_total",
        "sise_store_errors_total",
        "sise_changes_untold_total",
        "sise_store_unreadable_total",
        "sise_breaker_openings_total",
        "sise_coverage_gaps_total",
        "sise_journal_lost_total",
        "sise_cache_hits_total",
        "sise_cache_misses_total",
        "sise_cache_loads_total",
        "sise_cache_load_failures_total",
        "sise_cache_early_loads_total",
        "sise_cache_stale_total",
        "sise_cache_behind_written_total",
        "sise_cache_behind_failures_total",
        "sise_watched_passes_total",
        "sise_watched_late_total",
        "sise_watched_written_total",
        "sise_watched_list_errors_total",
        "sise_feed_ticks_total",
        "sise_feed_written_total",
        "sise_feed_gap_sweeps_total",
        "sise_feed_reconnects_total",
        "sise_http_connections_refused_total",
        "sise_http_throttled_total",
        "sise_stream_messages_total",
        "sise_stream_coalesced_total",
    ] {
        counter!(name).increment(0);
    }
    for outcome in ["answered", "late", "lost"] {
        counter!("sise_posted_batches_total", "outcome" => outcome).increment(0);
    }
    for outcome in ["done", "late", "dropped", "taken_over"] {
        counter!("sise_taken_batches_total", "outcome" => outcome).increment(0);
    }
    for state in CacheState::ALL {
        counter!("sise_cache_state_changes_total", "to" => state.as_str()).increment(0);
    }
    gauge!("sise_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
    gauge!("sise_rate_share_ratio").set(1);
    gauge!("sise_changes_heard").set(0);
    gauge!("sise_store_rights_lacking").set(0);
    gauge!("sise_http_connections").set(0);
    gauge!("sise_stream_connections").set(0);
    for reason in ["gone", "slow", "flood", "stopped", "expired"] {
        counter!("sise_stream_disconnects_total", "reason" => reason).increment(0);
    }
    gauge!("sise_watched_codes").set(0);
    gauge!("sise_alert_rules").set(0);
    for kind in AlertKind::ALL {
        counter!("sise_alerts_fired_total", "kind" => kind.slug()).increment(0);
    }
    for outcome in ["delivered", "refused", "failed", "dropped"] {
        counter!("sise_alert_webhooks_total", "outcome" => outcome).increment(0);
    }
    for what in ["prices", "alerts", "messages"] {
        counter!("sise_alerts_dropped_total", "what" => what).increment(0);
    }
    for reason in Reason::ALL {
        counter!("sise_watched_missing_total", "reason" => reason.slug()).increment(0);
    }
    counter!("sise_store_older_total").increment(0);
    counter!("sise_expected_matches_total").increment(0);
    gauge!("sise_feed_registrations").set(0);
    for reason in [
        "shape",
        "count",
        "code",
        "cipher",
        "json",
        "other_stream",
        "unasked",
        "refused",
        "overflow",
        "older",
        "unwritten",
        "out_of_session",
    ]
    .into_iter()
    .chain(NoTrade::ALL.map(NoTrade::slug))
    {
        counter!("sise_feed_dropped_total", "reason" => reason).increment(0);
    }
    for reason in GapReason::ALL {
        counter!("sise_feed_gaps_total", "reason" => reason.slug()).increment(0);
    }
    for code in FEED_REFUSALS.into_iter().chain(["other"]) {
        counter!("sise_feed_refusals_total", "code" => code).increment(0);
    }
    gauge!("sise_breaker_state").set(0);
    gauge!("sise_ban_until_timestamp_seconds").set(0);
    for kind in ["credentials", "access"] {
        counter!("sise_bans_total", "kind" => kind).increment(0);
    }
    for call in ["multi", "single", "holidays"] {
        for kind in ["unknown", "missing", "renamed"] {
            gauge!("sise_schema_drift_fields", "call" => call, "kind" => kind).set(0);
            counter!("sise_schema_drift_total", "call" => call, "kind" => kind).increment(0);
        }
    }
    for call in ["multi", "single", "trades"] {
        let kind = "contradictory";
        counter!("sise_schema_drift_total", "call" => call, "kind" => kind).increment(0);
    }
    counter!("sise_answers_mended_total").increment(0);
    for outcome in ["ok", "throttled", "unreachable"] {
        counter!("sise_calls_total", "outcome" => outcome).increment(0);
    }
    for jump in ClockJump::ALL {
        counter!("sise_clock_jumps_total", "kind" => jump.slug()).increment(0);
    }
    for outcome in ["ok", "failed"] {
        counter!("sise_pings_total", "outcome" => outcome).increment(0);
    }
    for reason in [
        "weekend",
        "holiday",
        "before_open",
        "after_close",
        "before_close_is_final",
        "previous_run",
        "store_away",
        "not_leader",
        "no_leader",
        "banned",
    ] {
        counter!("sise_skipped_runs_total", "reason" => reason).increment(0);
        if reason != "previous_run" {
            counter!("sise_watched_skipped_total", "reason" => reason).increment(0);
        }
    }
    Ok(handle)
}
