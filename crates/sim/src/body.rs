//! JSON objects in which every value is a string (contract 1.5).
//!
//! They are written by hand for speed: an answer of thirty rows has 870 values.

use super::faults::Alteration;

/// Fields that remain when optional ones are left out. The expected volume is one of them: without
/// it and the session code, nothing in a row would tell an expected match from a trade.
const KEPT: [&str; 5] = [
    "inter_shrn_iscd",
    "inter2_prpr",
    "intr_antc_vol",
    "stck_shrn_iscd",
    "stck_prpr",
];

/// Fields whose sign a fault may remove.
const CHANGES: [&str; 2] = ["inter2_prdy_vrss", "prdy_vrss"];

/// A JSON object, written field by field.
#[derive(Debug)]
pub(super) struct Row<'a> {
    out: &'a mut String,
    alteration: Alteration,
    first: bool,
}

impl<'a> Row<'a> {
    pub(super) fn new(out: &'a mut String) -> Self {
        Self::altered(out, Alteration::default())
    }

    pub(super) fn altered(out: &'a mut String, alteration: Alteration) -> Self {
        out.push('{');
        Self {
            out,
            alteration,
            first: true,
        }
    }

    pub(super) fn end(mut self) {
        if self.alteration.is_widened {
            // The added field is one fault; no other fault applies to it.
            self.alteration = Alteration::default();
            self.text("nxt_trad_psbl_yn", "Y");
        }
        if self.alteration.is_damaged {
            // Half of a surrogate pair, a raw line feed in a string, and a value that is not a
            // number.
            self.out
                .push_str(",\"mrkt_trtm_cls_name\":\"\\ud83d\n\",\"elw_pblc_yn\":NaN");
        }
        self.out.push('}');
    }

    /// Writes a text field.
    pub(super) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        if self.begin(name) {
            for part in value.split_inclusive(['"', '\\']) {
                match part.strip_suffix(['"', '\\']) {
                    Some(plain) => {
                        self.out.push_str(plain);
                        self.out.push('\\');
                        self.out.extend(part.chars().last());
                    }
                    None => self.out.push_str(part),
                }
            }
            self.out.push('"');
        }
        self
    }

    /// Writes several text fields, given as pairs of name and value.
    pub(super) fn texts(&mut self, fields: &[(&str, &str)]) -> &mut Self {
        for (name, value) in fields {
            self.text(name, value);
        }
        self
    }

    /// Writes a whole number.
    pub(super) fn number(&mut self, name: &str, value: i64) -> &mut Self {
        let value = match self.alteration.is_unsigned && CHANGES.contains(&name) {
            true => value.abs(),
            false => value,
        };
        if self.begin(name) {
            push_number(self.out, value);
            self.out.push('"');
        }
        self
    }

    /// Writes a number with two decimals, given in hundredths.
    pub(super) fn decimal(&mut self, name: &str, hundredths: i64) -> &mut Self {
        if self.begin(name) {
            push_decimal(self.out, hundredths);
            self.out.push('"');
        }
        self
    }

    /// Writes `Y` or `N`.
    pub(super) fn flag(&mut self, name: &str, set: bool) -> &mut Self {
        self.text(name, if set { "Y" } else { "N" })
    }

    fn begin(&mut self, name: &str) -> bool {
        let is_kept = KEPT.contains(&name);
        if let Some(rng) = &mut self.alteration.thinning
            && !is_kept
            && rng.bool()
        {
            return false;
        }
        self.out.push_str(if self.first { "\"" } else { ",\"" });
        self.first = false;
        self.out.push_str(name);
        if let Some(rng) = &mut self.alteration.renaming
            && !is_kept
            && rng.u8(..8) == 0
        {
            self.out.push_str("_new");
        }
        self.out.push_str("\":\"");
        true
    }
}

/// Appends `value` in decimal.
pub(super) fn push_number(out: &mut String, value: i64) {
    if value < 0 {
        out.push('-');
    }
    push_digits(out, value.unsigned_abs());
}

/// Appends `hundredths` as a number with two decimals.
pub(super) fn push_decimal(out: &mut String, hundredths: i64) {
    if hundredths < 0 {
        out.push('-');
    }
    let value = hundredths.unsigned_abs();
    push_digits(out, value / 100);
    out.push('.');
    push_digit(out, value / 10 % 10);
    push_digit(out, value % 10);
}

fn push_digits(out: &mut String, value: u64) {
    if value >= 10 {
        push_digits(out, value / 10);
    }
    push_digit(out, value % 10);
}

fn push_digit(out: &mut String, digit: u64) {
    let digit = u32::try_from(digit).ok();
    out.extend(digit.and_then(|digit| char::from_digit(digit, 10)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_those_of_the_standard_library(value: i64, small in -100_000_i64..100_000) {
            let mut out = String::new();
            push_number(&mut out, value);
            prop_assert_eq!(&out, &value.to_string());
            out.clear();
            push_decimal(&mut out, small);
            let sign = if small < 0 { "-" } else { "" };
            let whole = small.abs();
            prop_assert_eq!(out, format!("{sign}{}.{:02}", whole / 100, whole % 100));
        }

        #[test]
        fn any_text_makes_json(text in "[ -~가-힣]{0,20}") {
            let mut out = String::new();
            let mut row = Row::new(&mut out);
            row.text("a", &text).number("b", -5).decimal("c", -7).flag("d", true);
            row.end();
            let json: serde_json::Value = serde_json::from_str(&out).unwrap();
            prop_assert_eq!(&json["a"], &text);
            prop_assert_eq!(&json["b"], "-5");
            prop_assert_eq!(&json["c"], "-0.07");
            prop_assert_eq!(&json["d"], "Y");
        }
    }

    #[test]
    fn a_thinned_row_keeps_its_code_and_price() {
        let mut out = String::new();
        let alteration = Alteration {
            thinning: Some(Rng::with_seed(1)),
            ..Alteration::default()
        };
        let mut row = Row::altered(&mut out, alteration);
        row.text("inter_shrn_iscd", "005930");
        for _ in 0..40 {
            row.text("optional", "x");
        }
        row.number("inter2_prpr", 1);
        row.end();
        let left = out.matches("optional").count();
        assert!((5..35).contains(&left), "{left}");
        assert!(out.contains("005930") && out.contains(r#""inter2_prpr":"1""#));
    }
}
