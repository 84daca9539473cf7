//! Why a code has no price, in the words of the API.

pub(super) use crate::status::reason::{not_listed, of_no_price};
