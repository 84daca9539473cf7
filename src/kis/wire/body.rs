//! The envelope of an answer and the rows inside it (contract 1.5, 1.6).

use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

use super::text::Text;
use crate::kis::codes::error_of;
use crate::port::SourceError;

/// The envelope of every answer, and the other one of the token endpoint.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Envelope<'a, T> {
    #[serde(borrow, default)]
    rt_cd: Text<'a>,
    #[serde(borrow, default)]
    msg_cd: Text<'a>,
    #[serde(borrow, default)]
    msg1: Text<'a>,
    #[serde(borrow, default)]
    error_code: Text<'a>,
    #[serde(borrow, default)]
    error_description: Text<'a>,
    #[serde(default = "Rows::default")]
    output: Rows<T>,
}

/// The rows of a successful answer.
///
/// The body is judged first: `rt_cd`, then `error_code`, and only then the HTTP status
/// (contract 1.6).
pub(in crate::kis) fn rows<'a, T: Deserialize<'a>>(
    status: u16,
    body: &'a [u8],
) -> Result<Vec<T>, SourceError> {
    let envelope: Envelope<'a, T> = serde_json::from_slice(body).map_err(|error| match status {
        // The error would quote what stands there.
        200 => SourceError::Malformed(format!(
            "HTTP 200, {} in line {}, column {}",
            match error.classify() {
                Category::Data => "JSON of another shape",
                Category::Eof => "JSON that is cut off",
                Category::Syntax | Category::Io => "no JSON",
            },
            error.line(),
            error.column()
        )),
        _ => SourceError::Unavailable(format!("HTTP {status} without JSON")),
    })?;
    match (envelope.rt_cd.as_str(), envelope.error_code.as_str()) {
        ("0", _) => Ok(envelope.output.0),
        ("", "") if status == 200 => Err(SourceError::Malformed(
            "HTTP 200, JSON without rt_cd".to_owned(),
        )),
        ("", "") => Err(SourceError::Unavailable(format!(
            "HTTP {status}, JSON without rt_cd"
        ))),
        ("", code) => Err(error_of(code, envelope.error_description.as_str())),
        _ => Err(error_of(envelope.msg_cd.as_str(), envelope.msg1.as_str())),
    }
}

/// An object, or nothing where something else stands: it must not take the rows beside it along.
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

/// An object, or an array of them: the documentation gets it wrong for some calls.
#[derive(Debug)]
struct Rows<T>(Vec<T>);

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

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
        }

        deserializer.deserialize_any(RowsVisitor(PhantomData))
    }
}
