//! The broker's symbol files, packed once from the stocks of the market (contract chapter 6).

use std::io::{self, Cursor, Write};

use axum::body::Bytes;
use chrono::NaiveDate;
use encoding_rs::EUC_KR;
use zip::write::SimpleFileOptions;

use super::price::{EOK, PAR};
use super::stock::Stock;
use sise_domain::Market;

/// Bytes in a KOSPI record, without the line feed.
const KOSPI: usize = 288;
/// Bytes in a KOSDAQ record, without the line feed.
const KOSDAQ: usize = 282;

/// The zipped symbol files.
#[derive(Debug, Clone)]
pub(super) struct Masters {
    kospi: Bytes,
    kosdaq: Bytes,
}

impl Masters {
    pub(super) fn pack(stocks: &[Stock], day: NaiveDate) -> io::Result<Self> {
        let pack = |market, member: &str| {
            let file = file(stocks, market, day);
            let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
            archive.start_file(member, SimpleFileOptions::default())?;
            archive.write_all(&file)?;
            io::Result::Ok(Bytes::from(archive.finish()?.into_inner()))
        };
        Ok(Self {
            kospi: pack(Market::Kospi, "kospi_code.mst")?,
            kosdaq: pack(Market::Kosdaq, "kosdaq_code.mst")?,
        })
    }

    /// Returns the file whose name ends the path.
    pub(super) fn at(&self, path: &str) -> Option<Bytes> {
        match path.rsplit('/').next() {
            Some("kospi_code.mst.zip") => Some(self.kospi.clone()),
            Some("kosdaq_code.mst.zip") => Some(self.kosdaq.clone()),
            _ => None,
        }
    }
}

fn file(stocks: &[Stock], market: Market, day: NaiveDate) -> Vec<u8> {
    let mut file = Vec::new();
    for stock in stocks.iter().filter(|stock| stock.market == market) {
        let record = match market {
            Market::Kospi => kospi(stock, day),
            Market::Kosdaq => kosdaq(stock, day),
        };
        file.extend_from_slice(&record.bytes);
        file.push(b'\n');
    }
    file
}

/// Writes a KOSPI record field by field (contract 6.3).
fn kospi(stock: &Stock, day: NaiveDate) -> Record {
    let mut record = Record::new(KOSPI);
    record.head(stock);
    let large = if stock.large { "5" } else { "0" };
    record
        .text(1, "N") // low liquidity
        .text(1, "N") // governance index
        .text(1, large) // KOSPI200 sector
        .flags(&[false; 3]) // KOSPI100, KOSPI50, KRX
        .text(1, "") // ETP product
        .flag(stock.large) // ELW
        .flags(&[false; 5]) // KRX100, car, semiconductor, bio, bank
        .flag(stock.is_spac())
        .flags(&[false; 2]) // energy, steel
        .text(1, "0") // overheat
        .flags(&[false; 8]) // media, construction, deleted, securities, ship, insurance, transport, SRI
        .trading(stock)
        .figures(stock)
        .text(1, "N") // KRX300
        .text(1, "Y") // KOSPI
        .close(stock, "000006.64", day);
    record
}

/// Writes a KOSDAQ record field by field (contract 6.4).
fn kosdaq(stock: &Stock, day: NaiveDate) -> Record {
    let mut record = Record::new(KOSDAQ);
    record.head(stock);
    record
        .text(1, "N") // low liquidity
        .text(1, "") // KRX
        .text(1, "") // ETP product
        .flags(&[false; 5]) // KRX100, car, semiconductor, bio, bank
        .flag(stock.is_spac())
        .flags(&[false; 2]) // energy, steel
        .text(1, "0") // overheat
        .flags(&[false; 7]) // media, construction, attention, securities, ship, insurance, transport
        .text(1, "N") // KOSDAQ150
        .trading(stock)
        .figures(stock)
        .text(1, "N") // KRX300
        .close(stock, "000000003", day);
    record
}

/// A record of fixed width, filled from the left.
#[derive(Debug)]
struct Record {
    bytes: Vec<u8>,
}

impl Record {
    fn new(width: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(width),
        }
    }

    /// Writes text in cp949, padded with spaces to a width in BYTES and cut off there.
    fn text(&mut self, width: usize, text: &str) -> &mut Self {
        let end = self.bytes.len() + width;
        for letter in text.chars() {
            let letter = letter.to_string();
            let (encoded, _, _) = EUC_KR.encode(&letter);
            if self.bytes.len() + encoded.len() > end {
                break;
            }
            self.bytes.extend_from_slice(&encoded);
        }
        self.bytes.resize(end, b' ');
        self
    }

    /// Writes a number padded with zeros. One that is too wide keeps its leading digits, as in the
    /// broker's files.
    fn number(&mut self, width: usize, number: i64) -> &mut Self {
        self.text(width, &format!("{number:0>width$}"))
    }

    fn flag(&mut self, set: bool) -> &mut Self {
        self.text(1, if set { "Y" } else { "N" })
    }

    fn flags(&mut self, set: &[bool]) -> &mut Self {
        for flag in set {
            self.flag(*flag);
        }
        self
    }

    /// Writes the fields from short code to manufacturing or venture, which both files share.
    fn head(&mut self, stock: &Stock) -> &mut Self {
        let (large, medium) = match stock.sector {
            Some(sector) => (sector.large, sector.medium),
            None => ("0000", "0000"),
        };
        self.text(9, stock.code.as_str())
            .text(12, &stock.isin)
            .text(40, &stock.name)
            .text(2, stock.group.code())
            .text(1, if stock.large { "1" } else { "0" })
            .text(4, large)
            .text(4, medium)
            .text(4, "0000")
            .text(1, "N")
    }

    /// Writes the fields from base price to credit period.
    fn trading(&mut self, stock: &Stock) -> &mut Self {
        self.number(9, stock.base)
            .number(5, 1)
            .number(5, 1)
            .flag(stock.halted)
            .flags(&[false; 2]) // liquidation, administrative
            .text(2, "00") // market warning
            .flags(&[false; 3]) // risk notice, disclosure, back-door listing
            .text(2, "00") // ex-event
            .text(2, "00") // par change
            .text(2, "00") // capital increase
            .number(3, 20) // margin
            .flag(true) // credit
            .number(3, 90)
    }

    /// Writes the fields from previous volume to abnormal run-up.
    fn figures(&mut self, stock: &Stock) -> &mut Self {
        self.number(12, stock.previous_volume)
            .number(12, PAR)
            .text(8, &stock.listed.format("%Y%m%d").to_string())
            .number(15, stock.shares / 1_000)
            .number(21, stock.shares.saturating_mul(PAR))
            .text(2, "12")
            .text(7, "") // IPO price
            .text(1, stock.preferred_class())
            .text(1, "") // short-sale overheated
            .flag(false)
    }

    /// Writes the fields from revenue to the end.
    fn close(&mut self, stock: &Stock, return_on_equity: &str, day: NaiveDate) -> &mut Self {
        self.number(9, 0)
            .number(9, 0)
            .number(9, 0)
            .number(5, 0)
            .text(9, return_on_equity)
            .text(8, &day.format("%Y%m%d").to_string())
            .number(9, stock.capital() / EOK)
            .text(3, "")
            .flag(false)
            .flag(true)
            .flag(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sise_domain::Shipped;

    fn lines(market: Market) -> Vec<Vec<u8>> {
        let stocks: Vec<Stock> = Shipped::get().listings.iter().map(Stock::shipped).collect();
        let day = NaiveDate::from_ymd_opt(2026, 3, 20).unwrap();
        let file = file(&stocks, market, day);
        assert_eq!(file.last(), Some(&b'\n'));
        let mut lines: Vec<_> = file
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        lines.pop();
        lines
    }

    fn line(market: Market, code: &str) -> Vec<u8> {
        let found = lines(market)
            .into_iter()
            .find(|line| line.starts_with(code.as_bytes()));
        found.unwrap()
    }

    fn cut(line: &[u8], offset: usize, width: usize) -> String {
        let (text, _, wrong) = EUC_KR.decode(&line[offset..offset + width]);
        assert!(!wrong);
        text.into_owned()
    }

    #[test]
    fn every_record_has_the_brokers_width_and_name() {
        for (market, width) in [(Market::Kospi, KOSPI), (Market::Kosdaq, KOSDAQ)] {
            let lines = lines(market);
            let listed: Vec<_> = Shipped::get()
                .listings
                .iter()
                .filter(|row| row.market == market)
                .collect();
            assert_eq!(lines.len(), listed.len());
            for (line, row) in lines.iter().zip(listed) {
                assert_eq!(line.len(), width, "{row:?}");
                assert_eq!(cut(line, 0, 9).trim_end(), row.code.as_str());
                assert_eq!(cut(line, 21, 40).trim_end(), row.name);
            }
        }
    }

    /// Offsets as in contract 6.3.
    #[test]
    fn kospi_fields_stand_where_the_contract_has_them() {
        let samsung = line(Market::Kospi, "005930");
        let shipped = &Shipped::get().listings;
        let row = shipped.iter().find(|row| row.name == "삼성전자").unwrap();
        assert_eq!(cut(&samsung, 9, 12), row.isin);
        assert_eq!(cut(&samsung, 61, 2), "ST");
        assert_eq!(cut(&samsung, 64, 12), "002700130000");
        assert_eq!(cut(&samsung, 102, 9).parse(), Ok(row.close));
        assert_eq!(cut(&samsung, 121, 1), "N");
        assert_eq!(cut(&samsung, 142, 12).parse(), Ok(row.volume));
        assert_eq!(cut(&samsung, 166, 8), "19750611");
        assert_eq!(cut(&samsung, 174, 15).parse(), Ok(row.shares / 1_000));
        assert_eq!(cut(&samsung, 210, 2), "12");
        assert_eq!(cut(&samsung, 219, 1), "0");
        assert_eq!(cut(&samsung, 256, 9), "000006.64");
        assert_eq!(cut(&samsung, 265, 8), "20260320");
        assert_eq!(
            cut(&samsung, 273, 9).parse(),
            Ok(row.close * row.shares / EOK)
        );
        assert_eq!(cut(&line(Market::Kospi, "005935"), 219, 1), "1");
        let halted = shipped
            .iter()
            .find(|row| row.volume == 0 && row.market == Market::Kospi);
        let halted = line(Market::Kospi, halted.unwrap().code.as_str());
        assert_eq!(cut(&halted, 121, 1), "Y");
    }

    /// Offsets as in contract 6.4.
    #[test]
    fn kosdaq_fields_stand_where_the_contract_has_them() {
        let record = line(Market::Kosdaq, "247540");
        let shipped = &Shipped::get().listings;
        let row = shipped
            .iter()
            .find(|row| row.code.as_str() == "247540")
            .unwrap();
        assert_eq!(cut(&record, 64, 12), "100910280000");
        assert_eq!(cut(&record, 97, 9).parse(), Ok(row.close));
        assert_eq!(cut(&record, 116, 1), "N");
        assert_eq!(cut(&record, 137, 12).parse(), Ok(row.volume));
        assert_eq!(
            cut(&record, 161, 8),
            row.listed.format("%Y%m%d").to_string()
        );
        assert_eq!(cut(&record, 169, 15).parse(), Ok(row.shares / 1_000));
        assert_eq!(cut(&record, 214, 1), "0");
        assert_eq!(cut(&record, 250, 9), "000000003");
        assert_eq!(
            cut(&record, 267, 9).parse(),
            Ok(row.close * row.shares / EOK)
        );
        let spac = shipped
            .iter()
            .find(|row| row.name.contains("스팩"))
            .unwrap();
        assert_eq!(cut(&line(Market::Kosdaq, spac.code.as_str()), 85, 1), "Y");
    }
}
