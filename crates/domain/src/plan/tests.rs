use super::*;
use proptest::prelude::*;

fn plan(calling: Calling, rate: f64) -> Plan {
    Plan {
        codes: 2_769,
        calling,
        batch_size: 30,
        rate,
        per_minute: None,
        per_day: None,
        batch_pause: Duration::ZERO,
        interval: Duration::from_secs(60),
        ttl: Duration::from_secs(120),
        watched: 0,
        watched_interval: Duration::from_secs(10),
    }
}

/// Checks the table in docs/sweeps.md.
#[test]
fn the_table_of_the_design_comes_out() {
    let rows = [
        (plan(Calling::Single, 20.0), 2_769, 138, 87),
        (plan(Calling::Multi, 1.0), 93, 93, 100),
        (plan(Calling::Multi, 15.0), 93, 6, 100),
    ];
    for (plan, calls, seconds, percent) in rows {
        assert_eq!(plan.calls(), calls);
        assert_eq!(plan.sweep_time().as_secs(), seconds);
        assert_eq!((plan.share_alive() * 100.0).round(), f64::from(percent));
        assert_eq!(plan.keeps_alive(), percent == 100);
    }
    let replaced = Plan {
        // 2 s after every 50 calls.
        batch_pause: Duration::from_millis(1_040),
        ..plan(Calling::Single, 1.0)
    };
    assert_eq!((replaced.share_alive() * 100.0).round(), 4.0);
}

#[test]
fn a_key_must_outlive_the_interval() {
    let slow = Plan {
        interval: Duration::from_secs(120),
        ..plan(Calling::Multi, 15.0)
    };
    assert!(!slow.keeps_alive());
    assert_eq!(slow.largest_list(), 0);
}

#[test]
fn caps_of_a_minute_and_a_day_count() {
    let whole = |per_minute, per_day| Plan {
        per_minute,
        per_day,
        ..plan(Calling::Multi, 15.0)
    };
    // 93 calls in any 114 s; 93 per minute for 390 minutes, plus one sweep for the close.
    for (per_minute, per_day, keeps_alive) in [
        (Some(49), None, true),
        (Some(48), None, false),
        (None, Some(36_363), true),
        (None, Some(36_362), false),
        (Some(49), Some(36_363), true),
    ] {
        let plan = whole(per_minute, per_day);
        assert_eq!(plan.keeps_alive(), keeps_alive, "{plan:?}");
    }
    assert_eq!(whole(Some(10), None).sweep_time().as_secs(), 9 * 60);
    assert_eq!(whole(Some(10), None).largest_list(), 19 * 30);
}

/// The formula without watched codes.
fn sweep_time_alone(plan: &Plan) -> f64 {
    let (calls, rate) = (real(plan.calls()), plan.rate);
    let paused = calls * plan.batch_pause.as_secs_f64();
    let capped = plan.per_minute.map_or(0.0, |most| {
        let minutes = ((calls - 1.0).max(0.0) / f64::from(most)).floor();
        minutes * 60.0 + (calls - minutes * f64::from(most)) / rate
    });
    (calls / rate).max(paused).max(capped)
}

fn watching(watched: usize, plan: Plan) -> Plan {
    Plan { watched, ..plan }
}

#[test]
fn watched_codes_take_their_calls_from_the_sweeps() {
    let real = watching(100, plan(Calling::Multi, 15.0));
    // 4 calls every 10 s are 0.4 per second; the sweep has the other 14.6.
    assert_eq!((real.watched_calls(), real.calls()), (4, 93));
    assert!(real.keeps_watched() && real.keeps_alive());
    assert_eq!(real.sweep_time().as_millis(), 6_643);
    let alone = watching(0, real);
    // 2,340 passes in a session, with 4 calls each.
    assert_eq!(real.calls_a_day(), alone.calls_a_day() + 2_340 * 4);
    assert!(real.largest_list() < alone.largest_list());
    assert_eq!((real.watched_strain(), real.list_strain()), (None, None));
    let capped = |per_minute, per_day| Plan {
        per_minute,
        per_day,
        ..real
    };
    // The watched codes take 24 calls of each minute.
    for (per_minute, per_day, keeps_alive) in [
        (Some(49 + 24), None, true),
        (Some(48 + 24), None, false),
        (None, Some(36_363 + 9_360), true),
        (None, Some(36_362 + 9_360), false),
    ] {
        let plan = capped(per_minute, per_day);
        assert_eq!(plan.keeps_alive(), keeps_alive, "{plan:?}");
        assert_eq!(plan.list_strain().is_none(), keeps_alive, "{plan:?}");
    }
}

#[test]
fn more_watched_codes_than_calls_follow_each_other() {
    let paper = Plan {
        codes: 20,
        ..plan(Calling::Single, 1.0 / 1.1)
    };
    assert!(paper.keeps_alive());
    let five = watching(5, paper);
    assert!(five.keeps_watched() && five.keeps_alive());
    // 50 calls of 1.1 s each, while the sweep keeps a fifth of the rate.
    let fifty = watching(50, paper);
    assert!(!fifty.keeps_watched());
    assert_eq!(fifty.watched_period().as_secs_f64().round(), 69.0);
    assert_eq!(fifty.period().as_secs_f64().round(), 110.0);
    assert_eq!(
        fifty.watched_strain().unwrap(),
        "50 watched codes cannot be refreshed every 10 s: one pass over them takes 69 s, so \
         passes run back to back"
    );
    assert!(fifty.list_strain().is_none(), "{fifty:?}");
    let longer = Plan { codes: 40, ..fifty };
    assert_eq!(
        longer.list_strain().unwrap(),
        "50 watched codes take so many calls that each code of the list is written every \
         220 s and lives 120 s"
    );
}

proptest! {
    /// Without watched codes nothing changes. With them the list never does better, and sweeps
    /// never stop.
    #[test]
    fn watched_codes_cost_what_they_take_and_nothing_else(
        codes in 1_usize..5_000,
        watched in 0_usize..600,
        batch_size in 1_usize..=30,
        rate in 0.5_f64..20.0,
        pause in 0_u64..3_000,
        single in any::<bool>(),
        per_minute in proptest::option::of(1_u32..2_000),
        per_day in proptest::option::of(1_u32..100_000),
    ) {
        let calling = if single { Calling::Single } else { Calling::Multi };
        let alone = Plan {
            codes,
            batch_size,
            batch_pause: Duration::from_millis(pause),
            per_minute,
            per_day,
            ..plan(calling, rate)
        };
        let time = Duration::from_secs_f64(sweep_time_alone(&alone));
        prop_assert_eq!(alone.sweep_time(), time);
        let capped = per_minute.map_or(0.0, |most| real(alone.calls()) * 60.0 / f64::from(most));
        let period = time.max(alone.interval).max(Duration::from_secs_f64(capped));
        prop_assert_eq!(alone.period(), period);
        let sweeps = (SESSION.as_secs_f64() / period.as_secs_f64()).ceil();
        prop_assert_eq!(alone.calls_a_day(), alone.calls() * (whole(sweeps) + 1));
        prop_assert!(alone.keeps_watched() && alone.list_strain().is_none());
        let watched = watching(watched, alone);
        prop_assert!(alone.sweep_time() <= watched.sweep_time());
        prop_assert!(alone.period() <= watched.period());
        prop_assert!(alone.watched_period() <= watched.watched_period());
        // Slower sweeps use fewer calls of the day.
        prop_assert!(per_day.is_some() || alone.largest_list() >= watched.largest_list());
        // The sweep keeps its own lane; a small cap leaves whole calls.
        let most = alone.period().mul_f64(10.0) + Duration::from_secs(300);
        prop_assert!(watched.period() <= most, "{:?} {:?}", watched.period(), alone.period());
    }

    /// The largest list works, and one more code does not.
    #[test]
    fn the_largest_list_is_the_largest(
        batch_size in 1_usize..=30,
        rate in 0.5_f64..20.0,
        pause in 0_u64..3_000,
        single in any::<bool>(),
        per_minute in proptest::option::of(1_u32..2_000),
        per_day in proptest::option::of(1_u32..100_000),
    ) {
        let calling = if single { Calling::Single } else { Calling::Multi };
        let base = Plan {
            batch_size,
            batch_pause: Duration::from_millis(pause),
            per_minute,
            per_day,
            ..plan(calling, rate)
        };
        let largest = base.largest_list();
        let fits = Plan { codes: largest, ..base };
        let over = Plan { codes: largest + 1, ..base };
        prop_assert!(fits.keeps_alive());
        prop_assert!(!over.keeps_alive());
    }
}
