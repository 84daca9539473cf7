//! The stock list: its sources in order, the last good copy, and a guard against lists that shrank.

mod csv_file;
mod last_good;

use std::fmt;

use sise_domain::{Selection, Shipped, Universe};
use sise_port::{ListError, ListSource};

pub use csv_file::CsvFile;
pub use last_good::LastGood;

use async_trait::async_trait;

/// Largest accepted loss of codes against the last good list, as a share; beyond it a list is
/// refused.
const LARGEST_LOSS: f64 = 0.10;

/// The list that ships with the program.
#[derive(Debug, Clone, Copy, Default)]
pub struct ShippedList;

#[async_trait]
impl ListSource for ShippedList {
    fn name(&self) -> &'static str {
        "shipped"
    }

    async fn list(&self) -> Result<Universe, ListError> {
        Ok(Shipped::get().universe())
    }
}

/// A list ready for use.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The selected codes.
    pub universe: Universe,
    /// The source of the list.
    pub source: &'static str,
    /// Notes for the operator: failed sources, a refused list, an outdated list.
    pub notes: Vec<String>,
}

/// Loads the stock list.
pub struct Loader {
    sources: Vec<Box<dyn ListSource>>,
    last_good: LastGood,
    selection: Selection,
}

impl Loader {
    /// Creates a loader that tries `sources` in order.
    ///
    /// A list that lost too many codes against the last good copy is replaced by that copy.
    #[must_use]
    pub fn new(
        sources: Vec<Box<dyn ListSource>>,
        last_good: LastGood,
        selection: Selection,
    ) -> Self {
        Self {
            sources,
            last_good,
            selection,
        }
    }

    /// Returns the first good list.
    ///
    /// # Errors
    ///
    /// Returns an error if no source has a list, with the reason for each source.
    pub async fn load(&self) -> Result<Loaded, ListError> {
        let mut notes = Vec::new();
        for source in &self.sources {
            let name = source.name();
            let list = match source.list().await {
                Ok(list) => list,
                Err(error) => {
                    notes.push(format!("stock list from {name}: {error}"));
                    continue;
                }
            };
            let universe = list.select(self.selection);
            if universe.is_empty() {
                notes.push(format!("stock list from {name}: it has no codes"));
                continue;
            }
            match name {
                "shipped" => notes.push(format!(
                    "stock list: using the one shipped inside the program, of {}; codes listed \
                     since then are missing",
                    Shipped::get().date
                )),
                "last-good" => notes.push("stock list: using the last good copy".to_owned()),
                _ => {
                    if let Some(kept) = self.guard(&universe, name, &mut notes).await {
                        return Ok(Loaded {
                            universe: kept,
                            source: "last-good",
                            notes,
                        });
                    }
                    if let Err(trouble) = self.last_good.save(&list, name).await {
                        notes.push(format!("stock list: the last good copy: {trouble}"));
                    }
                }
            }
            return Ok(Loaded {
                universe,
                source: name,
                notes,
            });
        }
        if notes.is_empty() {
            notes.push("no source of a stock list is set".to_owned());
        }
        Err(ListError(notes.join("; ")))
    }

    /// Accepts a list although it shrank: forgets the last good copy and loads again.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Loader::load`], or an error if the copy cannot be removed.
    pub async fn accept(&self) -> Result<Loaded, ListError> {
        self.last_good.forget().await.map_err(ListError)?;
        self.load().await
    }

    /// Returns the last good list if `universe` has lost too many codes against it.
    async fn guard(
        &self,
        universe: &Universe,
        name: &str,
        notes: &mut Vec<String>,
    ) -> Option<Universe> {
        let kept = self.last_good.list().await.ok()?.select(self.selection);
        // Counted by code, as a list of different codes may be just as long.
        let lost = kept
            .symbols()
            .filter(|code| universe.get(*code).is_none())
            .count();
        if !lost_too_many(lost, kept.len()) {
            return None;
        }
        notes.push(format!(
            "stock list from {name}: refused, it has {} codes and lacks {lost} of the {} of the last \
             good copy, more than {:.0} %; using the last good copy (if the loss is right, run: sise universe --accept)",
            universe.len(),
            kept.len(),
            LARGEST_LOSS * 100.0
        ));
        Some(kept)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of codes are far below 2^52"
)]
fn lost_too_many(lost: usize, before: usize) -> bool {
    lost as f64 > before as f64 * LARGEST_LOSS
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.sources.iter().map(|source| source.name()).collect();
        f.debug_struct("Loader")
            .field("sources", &names)
            .field("selection", &self.selection)
            .finish_non_exhaustive()
    }
}

/// Rules of the parsers in this module, for tests and the fuzzer.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod oracle {
    pub(crate) use super::csv_file::oracle::check as list;
}

#[cfg(test)]
mod tests;
