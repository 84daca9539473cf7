use super::*;
use proptest::prelude::*;

fn kst(text: &str) -> KrxTime {
    let naive = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
    Seoul.from_local_datetime(&naive).unwrap()
}

fn moment(text: &str) -> Moment {
    Calendar::shipped().moment(kst(text))
}

#[test]
fn an_ordinary_day_goes_through_its_phases() {
    let day = [
        ("08:29:59", Phase::Closed, false),
        ("08:30:00", Phase::OpeningAuction, false),
        ("08:59:59", Phase::OpeningAuction, false),
        ("09:00:00", Phase::Regular, true),
        ("15:19:59", Phase::Regular, true),
        ("15:20:00", Phase::ClosingAuction, true),
        ("15:29:59", Phase::ClosingAuction, true),
        ("15:30:00", Phase::Closed, false),
        ("15:40:00", Phase::PostClosePrice, false),
        ("16:00:00", Phase::AfterMarket, false),
        ("19:59:59", Phase::AfterMarket, false),
        ("20:00:00", Phase::Closed, false),
    ];
    for (time, phase, open) in day {
        let moment = moment(&format!("2026-11-20 {time}"));
        assert_eq!((moment.phase, moment.is_open()), (phase, open), "{time}");
    }
}

#[test]
fn an_auction_is_not_continuous() {
    assert!(!moment("2026-11-20 08:45:00").phase.is_continuous());
    assert!(!moment("2026-11-20 15:25:00").phase.is_continuous());
    assert!(moment("2026-11-20 10:00:00").phase.is_continuous());
}

#[test]
fn a_closed_day_says_why_and_when_it_opens_again() {
    let saturday = moment("2026-11-21 10:00:00");
    assert_eq!(saturday.closed, Some(Closed::Weekend));
    assert_eq!(saturday.next_open, Some(kst("2026-11-23 09:00:00")));
    let constitution_day = moment("2026-07-17 10:00:00");
    assert!(
        matches!(constitution_day.closed, Some(Closed::Holiday(note)) if note.contains("Constitution"))
    );
    assert_eq!(
        moment("2026-12-31 10:00:00").next_open,
        Some(kst("2027-01-04 10:00:00"))
    );
    assert_eq!(
        moment("2026-11-20 08:00:00").closed,
        Some(Closed::BeforeOpen)
    );
    assert_eq!(
        moment("2026-11-20 15:30:00").closed,
        Some(Closed::AfterClose)
    );
    assert_eq!(
        moment("2026-11-20 09:00:00").next_open,
        Some(kst("2026-11-23 09:00:00"))
    );
    assert_eq!(
        moment("2026-11-20 09:00:00").closes_at,
        Some(kst("2026-11-20 15:30:00"))
    );
}

#[test]
fn the_exam_day_is_an_hour_late_and_the_evening_ends_as_usual() {
    assert_eq!(moment("2026-11-19 09:30:00").phase, Phase::OpeningAuction);
    assert_eq!(moment("2026-11-19 10:00:00").phase, Phase::Regular);
    assert_eq!(moment("2026-11-19 15:50:00").phase, Phase::Regular);
    assert_eq!(moment("2026-11-19 16:25:00").phase, Phase::ClosingAuction);
    assert_eq!(
        moment("2026-11-19 16:25:00").closes_at,
        Some(kst("2026-11-19 16:30:00"))
    );
    assert_eq!(moment("2026-11-19 16:45:00").phase, Phase::PostClosePrice);
    assert_eq!(moment("2026-11-19 19:59:00").phase, Phase::AfterMarket);
    assert_eq!(moment("2026-11-19 08:30:00").nxt_phase, Phase::Closed);
    assert_eq!(moment("2026-11-20 08:30:00").nxt_phase, Phase::PreMarket);
}

#[test]
fn the_first_trading_day_opens_late_and_closes_as_usual() {
    assert_eq!(
        moment("2026-01-02 09:59:59").closed,
        Some(Closed::BeforeOpen)
    );
    assert_eq!(moment("2026-01-02 10:00:00").phase, Phase::Regular);
    assert_eq!(
        moment("2026-01-02 15:30:00").closed,
        Some(Closed::AfterClose)
    );
}

#[test]
fn old_evenings_had_single_price_and_old_days_ended_at_three() {
    assert_eq!(moment("2026-09-11 17:00:00").phase, Phase::SinglePrice);
    assert_eq!(moment("2026-09-14 17:00:00").phase, Phase::AfterMarket);
    assert_eq!(
        moment("2015-06-01 14:55:00").closes_at,
        Some(kst("2015-06-01 15:00:00"))
    );
    assert!(!moment("2015-06-01 15:10:00").is_open());
}

#[test]
fn the_close_is_final_between_the_cross_and_the_evening() {
    let window = |text: &str| {
        let date = kst(&format!("{text} 12:00:00")).date_naive();
        Calendar::shipped().close_window(date)
    };
    let of = |from, until| Some((kst(from), kst(until)));
    assert_eq!(
        window("2026-11-20"),
        of("2026-11-20 15:31:00", "2026-11-20 16:00:00")
    );
    assert_eq!(
        window("2026-11-19"),
        of("2026-11-19 16:31:00", "2026-11-19 17:00:00")
    );
    // From before there was evening trading.
    assert_eq!(
        window("2015-06-01"),
        of("2015-06-01 15:01:00", "2015-06-01 15:30:00")
    );
    assert_eq!(window("2026-11-21"), None);
}

#[test]
fn the_end_of_the_table_is_warned_of_and_said() {
    let calendar = Calendar::shipped();
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    assert!(calendar.cover_warning(day("2027-10-31")).is_none());
    assert!(
        calendar
            .cover_warning(day("2027-11-01"))
            .unwrap()
            .contains("2027-12-31")
    );
    assert!(!moment("2028-01-03 10:00:00").covered);
    assert_eq!(calendar.covered_through(), day("2027-12-31"));
}

#[test]
fn an_override_closes_opens_shifts_and_extends() {
    let mut calendar = Calendar::shipped();
    calendar
        .override_with(
            "date,kind,open,close,note\n# announced late\n2026-11-23,closed,,,temporary holiday\n\
             2026-12-25,ordinary,,,\n2026-11-24,hours,10:00,16:30,\n2028-12-31,covered,,,\n",
        )
        .unwrap();
    let moment = |text| calendar.moment(kst(text));
    assert!(matches!(
        moment("2026-11-23 10:00:00").closed,
        Some(Closed::Holiday(_))
    ));
    assert!(moment("2026-12-25 10:00:00").is_open());
    assert_eq!(
        moment("2026-11-20 16:00:00").next_open,
        Some(kst("2026-11-24 10:00:00"))
    );
    assert!(moment("2028-06-01 10:00:00").covered);
}

#[test]
fn the_broker_corrects_whether_a_day_trades() {
    let mut calendar = Calendar::shipped();
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    let exam = day("2026-11-19");
    assert!(!calendar.correct(exam, true), "it was said before");
    assert_eq!(
        calendar.session(exam).map(|(open, _)| open),
        Some(kst("2026-11-19 10:00:00")),
        "its hours are kept"
    );
    assert!(!calendar.correct(day("2026-11-21"), false), "a Saturday");
    assert!(calendar.correct(day("2026-11-20"), false));
    let said = calendar.moment(kst("2026-11-20 10:00:00")).closed;
    assert_eq!(
        said,
        Some(Closed::Holiday("reported by the broker".to_owned()))
    );
    assert!(calendar.correct(day("2026-12-25"), true));
    assert!(calendar.moment(kst("2026-12-25 10:00:00")).is_open());
}

#[test]
fn a_broken_override_names_its_line_and_changes_nothing() {
    let mut calendar = Calendar::shipped();
    for (row, word) in [
        ("2026-13-01,closed,,,", "line 3"),
        ("2026-11-24,hours,10:00,,", "not a time"),
        ("2026-11-24,hours,16:00,10:00,", "not before"),
        ("2026-11-24,holiday,,,", "kind 'holiday'"),
    ] {
        let text = format!("date,kind,open,close,note\n2026-11-23,closed,,,\n{row}\n");
        let error = calendar.override_with(&text).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
        assert!(calendar.is_trading_day("2026-11-23".parse().unwrap()));
    }
}

#[test]
fn a_file_that_cannot_mean_what_it_says_is_refused_with_its_line() {
    let header = "date,kind,open,close,note";
    for (text, words) in [
        // The only row would be taken for the header, and the holiday silently lost.
        ("2026-11-23,closed,,,x".to_owned(), "line 1: the header"),
        ("# x\r\n\r\ndate,kind\r\n".to_owned(), "line 3: the header"),
        (
            format!("{header}\r# x\r\r2026-11-23,bad,,,\r"),
            "line 4: kind",
        ),
        (
            format!("{header}\r\n\"2026-11-23\",closed,,,\"a\nb\"\r\n20261123,closed,,,"),
            "line 4:",
        ),
        (format!("{header}\n22026-11-23,closed,,,\n"), "line 2:"),
        (
            format!("{header}\n1026-11-23,closed,,,\n"),
            "the year of 1026-11-23",
        ),
        (
            format!("{header}\n2026-11-23,hours,09:00,09:05,\n"),
            "no room",
        ),
        (
            format!("{header}\n2026-11-23,hours,09:00,09:10,\n"),
            "no room",
        ),
        (
            format!("{header}\n2026-11-23,hours,00:10,15:00,\n"),
            "no room",
        ),
        (
            format!("{header}\n2026-11-23,hours,09:00,23:55,\n"),
            "no room",
        ),
    ] {
        let error = Calendar::shipped().override_with(&text).err();
        let said = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains(words), "{said:?} of {text:?}");
    }
    for text in [
        "",
        "#",
        "# x",
        "\n\n# x\n",
        &format!("\u{feff}{header}\n# the end"),
    ] {
        Calendar::shipped().override_with(text).unwrap();
    }
}

#[test]
fn every_listed_day_answers_as_listed() {
    for (_, row) in rows::<DayRow>(DAYS, &COLUMNS).unwrap() {
        let session = Calendar::shipped().session(row.date);
        match row.kind.as_str() {
            "closed" => assert_eq!(session, None, "{}", row.date),
            _ => {
                let (open, close) = session.unwrap();
                assert_eq!(open.format("%H:%M").to_string(), row.open, "{}", row.date);
                assert_eq!(close.format("%H:%M").to_string(), row.close, "{}", row.date);
            }
        }
    }
}

proptest! {
    #[test]
    fn the_next_open_is_open_and_never_past(minutes in 0_i64..9_460_800) {
        let at = kst("2010-01-01 00:00:00") + TimeDelta::minutes(minutes);
        let calendar = Calendar::shipped();
        let next = calendar.next_open(at).unwrap();
        prop_assert!(next > at);
        prop_assert!(calendar.moment(next).is_open());
        prop_assert!(!calendar.moment(next - TimeDelta::seconds(1)).is_open());
    }
}
