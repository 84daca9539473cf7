//! Text fields of the wire.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Limit of percentages. No price moves this far, and beyond it two decimals would not survive a
/// round trip.
const MOST_PERCENT: f64 = 1e9;

/// 2^53: whole numbers below this are exact in an `f64`.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

/// Fields that hold codes and names, in which a number is no better than another text.
const TEXTS: [&str; 9] = [
    "hour_cls_code",
    "mrkt_trtm_cls_name",
    "kospi_kosdaq_cls_name",
    "inter_shrn_iscd",
    "inter_kor_isnm",
    "rprs_mrkt_kor_name",
    "temp_stop_yn",
    "sltr_yn",
    "stck_shrn_iscd",
];

/// A text of the wire, trimmed. Numbers become text; everything else is absent.
#[derive(Debug, Default, Clone)]
pub(crate) struct Text<'a>(Option<Cow<'a, str>>);

impl<'a> Text<'a> {
    /// Takes the value of the field, which may occur more than once.
    ///
    /// A readable value is kept over an unreadable one: a number over other text, and in the fields
    /// of `TEXTS` an undamaged text over a damaged one. If two readable values differ, either may be
    /// wrong, so the result is made unreadable.
    pub(crate) fn take(&mut self, field: &str, new: Text<'a>) {
        let is_good = |text: &Self| match TEXTS.contains(&field) {
            true => !text.readable().is_empty(),
            false => text.as_str().parse().is_ok_and(f64::is_finite),
        };
        if new.as_str().is_empty() || (is_good(self) && !is_good(&new)) {
            return;
        }
        let is_better = self.as_str().is_empty() || (!is_good(self) && is_good(&new));
        if is_better || self.as_str() == new.as_str() {
            *self = new;
        } else {
            let both = format!("{} / {}", self.as_str(), new.as_str());
            *self = Text(Some(Cow::Owned(both)));
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default().trim()
    }

    /// Returns the text, or nothing if any of it is damaged.
    pub(super) fn readable(&self) -> &str {
        let text = self.as_str();
        let is_damaged = text.contains(|c: char| c.is_control() || c == '\u{fffd}');
        if is_damaged { "" } else { text }
    }

    /// Returns a whole number; `None` if the text is blank or not a number.
    pub(super) fn whole(&self) -> Option<i64> {
        parse_whole(self.as_str())
    }

    /// Returns a whole number, with zero meaning "none" (contract 4.0.8, 4.0.9).
    pub(super) fn positive(&self) -> Option<i64> {
        self.whole().filter(|number| *number > 0)
    }

    /// Returns a level with two decimals, with zero meaning "none".
    pub(super) fn points(&self) -> Option<f64> {
        self.percent().filter(|points| *points > 0.0)
    }

    /// Returns a percentage, or a difference in points, with two decimals.
    pub(super) fn percent(&self) -> Option<f64> {
        percentage(self.as_str().parse().ok()?)
    }
}

/// Parses won, which the broker writes without a fraction; a fraction of zeros is accepted.
pub(crate) fn parse_whole(text: &str) -> Option<i64> {
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|byte| byte == b'0') => whole,
        Some(_) => return None,
        None => text,
    };
    whole.parse().ok()
}

/// Rounds to two decimals; `None` for numbers that cannot be a percentage.
pub(crate) fn percentage(number: f64) -> Option<f64> {
    let is_sane = number.abs() < MOST_PERCENT;
    is_sane.then(|| (number * 100.0).round() / 100.0)
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(number.to_string()))))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(number.to_string()))))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                // A larger number may differ from the one that was sent.
                let is_exact = number.abs() < MOST_EXACT;
                Ok(Text(is_exact.then(|| Cow::Owned(number.to_string()))))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Text(None))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Text(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(field: &str, texts: [&str; 2]) -> String {
        let mut text = Text::default();
        for one in texts {
            text.take(field, Text(Some(Cow::Owned(one.to_owned()))));
        }
        text.as_str().to_owned()
    }

    #[test]
    fn of_two_values_the_readable_one_counts_and_of_two_readable_ones_neither() {
        for (field, texts, expected) in [
            ("inter2_prpr", ["x", "72000"], "72000"),
            ("inter2_prpr", ["72000", "73000"], "72000 / 73000"),
            ("inter_shrn_iscd", ["0126Z0", "005930"], "0126Z0 / 005930"),
            ("stck_shrn_iscd", ["005930", "0126Z0"], "005930 / 0126Z0"),
            ("stck_shrn_iscd", ["0059\u{fffd}0", "005930"], "005930"),
            ("hour_cls_code", ["C", "0"], "C / 0"),
            ("hour_cls_code", ["0", "0"], "0"),
        ] {
            assert_eq!(taken(field, texts), expected, "{field}");
        }
    }
}
