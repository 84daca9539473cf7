//! A price on the board, encoded once for all readers.

use std::sync::OnceLock;

use sise_domain::{Quote, Reading, Source};

/// A price on the board.
#[derive(Debug)]
pub struct Posted {
    /// The price.
    pub quote: Quote,
    /// The place of its code on the board.
    pub place: usize,
    object: OnceLock<String>,
    reading: OnceLock<String>,
}

impl Posted {
    pub(crate) fn new(quote: Quote, place: usize) -> Self {
        Self {
            quote,
            place,
            object: OnceLock::new(),
            reading: OnceLock::new(),
        }
    }

    /// Returns the price object, as in the store.
    #[must_use]
    pub fn object(&self) -> &str {
        // Texts and numbers can always be encoded.
        self.object
            .get_or_init(|| serde_json::to_string(&self.quote).unwrap_or_default())
    }

    /// Returns the price as a [`Reading`] from the store, `age_ms` old.
    #[must_use]
    pub fn reading(&self, age_ms: u64) -> String {
        let head = self.reading.get_or_init(|| {
            let quote = Box::new(self.quote.clone());
            let now = self.quote.fetched_at;
            let reading = Reading::new(quote, Source::Redis, now);
            let mut text = serde_json::to_string(&reading).unwrap_or_default();
            // The age is last, and is all that changes.
            let end = text.rfind(':').map_or(0, |colon| colon + 1);
            text.truncate(end);
            text
        });
        let mut text = String::with_capacity(head.len() + 24);
        text.push_str(head);
        text.push_str(&age_ms.to_string());
        text.push('}');
        text
    }
}
