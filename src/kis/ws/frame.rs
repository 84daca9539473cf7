//! Frames of the live feed: `<enc>|<TR>|<count>|<data>` (contract 5.4).

/// The trades of the exchange, the one stream that is subscribed to.
pub(super) const TRADES: &str = "H0STCNT0";

/// Fields of a trade at least; later ones came at the end (contract 5.4).
const LEAST_WIDTH: usize = 46;

/// Fields of a trade at most: a frame of wider records has lost its count.
const MOST_WIDTH: usize = 80;

/// Records of a frame at most.
const MOST_RECORDS: usize = 999;

/// A text message that is no JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// Whether the data are encrypted.
    pub(super) is_encrypted: bool,
    /// Which stream.
    pub(super) tr: &'a str,
    count: &'a str,
    /// The records, or their encrypted form.
    pub(super) data: &'a str,
}

/// Why a frame is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    /// It is not made of four parts.
    Shape,
    /// The count is none, or does not divide the fields.
    Count,
    /// No record begins with a code.
    Code,
    /// It cannot be decrypted.
    Cipher,
}

impl Dropped {
    /// One word, for metrics.
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
    /// Takes a message apart.
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

    /// Whether it is of the stream that is subscribed to.
    pub(super) fn is_of_trades(&self) -> bool {
        self.tr == TRADES
    }

    /// Whether it says that it has one record.
    #[cfg(feature = "daemon")]
    pub(super) fn has_one_record(&self) -> bool {
        self.count() == Ok(1)
    }

    /// How many records it says it has.
    fn count(&self) -> Result<usize, Dropped> {
        let is_number = self.count.bytes().all(|byte| byte.is_ascii_digit());
        let count = self.count.parse().ok().filter(|_| is_number);
        count
            .filter(|count| (1..=MOST_RECORDS).contains(count))
            .ok_or(Dropped::Count)
    }

    /// The records of trades in `data`, which is that of the frame in the clear. The width is
    /// not known beforehand: it is what the count makes of the number of fields.
    pub(super) fn records<'d>(&self, data: &'d str) -> Result<Vec<Record<'d>>, Dropped> {
        let count = self.count()?;
        let fields: Vec<&str> = data.split('^').collect();
        let width = fields.len() / count;
        if !fields.len().is_multiple_of(count) || !(LEAST_WIDTH..=MOST_WIDTH).contains(&width) {
            return Err(Dropped::Count);
        }
        let records: Vec<Record<'d>> = fields
            .chunks_exact(width)
            .map(|fields| Record(fields.to_vec()))
            .collect();
        // One whose code is damaged takes no other along.
        if records.iter().any(Record::begins_with_a_code) {
            Ok(records)
        } else {
            Err(Dropped::Code)
        }
    }
}

/// The fields of one trade, numbered from 1 as in contract 5.5.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a>(Vec<&'a str>);

impl<'a> Record<'a> {
    /// A field, trimmed; blank where there is none.
    pub(super) fn field(&self, number: usize) -> &'a str {
        let place = number.checked_sub(1);
        let field = place.and_then(|place| self.0.get(place));
        field.copied().unwrap_or_default().trim()
    }

    pub(super) fn begins_with_a_code(&self) -> bool {
        self.field(1).parse::<crate::domain::Symbol>().is_ok()
    }
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
