//! A cache on the store of this process's settings.

use secrecy::ExposeSecret as _;

use super::SetupError;
use crate::config::{RawSettings, Settings};
use sise_cache::{Cache, CacheBuilder};

/// Returns a builder for a cache on the store of this process's settings.
///
/// These are `REDIS_URL` and the other `store.*` settings.
///
/// # Errors
///
/// Returns an error if a settings file or variable is refused.
pub fn cache_builder_from_env() -> Result<CacheBuilder, SetupError> {
    let settings = Settings::new(&RawSettings::of_process()?)?;
    let store = &settings.store;
    let builder = Cache::builder().redis_url(store.url.expose_secret());
    Ok(builder.timeout(store.response_timeout))
}
