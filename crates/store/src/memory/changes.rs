//! Changes, published within this process.

use async_trait::async_trait;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use super::MemoryStore;
use sise_net::supervisor::spawn_brief;
use sise_port::{Change, Changes, Heard, StoreError, WAITING};

#[async_trait]
impl Changes for MemoryStore {
    fn listen(&self) -> mpsc::Receiver<Heard> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let changes = self.changes.subscribe();
        spawn_brief("listener", hand_on(changes, sender));
        receiver
    }

    async fn tell(&self, change: &Change) -> Result<(), StoreError> {
        self.tell_written(change.clone());
        Ok(())
    }
}

impl MemoryStore {
    /// Publishes a change after its write.
    pub(super) fn tell_written(&self, change: Change) {
        // There may be no listener.
        let _ = self.changes.send(change);
    }
}

async fn hand_on(mut changes: broadcast::Receiver<Change>, sender: mpsc::Sender<Heard>) {
    let mut heard = vec![Heard::Begin];
    loop {
        for heard in heard.drain(..) {
            if sender.send(heard).await.is_err() {
                return;
            }
        }
        tokio::select! {
            change = changes.recv() => match change {
                Ok(change) => heard.push(Heard::Change(change)),
                Err(RecvError::Lagged(_)) => heard.extend([Heard::Lost, Heard::Begin]),
                Err(RecvError::Closed) => return,
            },
            () = sender.closed() => return,
        }
    }
}
