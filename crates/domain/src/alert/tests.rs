use chrono::{TimeDelta, TimeZone as _};
use proptest::prelude::*;

use super::*;
use crate::{Phase, Quote, Seoul, Status};

const LIFE: TimeDelta = TimeDelta::seconds(120);

fn samsung() -> Symbol {
    "005930".parse().unwrap()
}

fn morning() -> KrxTime {
    Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap()
}

fn rule(terms: Terms) -> Rule {
    terms.check().unwrap();
    Rule {
        name: "mine".to_owned(),
        since: morning() - TimeDelta::days(30),
        terms,
    }
}

/// Terms that allow an alert every time.
fn always(when: Condition) -> Terms {
    Terms {
        every_s: 0,
        ..Terms::new(when)
    }
}

/// A sentry with one rule, and the prices it gets.
struct Watch {
    sentry: Sentry,
    now: KrxTime,
}

impl Watch {
    fn new(terms: Terms) -> Self {
        let mut sentry = Sentry::new(LIFE, false);
        sentry.set_rules(vec![(rule(terms), Reach::Market)]);
        Self {
            sentry,
            now: morning(),
        }
    }

    fn after(&mut self, seconds: i64) -> &mut Self {
        self.now += TimeDelta::seconds(seconds);
        self
    }

    fn sees(&mut self, change: impl FnOnce(&mut Quote)) -> Option<Alert> {
        let mut quote = Quote::sample(samsung(), 70_000, self.now);
        change(&mut quote);
        let mut alerts = self.sentry.price(&quote, self.now);
        assert!(alerts.len() <= 1);
        alerts.pop()
    }

    /// Feeds a price six seconds later.
    fn price(&mut self, price: i64) -> Option<Alert> {
        self.after(6).sees(|quote| quote.price = price)
    }

    fn look(&mut self, seconds: i64, around: Surroundings) -> Option<Alert> {
        let mut alert = None;
        for _ in 0..seconds / 3 {
            self.after(3);
            alert = alert.or(self.sentry.look(around, self.now).pop());
        }
        alert
    }
}

#[test]
fn a_price_that_dances_on_its_level_is_told_once() {
    let mut watch = Watch::new(always(Condition::PriceBelow(70_000)));
    assert_eq!(watch.price(70_500), None);
    let alert = watch.price(69_900).unwrap();
    assert_eq!(alert.text, "회사 (005930) is below 70,000 won: 69,900 won");
    assert_eq!(
        (alert.kind, alert.code, alert.value, alert.at),
        (
            AlertKind::PriceBelow,
            Some(samsung()),
            Some(69_900.0),
            watch.now
        )
    );
    for price in [70_000, 69_900, 70_300, 69_000, 70_000, 65_000] {
        assert_eq!(watch.price(price), None, "{price}");
    }
    // It is armed again after half a percent back.
    assert_eq!(watch.price(70_350), None);
    assert!(watch.price(69_900).is_some());
}

/// The price may be beyond the level at first, or get there over a pause or a night.
#[test]
fn a_level_that_is_passed_already_is_told_once_and_at_once() {
    let mut watch = Watch::new(always(Condition::PriceAbove(70_000)));
    assert!(watch.price(71_000).is_some(), "the first");
    assert_eq!(watch.price(71_500), None);
    for pause in [600, 86_400] {
        assert_eq!(watch.price(69_000), None);
        watch.after(pause);
        assert!(watch.price(71_000).is_some(), "after {pause} s");
        watch.after(pause);
        assert_eq!(watch.price(71_200), None, "it was told");
    }
    // A new rule is checked at once against the known price.
    let mut above = rule(always(Condition::PriceAbove(70_500)));
    above.name = "new".to_owned();
    let rules = vec![(above, Reach::Codes([samsung()].into()))];
    watch.sentry.set_rules(rules.clone());
    assert!(watch.sentry.has_new_rules());
    let quote = Quote::sample(samsung(), 71_200, watch.now);
    let told = watch.sentry.first_look([&quote], watch.now);
    assert_eq!(
        told[0].text,
        "회사 (005930) is above 70,500 won: 71,200 won"
    );
    watch.sentry.set_rules(rules);
    assert!(!watch.sentry.has_new_rules());
    assert_eq!(watch.price(71_300), None);
}

#[test]
fn where_it_is_asked_only_the_next_crossing_is_told() {
    for when in [Condition::PriceBelow(70_000), Condition::ChangeBeyond(5.0)] {
        let terms = Terms {
            next_crossing: true,
            ..always(when)
        };
        let mut watch = Watch::new(terms.clone());
        let at = |watch: &mut Watch, is_beyond: bool| {
            watch.after(6).sees(|quote| {
                quote.price = if is_beyond { 69_000 } else { 71_000 };
                quote.change_rate = Some(if is_beyond { 7.0 } else { 1.0 });
            })
        };
        assert_eq!(at(&mut watch, true), None, "it held when the rule was made");
        assert_eq!(at(&mut watch, true), None);
        assert_eq!(at(&mut watch, false), None);
        assert!(at(&mut watch, true).is_some());
        // Another process, or the same one after a restart, knows which side it was on.
        for (before, told) in [(true, false), (false, true)] {
            let mut first = Watch::new(terms.clone());
            at(&mut first, before);
            let marks = first.sentry.take_changes();
            assert_eq!(marks.len(), 1);
            let mut second = Watch::new(terms.clone());
            second.after(600);
            for (rule, code, mark) in marks {
                second.sentry.restore(&rule, code, mark, second.now);
            }
            assert_eq!(at(&mut second, true).is_some(), told, "{when:?} {before}");
        }
    }
}

/// Other programs write only the seven fields, and no phase.
#[test]
fn a_price_of_another_program_is_watched_too() {
    let mut watch = Watch::new(always(Condition::PriceAbove(70_000)));
    let alert = watch.after(6).sees(|quote| {
        quote.price = 71_000;
        quote.source = Quote::OTHER_PROGRAM.into();
        quote.session = Phase::default();
    });
    assert!(alert.is_some());
    let mut watch = Watch::new(always(Condition::PriceAbove(70_000)));
    let closed = watch.after(6).sees(|quote| {
        quote.price = 71_000;
        quote.session = Phase::Closed;
    });
    assert_eq!(closed, None);
}

#[test]
fn a_level_that_is_passed_in_quiet_hours_is_told_after_them() {
    let mut terms = Terms::new(Condition::PriceBelow(70_000));
    terms.quiet = Some("10:10-10:20".parse().unwrap());
    let mut watch = Watch::new(terms);
    let mut told = Vec::new();
    for minute in 0..30 {
        let price = if minute < 12 { 71_000 } else { 69_000 };
        told.extend(watch.sees(|quote| quote.price = price).map(|_| minute));
        watch.after(60);
    }
    assert_eq!(told, [20]);
}

/// A stock that moves all the time never comes clearly back within the window.
#[test]
fn a_stock_that_jumps_on_and_on_is_told_again() {
    let jump = Condition::Jump {
        percent: 1.0,
        within_s: 60,
    };
    let mut watch = Watch::new(always(jump));
    let mut price = 100_000;
    let mut told = Vec::new();
    for step in 0..100 {
        price += price / 200;
        told.extend(watch.price(price).map(|_| step));
    }
    assert!((8..=10).contains(&told.len()), "{told:?}");
}

#[test]
fn what_does_not_trade_is_told_of_nothing() {
    let mut watch = Watch::new(always(Condition::PriceBelow(70_000)));
    let begin = |watch: &mut Watch| {
        watch.after(600);
        assert_eq!(watch.price(71_000), None);
        watch.after(6);
    };
    begin(&mut watch);
    let low = |quote: &mut Quote| quote.price = 69_000;
    type Change = fn(&mut Quote);
    let changes: [Change; 7] = [
        |quote| quote.status = Status::Halted,
        |quote| quote.status = Status::Untraded,
        |quote| quote.session = Phase::OpeningAuction,
        |quote| quote.session = Phase::Closed,
        |quote| quote.session = Phase::PostClosePrice,
        |quote| quote.fetched_at -= TimeDelta::seconds(7),
        |quote| quote.fetched_at += TimeDelta::seconds(61),
    ];
    for change in changes {
        begin(&mut watch);
        let told = watch.sees(|quote| {
            low(quote);
            change(quote);
        });
        assert_eq!(told, None);
        assert!(watch.sees(low).is_some());
    }
    // A stale price does not count, even if it is the newest.
    begin(&mut watch);
    watch.now += TimeDelta::seconds(121);
    let stale = |quote: &mut Quote| {
        low(quote);
        quote.fetched_at -= TimeDelta::seconds(121);
    };
    assert_eq!(watch.sees(stale), None);
    let mut open = Sentry::new(LIFE, true);
    open.set_rules(vec![(
        rule(always(Condition::PriceBelow(70_000))),
        Reach::Market,
    )]);
    let mut told = 0;
    for price in [71_000, 69_000] {
        watch.now += TimeDelta::seconds(1);
        let mut quote = Quote::sample(samsung(), price, watch.now);
        quote.session = Phase::Closed;
        told += open.price(&quote, watch.now).len();
    }
    assert_eq!(told, 1, "in a trial the phase does not matter");
}

#[test]
fn a_change_is_told_also_where_the_day_begins_with_it() {
    let mut watch = Watch::new(always(Condition::ChangeBeyond(5.0)));
    let mut change = |seconds, rate| {
        watch.after(seconds);
        watch.sees(|quote| quote.change_rate = Some(rate)).is_some()
    };
    assert!(change(0, 7.0));
    for rate in [4.9, 5.0, 4.6, 6.0] {
        assert!(!change(6, rate), "{rate}");
    }
    assert!(change(6, -5.0), "the other side is news");
    assert!(!change(6, -4.5));
    assert!(change(6, -5.0), "half a point back it is armed again");
    assert!(!change(6, -9.0));
    assert!(!change(6, f64::NAN));
    assert!(change(86_400, -9.0), "another day");
    assert!(!change(600, -9.0), "a gap alone is no news");
}

#[test]
fn a_jump_is_one_within_its_time() {
    let jump = Condition::Jump {
        percent: 3.0,
        within_s: 300,
    };
    let mut watch = Watch::new(always(jump));
    assert_eq!(watch.price(100_000), None);
    // A slow rise is not a jump.
    for step in 1..100 {
        assert_eq!(watch.price(100_000 + step * 50), None);
    }
    let alert = watch.price(106_000).unwrap();
    assert_eq!(alert.kind, AlertKind::Jump);
    assert!(
        alert.text.contains(" within 5 min: 106,000 won"),
        "{alert:?}"
    );
    assert_eq!(watch.price(106_500), None);
    let fall = watch.price(102_000).unwrap();
    assert!(fall.value.unwrap() < -4.0, "{fall:?}");
    watch.after(130);
    assert_eq!(watch.price(150_000), None, "after a gap");
}

#[test]
fn the_highest_and_lowest_of_the_day_are_those_of_the_exchange() {
    let mut watch = Watch::new(always(Condition::NewHigh));
    let mut high = |seconds, price, high| {
        watch.after(seconds);
        let alert = watch.sees(|quote| {
            quote.price = price;
            quote.high = high;
        });
        alert.map(|alert| alert.value.unwrap())
    };
    assert_eq!(high(0, 70_000, Some(72_000)), None);
    assert_eq!(high(6, 71_900, Some(72_000)), None);
    // A tick without the day's numbers, and one with a high between two looks.
    assert_eq!(high(6, 72_100, None), Some(72_100.0));
    assert_eq!(high(6, 72_200, Some(72_200)), None, "not yet back");
    assert_eq!(high(6, 71_800, Some(72_200)), None);
    assert_eq!(high(6, 72_000, Some(72_500)), Some(72_500.0));
    assert_eq!(high(6, 71_000, Some(72_300)), None, "a slower source");
    assert_eq!(high(6, 72_400, Some(72_400)), None);
    assert_eq!(high(86_400, 80_000, Some(80_000)), None, "another day");

    let mut watch = Watch::new(always(Condition::NewLow));
    let mut low = |price, low| {
        let alert = watch.after(6).sees(|quote| {
            quote.price = price;
            quote.low = low;
        });
        alert.map(|alert| alert.text)
    };
    assert_eq!(low(70_000, Some(0)), None);
    let told = low(69_900, None).unwrap();
    assert_eq!(told, "회사 (005930) has a new low of the day: 69,900 won");
    assert_eq!(low(69_800, Some(69_800)), None);
}

#[test]
fn a_volume_is_told_by_how_many_times() {
    let condition = Condition::VolumeTimes {
        times: 3.0,
        within_s: 60,
    };
    let mut watch = Watch::new(always(condition));
    let mut volume = 500_000;
    let mut told = Vec::new();
    for step in 0..200 {
        volume += if (100..115).contains(&step) { 500 } else { 100 };
        watch.after(6);
        let alert = watch.sees(|quote| quote.volume = Some(volume));
        told.extend(alert.map(|alert| (step, alert.value.unwrap())));
    }
    let [(step, times)] = told[..] else {
        panic!("{told:?}");
    };
    assert!((100..112).contains(&step) && times >= 3.0, "{told:?}");
}

#[test]
fn quiet_hours_and_the_least_time_between_two() {
    let mut terms = Terms::new(Condition::PriceBelow(70_000));
    terms.quiet = Some("10:10-10:20".parse().unwrap());
    let mut watch = Watch::new(terms.clone());
    let mut passes = |seconds| {
        watch.after(seconds);
        assert_eq!(watch.price(71_000), None);
        watch.price(69_000).is_some()
    };
    assert!(passes(0));
    assert!(!passes(60), "ten minutes are not over");
    assert!(!passes(560), "quiet");
    assert!(passes(600), "not quiet any more");
    // A condition that lasts is reported once it is allowed.
    terms.when = Condition::ChangeBeyond(5.0);
    let mut watch = Watch::new(terms);
    let mut told = Vec::new();
    for minute in 0..30 {
        let rate = if minute < 12 { 1.0 } else { 6.0 };
        let alert = watch.sees(|quote| quote.change_rate = Some(rate));
        told.extend(alert.map(|_| minute));
        watch.after(60);
    }
    assert_eq!(told, [20]);

    let night: Quiet = "15:40-08:50".parse().unwrap();
    let time = |hour, minute| chrono::NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
    for (hour, minute, is_quiet) in [
        (15, 39, false),
        (15, 40, true),
        (0, 0, true),
        (8, 50, false),
    ] {
        assert_eq!(night.holds(time(hour, minute)), is_quiet);
    }
    assert_eq!(night.to_string(), "15:40-08:50");
}

#[test]
fn coverage_is_told_when_it_stays_low_in_a_session() {
    let condition = Condition::CoverageBelow {
        percent: 90.0,
        for_s: 180,
    };
    let mut watch = Watch::new(always(condition));
    let share = |share| Surroundings {
        coverage: share,
        is_led: None,
    };
    assert_eq!(watch.look(120, share(Some(0.1))), None);
    assert_eq!(watch.look(60, share(None)), None, "closed");
    assert_eq!(watch.look(150, share(Some(0.1))), None);
    let alert = watch.look(60, share(Some(0.5))).unwrap();
    assert_eq!(alert.value, Some(50.0));
    assert_eq!(alert.code, None);
    assert_eq!(
        alert.text,
        "50.0 % of the list have a live price; it has been below 90 % for 3 min"
    );
    assert_eq!(watch.look(600, share(Some(0.5))), None, "told once");
    assert_eq!(watch.look(60, share(Some(0.91))), None);
    assert_eq!(watch.look(300, share(Some(0.5))), None, "not yet back");
    assert_eq!(watch.look(60, share(Some(0.93))), None);
    assert!(watch.look(300, share(Some(0.5))).is_some());
    // Nothing is known about a time without checks.
    watch.look(60, share(Some(0.93)));
    watch.look(60, share(Some(0.5)));
    watch.after(600);
    assert_eq!(watch.look(150, share(Some(0.5))), None);
}

#[test]
fn a_lost_leader_is_told_after_its_time() {
    let mut watch = Watch::new(always(Condition::LeaderLost { for_s: 30 }));
    let led = |is_led| Surroundings {
        coverage: None,
        is_led,
    };
    assert_eq!(watch.look(60, led(Some(true))), None);
    assert_eq!(watch.look(27, led(Some(false))), None);
    assert_eq!(watch.look(3, led(None)), None, "the store is unreachable");
    assert_eq!(watch.look(30, led(Some(false))), None);
    let alert = watch.look(6, led(Some(false))).unwrap();
    assert_eq!(
        alert.text,
        "no process has led for 30 s: prices are not refreshed"
    );
    assert_eq!(watch.look(900, led(Some(false))), None);
    assert_eq!(watch.look(3, led(Some(true))), None);
    assert!(watch.look(60, led(Some(false))).is_some());
}

#[test]
fn another_process_goes_on_with_what_was_told() {
    let terms = always(Condition::PriceBelow(70_000));
    let mut first = Watch::new(terms.clone());
    first.price(71_000);
    assert!(first.price(69_000).is_some());
    let told = first.sentry.take_changes();
    assert_eq!(first.sentry.take_changes(), []);
    let [(name, Some(code), mark)] = &told[..] else {
        panic!("{told:?}");
    };
    let mut second = Watch::new(terms.clone());
    second.now = first.now;
    second.sentry.restore(name, Some(*code), *mark, second.now);
    for price in [70_100, 69_000] {
        assert_eq!(second.price(price), None, "{price}");
    }
    assert_eq!(second.price(71_000), None);
    let rearmed = second.sentry.take_changes();
    assert_eq!(rearmed[0].2.side, 0);
    assert!(second.price(69_000).is_some());
    // An alert from before the change does not count for the changed rule.
    let mut third = Sentry::new(LIFE, false);
    let changed = Rule {
        since: first.now + TimeDelta::seconds(1),
        ..rule(terms)
    };
    third.set_rules(vec![(changed, Reach::Market)]);
    third.restore(name, Some(*code), *mark, first.now);
    third.restore("unknown", Some(*code), *mark, first.now);
    let mut told = Vec::new();
    for (seconds, price) in [(1, 71_000), (2, 69_000)] {
        let now = first.now + TimeDelta::seconds(seconds);
        told.extend(third.price(&Quote::sample(samsung(), price, now), now));
    }
    assert_eq!(told.len(), 1);
}

#[test]
fn a_code_that_leaves_its_list_comes_back_as_a_new_one() {
    let mut sentry = Sentry::new(LIFE, false);
    let by_list = || rule(always(Condition::PriceBelow(70_000)));
    let on = |codes: &[Symbol]| Reach::Codes(codes.iter().copied().collect());
    let mut now = morning();
    let mut price = |sentry: &mut Sentry, price| {
        now += TimeDelta::seconds(6);
        sentry
            .price(&Quote::sample(samsung(), price, now), now)
            .len()
    };
    sentry.set_rules(vec![(by_list(), on(&[samsung()]))]);
    assert_eq!(price(&mut sentry, 71_000), 0);
    sentry.set_rules(vec![(by_list(), on(&[]))]);
    assert_eq!(price(&mut sentry, 69_000), 0);
    sentry.set_rules(vec![(by_list(), on(&[samsung()]))]);
    assert_eq!(price(&mut sentry, 68_900), 1, "it holds already");
    assert_eq!(price(&mut sentry, 68_800), 0);
    assert_eq!(price(&mut sentry, 71_000), 0);
    assert_eq!(price(&mut sentry, 69_000), 1);
}

#[test]
fn rules_come_back_from_their_text() {
    for (text, kind) in [
        (
            r#"{"of":{"list":"mine"},"when":{"price_below":70000}}"#,
            "price_below",
        ),
        (
            r#"{"when":{"price_above":70000},"hysteresis":1.5}"#,
            "price_above",
        ),
        (
            r#"{"of":"market","when":{"change_beyond":5}}"#,
            "change_beyond",
        ),
        (
            r#"{"of":{"codes":["005930"]},"when":{"jump":{"percent":3,"within_s":300}}}"#,
            "jump",
        ),
        (r#"{"when":{"change_beyond":300}}"#, "change_beyond"),
        (
            r#"{"when":{"price_above":1},"next_crossing":true}"#,
            "price_above",
        ),
        (r#"{"when":"new_high","quiet":"15:40-08:50"}"#, "new_high"),
        (r#"{"when":"new_low","every_s":0}"#, "new_low"),
        (
            r#"{"when":{"volume_times":{"times":3,"within_s":60}}}"#,
            "volume_times",
        ),
        (
            r#"{"when":{"coverage_below":{"percent":90,"for_s":180}}}"#,
            "coverage_below",
        ),
        (r#"{"when":{"leader_lost":{"for_s":30}}}"#, "leader_lost"),
    ] {
        let terms: Terms = serde_json::from_str(text).unwrap();
        terms.check().unwrap();
        assert_eq!(terms.when.kind().slug(), kind);
        let again = serde_json::to_string(&terms).unwrap();
        assert_eq!(serde_json::from_str::<Terms>(&again).unwrap(), terms);
    }
    for (text, trouble) in [
        (r#"{"when":{"price_below":1}}"#, "whole won from 2"),
        (r#"{"when":{"price_above":0}}"#, "whole won from 1"),
        (
            r#"{"when":"new_low","next_crossing":true}"#,
            "next_crossing is for",
        ),
        (
            r#"{"when":{"price_below":70000},"hysteresis":0}"#,
            "hysteresis 0 is not allowed",
        ),
        (
            r#"{"when":{"change_beyond":-5}}"#,
            "percent from 0.1 to 10000",
        ),
        (
            r#"{"when":{"change_beyond":5},"hysteresis":6}"#,
            "use 0.01 to 5",
        ),
        (
            r#"{"when":{"jump":{"percent":3,"within_s":301}}}"#,
            "not within 301 s",
        ),
        (r#"{"of":{"codes":[]},"when":"new_high"}"#, "1 to 500 codes"),
        (
            r#"{"of":{"list":"a b"},"when":"new_high"}"#,
            "is not a valid name",
        ),
        (
            r#"{"of":{"list":"mine"},"when":{"leader_lost":{"for_s":30}}}"#,
            "takes no list",
        ),
        (r#"{"when":{"leader_lost":{"for_s":1}}}"#, "from 5s to 6h"),
        (
            r#"{"when":{"leader_lost":{"for_s":30}},"hysteresis":1}"#,
            "takes no hysteresis",
        ),
        (r#"{"when":"new_high","every_s":86401}"#, "a day at most"),
    ] {
        let terms: Terms = serde_json::from_str(text).unwrap();
        let error = terms.check().unwrap_err().to_string();
        assert!(error.contains(trouble), "{error}");
    }
    for text in [
        r#"{"when":"new_high","often":true}"#,
        r#"{"when":{"jump":{"percent":3,"within_s":300,"up":true}}}"#,
        r#"{"when":"new_high","quiet":"15:40"}"#,
        r#"{"of":{"codes":["5930"]},"when":"new_high"}"#,
        r#"{"of":"market"}"#,
    ] {
        assert!(serde_json::from_str::<Terms>(text).is_err(), "{text}");
    }
}

#[test]
fn an_alert_has_the_same_name_wherever_it_is_seen() {
    let mut watch = Watch::new(always(Condition::PriceBelow(70_000)));
    watch.price(71_000);
    let alert = watch.price(69_000).unwrap();
    let text = serde_json::to_string(&alert).unwrap();
    assert_eq!(
        text,
        format!(
            r#"{{"id":"{}","rule":"mine","kind":"price_below","code":"005930","name":"회사","text":"{}","at":"2026-11-20T10:00:12.000+09:00","value":69000}}"#,
            alert.id, alert.text
        )
    );
    assert_eq!(serde_json::from_str::<Alert>(&text).unwrap(), alert);
    assert!(alert.id.bytes().all(|byte| byte.is_ascii_graphic()));
    let test = Alert::test(&rule(always(Condition::NewHigh)), alert.at);
    assert_ne!(test.id, alert.id);
}

/// Prices, each with the seconds since the one before: mostly few, sometimes a gap.
fn steps() -> impl Strategy<Value = Vec<(i64, i64)>> {
    let pause = prop_oneof![8 => 0..30_i64, 1 => 100..400_i64];
    prop::collection::vec((69_000..71_000_i64, pause), 1..200)
}

proptest! {
    #[test]
    fn between_two_alerts_the_price_went_back(steps in steps()) {
        let mut watch = Watch::new(always(Condition::PriceBelow(70_000)));
        let mut is_armed = true;
        for (price, pause) in steps {
            watch.after(pause);
            let alert = watch.sees(|quote| quote.price = price);
            prop_assert_eq!(alert.is_some(), price < 70_000 && is_armed, "{}", price);
            is_armed = price >= 70_350 || is_armed && alert.is_none();
        }
    }

    #[test]
    fn every_jump_that_is_told_was_one(steps in steps()) {
        let jump = Condition::Jump { percent: 1.0, within_s: 60 };
        let mut watch = Watch::new(always(jump));
        let mut seen: Vec<(i64, KrxTime)> = Vec::new();
        for (price, pause) in steps {
            watch.after(pause);
            let alert = watch.sees(|quote| quote.price = price);
            if alert.is_some() {
                let from = watch.now - TimeDelta::seconds(60);
                let mut recent = seen.iter().filter(|(_, at)| *at >= from);
                prop_assert!(recent.any(|(other, _)| (price - other).abs() * 100 >= *other));
            }
            seen.push((price, watch.now));
        }
    }

    #[test]
    fn every_new_high_is_higher_than_all_before_it(steps in steps()) {
        let mut watch = Watch::new(always(Condition::NewHigh));
        let mut highest = 0;
        for (price, pause) in steps {
            watch.after(pause);
            if let Some(alert) = watch.sees(|quote| quote.price = price) {
                prop_assert!(highest > 0 && price > highest);
                prop_assert_eq!(alert.value, Some(f64::from(i32::try_from(price).unwrap())));
            }
            // After a gap the sentry starts afresh, so an earlier high no longer counts.
            highest = if pause > 120 { price } else { highest.max(price) };
        }
    }

    #[test]
    fn what_is_told_does_not_depend_on_which_process_watches(steps in steps(), cut in 0..200_usize) {
        let terms = Terms::new(Condition::PriceBelow(70_000));
        let mut whole = Watch::new(terms.clone());
        let mut first = Watch::new(terms.clone());
        let mut second = Watch::new(terms);
        for (place, (price, pause)) in steps.into_iter().enumerate() {
            for watch in [&mut whole, &mut first, &mut second] {
                watch.after(pause);
            }
            let expected = whole.sees(|quote| quote.price = price);
            // A standby process sees the prices too.
            let told = [&mut first, &mut second].map(|watch| watch.sees(|quote| quote.price = price));
            if place == cut {
                for (rule, code, mark) in first.sentry.take_changes() {
                    second.sentry.restore(&rule, code, mark, second.now);
                }
            }
            let [before, after] = told;
            prop_assert_eq!(if place <= cut { before } else { after }, expected);
        }
    }
}
