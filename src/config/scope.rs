//! What the sweeps of a process are of.

use std::path::Path;

use super::{KisEnvironment, Settings, UniverseSettings, UniverseSource};

impl Settings {
    /// Which account and list sweeps are of, in words that are the same for processes that sweep
    /// the same.
    #[must_use]
    pub fn scope(&self) -> String {
        let account = match self.kis.environment {
            KisEnvironment::Real => "real",
            KisEnvironment::Paper => "paper",
        };
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
        format!("{account} account's {list}{also}")
    }
}
