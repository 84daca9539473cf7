//! Reasons why a code has no price.

use crate::setup::Parts;
use sise_domain::{Missed, Symbol};
use sise_port::Ledger as _;

/// Returns the reasons in words, after the reader found no price.
pub(crate) async fn of_no_price(parts: &Parts, symbol: Symbol) -> String {
    let list = parts.universe.load();
    let mut reasons = Vec::new();
    reasons.push(match &parts.broker {
        Some(_) => "the broker knows none".to_owned(),
        None => "the broker was not asked, because KIS_APP_KEY and KIS_APP_SECRET are not set"
            .to_owned(),
    });
    let missed = match &parts.redis {
        Some(redis) => redis
            .row(symbol)
            .await
            .ok()
            .flatten()
            .and_then(|row| row.missed),
        None => None,
    };
    if let Some(Missed { reason, detail, .. }) = missed.map(|missed| *missed) {
        let detail = if detail.is_empty() {
            detail
        } else {
            format!(" ({detail})")
        };
        reasons.push(format!("the last sweep missed it: {reason}{detail}"));
    }
    // Without a universe, nothing can be said about the code.
    if !list.is_empty() && list.get(symbol).is_none() {
        reasons.push(not_listed(parts));
    }
    reasons.join("; ")
}

/// Says why a code is not in any sweep.
pub(crate) fn not_listed(parts: &Parts) -> String {
    let universe = &parts.settings.universe.selection;
    let left_out = [
        ("ETFs (universe.etf)", universe.etf),
        ("ETNs (universe.etn)", universe.etn),
    ];
    let left_out = left_out.iter().filter(|(_, is_in)| !is_in);
    let left_out: Vec<&str> = left_out.map(|(name, _)| *name).collect();
    match left_out.as_slice() {
        [] => "it is not in the stock list".to_owned(),
        names => format!(
            "it is not in the stock list, which leaves out {}",
            names.join(" and ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, Settings};
    use sise_port::clock;

    #[tokio::test]
    async fn a_code_that_the_list_leaves_out_is_said_to_be() {
        let state = tempfile::tempdir().unwrap();
        let mut layers = Layers::unset();
        for (key, value) in [
            ("kis.app_key", "key"),
            ("kis.app_secret", "secret"),
            ("store.url", "memory"),
            ("state.directory", state.path().to_str().unwrap()),
        ] {
            layers.set(key, value);
        }
        let settings = Settings::new(&layers).unwrap();
        let parts = Parts::new(settings, clock::system()).unwrap();
        for (code, reason) in [
            ("005930", "the broker knows none"),
            (
                "069500",
                "the broker knows none; it is not in the stock list, which leaves out ETFs \
                 (universe.etf) and ETNs (universe.etn)",
            ),
        ] {
            assert_eq!(of_no_price(&parts, code.parse().unwrap()).await, reason);
        }
    }
}
