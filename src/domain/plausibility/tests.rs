use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;

/// A stock of the usual range that trades between 9,900 and 10,200.
const USUAL: Figures = Figures {
    price: 10_100,
    base: Some(10_000),
    open: Some(9_950),
    high: Some(10_200),
    low: Some(9_900),
    volume: Some(1_000),
    value: Some(10_050_000),
};

const RULES: Rules = Rules {
    limits: Some((7_000, 13_000)),
    range: PriceRange::Unknown,
    group: Some(Group::Stock),
    shares: Some(1_000_000),
    is_evening: false,
};

fn slug(figures: Figures, rules: Rules) -> &'static str {
    figures.check(&rules).map_or_else(|why| why.slug(), |()| "")
}

#[test]
fn what_contradicts_itself_or_the_exchange_is_told_by_its_reason() {
    let price = |price| Figures { price, ..USUAL };
    for (figures, expected) in [
        (USUAL, ""),
        (price(1), "outside_day"),
        (price(i64::MAX), "too_high"),
        (price(10_205), ""),
        (price(10_101), "off_grid"),
        (
            Figures {
                high: Some(9_800),
                ..USUAL
            },
            "high_below_low",
        ),
        (
            Figures {
                high: Some(10_000),
                ..USUAL
            },
            "outside_day",
        ),
        (
            Figures {
                low: Some(10_150),
                ..USUAL
            },
            "outside_day",
        ),
        (
            Figures {
                open: Some(1),
                ..USUAL
            },
            "outside_day",
        ),
        (
            Figures {
                low: Some(6_990),
                ..USUAL
            },
            "outside_limits",
        ),
        (
            Figures {
                high: Some(13_010),
                ..USUAL
            },
            "outside_limits",
        ),
        (
            Figures {
                base: Some(7),
                ..USUAL
            },
            "outside_limits",
        ),
        (
            Figures {
                base: Some(i64::MAX),
                ..USUAL
            },
            "too_high",
        ),
        (
            Figures {
                volume: Some(i64::MAX),
                ..USUAL
            },
            "volume",
        ),
        (
            Figures {
                value: Some(i64::MAX),
                ..USUAL
            },
            "value",
        ),
        (
            Figures {
                volume: Some(1),
                ..USUAL
            },
            "average",
        ),
        (
            Figures {
                volume: Some(0),
                ..USUAL
            },
            "average",
        ),
        (
            Figures {
                value: Some(0),
                ..USUAL
            },
            "average",
        ),
        (
            Figures {
                value: Some(10),
                ..USUAL
            },
            "average",
        ),
    ] {
        // Half of a tick is a price of the midpoint.
        let expected = if figures.price == 10_205 {
            "outside_day"
        } else {
            expected
        };
        assert_eq!(slug(figures, RULES), expected, "{figures:?}");
    }
    assert_eq!(slug(price(10_105), RULES), "", "half a tick");
}

#[test]
fn without_limits_the_range_of_the_day_decides() {
    let alone = |price| Figures {
        price,
        base: Some(10_000),
        open: None,
        high: None,
        low: None,
        volume: None,
        value: None,
    };
    let of = |range| Rules {
        limits: None,
        range,
        ..RULES
    };
    for (price, range, expected) in [
        (1, PriceRange::Usual, "outside_limits"),
        (7_000, PriceRange::Usual, ""),
        (6_990, PriceRange::Usual, "outside_limits"),
        (13_010, PriceRange::Usual, "outside_limits"),
        (13_010, PriceRange::FirstDay, ""),
        (40_000, PriceRange::FirstDay, ""),
        (40_050, PriceRange::FirstDay, "outside_limits"),
        (5_990, PriceRange::FirstDay, "outside_limits"),
        (30, PriceRange::Unlimited, ""),
        (30, PriceRange::Unknown, ""),
    ] {
        assert_eq!(slug(alone(price), of(range)), expected, "{price} {range:?}");
    }
    // The broker's limits say nothing in liquidation.
    let liquidation = Rules {
        range: PriceRange::Unlimited,
        ..RULES
    };
    assert_eq!(slug(alone(30), liquidation), "");
    assert_eq!(slug(alone(30), RULES), "outside_limits");
}

#[test]
fn funds_have_a_grid_of_their_own_and_evenings_prices_beyond_the_days() {
    let fund = Rules {
        group: Some(Group::Etf),
        ..RULES
    };
    let odd = Figures {
        price: 10_101,
        ..USUAL
    };
    assert_eq!(slug(odd, fund), "");
    assert_eq!(
        slug(
            odd,
            Rules {
                group: None,
                ..RULES
            }
        ),
        ""
    );
    let late = Figures {
        price: 10_300,
        ..USUAL
    };
    assert_eq!(slug(late, RULES), "outside_day");
    assert_eq!(
        slug(
            late,
            Rules {
                is_evening: true,
                ..RULES
            }
        ),
        ""
    );
}

#[test]
fn the_grid_has_half_ticks() {
    for price in [
        1, 1_999, 2_002, 2_007, 2_008, 5_002, 7_065, 27_925, 119_550, 222_750, 680_500,
    ] {
        assert!(is_on_grid(price), "{price}");
    }
    for price in [
        2_501, 7_066, 10_101, 27_910, 46_949, 119_560, 222_700, 680_400,
    ] {
        assert!(!is_on_grid(price), "{price}");
    }
}

/// One row of the recorded days: figures, whether they show a day beyond the usual range, and
/// whether the shares are known.
struct Recorded {
    what: String,
    figures: Figures,
    shares: Option<u64>,
}

/// Whether the recorded row is judged as it should: what stays within the usual range is so without any
/// other knowledge, all else by what the broker would say of it.
fn judge(recorded: &Recorded, wide: &mut usize) {
    let Recorded {
        what,
        figures,
        shares,
    } = recorded;
    let rules = Rules {
        limits: None,
        range: PriceRange::Usual,
        group: Some(Group::Stock),
        shares: *shares,
        is_evening: false,
    };
    if let Err(Implausible::OutsideLimits { .. }) = figures.check(&rules) {
        *wide += 1;
        let unlimited = Rules {
            range: PriceRange::Unlimited,
            ..rules
        };
        assert_eq!(figures.check(&unlimited), Ok(()), "{what}");
    } else {
        assert_eq!(figures.check(&rules), Ok(()), "{what}");
    }
}

fn number(fields: &csv::StringRecord, place: usize) -> Option<i64> {
    let text = fields.get(place)?;
    text.parse::<f64>().ok().map(|number| {
        #[expect(clippy::cast_possible_truncation, reason = "won and shares")]
        let whole = number as i64;
        whole
    })
}

/// Rows of a table of daily bars (code, date, market, open, high, low, close, base, volume, value,
/// shares, source).
fn judge_daily(table: impl std::io::Read) -> (usize, usize) {
    let (mut rows, mut wide) = (0, 0);
    for fields in csv::Reader::from_reader(table).records() {
        let fields = fields.unwrap();
        let positive = |place| number(&fields, place).filter(|number| *number > 0);
        // The grid is of 2023-01-25; a portal's own series (N) has prices that were none.
        if &fields[1] < "20230125" || &fields[11] == "N" {
            continue;
        }
        rows += 1;
        let recorded = Recorded {
            what: fields.iter().collect::<Vec<_>>().join(","),
            figures: Figures {
                price: positive(6).unwrap(),
                base: positive(7),
                open: positive(3),
                high: positive(4),
                low: positive(5),
                volume: number(&fields, 8),
                value: number(&fields, 9),
            },
            shares: positive(10).and_then(|shares| shares.try_into().ok()),
        };
        judge(&recorded, &mut wide);
    }
    (rows, wide)
}

/// Rows of whole-market snapshots (time, code, market, close, change, rate, open, high, low, volume,
/// value, capitalisation).
fn judge_snapshots(table: impl std::io::Read) -> (usize, usize) {
    let (mut rows, mut wide) = (0, 0);
    for fields in csv::Reader::from_reader(table).records() {
        let fields = fields.unwrap();
        let positive = |place| number(&fields, place).filter(|number| *number > 0);
        let Some(price) = positive(3) else { continue };
        rows += 1;
        let recorded = Recorded {
            what: fields.iter().collect::<Vec<_>>().join(","),
            figures: Figures {
                price,
                base: number(&fields, 4).map(|change| price - change),
                open: positive(6),
                high: positive(7),
                low: positive(8),
                volume: number(&fields, 9),
                value: number(&fields, 10),
            },
            shares: None,
        };
        judge(&recorded, &mut wide);
    }
    (rows, wide)
}

/// Days of note: first days, liquidation, capital reductions, midpoint trades, halts, volume
/// without a trade in the session.
const DAYS: &str = include_str!("../../../tests/fixtures/days-of-note.csv");

#[test]
fn recorded_days_of_note_are_plausible() {
    let (rows, wide) = judge_daily(DAYS.as_bytes());
    assert_eq!((rows, wide), (28, 8));
}

/// Where the recorded days of the whole market lie, if they do.
fn recorded(folder: &str) -> Vec<PathBuf> {
    let ancestors = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1);
    let mut folders = ancestors.map(|above| above.join("shared/data").join(folder));
    let Some(Ok(entries)) = folders
        .find(|folder| folder.is_dir())
        .map(std::fs::read_dir)
    else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn no_recorded_day_of_the_market_gives_a_false_alarm() {
    let mut codes = HashSet::new();
    for path in recorded("daily") {
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.starts_with("krx-daily-") || name < "krx-daily-2023" {
            continue;
        }
        let unpacked = Command::new("zstd")
            .arg("-dc")
            .arg(&path)
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut unpacked) = unpacked else {
            eprintln!("zstd is not installed: {name} is left out");
            continue;
        };
        let (rows, wide) = judge_daily(unpacked.stdout.take().unwrap());
        assert!(unpacked.wait().unwrap().success());
        assert!(
            rows > 200_000 && wide * 1_000 < rows,
            "{name}: {rows} {wide}"
        );
        codes.insert(name.to_owned());
    }
    for path in recorded("intraday") {
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.starts_with("krx-snapshots-") {
            continue;
        }
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(File::open(&path).unwrap())
            .read_to_string(&mut text)
            .unwrap();
        let (rows, wide) = judge_snapshots(text.as_bytes());
        assert!(
            rows > 20_000 && wide * 1_000 < rows,
            "{name}: {rows} {wide}"
        );
    }
}
