//! How much longer a sweep of the whole market takes than the rate demands, and how many calls the
//! broker gets in its busiest second.
//!
//! `cargo bench --bench sweep_paced`
//!
//! The simulated broker answers every call after 270 ms and counts calls on arrival in every
//! sliding second. Prices go to a private Redis server. Limit: 3 % over calls / rate.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod support;

use std::time::Duration;

use sise::domain::Urgency;
use sise::sim::{Sim, SimOptions};
use sise::sweep::Task;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use support::{Figures, Limit, Outcome, PrivateRedis, verdict};

/// The usual response time of the broker.
const LATENCY: Duration = Duration::from_millis(270);

/// The default rate of a real account, calls per second.
const RATE: f64 = 15.0;

/// Codes per call.
const CODES_A_CALL: usize = 30;

/// Calls that the broker allows in any second.
const CAP: u64 = 18;

/// Number of pairs of sweeps: one after a rest and one immediately after another.
const PAIRS: usize = 5;

/// Long enough for the limiter to allow its burst again.
const REST: Duration = Duration::from_millis(1_500);

fn main() -> Outcome {
    support::run(measure)
}

async fn measure() -> Outcome {
    let redis = PrivateRedis::start().await?;
    let options = SimOptions {
        latency: LATENCY,
        ..SimOptions::default()
    };
    let sim = Sim::new(options, sise::clock::system())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let stop = CancellationToken::new();
    let serving = tokio::spawn({
        let (sim, stop) = (sim.clone(), stop.clone());
        async move { sim.serve(listener, stop).await }
    });
    let state = tempfile::tempdir()?;
    let wiring = support::wiring(&[
        ("kis.base_url", &base_url),
        ("kis.app_key", "bench"),
        ("kis.app_secret", "bench"),
        ("store.url", &redis.url),
        ("state.directory", &state.path().display().to_string()),
    ])?;
    let sweeper = wiring.sweeper(None).ok_or("no sweeper")?;
    let symbols = support::whole_market();
    let calls = symbols.len().div_ceil(CODES_A_CALL);
    #[expect(clippy::cast_precision_loss, reason = "about a hundred calls")]
    let expected = calls as f64 / RATE;
    let task = Task {
        symbols,
        kept: None,
        deadline: Duration::from_secs(60),
        urgency: Urgency::Sweep,
    };
    println!(
        "{} codes, {calls} calls at {RATE} a second, {} ms an answer: {expected:.3} s expected",
        task.symbols.len(),
        LATENCY.as_millis(),
    );
    if let Some(broker) = &wiring.broker {
        // The token is fetched once a day and is not part of a sweep.
        broker.auth.token().await?;
    }
    let mut rested = Figures::default();
    let mut unrested = Figures::default();
    for number in 0..PAIRS * 2 {
        let is_rested = number % 2 == 0;
        if is_rested {
            sleep(REST).await;
        }
        let start = Instant::now();
        let report = sweeper.sweep(&task, &|_| {}, &stop).await;
        let seconds = start.elapsed().as_secs_f64();
        if report.written != report.universe || report.calls != u64::try_from(calls)? {
            return Err(format!("not a sweep to measure: {report:?}").into());
        }
        let column = if is_rested {
            &mut rested
        } else {
            &mut unrested
        };
        column.add(seconds);
        println!(
            "  {} {seconds:.3} s, {:+.1} %",
            if is_rested {
                "after a rest"
            } else {
                "at once     "
            },
            (seconds / expected - 1.0) * 100.0
        );
    }
    stop.cancel();
    serving.await??;
    let stats = sim.stats();
    let over = |figures: &Figures| (figures.median() / expected - 1.0) * 100.0;
    let worst = rested.most().max(unrested.most());
    println!(
        "slowest sweep        {:+.1} %",
        (worst / expected - 1.0) * 100.0
    );
    println!("{} calls, {} refused", stats.calls, stats.refused);
    let limit = Limit::AtMost(3.0, " %");
    for (when, figures) in [
        ("after a rest", &rested),
        ("right after another", &unrested),
    ] {
        verdict(
            &format!(
                "whole market, {calls} calls at 15/s with 270 ms an answer, {when}: over calls / rate"
            ),
            limit,
            over(figures),
            &format!("{} s, {:+.1} %", figures.spread(3), over(figures)),
        )?;
    }
    let most = stats.max_calls_per_second_window;
    let count = |calls: u64| u32::try_from(calls).map(f64::from);
    verdict(
        "most calls in any second, as the broker counted them",
        Limit::AtMost(count(CAP)?, ""),
        count(most)?,
        &most.to_string(),
    )?;
    Ok(())
}
