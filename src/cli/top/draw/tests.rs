use chrono::{TimeDelta, TimeZone as _};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;

use super::super::Kind;
use super::super::picture::{Movers, Place, Trouble};
use super::movers::compact;
use super::*;
use crate::cli::strip::Marks;
use crate::movers::Prices;
use crate::status::{Ages, Calls, DayCoverage, Idle, LeaderSince, Slot, Status};
use sise_domain::{Index, IndexQuote, Phase, Seoul};

fn now() -> KrxTime {
    Seoul.with_ymd_and_hms(2026, 11, 20, 10, 15, 2).unwrap()
}

fn status() -> Status {
    let open = Seoul.with_ymd_and_hms(2026, 11, 20, 9, 0, 0).unwrap();
    let mut slots = vec![Slot::Share(1.0); 75];
    slots[40] = Slot::Share(0.3);
    slots.extend([Slot::Future; 315]);
    Status {
        at: now(),
        open: true,
        phase: Phase::Regular,
        reason: None,
        market_open_at: Some(open),
        closes_at: Some(open + TimeDelta::minutes(390)),
        broker: None,
        leader: Some(LeaderSince {
            process: "host-1-00ff".to_owned(),
            lead: 3,
            since: Some(open),
        }),
        processes: Vec::new(),
        sweeps: Vec::new(),
        last_known: None,
        last_skip: None,
        coverage: DayCoverage {
            gap_below: 0.9,
            minutes: Vec::new(),
            gaps: Vec::new(),
            open,
            slots,
        },
        clock: None,
        bans: Vec::new(),
        rates: Vec::new(),
        calls: Calls {
            last_second: Some(14),
            last_minute: 837,
            today: Some(42_000),
            limit_per_second: 15.0,
            share: 1.0,
        },
        ages_ms: Some(Ages {
            p50: 800,
            p90: 1_200,
            p99: 2_000,
            max: 3_100,
        }),
        next_run: Some(now() + TimeDelta::seconds(58)),
        idle: None,
    }
}

fn picture() -> Picture {
    let place = |code: &str, name: &str, number| Place {
        code: code.parse().unwrap(),
        name: name.to_owned(),
        price: Some(72_000),
        rate: Some(-1.41),
        is_simulated: false,
        number,
        standing: None,
    };
    let movers = |kind, number| Movers {
        kind,
        prices: Prices::Realtime,
        places: vec![
            place("005930", "삼성전자", number),
            place("00104K", "CJ4우(전환)", number),
            place("088980", "맥쿼리한국인프라투융자회사", number),
            place("0126Z0", "ABC", number),
        ],
    };
    Picture {
        status: Some(status()),
        movers: vec![
            movers(Kind::Gainers, 29.97),
            movers(Kind::Losers, -29.97),
            movers(Kind::Volume, 15_234_567.0),
            movers(Kind::Value, 1.093e12),
            movers(Kind::Cap, 4.29e14),
        ],
        indices: vec![IndexQuote {
            index: Index::Kospi,
            name: "코스피".into(),
            level: 2_724.62,
            change: Some(-28.38),
            change_rate: Some(-1.03),
            volume: None,
            value: None,
            open: None,
            high: None,
            low: None,
            prev_close: None,
            timestamp: now().naive_local(),
            session: Phase::Regular,
            source: "kis.multi".into(),
            simulated: false,
            fetched_at: now(),
        }],
        trouble: None,
    }
}

fn drawn(width: u16, height: u16, change: impl FnOnce(&mut Shown<'_>)) -> Buffer {
    let picture = picture();
    drawn_of(&picture, width, height, change)
}

fn drawn_of(
    picture: &Picture,
    width: u16,
    height: u16,
    change: impl FnOnce(&mut Shown<'_>),
) -> Buffer {
    let mut shown = Shown {
        picture,
        now: now(),
        address: "redis://127.0.0.1:6379",
        market: None,
        selected: 0,
        has_help: false,
        look: Look {
            width: 80,
            marks: Marks::BLOCKS,
            is_coloured: true,
        },
    };
    change(&mut shown);
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, &shown)).unwrap();
    terminal.backend().buffer().clone()
}

/// The lines of a screen, without the second cell of wide characters.
fn text(buffer: &Buffer) -> Vec<String> {
    let area = buffer.area;
    let line = |y: u16| {
        let mut line = String::new();
        let mut x = 0;
        while x < area.width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += u16::try_from(Span::raw(symbol).width().max(1)).unwrap();
        }
        line
    };
    (0..area.height).map(line).collect()
}

fn column_of(buffer: &Buffer, y: u16, wanted: &str) -> u16 {
    let mut columns = 0..buffer.area.width;
    columns
        .find(|x| buffer[(*x, y)].symbol() == wanted)
        .unwrap()
}

#[test]
fn eighty_columns_show_health_and_two_rankings() {
    let lines = text(&drawn(80, 24, |_| {}));
    let screen = lines.join("\n");
    for part in [
        "2026-11-20 10:15:02 KST  regular, closes 15:30",
        "half 0.8 s   90 % 1.2 s   99 % 2.0 s   oldest 3.1 s",
        "14 of 15 a second   837 in the last minute   42,000 today",
        "host-1-00ff since 09:00:00 (75 min)",
        "10:16:00 (in 58 s)",
        "both markets",
        "KOSPI 2,724.62 ▼1.03 %",
    ] {
        assert!(screen.contains(part), "'{part}' in:\n{screen}");
    }
    assert!(screen.contains('▃') || screen.contains('▂'), "{screen}");
    let heads = lines
        .iter()
        .find(|line| line.starts_with("gainers"))
        .unwrap();
    assert!(
        heads.contains("losers") && !heads.contains("volume"),
        "{heads}"
    );
}

#[test]
fn wide_names_line_up_and_are_cut_between_characters() {
    let buffer = drawn(80, 24, |_| {});
    let lines = text(&buffer);
    let first = lines
        .iter()
        .position(|line| line.starts_with("005930"))
        .unwrap();
    let first = u16::try_from(first).unwrap();
    // The arrow of the rate is in the same column for every name before it.
    let arrow = column_of(&buffer, first, "▲");
    for offset in 0..4 {
        assert_eq!(column_of(&buffer, first + offset, "▲"), arrow, "{lines:#?}");
    }
    assert!(lines[usize::from(first + 2)].contains("088980 맥쿼리한국인"));
    for line in &lines {
        assert!(Span::raw(line.as_str()).width() <= 80, "{line}");
    }
}

#[test]
fn what_rises_is_red_and_what_falls_blue_unless_colours_are_off() {
    let colours = |is_coloured| {
        let buffer = drawn(80, 24, |shown| shown.look.is_coloured = is_coloured);
        let lines = text(&buffer);
        let first = lines.iter().position(|line| line.starts_with("005930"));
        let y = u16::try_from(first.unwrap()).unwrap();
        let at = |mark| buffer[(column_of(&buffer, y, mark), y)].fg;
        (at("▲"), at("▼"), buffer)
    };
    let (up, down, _) = colours(true);
    assert_eq!((up, down), (Color::LightRed, Color::LightBlue));
    let (up, down, buffer) = colours(false);
    assert_eq!((up, down), (Color::Reset, Color::Reset));
    assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset));
}

#[test]
fn a_wide_terminal_shows_all_rankings_and_keys_turn_them() {
    let head = |width, selected| {
        let lines = text(&drawn(width, 40, |shown| shown.selected = selected));
        let at = lines.iter().position(|line| line.starts_with("005930"));
        lines[at.unwrap() - 1]
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(head(200, 0), "gainers losers volume value cap");
    assert_eq!(head(120, 0), "gainers losers volume");
    assert_eq!(head(120, 3), "value cap gainers");
    assert_eq!(head(60, 4), "cap");
}

#[test]
fn what_is_wrong_is_said() {
    let mut picture = picture();
    let status = picture.status.as_mut().unwrap();
    status.leader = None;
    status.calls.share = 0.7;
    status.next_run = None;
    status.idle = Some(Idle {
        reason: "no_leader".to_owned(),
        why: "no process leads".to_owned(),
    });
    picture.trouble = Some(Trouble {
        since: now() - TimeDelta::seconds(5),
        words: "the store at redis://127.0.0.1:6379 failed: refused".to_owned(),
    });
    let screen = text(&drawn_of(&picture, 100, 24, |_| {})).join("\n");
    for part in [
        "no process leads",
        "14 of 15 a second (70.0 % since a refusal)",
        "not known; not now: no process leads",
        "no answer since 10:14:57, trying again: the store at redis",
        "삼성전자",
    ] {
        assert!(screen.contains(part), "'{part}' in:\n{screen}");
    }
    let nothing = Picture {
        status: None,
        movers: Vec::new(),
        ..picture
    };
    let screen = text(&drawn_of(&nothing, 80, 24, |_| {})).join("\n");
    assert!(screen.contains("no answer since 10:14:57"), "{screen}");
}

#[test]
fn every_size_is_drawn() {
    for width in 1..=90 {
        for height in [1, 2, 5, 11, 12, 13, 24, 60] {
            drawn(width, height, |shown| shown.has_help = width % 2 == 0);
        }
    }
    let screen = text(&drawn(80, 24, |shown| shown.has_help = true)).join("\n");
    assert!(screen.contains("Ctrl-C"), "{screen}");
    let letters = drawn(80, 24, |shown| {
        shown.look.marks = Marks::LETTERS;
        shown.has_help = true;
    });
    let is_of_letters = |line: &&String| !line.contains(['█', '▲', '─', '│']);
    assert!(text(&letters).iter().all(|line| is_of_letters(&line)));
}

#[test]
fn large_numbers_take_a_few_letters() {
    for (number, words) in [
        (0.0, "0"),
        (999.0, "999"),
        (15_234_567.0, "15.2M"),
        (1.093e12, "1.09T"),
        (4.29e14, "429T"),
        // A number that rounds up moves to the next unit, or loses a decimal.
        (999.6, "1.00K"),
        (999_499.0, "999K"),
        (999_500.0, "1.00M"),
        (-999_500.0, "-1.00M"),
        (999_999_999.0, "1.00B"),
        (9_996.0, "10.0K"),
        (99_960.0, "100K"),
        (999_999_999_999.0, "1.00T"),
        (1.2345e15, "1234T"),
    ] {
        assert_eq!(compact(number), words);
    }
}
