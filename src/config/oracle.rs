//! Properties of all settings, which must hold for any content of the files.

use std::path::Path;

use super::{Environment, Origin, RawSettings, Settings, dot_env};

/// The secret in the seeds of the fuzzer.
const MARK: &str = "S3CR3T-S3CR3T";

/// Shortest secret to look for. A shorter text may occur by chance.
const SHORTEST: usize = 8;

/// Reads `bytes` as a settings file and, after a line `---`, as `.env`.
///
/// Panics if a secret is shown or an error has no message.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (file, env) = text.split_once("\n---\n").unwrap_or((text, ""));
    let mut raw = RawSettings::with_defaults(Environment::new());
    let settings = raw
        .lay_text(file, Path::new("sise.toml"))
        .and_then(|()| {
            let variables = dot_env::read(env.as_bytes(), Path::new(".env"))?;
            raw.lay_variables(&variables, Origin::DotEnv)
        })
        .and_then(|()| Settings::new(&raw));
    let mut said = format!("{raw:?}");
    for (key, value, origin) in raw.shown() {
        said += &format!("{} {value} {origin}\n", key.name);
    }
    match &settings {
        Ok(settings) => {
            said += &format!("{settings:?}");
            assert!((1..=30).contains(&settings.sweep.batch_size));
            assert!(settings.kis.rate.per_second > 0.0 && !settings.store.ttl.is_zero());
        }
        Err(error) => {
            said += &format!("{error:?} {error}");
            assert!(error.to_string().len() > 10);
        }
    }
    for secret in secrets(&raw, text) {
        // A text that also occurs elsewhere may be shown from there.
        if secret.len() >= SHORTEST && text.matches(&secret).count() == 1 {
            assert!(!said.contains(&secret), "{secret:?} is shown: {said}");
        }
    }
}

/// Returns the texts that must not be shown, found independently of the settings' own redaction.
fn secrets(raw: &RawSettings, text: &str) -> Vec<String> {
    let of = |key: &str| raw.text(key).to_owned();
    let mut secrets = vec![of("kis.app_key"), of("kis.app_secret")];
    for key in ["store.url", "kis.base_url", "kis.master_url"] {
        let address = of(key);
        let login = address
            .split_once("://")
            .and_then(|(_, rest)| rest.rsplit_once('@'));
        let password = login.map(|(login, _)| login.split_once(':').map_or(login, |pair| pair.1));
        secrets.extend(password.map(str::to_owned));
    }
    // A file that cannot be parsed is in no layer.
    let is_secret = |line: &&str| {
        line.split_once('=').is_some_and(|(name, value)| {
            let name = name.trim().to_lowercase();
            ["app_key", "app_secret"]
                .iter()
                .any(|end| name.ends_with(end))
                && value.contains(MARK)
        })
    };
    if text.lines().any(|line| is_secret(&line)) {
        secrets.push(MARK.to_owned());
    }
    secrets
}
