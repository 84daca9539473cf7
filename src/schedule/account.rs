//! The account of a sweep: its metrics, its log lines, and the rankings of what it wrote.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::Parts;
use crate::sweep::{Reason, Report};
use sise_domain::KrxTime;

/// Records the metrics of a sweep.
pub(super) fn record(report: &Report) {
    counter!("sise_sweeps_total").increment(1);
    gauge!("sise_coverage_ratio").set(report.coverage);
    let seconds = Duration::from_millis(report.elapsed_ms).as_secs_f64();
    histogram!("sise_sweep_duration_seconds").record(seconds);
    for reason in Reason::ALL {
        let count = report.missing.iter().filter(|m| m.reason == reason).count();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        gauge!("sise_missing_codes", "reason" => reason.slug()).set(count);
    }
}

/// Most codes named in a log line; the rest are counted.
const NAMED: usize = 10;

/// Rounds a share to a hundredth of a percent for the log.
fn rounded(share: f64) -> f64 {
    (share * 10_000.0).round() / 10_000.0
}

/// Logs a sweep, with all missing codes by reason.
pub(super) fn log(report: &Report) {
    let Report {
        universe,
        written,
        calls,
        refused_calls,
        retries,
        elapsed_ms,
        ..
    } = *report;
    tracing::info!(
        universe,
        written,
        coverage = rounded(report.coverage),
        calls,
        refused_calls,
        retries,
        elapsed_ms,
        stopped = report.stopped,
        "sweep done"
    );
    for (reason, count) in report.missing_by_reason() {
        let of_reason = || report.missing.iter().filter(|m| m.reason == reason);
        let codes: Vec<&str> = of_reason().take(NAMED).map(|m| m.code.as_str()).collect();
        let detail = of_reason().next().map_or("", |m| m.detail.as_str());
        let more = count.saturating_sub(codes.len());
        let codes = codes.join(" ");
        match reason {
            Reason::Unknown => {
                tracing::info!(count, %codes, more, "codes without a new price: {reason}")
            }
            _ => {
                tracing::warn!(count, %codes, more, %detail, "codes without a new price: {reason}")
            }
        }
    }
}

/// Ranks the stocks of the day anew.
///
/// If closes were taken, at `closes_since` or later, ranks them by their closes too.
pub(super) async fn rank(parts: Arc<Parts>, closes_since: Option<KrxTime>) {
    let universe = parts.universe.load_full();
    if let Err(error) = parts.movers.rank_day(&universe, closes_since).await {
        tracing::warn!(%error, "the stocks of the day could not be ranked; the next sweep tries again");
    }
}
