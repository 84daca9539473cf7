//! All integration tests in one program, so that what they share is compiled once: a module for each
//! area. One of them: `cargo test --test it leaders`.

mod support;

mod alerts;
mod api;
mod cache;
mod cache_contract;
mod command_line;
mod complaints;
mod daemon;
mod examples;
mod feed;
mod first_level;
mod fleet;
mod flights;
mod foreign_values;
mod guards;
mod journal;
mod layers;
mod leaders;
mod library;
mod movers;
mod one_shot;
mod operation;
mod processes;
mod reader_load;
mod real_faults;
mod records_contract;
mod replay;
mod screen;
mod secrets;
mod shared;
mod store_contract;
mod topologies;
mod traces;
mod watch_lists;
mod watched;
mod work_contract;
