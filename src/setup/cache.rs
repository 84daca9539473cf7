//! A cache on the store that the settings of this process name.

use secrecy::ExposeSecret as _;

use super::SetupError;
use crate::config::{Layers, Settings};
use sise_cache::{Cache, CacheBuilder};

/// A builder that takes the store from the settings of this process: `REDIS_URL` and the other
/// `store.*` settings.
///
/// # Errors
///
/// A settings file or variable is refused.
pub fn cache_builder_from_env() -> Result<CacheBuilder, SetupError> {
    let settings = Settings::new(&Layers::of_process()?)?;
    let store = &settings.store;
    let builder = Cache::builder().redis_url(store.url.expose_secret());
    Ok(builder.timeout(store.response_timeout))
}
