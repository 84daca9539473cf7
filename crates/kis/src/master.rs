//! The broker's symbol files: zip archives of cp949 records with a fixed width in bytes (contract
//! chapter 6).

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::{Cursor, Read as _};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::NaiveDate;
use encoding_rs::EUC_KR;
use metrics::counter;
use reqwest::{Method, Request, Url};

use super::transport::{Transport, address};
use sise_domain::{Group, Listing, Market, Sector, Shipped, Symbol, Universe};
use sise_port::{ListError, ListSource, SourceError};

/// Size limit of an unpacked file; real ones have about 0.7 MB.
const LARGEST_FILE: u64 = 32 << 20;

/// Position of the short code. Like the next positions, it is the same in both files.
const CODE: Range<usize> = 0..9;
const STANDARD_CODE: Range<usize> = 9..21;
const NAME: Range<usize> = 21..61;
const GROUP: Range<usize> = 61..63;
/// Index sectors, large and medium.
const LARGE_SECTOR: Range<usize> = 64..68;
const MEDIUM_SECTOR: Range<usize> = 68..72;
/// Width of the number of listed shares, and of a date.
const SHARES_WIDTH: usize = 15;
const DATE_WIDTH: usize = 8;

/// Share of records that may be damaged, as one in this number.
///
/// A file with more is refused, because a list must not become shorter unnoticed.
const FEW: usize = 100;

/// One of the two files, with the positions that differ between them.
#[derive(Debug, Clone, Copy)]
struct Layout {
    file: &'static str,
    market: Market,
    width: usize,
    halted: usize,
    /// `sltr_yn`, in liquidation.
    liquidation: usize,
    /// `stck_lstn_date`, first trading day.
    listed: usize,
    /// `lstn_stcn`, listed shares in thousands, truncated.
    shares: usize,
}

const LAYOUTS: [Layout; 2] = [
    Layout {
        file: "kospi_code.mst",
        market: Market::Kospi,
        width: 288,
        halted: 121,
        liquidation: 122,
        listed: 166,
        shares: 174,
    },
    Layout {
        file: "kosdaq_code.mst",
        market: Market::Kosdaq,
        width: 282,
        halted: 116,
        liquidation: 117,
        listed: 161,
        shares: 169,
    },
];

/// Groups that are neither stocks nor funds: beneficiary certificates, subscription warrants and
/// rights, trust units, ships, equity-linked warrants (contract 6.5).
const LEFT_OUT: [&str; 6] = ["BC", "SW", "SR", "PF", "SC", "EW"];

/// Reason why a master file yields no list.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// The file cannot be downloaded.
    #[error("{file}: cannot be downloaded from {from}: {source}")]
    Download {
        /// Which file.
        file: &'static str,
        /// From where.
        from: String,
        /// What happened.
        source: SourceError,
    },
    /// The archive is broken.
    #[error("{file}.zip: {trouble}")]
    Archive {
        /// Which file.
        file: &'static str,
        /// What is wrong.
        trouble: String,
    },
    /// A record is broken. The file is refused if too many records are.
    #[error("{file}: record {record}, byte {byte}: {trouble}")]
    Record {
        /// Which file.
        file: &'static str,
        /// Number of the record, from 1.
        record: usize,
        /// Where the trouble is, in bytes from the start of the unpacked file.
        byte: usize,
        /// What is wrong.
        trouble: String,
    },
}

/// Downloads and reads the master files.
pub struct MasterFiles {
    transport: Arc<dyn Transport>,
    base: Url,
}

impl MasterFiles {
    /// Time limit of a download; the files are below a megabyte.
    pub const PATIENCE: Duration = Duration::from_secs(20);

    /// Creates a source of the files below `base`, the part before `/kospi_code.mst.zip`.
    ///
    /// # Errors
    ///
    /// Returns an error if `base` is not an http or https address.
    pub fn new(base: &str, transport: Arc<dyn Transport>) -> Result<Self, String> {
        Ok(Self {
            transport,
            base: address(base)?,
        })
    }

    /// Returns the list of both markets.
    ///
    /// # Errors
    ///
    /// Returns an error if either file cannot be downloaded or is broken: half a market is not a
    /// list.
    pub async fn load(&self) -> Result<Universe, MasterError> {
        let [kospi, kosdaq] = LAYOUTS.map(|layout| self.load_one(layout));
        let (kospi, kosdaq) = tokio::try_join!(kospi, kosdaq)?;
        Ok(Universe::new(None, kospi.into_iter().chain(kosdaq)))
    }

    async fn load_one(&self, layout: Layout) -> Result<Vec<Listing>, MasterError> {
        let file = layout.file;
        let failed = |source| MasterError::Download {
            file,
            from: self.base.as_str().trim_end_matches('/').to_owned(),
            source,
        };
        let mut url = self.base.clone();
        let path = format!("{}/{file}.zip", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let request = Request::new(Method::GET, url);
        let reply = self.transport.exchange(request).await.map_err(failed)?;
        if reply.status != 200 {
            let said = format!("HTTP {}", reply.status);
            return Err(failed(SourceError::Unavailable(said)));
        }
        let bytes = unpack(file, reply.body)?;
        read(layout, &bytes)
    }
}

#[async_trait]
impl ListSource for MasterFiles {
    fn name(&self) -> &'static str {
        "master"
    }

    async fn list(&self) -> Result<Universe, ListError> {
        self.load()
            .await
            .map_err(|error| ListError(error.to_string()))
    }
}

impl fmt::Debug for MasterFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterFiles")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

fn unpack(file: &'static str, archive: Vec<u8>) -> Result<Vec<u8>, MasterError> {
    let broken = |trouble: String| MasterError::Archive { file, trouble };
    let mut archive = zip::ZipArchive::new(Cursor::new(archive))
        .map_err(|error| broken(format!("not a zip archive: {error}")))?;
    let member = archive
        .by_name(file)
        .map_err(|error| broken(format!("no member {file}: {error}")))?;
    let mut bytes = Vec::new();
    member
        .take(LARGEST_FILE)
        .read_to_end(&mut bytes)
        .map_err(|error| broken(format!("cannot be unpacked: {error}")))?;
    Ok(bytes)
}

/// Content of a record.
enum Record {
    Listed(Box<Listing>),
    /// A group that sise does not know.
    Unknown(String),
    /// A record that is not kept.
    LeftOut,
}

/// Position of the damage in bytes from the start of the record, and its description.
type Damage = (usize, String);

/// Reads the records of a file.
///
/// A damaged record is logged and left out. A file with many of them is refused.
fn read(layout: Layout, bytes: &[u8]) -> Result<Vec<Listing>, MasterError> {
    let file = layout.file;
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut listings = Vec::new();
    let mut seen = HashSet::new();
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    let mut damaged = Vec::new();
    let mut records = 0;
    let mut start = 0;
    for (record, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        records = record;
        let read = read_record(layout, line.strip_suffix(b"\r").unwrap_or(line));
        let trouble = match read {
            Ok(Record::Listed(listing)) if seen.insert(listing.code) => {
                listings.push(*listing);
                None
            }
            Ok(Record::Listed(listing)) => {
                let twice = format!("{} is in the file twice", listing.code);
                Some((CODE.start, twice))
            }
            Ok(Record::Unknown(group)) => {
                *unknown.entry(group).or_default() += 1;
                None
            }
            Ok(Record::LeftOut) => None,
            Err(damage) => Some(damage),
        };
        damaged.extend(trouble.map(|(byte, trouble)| MasterError::Record {
            file,
            record,
            byte: start + byte,
            trouble,
        }));
        start += line.len() + 1;
    }
    if damaged.len() * FEW > records {
        let first = damaged.into_iter().next();
        return first.map_or(Ok(listings), Err);
    }
    for error in damaged {
        counter!("sise_rows_refused_total", "call" => "master", "reason" => "damaged").increment(1);
        tracing::warn!(%error, "a record of the stock list is left out");
    }
    for (group, records) in unknown {
        tracing::warn!(file, %group, records, "an unknown security group is left out");
    }
    Ok(listings)
}

/// Reads one record. Fields are cut by bytes before decoding, because a decoded name has no fixed
/// width.
fn read_record(layout: Layout, line: &[u8]) -> Result<Record, Damage> {
    if line.len() != layout.width {
        let trouble = format!("{} bytes long, not {}", line.len(), layout.width);
        return Err((line.len().min(layout.width), trouble));
    }
    let decode = |range: Range<usize>| {
        let piece = line.get(range).unwrap_or_default();
        let (text, malformed) = EUC_KR.decode_without_bom_handling(piece);
        // Fields are padded with spaces, and with nothing else.
        (text.trim_matches(' ').to_owned(), malformed)
    };
    let slice = |range: Range<usize>| match decode(range.clone()) {
        (text, false) => Ok(text),
        (_, true) => Err((range.start, "not cp949 text".to_owned())),
    };
    let group = slice(GROUP)?;
    let Some(group) = Group::from_code(&group) else {
        let is_group = group.len() == 2 && group.bytes().all(|byte| byte.is_ascii_uppercase());
        if !is_group {
            return Err((GROUP.start, format!("'{group}' is not a security group")));
        }
        return Ok(match LEFT_OUT.contains(&group.as_str()) {
            true => Record::LeftOut,
            false => Record::Unknown(group),
        });
    };
    let code = slice(CODE)?
        .parse::<Symbol>()
        .map_err(|error| (CODE.start, error.to_string()))?;
    let standard = slice(STANDARD_CODE)?;
    if names_another(code, &standard) {
        let trouble = format!("{code} has the standard code of another issuer, {standard}");
        return Err((STANDARD_CODE.start, trouble));
    }
    let name = match decode(NAME) {
        (name, false) if name.trim().is_empty() => {
            return Err((NAME.start, format!("{code} has no name")));
        }
        (name, false) => name,
        // A stock is identified by its code; a partly readable name is better than no stock.
        (name, true) => match Shipped::get().listing(code) {
            Some(known) => known.name.clone(),
            None => name,
        },
    };
    let flag = |place| match line.get(place) {
        Some(b'Y') => Some(true),
        Some(b'N') => Some(false),
        _ => None,
    };
    let field = |place: usize, width| line.get(place..place + width);
    Ok(Record::Listed(Box::new(Listing {
        code,
        name,
        market: layout.market,
        group,
        halted: flag(layout.halted),
        shares: shares(field(layout.shares, SHARES_WIDTH)),
        sector: sector(layout.market, code, line),
        listed: date(field(layout.listed, DATE_WIDTH)),
        in_liquidation: flag(layout.liquidation),
    })))
}

/// Returns whether the standard code belongs to another issuer.
///
/// The standard codes of domestic shares and funds contain the short code except for its last
/// character, which is the kind of share.
fn names_another(code: Symbol, standard: &str) -> bool {
    let issuer = standard.strip_prefix("KR7").and_then(|rest| rest.get(..5));
    let own = code.as_str().get(..5);
    let is_note = code.as_str().len() != 6;
    issuer.is_some_and(|issuer| !is_note && Some(issuer) != own)
}

/// Parses a date of digits; `None` for anything else.
fn date(field: Option<&[u8]>) -> Option<NaiveDate> {
    let digits = str::from_utf8(field?).ok()?;
    let is_date = digits.bytes().all(|byte| byte.is_ascii_digit());
    NaiveDate::parse_from_str(digits, "%Y%m%d")
        .ok()
        .filter(|_| is_date)
}

/// Parses a number of shares given in thousands; `None` for anything else.
///
/// Like the halt flag, it is not essential to a list.
fn shares(field: Option<&[u8]>) -> Option<u64> {
    let digits = str::from_utf8(field?).ok()?.trim_matches(' ');
    let is_count = digits.bytes().all(|byte| byte.is_ascii_digit());
    let thousands: u64 = digits.parse().ok().filter(|_| is_count)?;
    thousands.checked_mul(1_000).filter(|shares| *shares > 0)
}

/// Returns the sector of a record, or that of the shipped list if the record names none.
///
/// On KOSDAQ this is so for all of information technology. Both lists use the same names. Like the
/// number of shares, the sector is not essential to a list.
fn sector(market: Market, code: Symbol, line: &[u8]) -> Option<String> {
    let digits = |range| str::from_utf8(line.get(range).unwrap_or_default()).unwrap_or_default();
    match Sector::of(market, digits(LARGE_SECTOR), digits(MEDIUM_SECTOR)) {
        Some(sector) => Some(sector.name.to_owned()),
        None => Shipped::get().listing(code)?.sector.clone(),
    }
}

/// Invariants that hold for every master file, whatever it contains.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod oracle {
    use super::{CODE, Group, HashSet, LARGEST_FILE, LAYOUTS, read, unpack};

    /// Reads `bytes` as both files; panics if a record of a stock is lost unnoticed.
    pub fn check(bytes: &[u8]) {
        for layout in LAYOUTS {
            let listings = match read(layout, bytes) {
                Ok(listings) => listings,
                Err(error) => {
                    let said = error.to_string();
                    let start = format!("{}: record ", layout.file);
                    assert!(
                        said.starts_with(&start) && said.contains(", byte "),
                        "{said}"
                    );
                    continue;
                }
            };
            let lines = bytes.split(|byte| *byte == b'\n');
            let stocks: Vec<&[u8]> = lines
                .filter(|line| {
                    let group = line.get(super::GROUP).unwrap_or_default();
                    std::str::from_utf8(group).is_ok_and(|text| Group::from_code(text).is_some())
                })
                .collect();
            assert!(listings.len() <= stocks.len());
            let lost = stocks.len() - listings.len();
            if lost > 0 {
                // Each lost record is logged, and they are few among many.
                let records = bytes.split(|byte| *byte == b'\n').count();
                assert!(lost * super::FEW <= records);
                continue;
            }
            let mut seen = HashSet::new();
            for (line, listing) in stocks.into_iter().zip(&listings) {
                let code = str::from_utf8(line.get(CODE).unwrap_or_default()).unwrap_or_default();
                assert_eq!(code.trim_matches(' '), listing.code.as_str());
                assert!(seen.insert(listing.code) && !listing.name.is_empty());
                assert_eq!(listing.market, layout.market);
                let end = layout.shares + super::SHARES_WIDTH;
                let field = line.get(layout.shares..end).unwrap_or_default();
                let is_number = field.iter().all(u8::is_ascii_digit);
                match listing.shares {
                    Some(shares) => {
                        assert!(shares > 0 && shares.is_multiple_of(1_000));
                        let digits = format!("{:015}", shares / 1_000);
                        assert!(!is_number || digits.as_bytes() == field);
                    }
                    None => assert!(!is_number || field.iter().all(|digit| *digit == b'0')),
                }
            }
        }
    }

    /// Unpacks `bytes`; panics if the result is larger than allowed.
    pub fn check_archive(bytes: &[u8]) {
        for layout in LAYOUTS {
            match unpack(layout.file, bytes.to_vec()) {
                Ok(file) => {
                    assert!(u64::try_from(file.len()).is_ok_and(|length| length <= LARGEST_FILE));
                    check(&file);
                }
                Err(error) => {
                    let said = error.to_string();
                    assert!(
                        said.starts_with(&format!("{}.zip: ", layout.file)),
                        "{said}"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dozen records of the broker's files: shares, preferred shares, letters in codes, funds,
    /// notes, rights, receipts.
    const KOSPI: &[u8] = include_bytes!("../../../tests/fixtures/kis/kospi_code.mst");
    const KOSDAQ: &[u8] = include_bytes!("../../../tests/fixtures/kis/kosdaq_code.mst");

    fn listings(index: usize, bytes: &[u8]) -> Result<Vec<Listing>, MasterError> {
        read(LAYOUTS[index], bytes)
    }

    #[test]
    fn recorded_records_read() {
        let kospi = listings(0, KOSPI).unwrap();
        let of = |code: &str| kospi.iter().find(|l| l.code.as_str() == code).unwrap();
        assert_eq!(of("005930").name, "삼성전자");
        assert_eq!(of("005930").group, Group::Stock);
        assert_eq!(of("005930").halted, Some(false));
        assert_eq!(of("005930").shares, Some(5_919_637_000));
        assert_eq!(of("005930").sector.as_deref(), Some("전기·전자"));
        assert_eq!(of("00104K").name, "CJ4우(전환)");
        assert_eq!(of("Q500061").group, Group::Etn);
        assert!(kospi.iter().any(|l| l.group == Group::Etf));
        assert!(kospi.iter().all(|l| !l.code.as_str().starts_with('F')));
        let kosdaq = listings(1, KOSDAQ).unwrap();
        assert!(kosdaq.iter().any(|l| l.group == Group::Depositary));
        assert!(kosdaq.iter().any(|l| l.halted == Some(true)));
        assert!(kosdaq.iter().all(|l| l.market == Market::Kosdaq));
        let alteogen = kosdaq.iter().find(|l| l.code.as_str() == "196170").unwrap();
        assert_eq!(alteogen.shares, Some(53_505_000));
    }

    #[test]
    fn a_count_of_shares_that_is_none_is_absent() {
        for (field, expected) in [
            ("000000005919637", Some(5_919_637_000)),
            ("        5919637", Some(5_919_637_000)),
            ("000000000000000", None),
            ("               ", None),
            ("00000000+000001", None),
            ("000000000000-12", None),
        ] {
            let mut record = KOSPI[289 * 7..289 * 8].to_vec();
            record[174..189].copy_from_slice(field.as_bytes());
            let read = listings(0, &record).unwrap();
            assert_eq!(read[0].code.as_str(), "005930");
            assert_eq!(read[0].shares, expected, "'{field}'");
        }
    }

    #[test]
    fn a_broken_record_is_named_by_file_number_and_byte() {
        let shortened = [&KOSPI[..289 * 2 + 100], &KOSPI[289 * 2 + 101..]].concat();
        let error = listings(0, &shortened).unwrap_err().to_string();
        assert_eq!(
            error,
            "kospi_code.mst: record 3, byte 865: 287 bytes long, not 288"
        );

        let mut garbled = KOSPI.to_vec();
        garbled[289 * 2 + 61] = 0xFF;
        let error = listings(0, &garbled).unwrap_err().to_string();
        assert!(
            error.starts_with("kospi_code.mst: record 3, byte 639: not cp949"),
            "{error}"
        );

        let mut bad_group = KOSPI.to_vec();
        bad_group[289 * 2 + 62] = b' ';
        let error = listings(0, &bad_group).unwrap_err().to_string();
        assert!(
            error.contains("record 3, byte 639: 'S' is not a security group"),
            "{error}"
        );

        let twice = [KOSDAQ, &KOSDAQ[..283]].concat();
        assert!(
            listings(1, &twice)
                .unwrap_err()
                .to_string()
                .contains("twice")
        );

        let mut bad_code = KOSDAQ.to_vec();
        bad_code[0] = b'*';
        let error = listings(1, &bad_code).unwrap_err().to_string();
        assert!(
            error.starts_with("kosdaq_code.mst: record 1, byte 0: "),
            "{error}"
        );

        let mut tabbed = KOSDAQ.to_vec();
        tabbed[6] = 0x0B;
        let error = listings(1, &tabbed).unwrap_err().to_string();
        assert!(
            error.starts_with("kosdaq_code.mst: record 1, byte 0: "),
            "{error}"
        );

        assert!(listings(0, b"").is_err());
        assert!(listings(0, &KOSPI[..KOSPI.len() - 10]).is_err());
    }

    /// Returns as many records as a real file has, so that a damaged one is one of many.
    fn whole_file() -> Vec<u8> {
        let record = &KOSPI[289 * 7..289 * 8];
        let numbered = |number: usize| {
            let mut record = record.to_vec();
            record[..6].copy_from_slice(format!("{number:05}0").as_bytes());
            record[12..17].copy_from_slice(format!("{number:05}").as_bytes());
            record
        };
        (0..500).flat_map(numbered).collect()
    }

    #[test]
    fn one_damaged_record_takes_no_other_along() {
        let whole = whole_file();
        assert_eq!(listings(0, &whole).unwrap().len(), 500);
        let damages: [&[(usize, u8)]; 6] = [
            // A group, a code, a code of another record, a standard code of another issuer,
            &[(61, 0xFF)],
            &[(0, b'*')],
            &[(4, b'9'), (3, b'9')],
            &[(14, b'9')],
            // a record split in two, and bytes that are not text.
            &[(100, b'\n')],
            &[(61, 0x80), (62, 0x80)],
        ];
        for damage in damages {
            let mut file = whole.clone();
            for (byte, with) in damage {
                file[289 * 7 + byte] = *with;
            }
            let read = listings(0, &file).unwrap();
            assert_eq!(read.len(), 499, "{damage:?}");
            assert!(
                read.iter().all(|l| l.code.as_str() != "000070"),
                "{damage:?}"
            );
        }
        // Damage outside the essential fields costs no stock.
        for damage in [
            (21, 0xFF),
            (60, 0x81),
            (64, 0xFF),
            (121, 0),
            (122, b'?'),
            (166, b'x'),
            (174, 0xFF),
        ] {
            let mut file = whole.clone();
            file[289 * 7 + damage.0] = damage.1;
            let read = listings(0, &file).unwrap();
            assert_eq!(read.len(), 500, "{damage:?}");
            let damaged = read.iter().find(|l| l.code.as_str() == "000070").unwrap();
            assert!(!damaged.name.is_empty(), "{damage:?}");
        }
        // A file with many damaged records is refused.
        let mut file = whole.clone();
        for record in 0..6 {
            file[289 * record] = b'*';
        }
        let error = listings(0, &file).unwrap_err().to_string();
        assert!(
            error.starts_with("kospi_code.mst: record 1, byte 0: "),
            "{error}"
        );
    }

    #[test]
    fn first_day_and_liquidation_are_read() {
        let mut record = KOSPI[289 * 7..289 * 8].to_vec();
        let read = listings(0, &record).unwrap();
        assert_eq!(read[0].listed, NaiveDate::from_ymd_opt(1975, 6, 11));
        assert_eq!(read[0].in_liquidation, Some(false));
        record[122] = b'Y';
        record[166..174].copy_from_slice(b"20261120");
        let read = listings(0, &record).unwrap();
        let day = NaiveDate::from_ymd_opt(2026, 11, 20);
        assert_eq!((read[0].listed, read[0].in_liquidation), (day, Some(true)));
    }

    #[test]
    fn a_broken_archive_is_named() {
        let error = unpack("kospi_code.mst", b"<html>maintenance</html>".to_vec());
        assert!(
            error
                .unwrap_err()
                .to_string()
                .starts_with("kospi_code.mst.zip: not a zip archive")
        );
    }
}
