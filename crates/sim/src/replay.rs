//! A recorded day, played back at a chosen speed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveTime, TimeDelta, TimeZone};
use serde::Deserialize;

use super::index::{Index, Level, ratios};
use super::options::SimError;
use super::stock::{Figures, Stock, mark_large};
use sise_domain::{Group, KrxTime, Market, Seoul, Shipped, ShippedListing, Symbol};

/// A recorded day: snapshots of the whole market in order of time.
#[derive(Debug)]
pub(super) struct Replay {
    snapshots: Vec<Snapshot>,
    from: KrxTime,
    speed: f64,
}

/// The market at one moment, with figures in the order of the stocks.
#[derive(Debug)]
pub(super) struct Snapshot {
    at: KrxTime,
    figures: Vec<Option<Figures>>,
    levels: [Level; 3],
}

impl Snapshot {
    pub(super) fn figures(&self, place: usize) -> Option<Figures> {
        self.figures.get(place).copied().flatten()
    }

    pub(super) fn levels(&self) -> &[Level; 3] {
        &self.levels
    }
}

#[derive(Debug, Deserialize)]
struct Row {
    committed_at: DateTime<FixedOffset>,
    code: Symbol,
    market: Market,
    close: Option<i64>,
    change: Option<i64>,
    change_pct: Option<f64>,
    open: Option<i64>,
    high: Option<i64>,
    low: Option<i64>,
    volume: Option<i64>,
    amount: Option<i64>,
    market_cap: Option<i64>,
}

impl Row {
    /// Returns the figures as recorded, or `None` if the row has no price.
    fn figures(&self) -> Option<Figures> {
        let price = self.close.filter(|price| *price > 0)?;
        Some(Figures {
            price,
            base: price - self.change.unwrap_or_default(),
            rate: whole(self.change_pct.unwrap_or_default() * 100.0),
            open: self.open.unwrap_or_default(),
            high: self.high.unwrap_or_default(),
            low: self.low.unwrap_or_default(),
            volume: self.volume.unwrap_or_default(),
            value: self.amount.unwrap_or_default(),
        })
    }

    /// Returns a stock with everything that the row itself says about it.
    fn stock(&self, figures: Figures, halted: bool, day: NaiveDate) -> Stock {
        let shares = self.market_cap.unwrap_or_default() / figures.price;
        let code = self.code.as_str();
        Stock {
            code: self.code,
            name: code.to_owned(),
            market: self.market,
            group: Group::Stock,
            sector: None,
            isin: format!("KR7{code:0>6}000"),
            listed: day,
            shares,
            base: figures.base,
            previous_volume: 0,
            halted,
            large: false,
        }
    }
}

impl Replay {
    /// Reads the day in `path` and its stocks: every code that has a price in some snapshot.
    ///
    /// Name, standard code, listing date and shares come from the shipped list, if it has the code.
    /// A stock is halted if it does not trade in any snapshot.
    pub(super) fn read(
        path: &Path,
        speed: f64,
        from: Option<NaiveTime>,
    ) -> Result<(Self, Vec<Stock>), SimError> {
        let wrong = |trouble| SimError::Recording {
            path: path.to_owned(),
            trouble,
        };
        let rows = rows(path)?;
        let day = rows
            .first()
            .map(|row| row.committed_at.with_timezone(&Seoul).date_naive())
            .ok_or_else(|| wrong("it has no rows"))?;
        if rows
            .iter()
            .any(|row| row.committed_at.with_timezone(&Seoul).date_naive() != day)
        {
            return Err(wrong("it covers more than one day"));
        }
        let stocks = stocks(&rows, day);
        let snapshots = snapshots(&rows, &stocks);
        let first = snapshots
            .iter()
            .find(|shot| shot.figures.iter().any(Option::is_some))
            .ok_or_else(|| wrong("no row has a price"))?;
        let from = match from {
            Some(time) => Seoul
                .from_local_datetime(&day.and_time(time))
                .single()
                .ok_or_else(|| wrong("its day does not have the time to start from"))?,
            None => first.at,
        };
        let replay = Self {
            snapshots,
            from,
            speed,
        };
        Ok((replay, stocks))
    }

    /// Returns the recorded day.
    pub(super) fn day(&self) -> NaiveDate {
        self.from.date_naive()
    }

    /// Returns the latest snapshot at the recorded time that is reached after `elapsed`.
    ///
    /// Returns `None` before the first snapshot.
    pub(super) fn after(&self, elapsed: Duration) -> Option<&Snapshot> {
        let played = whole(elapsed.as_secs_f64() * self.speed * 1_000.0);
        let now = TimeDelta::try_milliseconds(played)
            .and_then(|played| self.from.checked_add_signed(played));
        let passed = match now {
            Some(now) => self.snapshots.partition_point(|shot| shot.at <= now),
            None => self.snapshots.len(),
        };
        self.snapshots.get(passed.checked_sub(1)?)
    }
}

fn rows(path: &Path) -> Result<Vec<Row>, SimError> {
    let open = |source: io::Error| SimError::Open {
        path: path.to_owned(),
        source,
    };
    let file = BufReader::new(File::open(path).map_err(open)?);
    let text: Box<dyn Read> = if path.extension().is_some_and(|ending| ending == "gz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    csv::Reader::from_reader(text)
        .deserialize()
        .collect::<Result<_, _>>()
        .map_err(|source| SimError::Row {
            path: path.to_owned(),
            source,
        })
}

fn stocks(rows: &[Row], day: NaiveDate) -> Vec<Stock> {
    let shipped: HashMap<Symbol, &ShippedListing> = Shipped::get()
        .listings
        .iter()
        .map(|row| (row.code, row))
        .collect();
    let mut traded: HashMap<Symbol, i64> = HashMap::new();
    for row in rows {
        let most = traded.entry(row.code).or_default();
        *most = row.volume.unwrap_or_default().max(*most);
    }
    let mut known = HashMap::new();
    let mut stocks = Vec::new();
    for row in rows {
        let Some(figures) = row.figures() else {
            continue;
        };
        if known.insert(row.code, ()).is_some() {
            continue;
        }
        let halted = traded.get(&row.code).is_none_or(|most| *most == 0);
        let mut stock = row.stock(figures, halted, day);
        if let Some(listing) = shipped.get(&row.code) {
            stock = Stock {
                market: stock.market,
                base: stock.base,
                halted,
                ..Stock::shipped(listing)
            };
        }
        stocks.push(stock);
    }
    mark_large(&mut stocks);
    stocks
}

/// Builds the snapshots.
///
/// A code has no price before its first one; later, it keeps its price through snapshots without
/// one.
fn snapshots(rows: &[Row], stocks: &[Stock]) -> Vec<Snapshot> {
    let places: HashMap<Symbol, usize> = stocks
        .iter()
        .enumerate()
        .map(|(place, stock)| (stock.code, place))
        .collect();
    let mut moments: Vec<_> = rows.iter().map(|row| row.committed_at).collect();
    moments.sort_unstable();
    moments.dedup();
    let mut by_moment: HashMap<_, Vec<&Row>> = HashMap::new();
    for row in rows {
        by_moment.entry(row.committed_at).or_default().push(row);
    }

    let mut snapshots: Vec<Snapshot> = Vec::with_capacity(moments.len());
    let mut figures: Vec<Option<Figures>> = vec![None; stocks.len()];
    let mut levels = Index::ALL.map(Level::at_base);
    let mut is_open = false;
    for moment in moments {
        let mut priced = false;
        for row in by_moment.get(&moment).into_iter().flatten() {
            let place = places.get(&row.code).and_then(|at| figures.get_mut(*at));
            if let (Some(place), Some(now)) = (place, row.figures()) {
                *place = Some(now);
                priced = true;
            }
        }
        let of = |place: usize| figures.get(place).copied().flatten();
        if priced && !is_open {
            is_open = true;
            let opened = ratios(stocks, |place| of(place).map(|now| now.open));
            for (level, ratio) in levels.iter_mut().zip(opened) {
                level.open_at(ratio);
            }
        }
        let now = ratios(stocks, |place| of(place).map(|now| now.price));
        for (level, ratio) in levels.iter_mut().zip(now) {
            level.move_to(ratio);
        }
        snapshots.push(Snapshot {
            at: moment.with_timezone(&Seoul),
            figures: figures.clone(),
            levels,
        });
    }
    snapshots
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast from a float saturates, and what it cuts was rounded before"
)]
fn whole(number: f64) -> i64 {
    number.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/sim/recorded-day.csv"
    );

    fn read(speed: f64, from: Option<&str>) -> (Replay, Vec<Stock>) {
        let from = from.map(|time| time.parse().unwrap());
        Replay::read(Path::new(DAY), speed, from).unwrap()
    }

    fn place(stocks: &[Stock], code: &str) -> usize {
        let place = stocks.iter().position(|stock| stock.code.as_str() == code);
        place.unwrap()
    }

    #[test]
    fn figures_are_those_of_the_file() {
        let (replay, stocks) = read(1.0, None);
        assert_eq!(replay.day().to_string(), "2026-03-10");
        let first = replay.after(Duration::ZERO).unwrap();
        assert_eq!(first.at.to_string(), "2026-03-10 10:32:57 KST");
        let got = first.figures(place(&stocks, "282330")).unwrap();
        let recorded = Figures {
            price: 121_500,
            base: 115_500,
            rate: 519,
            open: 117_400,
            high: 122_000,
            low: 117_400,
            volume: 7_912,
            value: 952_431_800,
        };
        assert_eq!(got, recorded);
    }

    #[test]
    fn time_runs_at_the_speed_asked_for() {
        let at = |replay: &Replay, seconds| {
            let shot = replay.after(Duration::from_secs(seconds)).unwrap();
            shot.at.format("%H:%M:%S").to_string()
        };
        let (replay, _) = read(60.0, None);
        assert_eq!(at(&replay, 0), "10:32:57");
        assert_eq!(at(&replay, 56), "10:32:57");
        assert_eq!(at(&replay, 57), "11:29:56");
        assert_eq!(at(&replay, 1_000_000), "15:59:23");
        let (frozen, _) = read(0.0, None);
        assert_eq!(at(&frozen, 1_000_000), "10:32:57");
        let (later, _) = read(0.0, Some("12:00:00"));
        assert_eq!(at(&later, 0), "11:29:56");
        let (early, _) = read(1.0, Some("09:10:58"));
        assert_eq!(at(&early, 0), "09:10:58");
        assert_eq!(at(&early, 4_918), "09:10:58");
        assert_eq!(at(&early, 4_919), "10:32:57");
        let (before, _) = read(1.0, Some("09:00:00"));
        assert!(before.after(Duration::ZERO).is_none());
    }

    #[test]
    fn a_snapshot_of_blank_prices_has_none_of_later() {
        let (blank, stocks) = read(0.0, Some("09:10:58"));
        let shot = blank.after(Duration::from_secs(1)).unwrap();
        let priced = (0..stocks.len()).filter(|place| shot.figures(*place).is_some());
        assert_eq!(priced.count(), 0);
        assert_eq!(*shot.levels(), Index::ALL.map(Level::at_base));
    }

    #[test]
    fn stocks_that_never_trade_are_halted_and_names_come_from_the_shipped_list() {
        let (_, stocks) = read(1.0, None);
        let named = |code| &stocks[place(&stocks, code)];
        assert!(named("001570").halted);
        assert_eq!(named("001570").base, 9_900);
        assert!(!named("282330").halted);
        assert_eq!(named("005930").name, "삼성전자");
        assert_eq!(named("999990").name, "999990");
        assert_eq!(named("999990").market, Market::Kosdaq);
    }

    #[test]
    fn a_file_that_cannot_be_replayed_is_named() {
        let missing = Replay::read(Path::new("/nowhere.csv.gz"), 1.0, None).unwrap_err();
        assert!(missing.to_string().contains("/nowhere.csv.gz"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("day.csv");
        let header = "committed_at,code,market,close,change,change_pct,open,high,low,volume,amount,market_cap\n";
        for (rows, trouble) in [
            ("", "no row"),
            (
                "2026-03-10T09:10:58+09:00,060310,KOSDAQ,,,,,,,,,\n",
                "price",
            ),
        ] {
            std::fs::write(&path, format!("{header}{rows}")).unwrap();
            let error = Replay::read(&path, 1.0, None).unwrap_err();
            assert!(error.to_string().contains(trouble), "{error}");
        }
    }
}
