//! Proves the API as its clients meet it: the real program, a real Redis, and sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod access;
mod floods;
mod routes;
mod stream;
mod wire;

use crate::support::list;
use crate::support::program::{Program, Running};
use crate::support::world::World;

/// Codes of the small list.
const CODES: usize = 60;

/// A Redis with prices in it, and a server of the API on it.
struct Served {
    world: World,
    server: Running,
    address: String,
}

impl Served {
    /// As the settings are, but for the port.
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(settings: &[(&str, &str)]) -> Self {
        let world = World::new(&["--limit", "0"]).await;
        small(&world, &["run", "--once"]).run().await.exits(0);
        let (server, address) = serve(&world, settings).await;
        Self {
            world,
            server,
            address,
        }
    }

    /// Sweeps the whole list once more.
    async fn sweep(&self) {
        small(&self.world, &["run", "--once"]).run().await.exits(0);
    }
}

/// Starts one more server in a world.
async fn serve(world: &World, settings: &[(&str, &str)]) -> (Running, String) {
    let mut program = small(world, &["serve"]);
    for (name, value) in settings {
        program = program.set(name, value);
    }
    let server = program.start();
    let address = server.health_address().await;
    (server, address)
}

/// `sise` over a small list.
fn small(world: &World, arguments: &[&str]) -> Program {
    let codes = list::codes(CODES);
    let lines: Vec<String> = codes.iter().map(|code| format!("{code},KOSPI")).collect();
    world.file("list.csv", &format!("code,market\n{}\n", lines.join("\n")));
    world
        .fast_sise(arguments)
        .set("SISE__UNIVERSE__SOURCE", "csv")
        .set("SISE__UNIVERSE__FILE", "list.csv")
}

/// Some codes of the small list.
fn codes(count: usize) -> Vec<String> {
    list::codes(count)
}
