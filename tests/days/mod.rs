//! A trading day in virtual time: see `day` for how it runs.

pub(crate) mod broker;
pub(crate) mod commands;
pub(crate) mod daemon;
pub(crate) mod day;
pub(crate) mod link;
pub(crate) mod machine;
pub(crate) mod process;
pub(crate) mod promises;
pub(crate) mod reader;
pub(crate) mod record;
pub(crate) mod redis;
pub(crate) mod script;
pub(crate) mod setup;
pub(crate) mod timeline;
pub(crate) mod wire;
pub(crate) mod world;
