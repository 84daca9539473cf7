//! Query parameters, names in upper or lower case (contract 1.3).

use std::borrow::Cow;

use super::answer::Refusal;

/// The parameters of a call, in order.
#[derive(Debug)]
pub(super) struct Query<'a> {
    pairs: Vec<(&'a str, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let pairs = text
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (name, decode(value)))
            .collect();
        Self { pairs }
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'a str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (*name, value.as_ref()))
    }

    /// Returns the value of a required parameter, which may be empty (contract 4.0.10).
    pub(super) fn get(&self, name: &'static str) -> Result<&str, Refusal> {
        self.pairs()
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .ok_or_else(|| Refusal::missing(name))
    }
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => decoded.push(b' '),
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let pair = digit().zip(digit());
                let value = pair.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                decoded.push(value.unwrap_or(b'?'));
            }
            other => decoded.push(other),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_come_in_either_case_and_values_encoded_or_not() {
        let query = Query::parse("fid_input_iscd=005930&CTX_AREA_NK=20261003++%20&Empty=&Bare");
        assert_eq!(query.get("FID_INPUT_ISCD").unwrap(), "005930");
        assert_eq!(query.get("CTX_AREA_NK").unwrap(), "20261003");
        assert_eq!(query.get("EMPTY").unwrap(), "");
        assert_eq!(query.get("BARE").unwrap(), "");
        let missing = query.get("FID_COND_MRKT_DIV_CODE").unwrap_err();
        assert!(missing.body().contains("[FID_COND_MRKT_DIV_CODE]"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_query(text in "\\PC{0,40}") {
            let _ = Query::parse(&text).get("X");
        }
    }
}
