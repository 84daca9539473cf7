//! The envelope of an answer and the rows inside it (contract 1.5, 1.6).

use std::cell::OnceCell;
use std::fmt;
use std::marker::PhantomData;

use metrics::counter;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

use super::mend::mend;
use super::text::Text;
use crate::codes::error_of;
use sise_port::SourceError;

/// The envelope of any answer, including that of the token endpoint, with the rows inside.
struct Answer<'a, T> {
    rt_cd: Text<'a>,
    msg_cd: Text<'a>,
    msg1: Text<'a>,
    error_code: Text<'a>,
    error_description: Text<'a>,
    output: Vec<T>,
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Answer<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnswerVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for AnswerVisitor<T> {
            type Value = Answer<'de, T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut answer = Answer {
                    rt_cd: Text::default(),
                    msg_cd: Text::default(),
                    msg1: Text::default(),
                    error_code: Text::default(),
                    error_description: Text::default(),
                    output: Vec::new(),
                };
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    let text = match name.as_str() {
                        "rt_cd" => &mut answer.rt_cd,
                        "msg_cd" => &mut answer.msg_cd,
                        "msg1" => &mut answer.msg1,
                        "error_code" => &mut answer.error_code,
                        "error_description" => &mut answer.error_description,
                        "output" => {
                            answer.output.extend(map.next_value::<Rows<T>>()?.0);
                            continue;
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    text.take(name.as_str(), map.next_value()?);
                }
                Ok(answer)
            }
        }

        deserializer.deserialize_map(AnswerVisitor(PhantomData))
    }
}

/// The bytes of an answer. Damage is repaired, so that it affects only the damaged part.
pub(crate) struct Body<'a> {
    bytes: &'a [u8],
    mended: OnceCell<Option<String>>,
}

impl<'a> Body<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            mended: OnceCell::new(),
        }
    }

    /// Deserializes the answer as a whole.
    ///
    /// # Errors
    ///
    /// Returns an error if the body is not JSON and cannot be repaired.
    pub(crate) fn read<'b, T: Deserialize<'b>>(&'b self) -> serde_json::Result<T> {
        // Valid UTF-8 need not be validated again string by string.
        let read = match std::str::from_utf8(self.bytes) {
            Ok(text) => serde_json::from_str(text),
            Err(_) => serde_json::from_slice(self.bytes),
        };
        let error = match read {
            Ok(read) => return Ok(read),
            Err(error) => error,
        };
        let mended = self.mended.get_or_init(|| {
            let mended = mend(self.bytes);
            if mended.is_some() {
                counter!("sise_answers_mended_total").increment(1);
            }
            mended
        });
        match mended {
            // The original error is the one that describes the answer as it came.
            Some(text) => serde_json::from_str(text).map_err(|_| error),
            None => Err(error),
        }
    }

    /// Returns the rows of a successful answer.
    ///
    /// The body is judged first: `rt_cd`, then `error_code`, and only then the HTTP status
    /// (contract 1.6).
    ///
    /// # Errors
    ///
    /// Returns an error if the answer is not a success.
    pub(crate) fn rows<'b, T: Deserialize<'b>>(
        &'b self,
        status: u16,
    ) -> Result<Vec<T>, SourceError> {
        let answer: Answer<'b, T> = self.read().map_err(|error| match status {
            // The error itself would quote the content.
            200 => SourceError::Malformed(format!(
                "HTTP 200, {} in line {}, column {}",
                match error.classify() {
                    Category::Data => "JSON of an unexpected shape",
                    Category::Eof => "truncated JSON",
                    Category::Syntax | Category::Io => "invalid JSON",
                },
                error.line(),
                error.column()
            )),
            _ => SourceError::Unavailable(format!("HTTP {status} without JSON")),
        })?;
        match (answer.rt_cd.as_str(), answer.error_code.as_str()) {
            ("0", _) => Ok(answer.output),
            ("", "") if status == 200 => Err(SourceError::Malformed(
                "HTTP 200, JSON without rt_cd".to_owned(),
            )),
            ("", "") => Err(SourceError::Unavailable(format!(
                "HTTP {status}, JSON without rt_cd"
            ))),
            ("", code) => Err(error_of(code, answer.error_description.as_str())),
            _ => Err(error_of(answer.msg_cd.as_str(), answer.msg1.as_str())),
        }
    }
}

/// An object, or nothing for any other value, so that a wrong element does not affect other rows.
struct Row<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Row<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RowVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for RowVisitor<T> {
            type Value = Row<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let row = T::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(Row(Some(row)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Row(None))
            }

            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Row(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Row(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Row(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Row(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Row(None))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Row(None))
            }
        }

        deserializer.deserialize_any(RowVisitor(PhantomData))
    }
}

/// An object, or an array of objects: the documentation is wrong about this for some calls.
struct Rows<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Rows<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RowsVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for RowsVisitor<T> {
            type Value = Rows<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object or an array of objects")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut rows = Vec::with_capacity(30);
                while let Some(Row(row)) = seq.next_element()? {
                    rows.extend(row);
                }
                Ok(Rows(rows))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let row = T::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(Rows(vec![row]))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Rows(Vec::new()))
            }

            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Rows(Vec::new()))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Rows(Vec::new()))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Rows(Vec::new()))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Rows(Vec::new()))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Rows(Vec::new()))
            }
        }

        deserializer.deserialize_any(RowsVisitor(PhantomData))
    }
}
