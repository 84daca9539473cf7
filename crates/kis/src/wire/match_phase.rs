//! Prices while a match is only expected: during auctions and VIs (contract 4.3, 5.5).

use super::MultiRow;

/// What a session code says of the figures beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionCode {
    /// They are of trades.
    Trades,
    /// They are of an expected match.
    ExpectedMatch,
    /// The code is blank.
    Blank,
    /// The code is damaged.
    Unreadable,
}

impl SessionCode {
    /// Reads `HOUR_CLS_CODE` or `hour_cls_code`: digits for trades, A and B at the close and before
    /// the open, C during a VI, D in the evening. Other letters are presumably of the same kind.
    pub(crate) fn of(code: &str) -> Self {
        match code.as_bytes() {
            [] => Self::Blank,
            [digit] if digit.is_ascii_digit() => Self::Trades,
            [letter] if letter.is_ascii_alphabetic() => Self::ExpectedMatch,
            _ => Self::Unreadable,
        }
    }
}

/// Returns whether the prices of an answer are those of the last trade while matches are expected.
///
/// The broker sends the expected match in separate fields, so the price beside it should be that of
/// the last trade, but this is not documented. It is taken as shown if most rows have a plausible
/// price that differs from the expected one. The result then holds for the other rows of the answer
/// too.
pub(crate) fn shows_last_trades(rows: &[MultiRow<'_>]) -> bool {
    let (apart, alike): (Vec<bool>, Vec<bool>) = rows
        .iter()
        .filter_map(MultiRow::is_apart)
        .partition(|is_apart| *is_apart);
    apart.len() > alike.len()
}

impl MultiRow<'_> {
    /// Returns whether its figures may be those of an expected match: by the session code, or
    /// without a readable one by the expected volume, which is only set while a match is expected.
    pub(crate) fn is_of_expected_match(&self) -> bool {
        match self.session_code() {
            SessionCode::Trades => false,
            SessionCode::ExpectedMatch => true,
            SessionCode::Blank | SessionCode::Unreadable => self.intr_antc_vol.positive().is_some(),
        }
    }

    /// Returns whether the row has a field that tells an expected match from a trade.
    pub(crate) fn tells_match_phase(&self) -> bool {
        match self.session_code() {
            SessionCode::Trades | SessionCode::ExpectedMatch => true,
            SessionCode::Blank | SessionCode::Unreadable => self.intr_antc_vol.whole().is_some(),
        }
    }

    fn session_code(&self) -> SessionCode {
        SessionCode::of(self.hour_cls_code.as_str())
    }

    /// Returns whether the price differs from the expected one; `None` if either is missing or
    /// implausible, or if the price may be the expected one with a change that lost its sign.
    fn is_apart(&self) -> Option<bool> {
        self.intr_antc_vol
            .positive()
            .filter(|_| self.is_of_expected_match())?;
        let change = self.intr_antc_cntg_vrss.whole()?;
        let (price, base) = (self.inter2_prpr.positive()?, self.inter2_sdpr.positive()?);
        let can_be = price.abs_diff(base) <= base.unsigned_abs().saturating_mul(31) / 100;
        match price.checked_sub(base)? {
            _ if !can_be => None,
            moved if moved == change => Some(false),
            moved if moved.checked_neg()? == change => None,
            _ => Some(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Body;

    fn shows(rows_of: &[(&str, &str, &str, &str)]) -> bool {
        let rows_of = rows_of.iter().map(|(code, price, change, volume)| {
            serde_json::json!({
                "hour_cls_code": code, "inter2_prpr": price, "inter2_sdpr": "1000",
                "intr_antc_cntg_vrss": change, "intr_antc_vol": volume,
            })
        });
        let output: Vec<serde_json::Value> = rows_of.collect();
        let body = serde_json::json!({"rt_cd": "0", "msg_cd": "MCA00000", "output": output});
        let body = serde_json::to_vec(&body).unwrap();
        let body = Body::new(&body);
        let rows: Vec<MultiRow<'_>> = body.rows(200).unwrap();
        shows_last_trades(&rows)
    }

    #[test]
    fn a_session_code_is_one_letter_or_digit() {
        for (codes, expected) in [
            (&["0", "2", "9"][..], SessionCode::Trades),
            (&["A", "B", "C", "D", "Z"], SessionCode::ExpectedMatch),
            (&[""], SessionCode::Blank),
            (
                &["\u{fffd}", "-", "가", "7 won", "NaN", "garbage", "C / 0"],
                SessionCode::Unreadable,
            ),
        ] {
            for code in codes {
                assert_eq!(SessionCode::of(code), expected, "{code}");
            }
        }
    }

    #[test]
    fn a_row_whose_price_is_not_the_expected_one_shows_what_the_price_is() {
        assert!(shows(&[("A", "1010", "20", "5")]));
        let (alike, apart) = (("A", "1020", "20", "5"), ("C", "1010", "20", "5"));
        assert!(shows(&[alike, apart, apart]));
        assert!(!shows(&[alike, apart]) && !shows(&[alike, alike, apart]));
        for rows in [
            // No price, or an implausible one.
            ("A", "0", "20", "5"),
            ("A", "", "20", "5"),
            ("A", "x", "20", "5"),
            ("A", "1", "20", "5"),
            ("A", "9223372036854775807", "20", "5"),
            // It may be either price.
            ("A", "1020", "20", "5"),
            // No match is expected, or its price is missing.
            ("A", "1010", "20", "0"),
            ("A", "1010", "", "5"),
            // No such phase, or an unreadable one without an expected volume.
            ("0", "1010", "20", "5"),
            ("\u{fffd}", "1010", "20", "0"),
            // The price is the expected one, and its change lost its sign.
            ("A", "980", "20", "5"),
        ] {
            assert!(!shows(&[rows]), "{rows:?}");
        }
    }
}
