//! Why there is no price of a code: as the API says it.

pub(super) use crate::status::reason::{not_listed, of_no_price};
