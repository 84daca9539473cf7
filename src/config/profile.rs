//! Call rates by kind of account.

use super::raw::RawSettings;
use super::{ConfigError, KisEnvironment};
use sise_kis::host;
use sise_pace::Rate;

/// The broker's cap for a kind of account, and the default rate below it (contract chapter 3).
struct Profile {
    name: &'static str,
    cap: u32,
    per_second: f64,
    burst: u32,
}

const REAL: Profile = Profile {
    name: "a real account",
    cap: 18,
    per_second: 15.0,
    // Two, so that a late wake-up costs no throughput.
    burst: 2,
};
const PAPER: Profile = Profile {
    name: "a paper account",
    cap: 1,
    per_second: 1.0 / 1.1,
    burst: 1,
};
const NEW_CUSTOMER: Profile = Profile {
    name: "a new customer (first 3 days)",
    cap: 3,
    per_second: 2.5,
    burst: 1,
};

/// Highest rate that makes sense, for a simulated broker.
const FASTEST: f64 = 100_000.0;

pub(super) fn rate(
    raw: &RawSettings,
    environment: KisEnvironment,
    is_new_customer: bool,
    base_url: &str,
) -> Result<Rate, ConfigError> {
    let profile = match environment {
        KisEnvironment::Real if is_new_customer => NEW_CUSTOMER,
        KisEnvironment::Real => REAL,
        // The limit for new customers does not apply to paper accounts.
        KisEnvironment::Paper => PAPER,
    };
    let per_second = raw
        .number("kis.rate_per_second", 0.01..=FASTEST)?
        .unwrap_or(profile.per_second);
    let rate = Rate::new(per_second, profile.burst);
    let is_host = |other: &str| {
        let name = |url: &str| Some(reqwest::Url::parse(url).ok()?.host_str()?.to_owned());
        name(base_url).is_some() && name(base_url) == name(other)
    };
    let (is_real, is_paper) = (is_host(host::REAL), is_host(host::PAPER));
    if (is_real && environment == KisEnvironment::Paper)
        || (is_paper && environment == KisEnvironment::Real)
    {
        return Err(ConfigError::Combination(
            "kis.base_url is the host of the other environment: set KIS_ENV to what the key belongs to"
                .to_owned(),
        ));
    }
    let is_brokers_own = is_real || is_paper;
    if rate.most_in_a_second() <= profile.cap {
        return Ok(rate);
    }
    if is_brokers_own {
        return Err(raw.refuse(
            "kis.rate_per_second",
            &format!(
                "the broker allows {} {} calls in any second; with a burst of {}, that is at most \
                 {} a second",
                profile.name,
                profile.cap,
                profile.burst,
                profile.cap + 1 - profile.burst
            ),
        ));
    }
    // Another host, such as a simulator, has its own limit. Timers wake at most once a millisecond,
    // so a high rate needs a burst for the calls that fall due together.
    let burst = (per_second / 50.0).ceil().clamp(2.0, 2_000.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 2..=2000 above"
    )]
    Ok(Rate::new(per_second, burst as u32))
}
