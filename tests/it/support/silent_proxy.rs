//! A way to Redis that can delay, cut, or swallow everything while its connections stand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// What it does with bytes.
#[derive(Clone, Default)]
struct Mode {
    /// Connections that were opened before this many changes have lost their bytes for ever.
    swallows: Arc<AtomicU64>,
    delay: Arc<AtomicU64>,
    cuts: Arc<AtomicU64>,
}

/// Passes bytes on, or does something worse.
pub(crate) struct SilentProxy {
    port: u16,
    mode: Mode,
    _tasks: JoinSet<()>,
}

impl SilentProxy {
    /// A proxy to a port of this machine.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let mode = Mode::default();
        let mut tasks = JoinSet::new();
        let shared = mode.clone();
        tasks.spawn(async move {
            let mut streams = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
                    continue;
                };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                streams.spawn(pass(from_client, to_server, shared.clone()));
                streams.spawn(pass(from_server, to_client, shared.clone()));
            }
        });
        Self {
            port: own,
            mode,
            _tasks: tasks,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address for a client of Redis.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// From now on nothing comes through. What was swallowed is lost for ever, and so is the
    /// connection that lost it.
    pub(crate) fn swallow(&self) {
        self.mode.swallows.store(1, Ordering::SeqCst);
    }

    /// From now on every piece comes this much later.
    pub(crate) fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap();
        self.mode.delay.store(millis, Ordering::SeqCst);
    }

    /// Cuts every connection at its next byte.
    pub(crate) fn cut(&self) {
        self.mode.cuts.fetch_add(1, Ordering::SeqCst);
    }

    /// From now on new connections pass, at once.
    pub(crate) fn pass(&self) {
        self.mode.swallows.store(0, Ordering::SeqCst);
        self.mode.delay.store(0, Ordering::SeqCst);
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mode: Mode,
) {
    let mut bytes = [0; 4_096];
    let mut lost = false;
    let born = mode.cuts.load(Ordering::SeqCst);
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if mode.cuts.load(Ordering::SeqCst) != born {
            return;
        }
        let delay = mode.delay.load(Ordering::SeqCst);
        if delay > 0 {
            sleep(Duration::from_millis(delay)).await;
        }
        lost |= mode.swallows.load(Ordering::SeqCst) != 0;
        if !lost && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
