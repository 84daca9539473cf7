//! Settings of the stock list: its source, and which groups are kept fresh.

use std::path::{Path, PathBuf};

use super::raw::RawSettings;
use super::{ConfigError, Settings};
use sise_domain::Selection;

/// Source of the stock list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniverseSource {
    /// The first good one of: master files, CSV file (if set), last good copy, shipped list.
    Auto,
    /// The broker's master files, or else the last good copy.
    Master,
    /// The CSV file, or else the last good copy.
    Csv,
    /// The last good copy.
    LastGood,
    /// The list that ships inside the program.
    Shipped,
}

/// Settings of the stock list.
#[derive(Debug, Clone)]
pub struct UniverseSettings {
    /// Where it comes from.
    pub source: UniverseSource,
    /// The CSV file, if set.
    pub file: Option<PathBuf>,
    /// Which groups are kept.
    pub selection: Selection,
}

impl Settings {
    /// Returns the origin of the stock list as one text.
    ///
    /// Only lists of the same origin are compared with each other.
    #[must_use]
    pub fn universe_origin(&self) -> String {
        format!(
            "{:?}\n{:?}\n{}",
            // `last-good` uses the copy that `auto` keeps.
            match self.universe.source {
                UniverseSource::LastGood => UniverseSource::Auto,
                source => source,
            },
            self.universe.file,
            self.kis.master_url
        )
    }

    /// Describes account and list of the sweeps. Processes that sweep the same have the same text.
    #[must_use]
    pub fn scope(&self) -> String {
        let account = self.kis.environment.as_str();
        let UniverseSettings {
            source,
            file,
            selection,
        } = &self.universe;
        // The folder may differ between machines.
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

pub(super) fn universe(raw: &RawSettings) -> Result<UniverseSettings, ConfigError> {
    let source = raw.one_of(
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
    let file = raw.path("universe.file");
    if source == UniverseSource::Csv && file.is_none() {
        return Err(ConfigError::Combination(
            "universe.source = csv needs universe.file: set it to the path of the list".to_owned(),
        ));
    }
    Ok(UniverseSettings {
        source,
        file,
        selection: Selection {
            etf: raw.yes_or_no("universe.etf")?,
            etn: raw.yes_or_no("universe.etn")?,
        },
    })
}
