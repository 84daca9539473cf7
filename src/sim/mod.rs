//! Simulated broker.
