use super::*;
use proptest::prelude::*;

const RATE: Caps = Caps {
    per_second: 15.0,
    per_minute: None,
    per_day: None,
    late: Duration::ZERO,
};
/// 2026-11-20 09:00 in Seoul.
const START: i64 = 1_795_132_800 * SECOND;

fn start_of(booking: Booking, now: i64) -> Option<i64> {
    match booking {
        Booking::Cell { wait, .. } => Some(now + i64::try_from(wait.as_micros()).unwrap()),
        Booking::Spent { .. } => None,
    }
}

/// Lets `heads` callers of each urgency book again when their cell begins; counts their cells.
fn contend(heads: [usize; 3], seconds: i64) -> [usize; 3] {
    let mut cells = Cells::default();
    let mut due: Vec<(i64, Urgency)> = Vec::new();
    for urgency in Urgency::ALL {
        due.extend((0..heads[urgency.index()]).map(|_| (START, urgency)));
    }
    let mut counts = [0; 3];
    while let Some(place) = (0..due.len()).min_by_key(|place| due[*place].0) {
        let (now, urgency) = due[place];
        if now >= START + seconds * SECOND {
            break;
        }
        let at = start_of(cells.book(&RATE, urgency, now), now).unwrap();
        counts[urgency.index()] += 1;
        due[place].0 = at;
    }
    counts
}

#[test]
fn one_who_asks_alone_gets_the_whole_rate() {
    for heads in [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 4], [9, 0, 0]] {
        let total: usize = contend(heads, 20).iter().sum();
        assert!((299..=316).contains(&total), "{heads:?}: {total}");
    }
}

#[test]
fn nobody_starves_and_readers_come_first() {
    for heads in [[1, 1, 1], [4, 4, 4], [16, 1, 1], [8, 8, 1], [1, 1, 8]] {
        let [reader, watched, sweep] = contend(heads, 100);
        let total = reader + watched + sweep;
        assert!((1_495..=1_530).contains(&total), "{heads:?}: {total}");
        assert!(sweep * 10 >= total, "{heads:?}: sweep {sweep} of {total}");
        assert!(
            watched * 100 >= total * 15,
            "{heads:?}: watched {watched} of {total}"
        );
        assert!(reader >= total / 4, "{heads:?}: reader {reader} of {total}");
    }
    // Without readers, watched codes take all that the lane of the sweep does not hold.
    let [_, watched, sweep] = contend([0, 1, 1], 100);
    let total = (watched + sweep) as f64;
    let of_sweep = sweep as f64 / total;
    assert!(
        (of_sweep - Urgency::Sweep.lane_share()).abs() < 0.01,
        "{of_sweep}"
    );
    let [reader, _, sweep] = contend([8, 0, 1], 100);
    assert!(sweep >= 280 && reader >= 1_150, "{reader} {sweep}");
}

#[test]
fn a_reader_waits_a_few_cells_however_many_sweep() {
    let mut cells = Cells::default();
    for _ in 0..8 {
        cells.book(&RATE, Urgency::Sweep, START);
    }
    let wait = start_of(cells.book(&RATE, Urgency::Reader, START), START).unwrap() - START;
    assert!(wait <= 3 * 66_667, "{wait} us");
}

#[test]
fn a_refusal_cuts_the_rate_at_once_and_it_climbs_back_slowly() {
    let mut cells = Cells::default();
    assert!((cells.refused(START) - 0.7).abs() < 1e-9);
    // Calls that were in flight together count once.
    assert!(cells.refused(START + SECOND / 2) < 0.72);
    assert!(cells.refused(START + SECOND) < 0.52);
    for second in 2..20 {
        cells.refused(START + second * SECOND);
    }
    let low = cells.share(START + 20 * SECOND);
    assert!((0.1..0.2).contains(&low), "{low}");
    assert!(cells.share(START + 40 * SECOND) < 0.6);
    assert!((cells.share(START + 100 * SECOND) - 1.0).abs() < 1e-9);
}

#[test]
fn minute_and_day_have_their_caps() {
    let caps = Caps {
        per_minute: Some(10),
        per_day: Some(15),
        ..RATE
    };
    let mut cells = Cells::default();
    let mut now = START;
    for _ in 0..10 {
        now = start_of(cells.book(&caps, Urgency::Sweep, now), now).unwrap();
    }
    let Booking::Spent {
        cap: Cap::Minute,
        again,
    } = cells.book(&caps, Urgency::Reader, now)
    else {
        panic!("the minute has its cap");
    };
    now += i64::try_from(again.as_micros()).unwrap();
    assert!(now - START >= 60 * SECOND);
    for _ in 0..5 {
        now = start_of(cells.book(&caps, Urgency::Sweep, now), now).unwrap();
    }
    let spent = cells.book(&caps, Urgency::Reader, now);
    let Booking::Spent {
        cap: Cap::Day,
        again,
    } = spent
    else {
        panic!("the day has its cap: {spent:?}");
    };
    // Midnight in Seoul is 15 hours after 09:00.
    let midnight = now + i64::try_from(again.as_micros()).unwrap();
    assert_eq!(midnight, START + 15 * 3_600 * SECOND);
    assert!(start_of(cells.book(&caps, Urgency::Reader, midnight), midnight).is_some());
}

proptest! {
    #[test]
    fn no_two_cells_are_closer_than_a_period(
        rate in 0.5f64..400.0,
        asks in prop::collection::vec((0usize..3, 0i64..200_000), 1..200),
    ) {
        let caps = Caps { per_second: rate, ..RATE };
        let mut cells = Cells::default();
        let mut now = START;
        let mut starts = Vec::new();
        for (urgency, pause) in asks {
            now += pause;
            let booking = cells.book(&caps, Urgency::ALL[urgency], now);
            let at = start_of(booking, now).unwrap();
            prop_assert!(at >= now);
            starts.push(at);
        }
        starts.sort_unstable();
        for pair in starts.windows(2) {
            let gap = micros(pair[1] - pair[0]).as_secs_f64();
            prop_assert!(gap * rate > 0.999_999, "{:?} at {rate}/s", pair);
        }
    }
}

/// Returns the cells that a single caller gets from `now` on.
fn next_cells(cells: &mut Cells, caps: &Caps, mut now: i64, count: usize) -> Vec<i64> {
    let mut starts = Vec::new();
    for _ in 0..count {
        now = start_of(cells.book(caps, Urgency::Reader, now), now).unwrap();
        starts.push(now);
    }
    starts
}

#[test]
fn a_store_that_forgot_lets_the_calls_of_before_pass_first() {
    let paper = Caps {
        per_second: 1.0 / 1.1,
        ..RATE
    };
    for (caps, settles) in [(RATE, SECOND), (paper, 5_500_000)] {
        let mut cells = Cells::forgotten();
        let starts = next_cells(&mut cells, &caps, START, 3);
        assert!(starts[0] >= START + settles, "{starts:?}");
        assert!(starts[0] <= START + settles + 100, "{starts:?}");
        // The pause comes only once.
        let later = next_cells(&mut cells, &caps, START + 60 * SECOND, 1);
        assert_eq!(later, [START + 60 * SECOND]);
    }
    let known = next_cells(&mut Cells::default(), &RATE, START, 1);
    assert_eq!(known, [START]);
}

#[test]
fn a_store_that_forgot_is_told_of_the_minute_before() {
    let caps = Caps {
        per_minute: Some(30),
        ..RATE
    };
    let known = |heard_at, last_minute| CallsMade {
        heard_at,
        last_minute,
        ..CallsMade::default()
    };
    let mut cells = Cells::forgotten();
    cells.tell(&caps, known(START - 20 * SECOND, 25), START);
    // Lower or older counts change nothing.
    cells.tell(&caps, known(START - 10 * SECOND, 7), START);
    let starts = next_cells(&mut cells, &caps, START, 5);
    let spent = |cells: &mut Cells, at| cells.book(&caps, Urgency::Reader, at);
    let Booking::Spent { cap, again } = spent(&mut cells, START + SECOND) else {
        panic!("more calls than the cap: {starts:?}");
    };
    assert_eq!((cap, again), (Cap::Minute, Duration::from_secs(40)));
    // Calls that this store counted itself are not added again.
    let now = START + 41 * SECOND;
    cells.tell(&caps, known(START + 30 * SECOND, 29), now);
    assert_eq!(cells.made(now).last_minute, 5);
    assert_eq!(next_cells(&mut cells, &caps, now, 25).len(), 25);
}

#[test]
fn calls_that_were_not_counted_may_be_of_this_minute() {
    let caps = Caps {
        per_minute: Some(30),
        ..RATE
    };
    let mut cells = Cells::default();
    let told = |uncounted| CallsMade {
        uncounted,
        ..CallsMade::default()
    };
    cells.tell(&caps, told(25), START);
    assert_eq!(next_cells(&mut cells, &caps, START, 5).len(), 5);
    let spent = |cells: &mut Cells, at| {
        matches!(
            cells.book(&caps, Urgency::Reader, at),
            Booking::Spent {
                cap: Cap::Minute,
                ..
            }
        )
    };
    assert!(spent(&mut cells, START + SECOND));
    // After an outage of hours, calls are held back for a minute at most.
    cells.tell(&caps, told(25_000), START + SECOND);
    assert!(spent(&mut cells, START + 61 * SECOND));
    assert!(!spent(&mut cells, START + 62 * SECOND));
}

#[test]
fn the_calls_of_the_day_are_taken_over_from_who_knows_of_those_before() {
    let caps = Caps {
        per_day: Some(100),
        ..RATE
    };
    let day = (START + SEOUL).div_euclid(DAY);
    let known = |day, today, heard_at, uncounted| CallsMade {
        day,
        today,
        heard_at,
        uncounted,
        ..CallsMade::default()
    };
    let mut cells = Cells::forgotten();
    cells.tell(&caps, CallsMade::default(), START);
    next_cells(&mut cells, &caps, START, 2);
    for (told, made) in [
        (known(day - 1, 90, START - 9, 0), 2),
        // Calls counted here are added to those that were counted elsewhere.
        (known(day, 40, START - 9, 0), 42),
        (known(day, 90, START - 9, 0), 92),
        (known(day, 60, START - 9, 0), 92),
        (known(day, 95, START + 9, 0), 92),
        (known(day, 0, 0, 7), 99),
    ] {
        cells.tell(&caps, told, START);
        let found = cells.made(START);
        assert_eq!((found.day, found.today), (day, made), "{told:?}");
    }
    next_cells(&mut cells, &caps, START + SECOND, 1);
    let spent = cells.book(&caps, Urgency::Reader, START + SECOND);
    assert!(matches!(spent, Booking::Spent { cap: Cap::Day, .. }));
    // Setting the clock back loses no call and counts none twice.
    let back = START - 100 * SECOND;
    cells.tell(&caps, known(day, 50, back - 9, 0), back);
    assert_eq!(cells.made(back).today, 100);
    // The next day starts at zero.
    let next = cells.made(START + DAY);
    assert_eq!((next.day, next.today), (day + 1, 0));
}

#[test]
fn a_clock_that_is_set_back_stops_nobody_for_as_long_as_that() {
    let caps = Caps {
        per_minute: Some(30),
        per_day: Some(60),
        ..RATE
    };
    let mut cells = Cells::default();
    let contended = next_cells(&mut cells, &caps, START, 30);
    assert_eq!(contended.len(), 30);
    cells.refused(START + 3 * SECOND);
    let back = START - 3_600 * SECOND;
    let spent = cells.book(&caps, Urgency::Reader, back);
    assert!(matches!(
        spent,
        Booking::Spent {
            cap: Cap::Minute,
            ..
        }
    ));
    let after = back + 61 * SECOND;
    let starts = next_cells(&mut cells, &caps, after, 30);
    assert!(starts[0] <= after, "{starts:?}");
    assert!(cells.share(back + 60 * SECOND) >= 1.0);
    // The calls of the day are still counted.
    let spent = cells.book(&caps, Urgency::Reader, back + 120 * SECOND);
    assert!(matches!(spent, Booking::Spent { cap: Cap::Day, .. }));
}

#[test]
fn after_a_rest_the_second_call_follows_sooner_by_as_much_as_a_cell_may_be_booked_late() {
    let late = Duration::from_micros(46_667);
    let caps = Caps { late, ..RATE };
    let mut cells = Cells::default();
    let mut now = START;
    for rest in [0, 5 * SECOND] {
        now += rest;
        let Booking::Cell {
            wait, late: begun, ..
        } = cells.book(&caps, Urgency::Sweep, now)
        else {
            panic!("nothing is spent");
        };
        assert_eq!((wait, begun), (Duration::ZERO, late));
        let first = now;
        let starts: Vec<i64> = (0..16)
            .map(|_| {
                now = start_of(cells.book(&caps, Urgency::Sweep, now), now).unwrap();
                now - first
            })
            .collect();
        assert_eq!(starts[..2], [20_000, 86_667]);
        // The first call uses the last 20 ms of its cell, so this second holds sixteen calls.
        assert_eq!(starts[15], SECOND + 20_000 + 5);
    }
}
