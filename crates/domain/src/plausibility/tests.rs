use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;

/// A stock with the usual range that trades between 9,900 and 10,200.
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
        // Half a tick is a midpoint price.
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
        // Unless it is known to be in liquidation, a share goes no farther than on a first day.
        (30, PriceRange::Unknown, "outside_limits"),
        (5_990, PriceRange::Unknown, "outside_limits"),
        (6_000, PriceRange::Unknown, ""),
        (40_000, PriceRange::Unknown, ""),
        (50_500, PriceRange::Unknown, "outside_limits"),
    ] {
        assert_eq!(slug(alone(price), of(range)), expected, "{price} {range:?}");
    }
    for group in [
        None,
        Some(Group::Etf),
        Some(Group::ForeignEtf),
        Some(Group::Etn),
    ] {
        let unknown = Rules {
            group,
            ..of(PriceRange::Unknown)
        };
        assert_eq!(slug(alone(30), unknown), "", "{group:?}");
    }
    // In liquidation the broker's limits do not apply.
    let liquidation = Rules {
        range: PriceRange::Unlimited,
        ..RULES
    };
    assert_eq!(slug(alone(30), liquidation), "");
    assert_eq!(slug(alone(30), RULES), "outside_limits");
}

#[test]
fn limits_that_no_such_day_has_are_no_limits() {
    let at = |price| Figures {
        price,
        base: Some(9_900),
        open: None,
        high: None,
        low: None,
        volume: None,
        value: None,
    };
    for (range, limits, price, expected) in [
        // 6,930 to 12,870 for a base price of 9,900.
        (PriceRange::Usual, (5_000, 90_000), 50_000, "outside_limits"),
        (PriceRange::Usual, (5_000, 90_000), 12_880, ""),
        (PriceRange::Usual, (5_000, 90_000), 12_870, ""),
        (PriceRange::Usual, (6_920, 12_880), 12_880, ""),
        // After a long halt.
        (PriceRange::Usual, (4_950, 19_800), 19_800, ""),
        (PriceRange::Usual, (4_900, 19_800), 40_000, "outside_limits"),
        (PriceRange::Usual, (7_000, 12_000), 12_010, "outside_limits"),
        // 5,940 to 39,600.
        (
            PriceRange::FirstDay,
            (5_000, 90_000),
            50_000,
            "outside_limits",
        ),
        (PriceRange::FirstDay, (5_940, 39_600), 39_600, ""),
        (
            PriceRange::Unknown,
            (5_000, 90_000),
            50_000,
            "outside_limits",
        ),
        (PriceRange::Unknown, (5_000, 90_000), 12_880, ""),
        (
            PriceRange::Unknown,
            (6_930, 12_870),
            12_880,
            "outside_limits",
        ),
        (PriceRange::Unlimited, (6_930, 12_870), 50_000, ""),
    ] {
        let rules = Rules {
            limits: Some(limits),
            range,
            ..RULES
        };
        assert_eq!(slug(at(price), rules), expected, "{price} {rules:?}");
    }
    // Some funds move twice as far as the index they track.
    let fund = Rules {
        limits: Some((3_960, 15_840)),
        group: Some(Group::Etf),
        ..RULES
    };
    assert_eq!(slug(at(15_840), fund), "");
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

/// A row of the recorded days.
///
/// It has the figures, whether they show a day beyond the usual range, and whether the number of
/// shares is known.
struct Recorded {
    what: String,
    figures: Figures,
    shares: Option<u64>,
}

/// Counts of the recorded rows: all, those beyond the usual range, and those beyond the range of a
/// first day.
#[derive(Debug, Default, PartialEq, Eq)]
struct Judged {
    rows: usize,
    wide: usize,
    unlimited: usize,
}

/// Checks that a recorded row is judged correctly.
///
/// Within the usual range no other knowledge is needed; beyond it, the limits of the broker decide.
fn judge(recorded: &Recorded, judged: &mut Judged) {
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
        judged.wide += 1;
        let unlimited = Rules {
            range: PriceRange::Unlimited,
            ..rules
        };
        assert_eq!(figures.check(&unlimited), Ok(()), "{what}");
    } else {
        assert_eq!(figures.check(&rules), Ok(()), "{what}");
        // Limits that are off by a tick change nothing. Without a range they are all there is.
        let told = figures.base.map(price_limits);
        for range in [PriceRange::Usual, PriceRange::Unknown] {
            let rules = Rules {
                limits: told,
                range,
                ..rules
            };
            let is_too_wide = |base| told.is_some_and(|told| rules.are_too_wide(told, base));
            assert!(!figures.base.is_some_and(is_too_wide), "{what}");
            assert_eq!(figures.check(&rules), Ok(()), "{what}");
        }
    }
    let unknown = Rules {
        range: PriceRange::Unknown,
        ..rules
    };
    if let Err(why) = figures.check(&unknown) {
        judged.unlimited += 1;
        assert_eq!(why.slug(), "outside_limits", "{what}");
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

/// Judges the rows of a table of daily bars.
///
/// Columns are code, date, market, open, high, low, close, base, volume, value, shares and source.
fn judge_daily(table: impl std::io::Read) -> Judged {
    let mut judged = Judged::default();
    for fields in csv::Reader::from_reader(table).records() {
        let fields = fields.unwrap();
        let positive = |place| number(&fields, place).filter(|number| *number > 0);
        // The grid applies since 2023-01-25. The series of a portal (N) has invalid prices.
        if &fields[1] < "20230125" || &fields[11] == "N" {
            continue;
        }
        judged.rows += 1;
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
        judge(&recorded, &mut judged);
    }
    judged
}

/// Judges the rows of whole-market snapshots.
///
/// Columns are time, code, market, close, change, rate, open, high, low, volume, value and
/// capitalization.
fn judge_snapshots(table: impl std::io::Read) -> Judged {
    let mut judged = Judged::default();
    for fields in csv::Reader::from_reader(table).records() {
        let fields = fields.unwrap();
        let positive = |place| number(&fields, place).filter(|number| *number > 0);
        let Some(price) = positive(3) else { continue };
        judged.rows += 1;
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
        judge(&recorded, &mut judged);
    }
    judged
}

/// Days with special figures.
///
/// These are first days, liquidation, capital reductions, midpoint trades, halts, and volume
/// without a trade in the session.
const DAYS: &str = include_str!("../../../../tests/fixtures/days-of-note.csv");

#[test]
fn recorded_days_of_note_are_plausible() {
    let judged = judge_daily(DAYS.as_bytes());
    let expected = Judged {
        rows: 28,
        wide: 8,
        unlimited: 2,
    };
    assert_eq!(judged, expected);
}

/// Returns the recorded files of the whole market, if they exist.
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
        let judged = judge_daily(unpacked.stdout.take().unwrap());
        assert!(unpacked.wait().unwrap().success());
        assert!(
            judged.rows > 200_000 && judged.wide * 1_000 < judged.rows,
            "{name}: {judged:?}"
        );
        // In liquidation only; one was compared with its assessed value before its first trade.
        assert!(judged.unlimited * 5_000 < judged.rows, "{name}: {judged:?}");
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
        let judged = judge_snapshots(text.as_bytes());
        assert!(
            judged.rows > 20_000 && judged.wide * 1_000 < judged.rows,
            "{name}: {judged:?}"
        );
    }
}
