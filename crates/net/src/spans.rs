//! Spans of traces: what a sweep, a call or a read is made of, for whoever collects traces.
//!
//! They have a target of their own, which logs leave out: without a collector none of them is made.

/// The target of every span. Nothing secret goes into one: names, counts and paths only.
pub const TARGET: &str = "sise_trace";
