mod document;

use super::*;
use sise_kis::host;
use sise_pace::Rate;

fn variables(pairs: &[(&str, &str)]) -> Environment {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

fn settings(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    Settings::new(&RawSettings::read(folder.path(), variables(pairs))?)
}

#[test]
fn defaults_are_those_of_the_design() {
    let settings = settings(&[]).unwrap();
    assert_eq!(settings.store.ttl, Duration::from_secs(120));
    assert_eq!(settings.schedule.interval, Duration::from_secs(60));
    assert_eq!(settings.kis.base_url, host::REAL);
    assert_eq!(settings.kis.rate, Rate::new(15.0, 2));
    assert_eq!(settings.api.listen, Some("127.0.0.1:8787".parse().unwrap()));
}

#[test]
fn watched_codes_are_never_refreshed_less_often_than_the_rest() {
    let watch = |pairs: &[(&str, &str)]| settings(pairs).map(|settings| settings.watch);
    let usual = watch(&[]).unwrap();
    assert_eq!(
        (usual.interval, usual.hottest),
        (Duration::from_secs(10), 0)
    );
    let often = ("SISE__SCHEDULE__INTERVAL", "4s");
    let four = Duration::from_secs(4);
    assert_eq!(watch(&[often]).unwrap().interval, four);
    assert_eq!(
        watch(&[often, ("SISE__WATCH__INTERVAL", "4s")])
            .unwrap()
            .interval,
        four
    );
    let error = watch(&[often, ("SISE__WATCH__INTERVAL", "5s")]).unwrap_err();
    assert!(matches!(error, ConfigError::Combination(_)), "{error}");
    assert_eq!(
        error.to_string(),
        "watch.interval = 5s is longer than schedule.interval = 4s, so that the sweeps alone \
         refresh watched codes more often: set watch.interval to 4s or less"
    );
    for (name, value) in [
        ("SISE__WATCH__INTERVAL", "500ms"),
        ("SISE__WATCH__INTERVAL", "2h"),
        ("SISE__WATCH__HOTTEST", "501"),
        ("SISE__WATCH__HOTTEST", "-1"),
    ] {
        let error = watch(&[(name, value)]).unwrap_err().to_string();
        assert!(error.starts_with("watch."), "{error}");
    }
}

#[test]
fn every_profile_keeps_below_the_brokers_cap() {
    for (pairs, cap) in [
        (&[][..], 18),
        (&[("KIS_ENV", "paper")], 1),
        (&[("SISE__KIS__NEW_CUSTOMER", "true")], 3),
        (&[("SISE__KIS__RATE_PER_SECOND", "17")], 18),
    ] {
        let rate = settings(pairs).unwrap().kis.rate;
        assert!(rate.most_in_a_second() <= cap, "{pairs:?}: {rate:?}");
    }
    for (rate, environment) in [("17.5", "real"), ("1.1", "paper")] {
        let error = settings(&[
            ("SISE__KIS__RATE_PER_SECOND", rate),
            ("KIS_ENV", environment),
        ]);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("kis.rate_per_second")
        );
    }
    let simulated = [
        ("SISE__KIS__RATE_PER_SECOND", "5000"),
        ("KIS_BASE_URL", "http://127.0.0.1:9100/"),
    ];
    let kis = settings(&simulated).unwrap().kis;
    assert_eq!(
        (kis.base_url.as_str(), kis.rate.per_second),
        ("http://127.0.0.1:9100", 5_000.0)
    );
}

#[test]
fn the_later_layer_wins_and_says_where_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("config")).unwrap();
    let file = folder.path().join("config/sise.toml");
    std::fs::write(&file, "[store]\nttl = \"90s\"\nnamespace = \"file\"\n[kis]\nrate_per_second = 9\napp_key = \"00012345\"\n").unwrap();
    std::fs::write(
        folder.path().join(".env"),
        "SISE__STORE__TTL=80s\nKIS_ENV=paper\n",
    )
    .unwrap();
    let environment = variables(&[("SISE__STORE__TTL", "70s"), ("KIS_ENV", "real")]);
    let mut raw = RawSettings::read(folder.path(), environment).unwrap();
    assert_eq!(raw.text("store.ttl"), "70s");
    assert_eq!(raw.origin("store.namespace"), Some(&Origin::File(file)));
    assert_eq!(
        raw.origin("kis.env").unwrap().to_string(),
        "environment KIS_ENV"
    );
    raw.set("store.ttl", "60s");
    let settings = Settings::new(&raw).unwrap();
    assert_eq!(settings.store.ttl, Duration::from_secs(60));
    assert_eq!(settings.kis.rate.per_second, 9.0);
    assert_eq!(settings.kis.app_key.unwrap().expose_secret(), "00012345");
}

#[test]
fn the_host_of_the_other_environment_is_refused() {
    for (environment, host) in [("paper", host::REAL), ("real", host::PAPER)] {
        for url in [host.to_owned(), format!("{host}/"), host.to_uppercase()] {
            let pairs = [("KIS_ENV", environment), ("KIS_BASE_URL", url.as_str())];
            let error = settings(&pairs).unwrap_err().to_string();
            assert!(error.contains("kis.base_url"), "{pairs:?}: {error}");
            assert!(error.contains("set KIS_ENV"), "{pairs:?}: {error}");
        }
    }
    for (environment, host) in [("real", host::REAL), ("paper", host::PAPER)] {
        let pairs = [("KIS_ENV", environment), ("KIS_BASE_URL", host)];
        assert_eq!(settings(&pairs).unwrap().kis.base_url, host);
    }
}

#[test]
fn a_level_of_logs_is_a_level_or_a_filter() {
    for level in [
        "off",
        "error",
        "warn",
        "info",
        "debug",
        "trace",
        "info,sise::kis=debug",
        "warn, sise=trace",
    ] {
        let settings = settings(&[("SISE__LOG__LEVEL", level)]).unwrap();
        assert_eq!(settings.log_level, level);
    }
    for level in ["verbose", "INFO!", "info,loud", "info;debug", ""] {
        let error = settings(&[("SISE__LOG__LEVEL", level)]).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("log.level"), "{level}: {error}");
        assert!(error.contains("off, error, warn, info"), "{level}: {error}");
    }
}

#[test]
fn bad_settings_are_refused_with_key_and_range() {
    for (name, value, words) in [
        (
            "SISE__STORE__TTL",
            "120",
            "store.ttl = \"120\" (from environment SISE__STORE__TTL) is refused: allowed is a duration with its unit from 1s to 1day",
        ),
        ("SISE__STORE__TTL", "0s", "from 1s to 1day"),
        (
            "SISE__SWEEP__BATCH_SIZE",
            "31",
            "a whole number from 1 to 30",
        ),
        ("SISE__SCHEDULE__INTERVAL", "7s", "a whole part of a minute"),
        (
            "SISE__SCHEDULE__INTERVAL",
            "90s",
            "a whole part of a minute",
        ),
        ("SISE__SCHEDULE__RELOAD_AT", "09:30", "before the open"),
        ("KIS_ENV", "prod", "one of real, paper"),
        ("KIS_BASE_URL", "openapi", "http:// or https://"),
        ("REDIS_URL", "localhost:6379", "store.url"),
        ("REDIS_URL", "redis://a:1,b:2", "redis-cluster://"),
        ("REDIS_URL", "redis-sentinel://a:1", "host:port/master"),
        ("SISE__API__LISTEN", "8787", "127.0.0.1:8787"),
        ("SISE__KIS__RATE_PER_SECOND", "0", "from 0.01"),
        ("SISE__KIS__RATE_PER_SECOND", "NaN", "from 0.01"),
        ("SISE__UNIVERSE__SOURCE", "csv", "needs universe.file"),
        ("SISE__UNIVERSE__ETF", "yes", "one of true, false"),
        ("SISE__CALENDAR__FILE", "nowhere.csv", "a file that exists"),
        (
            "SISE__STORE__TTTL",
            "1s",
            "unknown setting SISE__STORE__TTTL",
        ),
        ("SISE__SOTRE__TTL", "1s", "did you mean store.ttl?"),
        ("SISE_CONFIG", "nowhere.toml", "settings file"),
    ] {
        let error = settings(&[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(words), "{name}={value}: {error}");
    }
}

#[test]
fn a_broken_file_is_named_with_its_line_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("config")).unwrap();
    let file = folder.path().join("config/sise.toml");
    for (text, words) in [
        ("[kis]\napp_secret = \"hunter2\n", "line 2"),
        (
            "[kis]\napp_secret = 123456789\n",
            "kis.app_secret must be in quotes",
        ),
        ("[store]\nttl = [1]\n", "store.ttl must be one value"),
        ("[store]\nlife = \"1s\"\n", "unknown setting store.life"),
        ("ttl = \"1s\"\n", "unknown setting ttl"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = RawSettings::read(folder.path(), Environment::new())
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{error}");
        assert!(
            !error.contains("hunter2") && !error.contains("123456789"),
            "{error}"
        );
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let pairs = [
        ("KIS_APP_KEY", "PSkey"),
        ("KIS_APP_SECRET", "topsecret"),
        ("REDIS_URL", "rediss://user:hunter2@redis.example:6380/1"),
        (
            "SISE__JOURNAL__PING_URL",
            "https://alarm.example/pingsecret",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let raw = RawSettings::read(folder.path(), variables(&pairs)).unwrap();
    let shown = format!("{raw:?} {:?}", Settings::new(&raw).unwrap());
    for secret in ["PSkey", "topsecret", "hunter2", "pingsecret"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("redis.example:6380/1"));
    for url in [
        "redis://default:9/hunter2@host",
        "redis://default:12#hunter2@host",
    ] {
        let mut odd = raw.clone();
        odd.set("store.url", url);
        assert!(!format!("{odd:?}").contains("hunter2"), "{odd:?}");
    }
    for (url, shown) in [
        (
            "rediss-cluster://user:hunter2@a:1,b:2",
            "rediss-cluster://***@a:1,b:2",
        ),
        (
            "redis-sentinel://:9%2Fhunter2@a,b:2/mymaster/3",
            "redis-sentinel://***@a,b:2/mymaster/3",
        ),
        ("redis-cluster://a:1", "redis-cluster://a:1"),
    ] {
        let mut many = raw.clone();
        many.set("store.url", url);
        assert!(Settings::new(&many).is_ok(), "{url}");
        let text = format!("{many:?}");
        assert!(text.contains(shown) && !text.contains("hunter2"), "{text}");
    }
    for url in [
        "redis-cluster://user:hunter2a:1,b:2",
        "redis-sentinel://user:hunter2@a:1,b:2",
        "redis-cluster://default:9/hunter2@a:1,b:2",
        "redis-cluster://default:12#hunter2@a:1,b:2",
    ] {
        let mut odd = raw.clone();
        odd.set("store.url", url);
        assert!(!format!("{odd:?}").contains("hunter2"), "{odd:?}");
        if let Err(error) = Settings::new(&odd) {
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
    let mut bad = raw.clone();
    bad.set("store.url", "http://user:hunter2@host");
    assert!(
        !Settings::new(&bad)
            .unwrap_err()
            .to_string()
            .contains("hunter2")
    );
    bad.set("store.url", "hunter2");
    assert!(
        !Settings::new(&bad)
            .unwrap_err()
            .to_string()
            .contains("hunter2")
    );
    bad.set("store.url", "memory");
    bad.set("journal.ping_url", "ftp://alarm.example/pingsecret");
    let error = Settings::new(&bad).unwrap_err().to_string();
    assert!(error.contains("journal.ping_url"), "{error}");
    assert!(!error.contains("pingsecret"), "{error}");
    bad.set("journal.ping_url", "");
    bad.set("kis.app_secret", "hun\nter2");
    assert!(
        !Settings::new(&bad)
            .unwrap_err()
            .to_string()
            .contains("ter2")
    );
}

#[test]
fn the_commented_file_shows_every_default() {
    let text = include_str!("../../config/sise.toml");
    let uncommented: String = text
        .lines()
        .filter_map(|line| match line.strip_prefix("#") {
            // A line of prose has a blank after the `#`, a setting does not.
            Some(line) if line.starts_with(' ') || line.is_empty() => None,
            Some(line) => Some(line),
            None => Some(line),
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let table: toml::Table = uncommented.parse().unwrap();
    for key in KEYS {
        let (section, name) = key.name.split_once('.').unwrap();
        let value = table.get(section).and_then(|section| section.get(name));
        let value = value.unwrap_or_else(|| panic!("{} is not in config/sise.toml", key.name));
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(value, key.default, "{}", key.name);
    }
}

#[test]
fn a_settings_file_is_taken_as_it_stands_or_refused_with_its_line() {
    let laid = |text: &str| {
        let mut raw = RawSettings::with_defaults(Environment::new());
        let done = raw.lay_text(text, std::path::Path::new("sise.toml"));
        done.map(|()| raw).map_err(|error| error.to_string())
    };
    let raw = laid("\u{feff}[store]\r\nttl = \"90s\"\r\nnamespace = 1.0\r\n").unwrap();
    assert_eq!(raw.text("store.ttl"), "90s");
    assert_eq!(raw.text("store.namespace"), "1.0");
    for (text, words) in [
        (
            "[store]\nttl = \"1s\"\nttl = \"2s\"\n",
            "line 3: duplicate key",
        ),
        (
            "[kis]\n\napp_key = 36\n",
            "line 3: kis.app_key must be in quotes",
        ),
        (
            "[schedule]\nreload_at = 08:20:00\n",
            "line 2: schedule.reload_at must be in quotes",
        ),
        (
            "[universe]\nfile = [\"a\"]\n",
            "line 2: universe.file must be one value",
        ),
        (
            "[store]\nttl = \"1s\"\ntll = \"2s\"\n",
            "(from sise.toml line 3)",
        ),
        ("\n[sotre]\nttl = \"1s\"\n", "(from sise.toml line 3)"),
        ("ttl = \"1s\"\n", "(from sise.toml line 1)"),
        ("[store\n", "line 1: "),
    ] {
        let error = laid(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sise.toml");
    std::fs::write(&file, b"[store]\n# \xb0\xa1\nttl = \"90s\"\n").unwrap();
    let named = variables(&[("SISE_CONFIG", "sise.toml")]);
    let error = RawSettings::read(folder.path(), named)
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 2: not UTF-8"), "{error}");
}

#[test]
fn one_setting_by_two_names_and_a_secret_with_blanks_are_refused() {
    let both = [("KIS_ENV", "paper"), ("SISE__KIS__ENV", "real")];
    let error = settings(&both).unwrap_err().to_string();
    assert!(
        error.contains("KIS_ENV") && error.contains("SISE__KIS__ENV"),
        "{error}"
    );
    assert!(error.contains("keep only one of them"), "{error}");
    let same = [("KIS_ENV", "paper"), ("SISE__KIS__ENV", "paper")];
    assert_eq!(
        settings(&same).unwrap().kis.environment,
        KisEnvironment::Paper
    );
    for secret in ["hunter2 ", " hunter2", "hunter2\n", "hunter2\r"] {
        let error = settings(&[("KIS_APP_SECRET", secret)])
            .unwrap_err()
            .to_string();
        assert!(error.contains("kis.app_secret"), "{error}");
        assert!(error.contains("without a blank or a line end"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    // Values that are not secret are trimmed.
    assert_eq!(
        settings(&[("SISE__STORE__TTL", " 90s ")])
            .unwrap()
            .store
            .ttl,
        Duration::from_secs(90)
    );
}
