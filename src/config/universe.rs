//! The stock list: where it comes from, and what of it is kept fresh.

use std::path::{Path, PathBuf};

use super::layers::Layers;
use super::{ConfigError, Settings};
use sise_domain::Selection;

/// Where the stock list comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniverseSource {
    /// Master files, CSV file where set, last good copy, shipped list: the first that is good.
    Auto,
    /// The broker's master files, else the last good copy.
    Master,
    /// The CSV file, else the last good copy.
    Csv,
    /// The last good copy.
    LastGood,
    /// The list that ships inside the program.
    Shipped,
}

/// The stock list.
#[derive(Debug, Clone)]
pub struct UniverseSettings {
    /// Where it comes from.
    pub source: UniverseSource,
    /// The CSV file, where set.
    pub file: Option<PathBuf>,
    /// Which groups are kept.
    pub selection: Selection,
}

impl Settings {
    /// Where the stock list comes from, as one text: lists of other origins never judge each
    /// other.
    #[must_use]
    pub fn universe_origin(&self) -> String {
        format!(
            "{:?}\n{:?}\n{}",
            // The copy that is asked for by name is the one that auto keeps.
            match self.universe.source {
                UniverseSource::LastGood => UniverseSource::Auto,
                source => source,
            },
            self.universe.file,
            self.kis.master_url
        )
    }

    /// Which account and list sweeps are of, in words that are the same for processes that sweep
    /// the same.
    #[must_use]
    pub fn scope(&self) -> String {
        let account = self.kis.environment.as_str();
        let UniverseSettings {
            source,
            file,
            selection,
        } = &self.universe;
        // The folder may be another one on each machine.
        let file = file.as_deref().and_then(Path::file_name);
        let file = file.map(|name| name.to_string_lossy());
        let list = match (source, file) {
            (UniverseSource::Auto | UniverseSource::LastGood, None) => "list".to_owned(),
            (UniverseSource::Master, _) => "list of the broker".to_owned(),
            (UniverseSource::Shipped, _) => "list that ships with sise".to_owned(),
            (_, Some(file)) => format!("list {file}"),
            (UniverseSource::Csv, None) => "list of a file".to_owned(),
        };
        let also = match (selection.etf, selection.etn) {
            (false, false) => "",
            (true, false) => ", ETF too",
            (false, true) => ", ETN too",
            (true, true) => ", ETF and ETN too",
        };
        let at = match self.kis.is_of_the_broker() {
            true => String::new(),
            false => format!(" at {}", self.kis.shown_address()),
        };
        format!("{account} account's {list}{also}{at}")
    }
}

pub(super) fn universe(layers: &Layers) -> Result<UniverseSettings, ConfigError> {
    let source = layers.one_of(
        "universe.source",
        &[
            ("auto", UniverseSource::Auto),
            ("master", UniverseSource::Master),
            ("csv", UniverseSource::Csv),
            ("file", UniverseSource::Csv),
            ("last-good", UniverseSource::LastGood),
            ("shipped", UniverseSource::Shipped),
        ],
    )?;
    let file = layers.path("universe.file");
    if source == UniverseSource::Csv && file.is_none() {
        return Err(ConfigError::Combination(
            "universe.source = csv needs universe.file: set it to the path of the list".to_owned(),
        ));
    }
    Ok(UniverseSettings {
        source,
        file,
        selection: Selection {
            etf: layers.yes_or_no("universe.etf")?,
            etn: layers.yes_or_no("universe.etn")?,
        },
    })
}
