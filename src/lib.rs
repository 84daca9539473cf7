//! sise keeps the price of every KOSPI and KOSDAQ stock fresh in Redis.
pub mod domain;
