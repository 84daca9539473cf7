//! A program of a simulated day that reads prices.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use sise::Symbol;
use sise::port::Unrecorded;
use tokio::time::sleep;

use super::process::{Disk, wiring};
use super::world::World;

/// A code that nobody lists.
const NOBODYS: &str = "999999";

/// Reads now and then, all day.
pub(crate) async fn run(
    world: Arc<World>,
    slot: usize,
    name: String,
    disk: Arc<Disk>,
    has_key: bool,
) {
    let wiring = wiring(&world, slot, &name, &disk, has_key, Arc::new(Unrecorded));
    wiring.know_names().await;
    let reader = wiring.reader();
    let mut rng = world.rng(slot, "reader");
    loop {
        let (pause, codes) = next(&world, &mut rng);
        sleep(pause).await;
        let asked_at = world.timeline.now();
        let by_its_clock = world.time_in(slot);
        let texts: Vec<&str> = codes.iter().map(Symbol::as_str).collect();
        let outcome = reader.prices(&texts).await;
        world.check_read(slot, has_key, &codes, asked_at, by_its_clock, &outcome);
    }
}

/// What is read next, and after which pause.
fn next(world: &World, rng: &mut Rng) -> (Duration, Vec<Symbol>) {
    let longest = if rng.u8(..8) == 0 { 50 } else { 45_000 };
    let pause = Duration::from_millis(rng.u64(0..=longest));
    let listed = &world.setup.codes.listed;
    let count = match rng.u8(..6) {
        0 => listed.len().min(30),
        1..3 => 5,
        _ => 1,
    };
    let mut codes: Vec<Symbol> = (0..count)
        .map(|_| listed[rng.usize(..listed.len())])
        .collect();
    if rng.u8(..20) == 0 {
        codes.push(NOBODYS.parse().unwrap());
    }
    (pause, codes)
}
