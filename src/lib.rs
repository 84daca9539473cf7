//! sise keeps the price of every KOSPI and KOSDAQ stock fresh in Redis.
pub mod clock;
pub mod config;
pub mod domain;
pub mod kis;
pub mod pace;
pub mod port;
pub mod reader;
pub mod store;
pub mod sweep;
mod tls;
pub mod universe;
