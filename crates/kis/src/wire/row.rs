//! Rows of texts.

/// Declares a row of texts. Unlike a derived `Deserialize`, it accepts a field that occurs twice.
macro_rules! row {
    ($(#[$about:meta])* $name:ident { $($field:ident),* $(,)? }) => {
        $(#[$about])*
        #[derive(Default)]
        pub(super) struct $name<'a> {
            $(pub(super) $field: $crate::wire::Text<'a>,)*
        }

        /// Leaves the fields out, because they may hold a token or a key.
        impl ::std::fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }

        impl<'de: 'a, 'a> ::serde::Deserialize<'de> for $name<'a> {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct RowVisitor;

                impl<'de> ::serde::de::Visitor<'de> for RowVisitor {
                    type Value = $name<'de>;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: ::serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<Self::Value, A::Error> {
                        let mut row = $name::default();
                        while let Some(name) = map.next_key::<$crate::wire::Text<'de>>()? {
                            match name.as_str() {
                                $(stringify!($field) => row.$field.take(stringify!($field), map.next_value()?),)*
                                _ => {
                                    map.next_value::<::serde::de::IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(row)
                    }
                }

                deserializer.deserialize_map(RowVisitor)
            }
        }
    };
}
pub(crate) use row;
