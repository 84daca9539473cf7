use super::super::options::Faults;
use super::*;
use chrono::TimeZone;
use sise_domain::Seoul;

fn at(seconds: i64) -> KrxTime {
    let start = Seoul.with_ymd_and_hms(2026, 3, 20, 9, 0, 0).unwrap();
    start + TimeDelta::seconds(seconds)
}

struct Desk {
    keys: Keys,
    dice: Dice,
    counters: Counters,
    start: Instant,
}

impl Desk {
    fn new(options: &SimOptions) -> Self {
        Self {
            keys: Keys::new(options),
            dice: Dice::new(options.faults, 1),
            counters: Counters::default(),
            start: Instant::now(),
        }
    }

    fn grant(&mut self, key: &str, secret: &str, seconds: i64) -> Result<Grant, TokenRefusal> {
        self.keys.grant(key, secret, at(seconds), &self.counters)
    }

    fn call(&mut self, token: &str, millis: u64) -> Result<(), Refusal> {
        let authorization = format!("Bearer {token}");
        let given = Credentials {
            authorization: &authorization,
            app_key: "key",
            app_secret: "secret",
        };
        let arrived = self.start + Duration::from_millis(millis);
        let now = at(i64::try_from(millis / 1_000).unwrap());
        let Self { dice, counters, .. } = self;
        self.keys.admit(given, now, arrived, dice, counters)
    }
}

fn refused(result: Result<Grant, TokenRefusal>) -> &'static str {
    result.err().unwrap().code
}

#[test]
fn the_same_token_is_given_for_six_hours_once_a_minute() {
    let mut desk = Desk::new(&SimOptions::default());
    let first = desk.grant("key", "secret", 0).ok().unwrap();
    assert_eq!(first.token.len(), 296);
    assert_eq!(first.expires_at, at(24 * 3_600));
    assert_eq!(refused(desk.grant("key", "secret", 59)), "EGW00133");
    assert!(desk.grant("other", "secret", 59).is_ok(), "another key");
    let again = desk.grant("key", "secret", 60).ok().unwrap();
    assert!(again == first);
    let late = desk.grant("key", "secret", 6 * 3_600 - 1).ok().unwrap();
    assert!(late == first);
    let new = desk.grant("key", "secret", 6 * 3_600 + 59).ok().unwrap();
    assert!(new.token != first.token);
    assert_eq!(desk.counters.read().tokens_issued, 3);
    // A new token does not end the older one: both are valid.
    assert!(desk.call(&first.token, 0).is_ok());
    assert!(desk.call(&new.token, 0).is_ok());
}

#[test]
fn an_expired_or_killed_token_is_replaced() {
    let mut desk = Desk::new(&SimOptions {
        token_validity: Duration::from_secs(90),
        ..SimOptions::default()
    });
    let first = desk.grant("key", "secret", 0).ok().unwrap();
    assert!(desk.call(&first.token, 89_000).is_ok());
    let expired = desk.call(&first.token, 90_000).unwrap_err();
    assert_eq!(expired, Refusal::TOKEN_EXPIRED);
    let second = desk.grant("key", "secret", 91).ok().unwrap();
    assert!(second.token != first.token);
    desk.keys.kill_all();
    let killed = desk.call(&second.token, 92_000).unwrap_err();
    assert_eq!(killed, Refusal::TOKEN_UNKNOWN);
    let third = desk.grant("key", "secret", 92).ok().unwrap();
    assert!(third.token != second.token);
    assert!(desk.call(&third.token, 93_000).is_ok());
}

#[test]
fn a_token_that_dies_by_fault_stays_dead() {
    let mut desk = Desk::new(&SimOptions {
        faults: Faults {
            dead_token: 0.5,
            ..Faults::default()
        },
        ..SimOptions::default()
    });
    let first = desk.grant("key", "secret", 0).ok().unwrap();
    let died = (0..100).find(|_| desk.call(&first.token, 0).is_err());
    assert!(died.is_some());
    for _ in 0..20 {
        let refusal = desk.call(&first.token, 0).unwrap_err();
        assert!(refusal.body().contains("EGW00123"));
    }
    assert!(desk.grant("key", "secret", 1).is_ok());
}

#[test]
fn wrong_keys_and_secrets_are_refused() {
    let mut desk = Desk::new(&SimOptions::default());
    assert_eq!(refused(desk.grant("", "secret", 0)), "EGW00102");
    assert_eq!(refused(desk.grant("key", "", 0)), "EGW00104");
    let grant = desk.grant("key", "secret", 0).ok().unwrap();
    assert_eq!(refused(desk.grant("key", "other", 100)), "EGW00105");
    desk.grant("second", "secret", 0).ok().unwrap();
    let arrived = desk.start;
    let mut admit = |authorization: &str, app_key, app_secret| {
        let given = Credentials {
            authorization,
            app_key,
            app_secret,
        };
        let Desk {
            keys,
            dice,
            counters,
            ..
        } = &mut desk;
        keys.admit(given, at(1), arrived, dice, counters).err()
    };
    let bearer = format!("Bearer {}", grant.token);
    assert_eq!(admit(&bearer, "key", "secret"), None);
    for (authorization, key, secret, refusal) in [
        ("", "key", "secret", Refusal::NO_BEARER),
        (grant.token.as_str(), "key", "secret", Refusal::NO_BEARER),
        ("Bearer x", "key", "secret", Refusal::TOKEN_UNKNOWN),
        (&bearer, "second", "secret", Refusal::WRONG_KEY),
        (&bearer, "nobody", "secret", Refusal::WRONG_KEY),
        (&bearer, "key", "other", Refusal::WRONG_SECRET),
    ] {
        assert_eq!(admit(authorization, key, secret), Some(refusal));
    }

    let mut closed = Desk::new(&SimOptions {
        app_key: Some("mine".to_owned()),
        app_secret: Some("sesame".to_owned()),
        ..SimOptions::default()
    });
    assert_eq!(refused(closed.grant("key", "sesame", 0)), "EGW00103");
    assert_eq!(refused(closed.grant("mine", "secret", 0)), "EGW00105");
    assert!(closed.grant("mine", "sesame", 0).is_ok());
}

#[test]
fn a_revoked_token_is_unknown_and_the_minute_still_counts() {
    let mut desk = Desk::new(&SimOptions::default());
    let token = desk.grant("key", "secret", 0).ok().unwrap().token;
    desk.grant("other", "secret", 0).ok().unwrap();
    assert!(desk.keys.revoke("other", "secret", &token).is_err());
    assert!(desk.keys.revoke("key", "secret", &token).is_ok());
    assert_eq!(desk.call(&token, 0).unwrap_err(), Refusal::TOKEN_UNKNOWN);
    assert_eq!(refused(desk.grant("key", "secret", 30)), "EGW00133");
    assert!(desk.grant("key", "secret", 60).is_ok());
}

#[test]
fn no_second_lets_more_calls_through_than_the_limit() {
    let mut desk = Desk::new(&SimOptions::default());
    let token = desk.grant("key", "secret", 0).ok().unwrap().token;
    // Five seconds at 100 calls per second.
    let mut passed = Vec::new();
    for call in 0..500 {
        match desk.call(&token, call * 10) {
            Ok(()) => passed.push(call * 10),
            Err(refusal) => assert_eq!(refusal, Refusal::OVER_LIMIT),
        }
    }
    assert_eq!(passed.len(), 18 * 5);
    for (number, start) in passed.iter().enumerate() {
        let second = passed[number..].iter().filter(|at| **at < start + 1_000);
        assert!(second.count() <= 18);
    }
    assert_eq!(desk.counters.read().max_calls_per_second_window, 100);
}

#[test]
fn a_steady_call_at_the_limit_is_never_refused() {
    let mut desk = Desk::new(&SimOptions {
        calls_per_second: Some(20),
        ..SimOptions::default()
    });
    let token = desk.grant("key", "secret", 0).ok().unwrap().token;
    for call in 0..200 {
        assert!(desk.call(&token, call * 50).is_ok(), "call {call}");
    }
    assert_eq!(desk.counters.read().max_calls_per_second_window, 20);
}

#[test]
fn wrong_credentials_bring_a_ban_that_every_call_prolongs() {
    let mut desk = Desk::new(&SimOptions {
        app_secret: Some("secret".to_owned()),
        ban: Some(Duration::from_secs(5)),
        ..SimOptions::default()
    });
    assert_eq!(refused(desk.grant("key", "wrong", 0)), "EGW00105");
    // The right secret does not help while the ban lasts, and each request restarts the ban.
    assert_eq!(refused(desk.grant("key", "secret", 4)), "EGW00003");
    assert_eq!(refused(desk.grant("key", "secret", 8)), "EGW00003");
    assert!(desk.grant("another", "secret", 8).is_ok());
    assert!(desk.grant("key", "secret", 13).is_ok());
    assert_eq!(desk.counters.read().calls_while_banned, 2);
}

#[test]
fn a_storm_over_the_limit_brings_a_ban() {
    let mut desk = Desk::new(&SimOptions {
        ban: Some(Duration::from_secs(5)),
        ..SimOptions::default()
    });
    let token = desk.grant("key", "secret", 0).ok().unwrap().token;
    let banned = (0..).find(|_| {
        desk.call(&token, 0)
            .is_err_and(|said| said == Refusal::BANNED)
    });
    assert_eq!(banned, Some(18 + 20));
    assert_eq!(desk.call(&token, 4_000), Err(Refusal::BANNED));
    assert_eq!(desk.call(&token, 8_000), Err(Refusal::BANNED));
    assert_eq!(desk.call(&token, 13_000), Ok(()));
    assert_eq!(desk.counters.read().calls_while_banned, 3);
}

#[test]
fn where_one_token_lives_a_new_one_ends_the_one_before() {
    let mut desk = Desk::new(&SimOptions {
        single_token: true,
        ..SimOptions::default()
    });
    let first = desk.grant("key", "secret", 0).ok().unwrap();
    let second = desk.grant("key", "secret", 6 * 3_600).ok().unwrap();
    assert_eq!(desk.call(&first.token, 0), Err(Refusal::TOKEN_UNKNOWN));
    assert_eq!(desk.call(&second.token, 0), Ok(()));
}
