//! Network errors as text: the outermost error alone only says "error sending request".

use std::error::Error;

/// Returns the error followed by all its causes. Remove its URL first, which may be a secret.
pub fn causes(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        said = format!("{said}: {inner}");
        cause = inner.source();
    }
    said
}
