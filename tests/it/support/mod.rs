//! What the black-box tests share: real parts, each on a port and in a folder of its own, ended
//! when they are dropped.

#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "every test crate takes the parts it needs, and a test fails by panicking"
)]

pub(crate) mod certificates;
pub(crate) mod cluster;
pub(crate) mod contract;
pub(crate) mod echo;
pub(crate) mod faked_time;
pub(crate) mod http;
pub(crate) mod list;
pub(crate) mod nginx;
pub(crate) mod program;
pub(crate) mod quote;
pub(crate) mod redis;
pub(crate) mod rights;
pub(crate) mod scene;
pub(crate) mod sentinel;
pub(crate) mod silent_proxy;
pub(crate) mod simulated_broker;
pub(crate) mod tmux;
pub(crate) mod world;

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Longest wait for something to come about. Generous: a machine under load is no failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Looks until there is something to see.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "never came about: {what}");
        sleep(LOOK_AGAIN).await;
    }
}

/// Sends a signal to a process that this test started.
pub(crate) fn signal(process: u32, name: &str) {
    // The shell's own `kill`: not every machine has the program.
    let sent = std::process::Command::new("sh")
        .args(["-c", &format!("kill -{name} {process}")])
        .status()
        .unwrap();
    assert!(sent.success(), "signal {name} to {process}");
}

/// Ends a process of this test and waits until it is gone, wherever the runtime stands.
pub(crate) fn end(child: &mut tokio::process::Child) {
    // It may have ended by itself.
    let _ = child.start_kill();
    while let Ok(None) = child.try_wait() {
        std::thread::yield_now();
    }
}

/// A port that nobody listens on just now.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
