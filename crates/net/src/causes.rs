//! An error of the network in words: the outermost one alone says "error sending request".

use std::error::Error;

/// The error and all that caused it. Its address, which may be a secret, is to be taken out before.
pub fn causes(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        said = format!("{said}: {inner}");
        cause = inner.source();
    }
    said
}
