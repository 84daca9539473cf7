//! Indices in the rows of the multi-price call (contract 4.3).

use metrics::counter;

use super::{MultiRow, Text, percentage};
use sise_domain::{Index, IndexQuote, KrxTime, Phase};

/// Unit of an index's volume: thousands of shares.
const SHARES: i64 = 1_000;

/// Unit of an index's value: millions of won (recorded: 561,107 and 10,288,958 for KOSPI).
const WON: i64 = 1_000_000;

/// Largest possible move of an index in a day, because no share moves farther.
const FARTHEST: f64 = 0.3;

/// More than all shares of the market trade in a day, and more won than that.
const MOST_SHARES: i64 = 100_000_000_000;
const MOST_WON: i64 = 1_000_000_000_000_000;

impl MultiRow<'_> {
    /// Returns the level of `index`, if the row has a plausible one.
    pub(crate) fn index(
        &self,
        index: Index,
        asked_at: KrxTime,
        session: Phase,
    ) -> Option<IndexQuote> {
        let amount = |text: &Text<'_>, unit: i64, most: i64| {
            let amount = text.whole()?.checked_mul(unit)?;
            (0..=most).contains(&amount).then_some(amount)
        };
        let level = self.inter2_prpr.points()?;
        let (high, low) = (self.inter2_hgpr.points(), self.inter2_lwpr.points());
        let prev_close = self.inter2_prdy_clpr.points();
        let is_inside = |level: f64| {
            high.is_none_or(|high| level <= high) && low.is_none_or(|low| low <= level)
        };
        let moved = prev_close.map(|prev_close| level / prev_close - 1.0);
        if !is_inside(level) || moved.is_some_and(|moved| moved.abs() > FARTHEST) {
            let (call, reason) = ("multi", "index");
            counter!("sise_rows_refused_total", "call" => call, "reason" => reason).increment(1);
            return None;
        }
        // As with prices, the level and its reference take precedence over change and rate.
        let change = match prev_close {
            Some(prev_close) => percentage(level - prev_close),
            None => self.signed_change(),
        };
        let change_rate = match moved {
            Some(moved) => percentage(moved * 100.0),
            None => self.prdy_ctrt.percent(),
        };
        let quote = IndexQuote {
            index,
            name: index.korean_name().into(),
            level,
            change,
            change_rate,
            volume: amount(&self.acml_vol, SHARES, MOST_SHARES),
            value: amount(&self.acml_tr_pbmn, WON, MOST_WON),
            open: self.inter2_oprc.points().filter(|open| is_inside(*open)),
            high,
            low,
            prev_close,
            timestamp: asked_at.naive_local(),
            session,
            source: "kis.multi".into(),
            simulated: false,
            fetched_at: asked_at,
        };
        Some(quote.as_stored())
    }

    /// Returns the change in points as written, or turned if sign and rate both say that it lost its
    /// minus.
    fn signed_change(&self) -> Option<f64> {
        let change = self.inter2_prdy_vrss.percent()?;
        let fell = matches!(self.prdy_vrss_sign.as_str(), "4" | "5");
        let rose = self.prdy_ctrt.percent().is_some_and(|rate| rate > 0.0);
        Some(if change > 0.0 && fell && !rose {
            -change
        } else {
            change
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Body, MultiRow};
    use super::*;
    use chrono::TimeZone as _;
    use sise_domain::Seoul;

    const RECORDED: &[u8] =
        include_bytes!("../../../../tests/fixtures/kis/intstock-multprice-FHKST11300006.json");

    fn read(body: &[u8]) -> Option<IndexQuote> {
        let at = Seoul.with_ymd_and_hms(2024, 11, 20, 15, 0, 1).unwrap();
        let body = Body::new(body);
        let rows: Vec<MultiRow<'_>> = body.rows(200).unwrap();
        let row = rows
            .iter()
            .find(|row| row.inter_shrn_iscd.as_str() == "0001");
        row?.index(Index::Kospi, at, Phase::Regular)
    }

    #[test]
    fn the_recorded_row_is_read_in_points_shares_and_won() {
        let quote = read(RECORDED).unwrap();
        assert_eq!(quote.name, "코스피");
        assert_eq!((quote.level, quote.change), (2_724.62, Some(-28.38)));
        assert_eq!(quote.change_rate, Some(-1.03));
        assert_eq!(quote.volume, Some(561_107_000));
        assert_eq!(quote.value, Some(10_288_958_000_000));
        let levels = [quote.open, quote.high, quote.low, quote.prev_close];
        assert_eq!(
            levels.map(Option::unwrap),
            [2_751.47, 2_752.17, 2_724.62, 2_753.0]
        );
    }

    #[test]
    fn what_is_no_level_is_no_index_and_what_is_blank_is_absent() {
        let recorded = std::str::from_utf8(RECORDED).unwrap();
        for nothing in ["0", "0.00", "", "-1.5", "NaN", "abc", "inf"] {
            let body = recorded.replacen(
                "\"inter2_prpr\": \"2724.62\"",
                &format!("\"inter2_prpr\": \"{nothing}\""),
                1,
            );
            assert_ne!(body, recorded);
            assert_eq!(read(body.as_bytes()), None, "{nothing}");
        }
        let body = recorded
            .replace("\"561107\"", "\"\"")
            .replace("\"2751.47\"", "\"0\"")
            .replace("\"-28.38\"", "\" \"");
        let quote = read(body.as_bytes()).unwrap();
        assert_eq!((quote.volume, quote.open), (None, None));
        // Without the previous close the change is as written, unless it lost its sign.
        let body = recorded.replace("\"2753.00\"", "\"\"");
        assert_ne!(body, recorded);
        assert_eq!(read(body.as_bytes()).unwrap().change, Some(-28.38));
        let body = body.replace("\"-28.38\"", "\"28.38\"");
        assert_eq!(read(body.as_bytes()).unwrap().change, Some(-28.38));
        // More shares than are traded, and an open outside the day's range.
        let body = recorded
            .replace("\"561107\"", "\"9000000000000\"")
            .replace("\"2751.47\"", "\"2752.18\"");
        let quote = read(body.as_bytes()).unwrap();
        assert_eq!((quote.volume, quote.open), (None, None));
        let quote = read(
            recorded
                .replace("\"561107\"", "\"\"")
                .replace("\"2751.47\"", "\"0\"")
                .as_bytes(),
        )
        .unwrap();
        assert_eq!((quote.level, quote.change), (2_724.62, Some(-28.38)));
    }

    #[test]
    fn a_level_that_cannot_be_is_none() {
        let recorded = std::str::from_utf8(RECORDED).unwrap();
        for level in [
            "1.00",
            "27246.20",
            "2724.61",
            "2752.18",
            "9223372036854775807",
        ] {
            let body = recorded.replacen(
                "\"inter2_prpr\": \"2724.62\"",
                &format!("\"inter2_prpr\": \"{level}\""),
                1,
            );
            assert_ne!(body, recorded);
            assert_eq!(read(body.as_bytes()), None, "{level}");
        }
    }
}
