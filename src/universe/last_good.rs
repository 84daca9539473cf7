//! The last good stock list, kept on disk and in the store.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ring::digest::{SHA256, digest};

use super::csv_file;
use sise_domain::Universe;
use sise_port::{CopyStore, ListError, ListSource};

/// The beginning of a copy. The number of codes follows on the same line, so that a copy cut off
/// between two lines is not taken for a shorter list.
const TITLE: &str = "# the last good stock list";

/// Reads a copy; `place` is its name in errors.
fn read(place: &str, bytes: &[u8]) -> Result<Universe, ListError> {
    let first = bytes.split(|byte| *byte == b'\n').next();
    let first = std::str::from_utf8(first.unwrap_or_default()).unwrap_or_default();
    let codes = first
        .strip_prefix(TITLE)
        .and_then(|rest| rest.rsplit_once(": ")?.1.strip_suffix(" codes"));
    let Some(codes) = codes.and_then(|codes| codes.parse::<usize>().ok()) else {
        return Err(ListError(format!(
            "{place}: this is not a copy of a stock list made by sise"
        )));
    };
    let universe = csv_file::read(place, bytes)?;
    // Without the line feed at the end, the last line may be cut off too.
    if universe.len() != codes || !bytes.ends_with(b"\n") {
        return Err(ListError(format!(
            "{place}: the copy is cut off, it has {} of its {codes} codes",
            universe.len()
        )));
    }
    Ok(universe)
}

/// The copy of the last good list of one configuration.
///
/// Lists from other sources have their own copies and are not compared with it.
#[derive(Clone)]
pub struct LastGood {
    name: String,
    places: Vec<Arc<dyn CopyStore>>,
}

impl LastGood {
    /// Creates a copy for lists of `origin`, the settings that determine the source.
    ///
    /// It is kept in each of `places`, the nearest first.
    #[must_use]
    pub fn new(origin: &str, places: Vec<Arc<dyn CopyStore>>) -> Self {
        let id: String = digest(&SHA256, origin.as_bytes())
            .as_ref()
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            name: format!("universe:{id}"),
            places,
        }
    }

    /// Replaces the copy in every place.
    ///
    /// # Errors
    ///
    /// Returns an error that names the places that failed. The others hold the new copy.
    pub async fn save(&self, universe: &Universe, source: &str) -> Result<(), String> {
        let csv = csv_file::write(universe).map_err(|error| error.to_string())?;
        let codes = universe.len();
        self.put(&format!("{TITLE}, from {source}: {codes} codes\n{csv}"))
            .await
    }

    /// Removes the copy from every place.
    ///
    /// # Errors
    ///
    /// Returns an error if a place is unreachable, so that the copy may still be there.
    pub async fn forget(&self) -> Result<(), String> {
        // An empty copy counts as no copy.
        self.put("").await
    }

    async fn put(&self, text: &str) -> Result<(), String> {
        let mut troubles = Vec::new();
        for place in &self.places {
            if let Err(error) = place.save_copy(&self.name, text).await {
                troubles.push(error.to_string());
            }
        }
        if troubles.is_empty() {
            Ok(())
        } else {
            Err(troubles.join("; "))
        }
    }
}

#[async_trait]
impl ListSource for LastGood {
    fn name(&self) -> &'static str {
        "last-good"
    }

    async fn list(&self) -> Result<Universe, ListError> {
        let mut troubles = Vec::new();
        for place in &self.places {
            match place.load_copy(&self.name).await {
                Ok(Some(text)) if !text.is_empty() => match read(&self.name, text.as_bytes()) {
                    Ok(universe) => return Ok(universe),
                    Err(error) => troubles.push(error.to_string()),
                },
                Ok(_) => {}
                Err(error) => troubles.push(error.to_string()),
            }
        }
        if troubles.is_empty() {
            troubles.push("there is no copy".to_owned());
        }
        Err(ListError(troubles.join("; ")))
    }
}

impl fmt::Debug for LastGood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastGood")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
