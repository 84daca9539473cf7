//! Frames of the live feed: `<enc>|<TR>|<count>|<data>` (contract 5.4).

use chrono::{NaiveDate, NaiveTime};

/// Trades of the exchange, the only stream in use.
pub(super) const TRADES: &str = "H0STCNT0";

/// Minimum number of fields of a trade; later fields were appended (contract 5.4).
const LEAST_WIDTH: usize = 46;

/// Maximum number of fields of a trade: a frame of wider records has a wrong count.
const MOST_WIDTH: usize = 80;

/// Maximum number of records of a frame.
const MOST_RECORDS: usize = 999;

/// A text message that is not JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// Whether the data is encrypted.
    pub(super) is_encrypted: bool,
    /// Name of the stream.
    pub(super) tr: &'a str,
    count: &'a str,
    /// The records, or their encrypted form.
    pub(super) data: &'a str,
}

/// Reason why a frame is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    /// It does not consist of four parts.
    Shape,
    /// The count is invalid, or does not divide the fields.
    Count,
    /// No record begins with a code.
    Code,
    /// It cannot be decrypted.
    Cipher,
}

impl Dropped {
    /// Returns the label used in metrics.
    pub(super) fn slug(self) -> &'static str {
        match self {
            Self::Shape => "shape",
            Self::Count => "count",
            Self::Code => "code",
            Self::Cipher => "cipher",
        }
    }
}

impl<'a> Frame<'a> {
    /// Splits a message into its parts.
    pub(super) fn read(text: &'a str) -> Result<Self, Dropped> {
        let mut parts = text.splitn(4, '|');
        let (Some(enc), Some(tr), Some(count), Some(data)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Dropped::Shape);
        };
        let is_name = |name: &str| {
            (1..=16).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        let is_encrypted = match enc {
            "0" => false,
            "1" => true,
            _ => return Err(Dropped::Shape),
        };
        if !is_name(tr) {
            return Err(Dropped::Shape);
        }
        Ok(Self {
            is_encrypted,
            tr,
            count,
            data,
        })
    }

    /// Returns whether it belongs to the stream of trades.
    pub(super) fn is_of_trades(&self) -> bool {
        self.tr == TRADES
    }

    /// Returns whether its count is one.
    pub(super) fn has_one_record(&self) -> bool {
        self.count() == Ok(1)
    }

    /// Returns the number of records that the frame claims.
    fn count(&self) -> Result<usize, Dropped> {
        let is_number = self.count.bytes().all(|byte| byte.is_ascii_digit());
        let count = self.count.parse().ok().filter(|_| is_number);
        count
            .filter(|count| (1..=MOST_RECORDS).contains(count))
            .ok_or(Dropped::Count)
    }

    /// Returns the records of trades in `data`, the decrypted data of the frame.
    ///
    /// The width of a record is not known beforehand: it is the number of fields divided by the
    /// count.
    pub(super) fn records<'d>(&self, data: &'d str) -> Result<Vec<Record<'d>>, Dropped> {
        let count = self.count()?;
        let fields: Vec<&str> = data.split('^').collect();
        let width = fields.len() / count;
        if !(LEAST_WIDTH..=MOST_WIDTH).contains(&width) {
            return Err(Dropped::Count);
        }
        if !fields.len().is_multiple_of(count) {
            return around_a_damaged_one(&fields, count, width).ok_or(Dropped::Count);
        }
        let records: Vec<Record<'d>> = fields
            .chunks_exact(width)
            .map(|fields| Record(fields.to_vec()))
            .collect();
        // A record with a damaged code does not affect the others.
        if records.iter().any(Record::begins_with_a_code) {
            Ok(records)
        } else {
            Err(Dropped::Code)
        }
    }
}

/// Returns the records of a frame in which one has too many fields, such as an extra separator.
///
/// The damaged record is reduced to code and time. Returns `None` if it cannot be identified:
/// records before it must be whole when counted from the start, and those after it when counted
/// from the end.
fn around_a_damaged_one<'d>(
    fields: &[&'d str],
    count: usize,
    width: usize,
) -> Option<Vec<Record<'d>>> {
    let others = count.checked_sub(1)?;
    let record = |fields: &[&'d str]| Record(fields.to_vec());
    let whole = |record: &Record<'_>| record.is_whole();
    let from_start = fields.chunks_exact(width).map(record);
    let from_end = fields.rchunks_exact(width).map(record);
    let mut before: Vec<_> = from_start.take(others).take_while(whole).collect();
    let mut after: Vec<_> = from_end.take(others).take_while(whole).collect();
    let damaged = |place: usize| {
        let start = fields.get(place * width..)?;
        Some(record(start.get(..2)?)).filter(Record::begins_well)
    };
    let mut places = (others.saturating_sub(after.len())..=before.len())
        .filter_map(|place| Some((place, damaged(place)?)));
    let (Some((place, damaged)), None) = (places.next(), places.next()) else {
        return None;
    };
    before.truncate(place);
    before.push(damaged);
    after.truncate(others - place);
    before.extend(after.into_iter().rev());
    Some(before)
}

/// The fields of one trade, numbered from 1 as in contract 5.5.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a>(Vec<&'a str>);

impl<'a> Record<'a> {
    /// Returns a field, trimmed; blank if there is none.
    pub(super) fn field(&self, number: usize) -> &'a str {
        let place = number.checked_sub(1);
        let field = place.and_then(|place| self.0.get(place));
        field.copied().unwrap_or_default().trim()
    }

    pub(super) fn begins_with_a_code(&self) -> bool {
        self.field(1).parse::<sise_domain::Symbol>().is_ok()
    }

    /// Returns the day of the trade.
    pub(super) fn day(&self) -> Option<NaiveDate> {
        let text = digits(self.field(34), 8)?;
        NaiveDate::parse_from_str(text, "%Y%m%d").ok()
    }

    /// Returns the time of the trade.
    pub(super) fn time(&self) -> Option<NaiveTime> {
        let text = digits(self.field(2), 6)?;
        NaiveTime::parse_from_str(text, "%H%M%S").ok()
    }

    /// Returns whether it begins with a code and a time.
    fn begins_well(&self) -> bool {
        self.begins_with_a_code() && self.time().is_some()
    }

    /// Returns whether code, time and day are in their places.
    fn is_whole(&self) -> bool {
        self.begins_well() && self.day().is_some()
    }
}

/// Returns a text of exactly `count` digits: with fewer, it would be read as another time.
fn digits(text: &str, count: usize) -> Option<&str> {
    let is_whole = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    is_whole.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trade(code: &str, width: usize) -> String {
        let mut fields = vec!["1"; width];
        fields[0] = code;
        fields.join("^")
    }

    fn read(text: &str) -> Result<Vec<String>, Dropped> {
        let frame = Frame::read(text)?;
        let records = frame.records(frame.data)?;
        Ok(records.iter().map(|r| r.field(1).to_owned()).collect())
    }

    #[test]
    fn the_width_follows_from_the_count() {
        for width in [46, 47, 48, 60] {
            let one = trade("005930", width);
            let frame = format!("0|H0STCNT0|001|{one}");
            assert_eq!(read(&frame).unwrap(), ["005930"]);
            let other = trade("0126Z0", width);
            let frame = format!("0|H0STCNT0|003|{one}^{other}^{one}");
            assert_eq!(read(&frame).unwrap(), ["005930", "0126Z0", "005930"]);
        }
    }

    #[test]
    fn a_record_whose_code_is_damaged_takes_no_other_along() {
        let one = trade("005930", 46);
        for damaged in ["", "삼성", "0059\u{fffd}0", "1"] {
            let other = trade(damaged, 46);
            let frame = format!("0|H0STCNT0|003|{one}^{other}^{one}");
            assert_eq!(read(&frame).unwrap(), ["005930", damaged, "005930"]);
        }
    }

    /// Returns a complete record with a price.
    fn whole(code: &str, price: &str) -> Vec<String> {
        let mut fields = vec!["1".to_owned(); 47];
        fields[0] = code.to_owned();
        fields[1] = "100000".to_owned();
        fields[2] = price.to_owned();
        fields[33] = "20261120".to_owned();
        fields
    }

    #[test]
    fn a_record_with_a_separator_too_many_takes_no_other_along() {
        let codes = ["005930", "0126Z0", "000660"];
        // The second set of prices could also be codes and times.
        for prices in [["71900", "1500", "277750"], ["100100", "110000", "103000"]] {
            for (damaged, place) in (0..3).flat_map(|damaged| (0..47).map(move |p| (damaged, p))) {
                let mut records: Vec<_> = codes
                    .iter()
                    .zip(prices)
                    .map(|(code, price)| whole(code, price))
                    .collect();
                records[damaged][place].insert(1, '^');
                let texts: Vec<String> = records.iter().map(|fields| fields.join("^")).collect();
                let text = format!("0|H0STCNT0|003|{}", texts.join("^"));
                let frame = Frame::read(&text).unwrap();
                let Ok(read) = frame.records(frame.data) else {
                    // The damaged record cannot be identified.
                    assert!(place < 2 || prices[0] == "100100", "{damaged} {place}");
                    continue;
                };
                for (number, record) in read.iter().enumerate() {
                    let price = match number == damaged {
                        true => "",
                        false => prices[number],
                    };
                    let fields = (record.field(1), record.field(3));
                    assert_eq!(fields, (codes[number], price), "{damaged} {place}");
                }
            }
        }
    }

    #[test]
    fn a_frame_that_does_not_come_out_even_is_dropped() {
        let one = trade("005930", 46);
        let cut = one.strip_suffix("^1").unwrap();
        let two = trade("0126Z0", 47);
        for (text, why) in [
            (String::new(), Dropped::Shape),
            ("0|H0STCNT0|001".to_owned(), Dropped::Shape),
            (format!("2|H0STCNT0|001|{one}"), Dropped::Shape),
            (format!("0|H0 ST|001|{one}"), Dropped::Shape),
            (format!("0|H0STCNT0|000|{one}"), Dropped::Count),
            (format!("0|H0STCNT0|+1|{one}"), Dropped::Count),
            (format!("0|H0STCNT0||{one}"), Dropped::Count),
            (
                format!("0|H0STCNT0|99999999999999999999|{one}"),
                Dropped::Count,
            ),
            (format!("0|H0STCNT0|001|{cut}"), Dropped::Count),
            (format!("0|H0STCNT0|002|{one}"), Dropped::Count),
            (format!("0|H0STCNT0|002|{one}^{two}"), Dropped::Count),
            (
                format!("0|H0STCNT0|001|{}", trade("삼성", 46)),
                Dropped::Code,
            ),
            (format!("0|H0STCNT0|001|{}", trade("", 46)), Dropped::Code),
        ] {
            assert_eq!(read(&text), Err(why), "{text}");
        }
    }
}
