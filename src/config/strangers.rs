//! Variables that look like settings of sise but are not.

use strsim::damerau_levenshtein;

use super::ConfigError;
use super::keys::KEYS;
use super::raw::{CONFIG, Environment, Origin};

/// Largest edit distance at which a name is taken for a typo of a setting.
const SLIPS: usize = 2;

/// Returns whether it is a variable that Kubernetes sets for a service named `redis` or `sise`.
fn is_of_a_service(name: &str, value: &str) -> bool {
    let is_address = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    ["REDIS_", "SISE_"].iter().any(|start| {
        name.strip_prefix(start).is_some_and(|rest| {
            rest.starts_with("SERVICE_")
                // REDIS_PORT itself is an address, and those behind it are parts of one.
                || rest == "PORT" && is_address
                || rest.starts_with("PORT_")
        })
    })
}

/// Makes the origin of a variable from its name.
type MakeOrigin = fn(String) -> Origin;

/// Looks for variables that resemble settings of sise, and returns a note about each.
///
/// A name that is a typo of a setting that is not set is refused instead.
pub(super) fn look(raw: [(&Environment, MakeOrigin); 2]) -> Result<Vec<String>, ConfigError> {
    let known: Vec<String> = KEYS
        .iter()
        .flat_map(|key| {
            [
                key.variable.map(str::to_owned),
                Some(key.general_variable()),
            ]
        })
        .flatten()
        .chain([CONFIG.to_owned()])
        .collect();
    let mut notes = Vec::new();
    for (variables, origin) in raw {
        for name in variables.keys().filter(|name| !known.contains(name)) {
            let upper = name.to_uppercase().replace(['.', '-'], "_");
            let mut starts = ["KIS", "SISE", "REDIS"].iter();
            let Some(behind) = starts.find_map(|start| upper.strip_prefix(start)) else {
                continue;
            };
            let value = variables.get(name).map_or("", String::as_str);
            if is_of_a_service(&upper, value) {
                continue;
            }
            let slips = |known: &&String| damerau_levenshtein(&plain(known), &plain(&upper));
            let nearest = known.iter().min_by_key(slips);
            let nearest = nearest.filter(|known| slips(known) <= SLIPS);
            // Without a separator, as in KISMET, the name may be any program's unless it is a typo.
            if !behind.starts_with('_') && nearest.is_none() {
                continue;
            }
            let is_set = |name: &String| raw.iter().any(|(held, _)| held.contains_key(name));
            match nearest {
                Some(meant) if !is_set(meant) => {
                    return Err(ConfigError::Unknown {
                        key: name.clone(),
                        origin: origin(name.clone()).to_string(),
                        hint: format!(": did you mean {meant}?"),
                    });
                }
                _ => notes.push(note(&upper, &origin(name.clone()), nearest, &known)),
            }
        }
    }
    Ok(notes)
}

/// Returns a name without underscores, which are easily forgotten.
fn plain(name: &str) -> String {
    name.replace('_', "")
}

fn note(name: &str, origin: &Origin, nearest: Option<&String>, known: &[String]) -> String {
    let words = |name: &str| -> Vec<String> { name.split('_').map(str::to_owned).collect() };
    // For example, KIS_SECRET was meant as KIS_APP_SECRET.
    let is_part = |known: &&String| {
        let known = words(known);
        words(name).iter().all(|word| known.contains(word))
    };
    let hint = match (nearest, known.iter().find(is_part)) {
        (Some(meant), _) => format!("{meant} is set, too, and counts"),
        (None, _) if name.starts_with("REDIS_") => {
            "host, user, password and database belong in REDIS_URL".to_owned()
        }
        (None, Some(meant)) => format!("did you mean {meant}?"),
        (None, None) => "`sise config` lists all settings".to_owned(),
    };
    format!("{origin} is not a setting of sise and is ignored: {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(pairs: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables = pairs.iter().map(own).collect();
        let nothing = Environment::new();
        look([(&nothing, Origin::DotEnv), (&variables, Origin::Variable)])
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_variable_that_is_nearly_a_setting_is_refused() {
        for (name, meant) in [
            ("KIS_APPKEY", "KIS_APP_KEY"),
            ("KIS_APPSECRET", "KIS_APP_SECRET"),
            ("KIS_APP_SECERT", "KIS_APP_SECRET"),
            ("kis_app_key", "KIS_APP_KEY"),
            ("SISE_STORE_TTL", "SISE__STORE__TTL"),
            ("SISE_KIS_RATE_PER_SECOND", "SISE__KIS__RATE_PER_SECOND"),
            ("REDIS_URI", "REDIS_URL"),
            ("SISE_CONFG", "SISE_CONFIG"),
            ("REDISURL", "REDIS_URL"),
            ("redisUrl", "REDIS_URL"),
            ("redis.url", "REDIS_URL"),
            ("KISAPPKEY", "KIS_APP_KEY"),
            ("KISAPP_KEY", "KIS_APP_KEY"),
            ("KIS-APP-SECRET", "KIS_APP_SECRET"),
            ("SISESTORETTL", "SISE__STORE__TTL"),
            ("SISE.STORE.TTL", "SISE__STORE__TTL"),
            ("SISE-STORE-TTL", "SISE__STORE__TTL"),
        ] {
            let error = looked(&[(name, "hunter2")]).unwrap_err();
            assert!(
                error.contains(&format!("unknown setting {name} (from")),
                "{error}"
            );
            assert!(
                error.ends_with(&format!("did you mean {meant}?")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_variable_of_another_program_is_named() {
        for (name, hint) in [
            ("KIS_ACCOUNT_NO", "`sise config` lists"),
            ("REDIS_PASSWORD", "belong in REDIS_URL"),
            ("SISE_HOME", "`sise config` lists"),
            ("KIS_SECRET", "did you mean KIS_APP_SECRET?"),
            ("KIS_KEY", "did you mean KIS_APP_KEY?"),
            ("KIS-KEY", "did you mean KIS_APP_KEY?"),
            ("redis.password", "belong in REDIS_URL"),
        ] {
            let notes = looked(&[(name, "hunter2")]).unwrap();
            assert_eq!(notes.len(), 1, "{notes:?}");
            assert!(notes[0].starts_with(&format!("environment {name} is not a setting")));
            assert!(
                notes[0].contains(hint) && !notes[0].contains("hunter2"),
                "{notes:?}"
            );
        }
        let both = looked(&[("KIS_APP_KEY", "a"), ("KIS_APPKEY", "b")]).unwrap();
        assert!(both[0].contains("KIS_APP_KEY is set, too"), "{both:?}");
        let both = looked(&[("REDIS_URL", "a"), ("REDISURL", "b")]).unwrap();
        assert!(both[0].contains("REDIS_URL is set, too"), "{both:?}");
        let address = looked(&[("REDIS_PORT", "tcp://10.0.0.1:6379")]);
        assert_eq!(address, Ok(Vec::new()));
        for (name, port) in [("REDIS_PORT", "6380"), ("SISE_PORT", "9000")] {
            let notes = looked(&[(name, port)]).unwrap();
            assert_eq!(notes.len(), 1, "{notes:?}");
        }
        for name in [
            "REDIS_PORT_6379_TCP",
            "REDIS_SERVICE_HOST",
            "SISE_CONFIG",
            "KISS",
            "KISMET",
            "REDISCLI_AUTH",
            "KISAN_API_KEY",
        ] {
            assert_eq!(looked(&[(name, "x")]), Ok(vec![]), "{name}");
        }
    }
}
