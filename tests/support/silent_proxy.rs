//! A way to Redis that can swallow everything while its connections stand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Passes bytes on, or swallows them.
pub(crate) struct SilentProxy {
    port: u16,
    swallows: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl SilentProxy {
    /// A proxy to a port of this machine.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let swallows = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let flag = Arc::clone(&swallows);
        tasks.spawn(async move {
            let mut streams = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
                    continue;
                };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                streams.spawn(pass(from_client, to_server, Arc::clone(&flag)));
                streams.spawn(pass(from_server, to_client, Arc::clone(&flag)));
            }
        });
        Self {
            port: own,
            swallows,
            _tasks: tasks,
        }
    }

    /// The address for a client of Redis.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// From now on nothing comes through. What was swallowed is lost for ever, and so is the
    /// connection that lost it.
    pub(crate) fn swallow(&self) {
        self.swallows.store(true, Ordering::SeqCst);
    }

    /// From now on new connections pass.
    pub(crate) fn pass(&self) {
        self.swallows.store(false, Ordering::SeqCst);
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    swallows: Arc<AtomicBool>,
) {
    let mut bytes = [0; 4_096];
    let mut lost = false;
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        lost |= swallows.load(Ordering::SeqCst);
        if !lost && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
