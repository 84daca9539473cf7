//! Spans for trace collectors: the steps of a sweep, a call or a read.
//!
//! They have a target that logs leave out, so without a collector no span is created.

/// Target of every span. Spans must not contain secrets: names, counts and paths only.
pub const TARGET: &str = "sise_trace";
