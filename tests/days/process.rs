//! What every process of a simulated day is made of: sise's own wiring on the world's ways.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sise::config::{RawSettings, Settings};
use sise::kis::Transport;
use sise::port::{CopyStore, Recorder, StoreError};
use sise::setup::{Adapters, KeyShare, Wiring};
use sise::sim::Mode;
use sise::store::MemoryStore;

use super::broker::{APP_KEY, APP_SECRET, BROKER, LISTS};
use super::link::Link;
use super::setup::SHORT_DAYS;
use super::wire::Wire;
use super::world::World;

/// When the stock list is loaded anew.
pub(crate) const RELOAD_AT: &str = "08:50";

/// The disk of one machine: it outlives the processes.
#[derive(Default)]
pub(crate) struct Disk {
    copies: Mutex<BTreeMap<String, String>>,
}

#[async_trait]
impl CopyStore for Disk {
    async fn load_copy(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(self.copies.lock().unwrap().get(name).cloned())
    }

    async fn save_copy(&self, name: &str, text: &str) -> Result<(), StoreError> {
        let copies = &mut self.copies.lock().unwrap();
        copies.insert(name.to_owned(), text.to_owned());
        Ok(())
    }
}

/// A process of the day; `name` is one that no other has.
pub(crate) fn wiring(
    world: &Arc<World>,
    slot: usize,
    name: &str,
    disk: &Arc<Disk>,
    has_key: bool,
    recorder: Arc<dyn Recorder>,
) -> Wiring {
    let settings = settings(world, has_key);
    let link = Link {
        world: Arc::clone(world),
        slot,
        caps: settings.kis.caps(),
        count: Arc::default(),
    };
    let link = Arc::new(link);
    let far = Arc::clone(world);
    let adapters = Adapters {
        clock: world.clock(slot),
        process: name.to_owned(),
        connect: Arc::new(move |_, patience| {
            let wire = Wire {
                world: Arc::clone(&far),
                slot,
                patience,
            };
            Ok(Arc::new(wire) as Arc<dyn Transport>)
        }),
        reader_store: link.clone(),
        sweep_store: link.clone(),
        index_store: Arc::new(MemoryStore::default()),
        cache_store: Arc::new(MemoryStore::default()),
        bulk_store: Arc::new(MemoryStore::default()),
        changes: Arc::new(MemoryStore::default()),
        copies: vec![disk.clone(), link.clone()],
        lease: Some(link.clone()),
        alert_lease: None,
        flights: Some(link.clone()),
        brokers: None,
        work: None,
        watched: (!world.setup.watched.is_empty()).then(|| link.clone() as _),
        records: link.clone(),
        recorder,
        key: has_key.then(|| KeyShare {
            budget: link.clone(),
            count: Arc::clone(&link.count),
            tokens: link.clone(),
            bans: link.clone(),
        }),
        token_file: None,
        ban_file: None,
        redis: None,
    };
    Wiring::on(settings, adapters).unwrap()
}

fn settings(world: &World, has_key: bool) -> Settings {
    let setup = &world.setup;
    let mut raw = RawSettings::unset();
    let mut set = |key, value: &str| raw.set(key, value);
    set("kis.base_url", BROKER);
    set("kis.master_url", LISTS);
    if has_key {
        set("kis.app_key", APP_KEY);
        set("kis.app_secret", APP_SECRET);
    }
    match setup.mode {
        Mode::Real => {}
        Mode::NewCustomer => set("kis.new_customer", "true"),
        Mode::Paper => set("kis.env", "paper"),
    }
    if let Some(calls) = setup.calls_per_minute {
        set("kis.calls_per_minute", &calls.to_string());
    }
    if let Some(calls) = setup.calls_per_day {
        set("kis.calls_per_day", &calls.to_string());
    }
    set("universe.source", "master");
    set(
        "schedule.interval",
        &format!("{}s", setup.interval.as_secs()),
    );
    set("schedule.lease", &format!("{}s", setup.lease.as_secs()));
    set("schedule.reload_at", RELOAD_AT);
    set("sweep.batch_size", &setup.batch_size.to_string());
    set(
        "calendar.file",
        if setup.is_short { SHORT_DAYS } else { "" },
    );
    Settings::new(&raw).unwrap()
}
