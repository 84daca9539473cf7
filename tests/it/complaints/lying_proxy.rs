//! A way to the broker on which one text is replaced by another of the same length.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Passes everything on, and answers with one text replaced.
pub(crate) struct LyingProxy {
    port: u16,
    _tasks: JoinSet<()>,
}

impl LyingProxy {
    /// A proxy to a port of this machine that says `lie` where `truth` stands.
    pub(crate) async fn to(port: u16, truth: &str, lie: &str) -> Self {
        assert_eq!(truth.len(), lie.len(), "the length was said before");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let [truth, lie] = [truth, lie].map(|text| text.as_bytes().to_vec());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut streams = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let (mut from_client, to_client) = client.into_split();
                let (from_server, mut to_server) = server.into_split();
                streams.spawn(async move {
                    // Either side may leave at any time.
                    let _ = copy(&mut from_client, &mut to_server).await;
                });
                streams.spawn(lie_of(from_server, to_client, truth.clone(), lie.clone()));
            }
        });
        Self {
            port: own,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

async fn lie_of(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    truth: Vec<u8>,
    lie: Vec<u8>,
) {
    let mut held: Vec<u8> = Vec::new();
    let mut bytes = [0; 4_096];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        held.extend_from_slice(&bytes[..count]);
        let mut place = 0;
        while let Some(rest) = held.get_mut(place..place + truth.len()) {
            if *rest == *truth {
                rest.copy_from_slice(&lie);
            }
            place += 1;
        }
        // The next piece may bring the rest of the text.
        let begins = |length: &usize| held.ends_with(&truth[..*length]);
        let kept = (1..truth.len()).rev().find(begins).unwrap_or(0);
        let passed: Vec<u8> = held.drain(..held.len() - kept).collect();
        if to.write_all(&passed).await.is_err() {
            return;
        }
    }
}
