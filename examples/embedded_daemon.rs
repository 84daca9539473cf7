//! A daemon inside another program, here for a moment on a simulated broker: until the prices of the
//! whole market are there.
//!
//!     cargo run --example embedded_daemon
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::time::Duration;

use sise::clock;
use sise::config::{RawSettings, Settings};
use sise::daemon::{self, Options};
use sise::domain::KrxTime;
use sise::schedule::Watcher;
use sise::sim::{Sim, SimOptions};
use sise::sweep::{Report, Step};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Prints the first sweep and reports that it is over.
#[derive(Default)]
struct FirstSweep {
    is_over: Notify,
}

impl Watcher for FirstSweep {
    fn step(&self, _: &Step<'_>) {}

    fn swept(&self, report: &Report) {
        println!("{} of {} prices", report.written, report.universe);
        self.is_over.notify_one();
    }

    fn skipped(&self, why: &str, _: Option<KrxTime>) {
        println!("skipped: {why}");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Stands for the broker. A real one needs no more than an app key.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let broker = format!("http://{}", listener.local_addr()?);
    let sim = Sim::new(SimOptions::default(), clock::system())?;
    tokio::spawn(async move { sim.serve(listener, CancellationToken::new()).await });

    let state = tempfile::tempdir()?;
    let mut raw = RawSettings::unset();
    for (key, value) in [
        ("kis.base_url", broker.clone()),
        ("kis.master_url", broker),
        ("kis.app_key", "example".to_owned()),
        ("kis.app_secret", "example".to_owned()),
        ("store.url", "memory".to_owned()),
        ("api.listen", "127.0.0.1:0".to_owned()),
        ("state.directory", state.path().display().to_string()),
    ] {
        raw.set(key, value);
    }
    let first = Arc::new(FirstSweep::default());
    let options = Options {
        always_open: true,
        watcher: Some(first.clone()),
        ..Options::default()
    };
    let daemon = daemon::build(Settings::new(&raw)?, options).await?;
    println!(
        "the market on one page: {}",
        daemon.page().unwrap_or_default()
    );
    // Any future may stop a daemon; it then ends its work in order.
    timeout(
        Duration::from_secs(60),
        daemon.run(first.is_over.notified()),
    )
    .await??;
    println!("stopped");
    Ok(())
}
