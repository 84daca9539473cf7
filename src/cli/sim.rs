//! `sise sim`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveTime;
use clap::{Args, ValueEnum};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::failure::{Failure, Outcome};
use super::output;
use crate::daemon;
use sise_port::clock;
use sise_sim::{Faults, FeedFaults, FeedOptions, MarketSource, Mode, Sim, SimOptions};

/// Arguments of `sise sim`.
#[derive(Debug, Args)]
pub(super) struct SimArguments {
    /// Address to listen on; port 0 takes a free port
    #[arg(long, default_value = "127.0.0.1:9080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Which host and kind of customer to simulate
    #[arg(long, value_enum, default_value_t = ModeArgument::Real)]
    mode: ModeArgument,
    /// Calls per second for one app key instead of the mode's limit; 0 for no limit
    #[arg(long, value_name = "CALLS")]
    limit: Option<u32>,
    /// The only app key to accept; any by default
    #[arg(long, value_name = "KEY")]
    app_key: Option<String>,
    /// The only app secret to accept; the first one seen with a key by default
    #[arg(long, value_name = "SECRET")]
    app_secret: Option<String>,
    /// Life of a token
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = humantime::parse_duration)]
    token_validity: Duration,
    /// Invalidate the previous token when a new one is issued
    #[arg(long)]
    single_token: bool,
    /// Ban an app key for this long after wrong credentials or twenty calls over the limit in a
    /// second; a call during a ban restarts it
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    ban: Option<Duration>,
    /// Delay of every answer
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    latency: Duration,
    /// Seed of all random numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Replay a recorded day (CSV, plain or gzip) instead of a random walk
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Speed of the replay, in recorded seconds per second; 0 holds the first snapshot
    #[arg(
        long,
        value_name = "FACTOR",
        default_value_t = 1.0,
        requires = "replay"
    )]
    speed: f64,
    /// Time of the recorded day to begin at, HH:MM or HH:MM:SS; the first prices by default. Stocks
    /// without a price at that time get none
    #[arg(long, value_name = "TIME", requires = "replay", value_parser = parse_time)]
    from: Option<NaiveTime>,
    #[command(flatten)]
    faults: FaultArguments,
    #[command(flatten)]
    feed: FeedArguments,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ModeArgument {
    Real,
    Paper,
    NewCustomer,
}

/// The live feed, a WebSocket at any path of the same address.
#[derive(Debug, Args)]
#[command(next_help_heading = "Live feed (faults: shares of frames, 0 to 1)")]
struct FeedArguments {
    /// Trades per second of each registered code
    #[arg(long, value_name = "RATE", default_value_t = 2.0)]
    ticks: f64,
    /// Fields of a record: 47, or 46 as before September 2026
    #[arg(long, value_name = "COUNT", default_value_t = 47)]
    fields: usize,
    /// Maximum number of records in a frame, of any codes
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    records: usize,
    /// Encrypt the frames
    #[arg(long)]
    encrypted: bool,
    /// Codes that one app key may register
    #[arg(long, value_name = "COUNT", default_value_t = 41)]
    registrations: usize,
    /// Time between two PINGPONGs; a client that has not answered one by the next is disconnected
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pingpong: Duration,
    /// How long a session that ended without a close holds its app key
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    linger: Duration,
    /// End the connection without a close (1006)
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    feed_drop: f64,
    /// Close the connection
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    feed_close: f64,
    /// Cut the frame off
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    feed_truncated: f64,
    /// Give the frame a wrong count
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    feed_miscounted: f64,
    /// Send nothing from then on
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    feed_silent: f64,
    /// Begin the frame with the expected match at the end of a VI, which is not a trade
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    feed_expected: f64,
    /// Begin the frame with a block trade, a tenth below the market
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    feed_block: f64,
    /// Begin the frame with a record of a week ago, with a thousand times the volume
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    feed_other_day: f64,
    /// Begin the frame with a record of another hour, with a thousand times the volume
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    feed_other_hour: f64,
}

/// What goes wrong, as shares of calls from 0 to 1.
#[derive(Debug, Args)]
#[command(next_help_heading = "Faults (shares of calls, 0 to 1)")]
struct FaultArguments {
    /// Refuse below the limit (`EGW00201`)
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    refuse: f64,
    /// HTTP 500 without JSON
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    http_500: f64,
    /// HTTP 200 with a garbled body
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    garbage: f64,
    /// Close the connection without an answer
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    reset: f64,
    /// Answer late
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    slow: f64,
    /// How late
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    slow_for: Duration,
    /// Invalidate the token of the call
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    dead_token: f64,
    /// Leave rows out of multi-price answers
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    short: f64,
    /// Rows whose price is zero
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    zero: f64,
    /// Rows whose price is the expected match at the end of a VI
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    expected: f64,
    /// Rows that lack optional fields
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    missing_fields: f64,
    /// Rows with a field that is not documented
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    unknown_fields: f64,
    /// Rows in which some optional fields have another name
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    renamed_fields: f64,
    /// Rows of another stock than the one asked for, with the code of that stock
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    misnamed: f64,
    /// Rows, and trades of the live feed, with an impossible price: 1 won, or 2^63-1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    implausible: f64,
    /// Rows with fields that are not valid JSON
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    damaged: f64,
    /// Rows whose change lacks its sign
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    unsigned: f64,
    /// Refuse the multi-price call as unavailable
    #[arg(long)]
    no_multi: bool,
}

pub(super) async fn run(arguments: SimArguments) -> Outcome {
    let address = arguments.listen;
    if !address.ip().is_loopback() {
        output::note(format!(
            "{address} is not loopback: everyone who can reach it can use this simulated broker"
        ));
    }
    let sim = Sim::new(options(arguments), clock::system())
        .map_err(|error| Failure::usage(with_causes(&error)))?;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::failed(format!("cannot listen on {address}: {error}; see --listen"))
    })?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::failed(error.to_string()))?;
    output::line(format!(
        "simulated broker on http://{address} (its prices are not real)"
    ));
    // Without its address on standard output, the simulator could not be found.
    output::check()?;
    output::note(format!(
        "point sise at it: KIS_BASE_URL=http://{address} KIS_MASTER_URL=http://{address} \
         KIS_APP_KEY=any KIS_APP_SECRET=any"
    ));
    let stop = CancellationToken::new();
    let serving = sim.serve(listener, stop.clone());
    tokio::pin!(serving);
    let signal = tokio::select! {
        served = &mut serving => {
            let trouble = served.err().map_or("it ended".to_owned(), |error| error.to_string());
            return Err(Failure::failed(format!("the simulated broker: {trouble}")));
        }
        signal = daemon::signalled() => {
            signal.map_err(|error| Failure::failed(format!("signals cannot be received: {error}")))?
        }
    };
    stop.cancel();
    // Open connections of clients must not keep the process running.
    let _ = tokio::time::timeout(Duration::from_secs(1), serving).await;
    let stats = sim.stats();
    output::note(format!(
        "{} calls, {} refused, {} during a ban, at most {} in any second; {} tokens issued",
        stats.calls,
        stats.refused,
        stats.calls_while_banned,
        stats.max_calls_per_second_window,
        stats.tokens_issued
    ));
    Ok(signal.exit_code())
}

fn options(arguments: SimArguments) -> SimOptions {
    let faults = arguments.faults;
    let feed = arguments.feed;
    SimOptions {
        mode: match arguments.mode {
            ModeArgument::Real => Mode::Real,
            ModeArgument::Paper => Mode::Paper,
            ModeArgument::NewCustomer => Mode::NewCustomer,
        },
        calls_per_second: arguments.limit,
        app_key: arguments.app_key,
        app_secret: arguments.app_secret,
        token_validity: arguments.token_validity,
        single_token: arguments.single_token,
        ban: arguments.ban,
        latency: arguments.latency,
        seed: arguments.seed,
        market: match arguments.replay {
            None => MarketSource::Walk,
            Some(path) => MarketSource::Replay {
                path,
                speed: arguments.speed,
                from: arguments.from,
            },
        },
        codes: None,
        faults: Faults {
            refuse: faults.refuse,
            http_500: faults.http_500,
            garbage: faults.garbage,
            reset: faults.reset,
            slow: faults.slow,
            slow_for: faults.slow_for,
            dead_token: faults.dead_token,
            short: faults.short,
            zero: faults.zero,
            expected: faults.expected,
            missing_fields: faults.missing_fields,
            unknown_fields: faults.unknown_fields,
            renamed_fields: faults.renamed_fields,
            misnamed: faults.misnamed,
            implausible: faults.implausible,
            damaged: faults.damaged,
            unsigned: faults.unsigned,
            no_multi: faults.no_multi,
        },
        feed: FeedOptions {
            ticks: feed.ticks,
            fields: feed.fields,
            records: feed.records,
            is_encrypted: feed.encrypted,
            registrations: feed.registrations,
            ping_pong: feed.pingpong,
            linger: feed.linger,
            faults: FeedFaults {
                drop: feed.feed_drop,
                close: feed.feed_close,
                truncated: feed.feed_truncated,
                miscounted: feed.feed_miscounted,
                silent: feed.feed_silent,
                expected: feed.feed_expected,
                block: feed.feed_block,
                other_day: feed.feed_other_day,
                other_hour: feed.feed_other_hour,
            },
        },
    }
}

fn parse_time(text: &str) -> Result<NaiveTime, String> {
    NaiveTime::parse_from_str(text, "%H:%M:%S")
        .or_else(|_| NaiveTime::parse_from_str(text, "%H:%M"))
        .map_err(|_| "write HH:MM or HH:MM:SS".to_owned())
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
