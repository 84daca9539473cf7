//! Reasons why a code has no price.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use sise_domain::{Missed, Selection, Symbol, Universe};
use sise_port::Ledger;

/// What is known of codes without a price.
#[derive(Clone)]
pub struct Reasons {
    /// The stock list.
    pub universe: Arc<ArcSwap<Universe>>,
    /// What the list takes and leaves out.
    pub selection: Selection,
    /// What the sweeps know of each code; `None` if no other process can use the store.
    pub ledger: Option<Arc<dyn Ledger>>,
    /// Whether the broker can be asked.
    pub has_broker: bool,
}

impl Reasons {
    /// Returns the reasons in words, after the reader found no price.
    pub async fn of_no_price(&self, symbol: Symbol) -> String {
        let list = self.universe.load();
        let mut reasons = Vec::new();
        reasons.push(match self.has_broker {
            true => "the broker knows none".to_owned(),
            false => "the broker was not asked, because KIS_APP_KEY and KIS_APP_SECRET are not set"
                .to_owned(),
        });
        let missed = match &self.ledger {
            Some(ledger) => ledger
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
            reasons.push(self.not_listed());
        }
        reasons.join("; ")
    }

    /// Says why a code is not in any sweep.
    #[must_use]
    pub fn not_listed(&self) -> String {
        let left_out = [
            ("ETFs (universe.etf)", self.selection.etf),
            ("ETNs (universe.etn)", self.selection.etn),
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
}

impl fmt::Debug for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reasons")
            .field("selection", &self.selection)
            .field("has_broker", &self.has_broker)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sise_domain::Shipped;

    #[tokio::test]
    async fn a_code_that_the_list_leaves_out_is_said_to_be() {
        let reasons = Reasons {
            universe: Arc::new(ArcSwap::from_pointee(Shipped::get().universe())),
            selection: Selection::default(),
            ledger: None,
            has_broker: true,
        };
        for (code, reason) in [
            ("005930", "the broker knows none"),
            (
                "069500",
                "the broker knows none; it is not in the stock list, which leaves out ETFs \
                 (universe.etf) and ETNs (universe.etn)",
            ),
        ] {
            assert_eq!(reasons.of_no_price(code.parse().unwrap()).await, reason);
        }
    }
}
