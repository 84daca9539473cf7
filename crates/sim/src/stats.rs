//! Statistics of the simulated broker.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start.
///
/// Every quotation call is counted in exactly one of `ok`, `refused`, `unauthorized`, `rejected`
/// and `faults`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SimStats {
    /// Quotation calls that arrived.
    pub calls: u64,
    /// Calls answered as asked.
    pub ok: u64,
    /// Calls refused with `EGW00201`: over the limit, or by
    /// [`Faults::refuse`](super::Faults::refuse).
    pub refused: u64,
    /// Refused calls that were over the limit.
    pub over_limit: u64,
    /// Calls refused for their token, key or secret.
    pub unauthorized: u64,
    /// Calls refused for what they asked: wrong transaction, missing parameter, not on paper.
    pub rejected: u64,
    /// Calls answered with an injected fault. A slow answer is not counted.
    pub faults: u64,
    /// Token requests.
    pub token_requests: u64,
    /// New tokens issued; granting the same one again is not counted.
    pub tokens_issued: u64,
    /// Calls and token requests that arrived while their app key was banned.
    pub calls_while_banned: u64,
    /// Most calls of one app key that arrived within any one second, including refused ones. Only
    /// keys that have asked for a token are counted.
    pub max_calls_per_second_window: u64,
}

/// Counts of one app key; only keys that have asked for a token are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyStats {
    /// Quotation calls of the key.
    pub calls: u64,
    /// Those of them that were refused as over the limit.
    pub over_limit: u64,
    /// Most of them that arrived within any one second.
    pub max_calls_per_second_window: u64,
}

impl KeyStats {
    /// Counts a call, which is the `in_a_second`th within one second.
    pub(super) fn saw_call(&mut self, in_a_second: usize) {
        let in_a_second = u64::try_from(in_a_second).unwrap_or(u64::MAX);
        self.calls += 1;
        self.max_calls_per_second_window = self.max_calls_per_second_window.max(in_a_second);
    }

    /// Adds the counts of another key.
    pub(super) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.over_limit += other.over_limit;
        let window = &mut self.max_calls_per_second_window;
        *window = other.max_calls_per_second_window.max(*window);
    }
}

/// The outcome of a quotation call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    Refused,
    OverLimit,
    Unauthorized,
    Rejected,
    Fault,
}

/// Counters that concurrent calls update.
#[derive(Debug, Default)]
pub(super) struct Counters {
    ok: AtomicU64,
    refused: AtomicU64,
    over_limit: AtomicU64,
    unauthorized: AtomicU64,
    rejected: AtomicU64,
    faults: AtomicU64,
    calls: AtomicU64,
    token_requests: AtomicU64,
    tokens_issued: AtomicU64,
    while_banned: AtomicU64,
    most_in_a_second: AtomicU64,
}

impl Counters {
    pub(super) fn arrived(&self) {
        add(&self.calls);
    }

    pub(super) fn saw_window(&self, calls: usize) {
        let calls = u64::try_from(calls).unwrap_or(u64::MAX);
        self.most_in_a_second.fetch_max(calls, Ordering::Relaxed);
    }

    pub(super) fn ended(&self, outcome: Outcome) {
        match outcome {
            Outcome::Ok => add(&self.ok),
            Outcome::Refused => add(&self.refused),
            Outcome::OverLimit => {
                add(&self.refused);
                add(&self.over_limit);
            }
            Outcome::Unauthorized => add(&self.unauthorized),
            Outcome::Rejected => add(&self.rejected),
            Outcome::Fault => add(&self.faults),
        }
    }

    pub(super) fn token_asked(&self) {
        add(&self.token_requests);
    }

    pub(super) fn token_issued(&self) {
        add(&self.tokens_issued);
    }

    pub(super) fn called_while_banned(&self) {
        add(&self.while_banned);
    }

    pub(super) fn read(&self) -> SimStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SimStats {
            calls: of(&self.calls),
            ok: of(&self.ok),
            refused: of(&self.refused),
            over_limit: of(&self.over_limit),
            unauthorized: of(&self.unauthorized),
            rejected: of(&self.rejected),
            faults: of(&self.faults),
            token_requests: of(&self.token_requests),
            tokens_issued: of(&self.tokens_issued),
            calls_while_banned: of(&self.while_banned),
            max_calls_per_second_window: of(&self.most_in_a_second),
        }
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
