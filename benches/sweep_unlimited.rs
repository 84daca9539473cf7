//! How many codes per second a sweep moves from broker to Redis if the broker sets no limit.
//!
//! `cargo bench --bench sweep_unlimited`
//! `cargo bench --bench sweep_unlimited -- --reference` against a Python program, in turn
//! `cargo bench --bench sweep_unlimited -- --in-flight 8,16,32,64` for several settings
//!
//! This is a complete sweep: the simulated broker is a process of its own, and prices go to a
//! private Redis server. Limit: at least 60,000 codes per second on two cores. The reference is
//! `benches/reference/asyncio_sweep.py`; its packages are installed below `target` on the first
//! run.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sise::domain::{Symbol, Urgency};
use sise::sweep::{Sweeper, Task};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use support::{Figures, Limit, Outcome, PrivateRedis, SimProcess, thousands, verdict};

/// Rounds, in each of which every contestant sweeps.
const ROUNDS: usize = 7;

/// Sweeps of sise in a round; each takes a few hundredths of a second.
const SWEEPS: usize = 20;

/// Sweeps that are not counted, to warm up connections and caches.
const WARM_UP: usize = 5;

/// The limit, codes per second.
const FLOOR: f64 = 60_000.0;

fn main() -> Outcome {
    support::run(measure)
}

/// The variants of the Python program.
const REFERENCES: [Reference; 2] = [
    Reference {
        name: "Python asyncio, 30 codes a call, pipelines",
        arguments: &["--codes-a-call", "30", "--sweeps", "5"],
    },
    Reference {
        name: "Python asyncio, one code a call",
        arguments: &["--codes-a-call", "1", "--sweeps", "1"],
    },
];

struct Reference {
    name: &'static str,
    arguments: &'static [&'static str],
}

async fn measure() -> Outcome {
    let redis = PrivateRedis::start().await?;
    let sim = SimProcess::start(&["--limit", "0"])?;
    let state = tempfile::tempdir()?;
    let state = state.path().display().to_string();
    let task = Task {
        symbols: support::whole_market(),
        kept: None,
        deadline: Duration::from_secs(60),
        urgency: Urgency::Sweep,
    };
    let python = support::flag("--reference").then(python).transpose()?;

    let widths = support::argument("--in-flight");
    let widths: Vec<Option<&str>> = match &widths {
        Some(list) => list.split(',').map(Some).collect(),
        None => vec![None],
    };
    let mut contestants = Vec::new();
    for in_flight in widths {
        let mut values = vec![
            ("kis.base_url", sim.url.as_str()),
            ("kis.app_key", "bench"),
            ("kis.app_secret", "bench"),
            ("kis.rate_per_second", "100000"),
            ("store.url", redis.url.as_str()),
            ("state.directory", state.as_str()),
        ];
        if let Some(in_flight) = in_flight {
            values.push(("sweep.in_flight", in_flight));
        }
        let wiring = support::wiring(&values)?;
        let name = format!("sise, {} in flight", wiring.settings.sweep.in_flight);
        let sweeper = wiring.sweeper(None).ok_or("no sweeper")?;
        contestants.push((name, sweeper, Figures::default()));
    }
    for (_, sweeper, _) in &contestants {
        for _ in 0..WARM_UP {
            sweep(sweeper, &task).await?;
        }
    }

    println!("{} codes a sweep, codes a second", task.symbols.len());
    let mut referees: Vec<Figures> = REFERENCES.iter().map(|_| Figures::default()).collect();
    for round in 1..=ROUNDS {
        for (name, sweeper, figures) in &mut contestants {
            let mut sweeps = Figures::default();
            for _ in 0..SWEEPS {
                sweeps.add(sweep(sweeper, &task).await?);
            }
            figures.add(sweeps.median());
            println!("  round {round}: {name:44} {}", sweeps.spread_whole());
        }
        if let Some(python) = &python {
            for (reference, figures) in REFERENCES.iter().zip(&mut referees) {
                let speed = reference.run(python, &sim.url, &redis.url, &task.symbols)?;
                figures.add(speed);
                println!(
                    "  round {round}: {:44} {}",
                    reference.name,
                    thousands(speed)
                );
            }
        }
    }
    println!("median of the rounds (least to most)");
    let mut best = 0.0_f64;
    for (name, _, figures) in &contestants {
        best = best.max(figures.median());
        verdict(
            &format!("whole market unlimited, into a real Redis, {name}"),
            Limit::AtLeast(FLOOR, " codes/s"),
            figures.median(),
            &format!("{} codes/s", figures.spread_whole()),
        )?;
    }
    if python.is_some() {
        for (reference, figures) in REFERENCES.iter().zip(&referees) {
            let times = best / figures.median();
            verdict(
                &format!(
                    "compared with {}, in turn: speed of sise relative to it",
                    reference.name
                ),
                Limit::None,
                times,
                &format!("{times:.1}x of {} codes/s", figures.spread_whole()),
            )?;
        }
    }
    let usage = sim.usage()?;
    println!(
        "simulated broker: {:.1} s of processor time",
        usage.processor
    );
    Ok(())
}

/// Runs one sweep; returns codes per second.
#[expect(clippy::cast_precision_loss, reason = "a few thousand codes")]
async fn sweep(sweeper: &Sweeper, task: &Task) -> Outcome<f64> {
    let start = Instant::now();
    let report = sweeper
        .sweep(task, &|_| {}, &CancellationToken::new())
        .await;
    let seconds = start.elapsed().as_secs_f64();
    if report.written != report.universe || report.retries > 0 {
        return Err(format!("not a sweep to measure: {report:?}").into());
    }
    Ok(report.written as f64 / seconds)
}

impl Reference {
    /// Returns the median of its sweeps in codes per second, which the program measures itself
    /// after a warm-up.
    fn run(&self, python: &Path, broker: &str, redis: &str, symbols: &[Symbol]) -> Outcome<f64> {
        let codes: Vec<&str> = symbols.iter().map(Symbol::as_str).collect();
        let output = Command::new(python)
            .arg(folder().join("asyncio_sweep.py"))
            .args(["--broker", broker, "--redis", redis])
            .args(["--codes", &codes.join(",")])
            .args(self.arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(format!("the reference ended with {}", output.status).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/reference")
}

/// Returns a Python with the packages of the reference, installed on the first call.
fn python() -> Outcome<PathBuf> {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reference-python");
    let python = environment.join("bin/python");
    if !python.exists() {
        done(
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(&environment),
        )?;
    }
    done(
        Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-r",
            ])
            .arg(folder().join("requirements.txt")),
    )?;
    Ok(python)
}

fn done(command: &mut Command) -> Outcome {
    let status = command.stdin(Stdio::null()).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?} ended with {status}").into())
    }
}
