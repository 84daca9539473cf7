//! Feeds one parser of sise with what libFuzzer makes up; `FUZZ_TARGET` names it.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sise::fuzzing::{TARGETS, Target};

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(
    init: {
        let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        let chosen = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let Some((_, target)) = TARGETS.iter().find(|(name, _)| *name == chosen) else {
            eprintln!("FUZZ_TARGET names one of {}", names.join(" "));
            std::process::exit(2);
        };
        let _ = TARGET.set(*target);
    },
    |data: &[u8]| {
        if let Some(target) = TARGET.get() {
            target(data);
        }
    }
);
