//! Stock lists in CSV files.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use csv::{ReaderBuilder, StringRecord, Trim};

use sise_domain::{Group, Listing, Shipped, Symbol, Universe};
use sise_port::{ListError, ListSource};

/// A CSV file with a header and one code per record.
///
/// Column `code` is required. Optional are `name`, `market` (`KOSPI` or `KOSDAQ`), `group` (the
/// broker's two letters), `halted` (`true` or `false`), `shares` (listed shares), `sector` (any
/// name), `listed` (first trading day, `2026-03-20`) and `in_liquidation` (`true` or `false`).
///
/// Missing values are taken from the shipped list. For shares, sectors and first days this applies
/// only if the whole column is missing, so that a file can leave them unknown. Other columns, and
/// lines that begin with `#`, are ignored.
#[derive(Debug, Clone)]
pub struct CsvFile {
    path: PathBuf,
}

impl CsvFile {
    /// Creates a source for the file at `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }
}

#[async_trait]
impl ListSource for CsvFile {
    fn name(&self) -> &'static str {
        "csv"
    }

    async fn list(&self) -> Result<Universe, ListError> {
        let file = self.path.display().to_string();
        let bytes = tokio::fs::read(&self.path)
            .await
            .map_err(|error| ListError(format!("{file}: {error}")))?;
        read(&file, &bytes)
    }
}

/// Reads a list; `file` is its name in errors.
pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Universe, ListError> {
    // Spreadsheets write a byte-order mark first.
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let skipped = u64::try_from(bytes.len() - text.len()).unwrap_or(0);
    // For the parser, only a line feed ends a comment. Without one, a comment would swallow the
    // codes after it, or count as a record at the end of the file.
    let mut text = [text, b"\n"].concat();
    for place in 1..text.len() {
        if let Some([end @ b'\r', next]) = text.get_mut(place - 1..=place)
            && *next != b'\n'
        {
            *end = b'\n';
        }
    }
    let mut reader = ReaderBuilder::new()
        .comment(Some(b'#'))
        .trim(Trim::All)
        .from_reader(text.as_slice());
    let broken = |error: csv::Error| {
        let place = error.position().map_or_else(String::new, |position| {
            format!(
                "record {}, byte {}: ",
                position.record(),
                position.byte() + skipped
            )
        });
        ListError(format!("{file}: {place}{error}"))
    };
    let headers = reader.headers().map_err(broken)?.clone();
    let column = |name: &str| headers.iter().position(|header| header == name);
    let columns = Columns {
        code: column("code")
            .ok_or_else(|| ListError(format!("{file}: the header has no column 'code'")))?,
        name: column("name"),
        market: column("market"),
        group: column("group"),
        halted: column("halted"),
        shares: column("shares"),
        sector: column("sector"),
        listed: column("listed"),
        in_liquidation: column("in_liquidation"),
    };
    let mut seen = std::collections::HashSet::new();
    let mut listings = Vec::new();
    for record in reader.records() {
        let record = record.map_err(broken)?;
        let listing = columns
            .listing(&record)
            .and_then(|listing| match seen.insert(listing.code) {
                true => Ok(listing),
                false => Err(format!("code {} is in the file twice", listing.code)),
            })
            .map_err(|trouble| {
                let place = record.position();
                ListError(format!(
                    "{file}: record {}, byte {}: {trouble}",
                    place.map_or(0, csv::Position::record),
                    place.map_or(0, csv::Position::byte) + skipped
                ))
            })?;
        listings.push(listing);
    }
    Ok(Universe::new(None, listings))
}

/// Writes a list in a form that [`read`] reads back.
pub(super) fn write(universe: &Universe) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "code",
        "name",
        "market",
        "group",
        "halted",
        "shares",
        "sector",
        "listed",
        "in_liquidation",
    ])?;
    let flag = |flag: Option<bool>| match flag {
        Some(true) => "true",
        Some(false) => "false",
        None => "",
    };
    for listing in universe.listings() {
        let listed = listing.listed.map(|day| day.to_string());
        let shares = listing.shares.map(|shares| shares.to_string());
        writer.write_record([
            listing.code.as_str(),
            &listing.name,
            listing.market.as_str(),
            listing.group.code(),
            flag(listing.halted),
            &shares.unwrap_or_default(),
            listing.sector.as_deref().unwrap_or_default(),
            &listed.unwrap_or_default(),
            flag(listing.in_liquidation),
        ])?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

struct Columns {
    code: usize,
    name: Option<usize>,
    market: Option<usize>,
    group: Option<usize>,
    halted: Option<usize>,
    shares: Option<usize>,
    sector: Option<usize>,
    listed: Option<usize>,
    in_liquidation: Option<usize>,
}

impl Columns {
    fn listing(&self, record: &StringRecord) -> Result<Listing, String> {
        let text = |column: Option<usize>| {
            column
                .and_then(|column| record.get(column))
                .filter(|text| !text.is_empty())
        };
        let code = text(Some(self.code)).unwrap_or_default();
        let code: Symbol = code.parse().map_err(|error| format!("{error}"))?;
        let known = Shipped::get().listing(code);
        let market = match (text(self.market), known) {
            (Some(market), _) => market.parse()?,
            (None, Some(known)) => known.market,
            (None, None) => {
                return Err(format!(
                    "{code} has no market and is not in the shipped list: add a column 'market'"
                ));
            }
        };
        let group = match (text(self.group), known) {
            (Some(group), _) => Group::from_code(group)
                .ok_or_else(|| format!("{code}: '{group}' is no security group"))?,
            (None, Some(known)) => known.group,
            (None, None) => Group::Stock,
        };
        let flag = |name: &str, column| match text(column) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(format!("{code}: {name} is '{other}', not true or false")),
        };
        let halted = flag("halted", self.halted)?;
        let in_liquidation = flag("in_liquidation", self.in_liquidation)?;
        let listed = match (self.listed, text(self.listed)) {
            (None, _) => known.map(|known| known.listed),
            (Some(_), None) => None,
            (Some(_), Some(text)) => Some(text.parse().map_err(|_| {
                format!("{code}: listed is '{text}', not a day such as 2026-03-20")
            })?),
        };
        let shares = match (self.shares, text(self.shares)) {
            (None, _) => known.and_then(|known| u64::try_from(known.shares).ok()),
            (Some(_), None) => None,
            (Some(_), Some(text)) => Some(text.parse().map_err(|_| {
                format!("{code}: shares is '{text}', not a whole number of listed shares")
            })?),
        };
        let sector = match self.sector {
            None => known.and_then(|known| known.sector.as_deref()),
            Some(_) => text(self.sector),
        };
        let name = text(self.name).or(known.map(|known| known.name.as_str()));
        Ok(Listing {
            code,
            name: name.unwrap_or_default().to_owned(),
            market,
            group,
            halted,
            shares: shares.filter(|shares| *shares > 0),
            sector: sector.map(str::to_owned),
            listed,
            in_liquidation,
        })
    }
}

/// The rules that hold for every list, whatever it contains.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod oracle {
    use super::{read, write};

    /// Reads `bytes` as a list and panics if a code is lost silently.
    pub(crate) fn check(bytes: &[u8]) {
        let universe = match read("list.csv", bytes) {
            Ok(universe) => universe,
            Err(error) => {
                let said = error.to_string();
                let says_where = said.contains(": record ") && said.contains(", byte ");
                assert!(
                    says_where || said.contains("the header has no column"),
                    "{said}"
                );
                return;
            }
        };
        let codes: Vec<_> = universe.symbols().collect();
        for code in &codes {
            let text = code.as_str().as_bytes();
            let stands_there = bytes.windows(text.len()).any(|window| window == text);
            assert!(stands_there, "{code} is not in the file");
        }
        // Without quotes, every line is a code.
        if !bytes.contains(&b'"') {
            let lines = bytes.split(|byte| matches!(byte, b'\r' | b'\n'));
            let records = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
            assert_eq!(records.count(), codes.len() + 1, "a line is not a code");
        }
        let written = write(&universe).unwrap_or_default();
        let again = read("list.csv", written.as_bytes()).unwrap_or_default();
        assert!(again == universe, "{written}");
    }
}
