//! sise keeps the price of every KOSPI and KOSDAQ stock fresh in Redis.
#[cfg(feature = "daemon")]
pub mod api;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod config;
#[cfg(feature = "daemon")]
pub mod daemon;
pub mod domain;
#[cfg(feature = "daemon")]
pub mod freshness;
pub mod kis;
pub mod pace;
pub mod port;
pub mod reader;
#[cfg(feature = "daemon")]
pub mod schedule;
pub mod setup;
#[cfg(feature = "sim")]
pub mod sim;
pub mod store;
pub mod sweep;
#[cfg(feature = "daemon")]
pub mod telemetry;
mod tls;
pub mod universe;
