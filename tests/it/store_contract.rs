//! Proves one contract on every store, memory, one Redis, a cluster and a master behind sentinels,
//! and of Redis what it alone has: the names of its keys, and how it behaves while the server is
//! away, frozen or silent.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use ::redis::AsyncCommands as _;
use chrono::TimeZone as _;
use sise::domain::{Index, IndexQuote, Market, Phase, Quote, Seoul, Status, Symbol};
use sise::port::{
    Change, Changes as _, CopyStore, Heard, IndexStore, Lead, Leadership, PriceStore, Shelf,
    Standing, StoreError,
};
use sise::store::{MemoryStore, RedisSettings, RedisStore};
use tokio::time::{advance, timeout};

use crate::support::certificates::Certificates;
use crate::support::cluster::Cluster;
use crate::support::free_port;
use crate::support::program::Program;
use crate::support::redis::RedisServer;
use crate::support::sentinel::SentinelSet;
use crate::support::silent_proxy::SilentProxy;
use crate::support::simulated_broker::SimulatedBroker;
use crate::support::{PATIENCE, list, until};

const LIFE: Duration = Duration::from_secs(120);

/// What a store must do, whatever it is made of.
trait Store: PriceStore + IndexStore + CopyStore + Leadership {}
impl<T: PriceStore + IndexStore + CopyStore + Leadership> Store for T {}

fn symbol(code: &str) -> Symbol {
    code.parse().unwrap()
}

/// A quote with every field.
fn full(code: &str, price: i64) -> Quote {
    let fetched_at = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 1).unwrap();
    Quote {
        stock_code: symbol(code),
        stock_name: "삼성전자".into(),
        price,
        change: Some(-1_000),
        change_rate: Some(-1.41),
        volume: Some(15_234_567),
        timestamp: fetched_at.naive_local(),
        market: Some(Market::Kospi),
        open: Some(71_000),
        high: Some(72_300),
        low: Some(70_900),
        base_price: Some(71_000),
        value: Some(1_093_000_000_000),
        venue: "KRX".into(),
        session: Phase::Regular,
        status: Status::Trading,
        limit: None,
        source: "kis.multi".into(),
        simulated: false,
        fetched_at: fetched_at + chrono::TimeDelta::milliseconds(123),
    }
}

/// A quote with nothing but a price.
fn sparse(code: &str, price: i64) -> Quote {
    Quote {
        change: None,
        change_rate: None,
        volume: None,
        market: None,
        open: None,
        high: None,
        low: None,
        base_price: None,
        value: None,
        status: Status::Halted,
        ..full(code, price)
    }
}

async fn what_is_written_is_read(store: &dyn Store) {
    let quotes = [full("005930", 72_000), sparse("0126Z0", 1)];
    let symbols = quotes.each_ref().map(|quote| quote.stock_code);
    let expected = quotes.clone().map(|quote| Some(Box::new(quote)));
    store
        .write(&quotes, Shelf::Realtime(LIFE), None)
        .await
        .unwrap();
    assert_eq!(store.realtime(&symbols).await.unwrap(), expected);
    for (symbol, quote) in symbols.into_iter().zip(&expected) {
        assert_eq!(store.realtime(&[symbol]).await.unwrap()[0], *quote);
    }
    assert_eq!(store.close(&symbols).await.unwrap(), [None, None]);
    store.write(&quotes, Shelf::Close, None).await.unwrap();
    assert_eq!(store.close(&symbols).await.unwrap(), expected);
}

async fn times_are_cut_to_what_the_contract_carries(store: &dyn Store) {
    let mut quote = full("005930", 72_000);
    quote.fetched_at += chrono::TimeDelta::nanoseconds(456_789);
    quote.timestamp = quote.fetched_at.naive_local();
    for shelf in [Shelf::Realtime(LIFE), Shelf::Close] {
        store.write(&[quote.clone()], shelf, None).await.unwrap();
    }
    let expected = Some(Box::new(full("005930", 72_000)));
    let symbols = [symbol("005930")];
    assert_eq!(store.realtime(&symbols).await.unwrap()[0], expected);
    assert_eq!(store.close(&symbols).await.unwrap()[0], expected);
}

async fn many_are_read_in_order_with_gaps(store: &dyn Store) {
    let codes = list::every_code();
    let symbols: Vec<Symbol> = codes.iter().map(|code| symbol(code)).collect();
    let price = |place: usize| 100 + i64::try_from(place).unwrap();
    let written: Vec<Quote> = (0..codes.len())
        .rev()
        .filter(|place| place % 3 != 0)
        .map(|place| full(&codes[place], price(place)))
        .collect();
    for shelf in [Shelf::Realtime(LIFE), Shelf::Close] {
        store.write(&written, shelf, None).await.unwrap();
    }
    let expected: Vec<Option<i64>> = (0..codes.len())
        .map(|place| (place % 3 != 0).then(|| price(place)))
        .collect();
    let prices = |quotes: Vec<Option<Box<Quote>>>| -> Vec<Option<i64>> {
        let price = |quote: Option<Box<Quote>>| Some(quote?.price);
        quotes.into_iter().map(price).collect()
    };
    assert_eq!(prices(store.realtime(&symbols).await.unwrap()), expected);
    assert_eq!(prices(store.close(&symbols).await.unwrap()), expected);
    // A code that is asked for twice is answered twice.
    let twice = [symbols[1], symbols[0], symbols[1]];
    let answers = prices(store.realtime(&twice).await.unwrap());
    assert_eq!(answers, [Some(price(1)), None, Some(price(1))]);
}

async fn a_newer_quote_takes_the_place_of_the_older(store: &dyn Store) {
    let symbols = [symbol("005930")];
    for shelf in [Shelf::Realtime(LIFE), Shelf::Close] {
        for quote in [full("005930", 72_000), sparse("005930", 72_100)] {
            store
                .write(std::slice::from_ref(&quote), shelf, None)
                .await
                .unwrap();
            let read = match shelf {
                Shelf::Realtime(_) => store.realtime(&symbols).await.unwrap(),
                Shelf::Close | Shelf::LastKnown(_) => store.close(&symbols).await.unwrap(),
            };
            assert_eq!(read, [Some(Box::new(quote))]);
        }
    }
}

/// A price of one code: whose, at which second of the day's tenth hour it happened and was told, and
/// the volume.
fn moment(source: &'static str, happened: i64, told: f64, volume: i64) -> Quote {
    let ten = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
    let after =
        |seconds: f64| ten + chrono::TimeDelta::from_std(Duration::from_secs_f64(seconds)).unwrap();
    let happened = ten + chrono::TimeDelta::seconds(happened);
    Quote {
        source: source.into(),
        volume: Some(volume),
        timestamp: happened.naive_local(),
        fetched_at: after(told),
        ..full("005930", 10_000 + volume % 1_000)
    }
}

async fn the_newer_stands_whoever_writes(store: &dyn Store) {
    let symbols = [symbol("005930")];
    let (sweep, feed) = ("kis.multi", "kis.ws");
    let mut stands = None;
    for (source, happened, told, volume, is_newer) in [
        (sweep, 0, 0.0, 50, true),
        // Asked for later: as the broker says, whatever was said before.
        (sweep, 1, 1.0, 40, true),
        (sweep, 1, 1.0, 40, true),
        (sweep, 0, 0.999, 45, false),
        (feed, 2, 2.3, 100, true),
        // Asked for before the trade came, and answered after it.
        (sweep, 1, 1.5, 90, false),
        (sweep, 2, 2.2, 100, false),
        // Of one second: the one with more behind it.
        (feed, 2, 2.4, 99, false),
        (feed, 2, 2.4, 101, true),
        (feed, 1, 2.5, 102, false),
        (sweep, 3, 3.0, 110, true),
        // A trade that was long on its way.
        (feed, 3, 3.2, 105, false),
        (feed, 4, 4.1, 120, true),
        // The broker takes a trade back.
        (sweep, 5, 5.0, 119, true),
        (feed, 6, 6.2, 119, true),
        // One bad record outranks nothing that follows in another second.
        (feed, 7, 7.1, 9_000_000, true),
        (feed, 7, 7.2, 121, false),
        (feed, 8, 8.1, 122, true),
        // A price with too much volume holds trades up for three seconds.
        (sweep, 9, 9.0, 9_000_000, true),
        (feed, 12, 12.1, 123, false),
        (feed, 13, 13.1, 124, true),
        // Its own time is ahead of when it was told.
        (feed, 59, 14.0, 9_000_000, true),
        (feed, 15, 15.2, 125, true),
        // The next day begins at nothing.
        (feed, 86_400, 86_400.2, 3, true),
        (sweep, 16, 16.0, 9_000_000, false),
    ] {
        let quote = moment(source, happened, told, volume);
        let quotes = [full("000660", 1), quote.clone()];
        let written = store
            .write(&quotes, Shelf::Realtime(LIFE), None)
            .await
            .unwrap();
        let older = if is_newer { vec![] } else { vec![1] };
        assert_eq!(written.older, older, "{source} {happened} {told} {volume}");
        if is_newer {
            stands = Some(Box::new(quote));
        }
        assert_eq!(store.realtime(&symbols).await.unwrap(), [stands.clone()]);
    }
    // Each shelf is judged by itself.
    let (early, late) = (moment(sweep, 1, 1.0, 1), moment(sweep, 2, 2.0, 2));
    for (quote, older) in [(&early, vec![]), (&late, vec![]), (&early, vec![0])] {
        let quotes = std::slice::from_ref(quote);
        let written = store.write(quotes, Shelf::Close, None).await.unwrap();
        assert_eq!(written.older, older);
    }
    let close = store.close(&symbols).await.unwrap();
    assert_eq!(close, [Some(Box::new(late))]);
}

/// A close takes the place of what was last known of its session, even if that was taken later;
/// never the other way round, for prices and indices alike.
async fn what_was_last_known_gives_way_to_a_close_and_never_a_close_to_it(store: &dyn Store) {
    let on = |day, hour| Seoul.with_ymd_and_hms(2026, 11, day, hour, 35, 0).unwrap();
    let known = |day| Shelf::LastKnown(chrono::NaiveDate::from_ymd_opt(2026, 11, day).unwrap());
    let symbols = [symbol("005930")];
    let steps = [
        (known(18), on(18, 17), 1, true),
        (known(18), on(18, 20), 2, true),
        // Taken before what it replaces.
        (Shelf::Close, on(18, 15), 3, true),
        (known(18), on(18, 21), 4, false),
        (known(18), on(19, 8), 5, false),
        (Shelf::Close, on(17, 15), 6, false),
        (known(19), on(19, 17), 7, true),
        (Shelf::Close, on(20, 15), 8, true),
    ];
    for (shelf, fetched_at, price, is_taken) in steps {
        let quote = Quote {
            fetched_at,
            ..full("005930", price)
        };
        let written = store.write(&[quote], shelf, None).await.unwrap();
        assert_eq!(written.older.is_empty(), is_taken, "price {price}");
        let close = store.close(&symbols).await.unwrap()[0].clone().unwrap();
        assert_eq!(close.price == price, is_taken, "price {price}");
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let level = IndexQuote {
            fetched_at,
            ..index(Index::Kospi, price as f64)
        };
        let levels = std::slice::from_ref(&level);
        store.write_indices(levels, shelf, None).await.unwrap();
        let kept = store.closing_indices().await.unwrap();
        assert_eq!(kept == levels, is_taken, "level {price}");
    }
    // What is kept stands in for a level that does not live.
    assert_eq!(store.indices().await.unwrap(), []);
    let latest = store.latest_indices().await.unwrap();
    assert_eq!(latest, store.closing_indices().await.unwrap());
}

/// A real close takes the place of a simulated one, or of what was last known of one, whenever they were
/// taken, and never the other way round; for prices and indices alike.
async fn what_is_simulated_gives_way_to_a_real_close_and_never_a_real_close_to_it(
    store: &dyn Store,
) {
    let on = |day, hour| Seoul.with_ymd_and_hms(2026, 11, day, hour, 35, 0).unwrap();
    let known = |day| Shelf::LastKnown(chrono::NaiveDate::from_ymd_opt(2026, 11, day).unwrap());
    let symbols = [symbol("005930")];
    let steps = [
        (Shelf::Close, on(18, 15), true, true),
        // Of one kind as ever.
        (Shelf::Close, on(18, 14), true, false),
        (known(18), on(18, 17), true, false),
        // Taken before what it replaces, and last known where that is a close.
        (known(17), on(17, 17), false, true),
        (Shelf::Close, on(20, 15), true, false),
        (known(20), on(20, 17), true, false),
        (known(17), on(17, 16), false, false),
        (Shelf::Close, on(18, 15), false, true),
        (Shelf::Close, on(20, 15), true, false),
        (known(20), on(20, 17), true, false),
        (Shelf::Close, on(19, 15), false, true),
    ];
    for (price, (shelf, fetched_at, simulated, is_taken)) in (1..).zip(steps) {
        let quote = Quote {
            fetched_at,
            simulated,
            ..full("005930", price)
        };
        let quotes = std::slice::from_ref(&quote);
        let written = store.write(quotes, shelf, None).await.unwrap();
        assert_eq!(written.older.is_empty(), is_taken, "price {price}");
        let close = store.close(&symbols).await.unwrap()[0].clone();
        assert_eq!(close == Some(Box::new(quote)), is_taken, "price {price}");
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let level = IndexQuote {
            fetched_at,
            simulated,
            ..index(Index::Kospi, price as f64)
        };
        let levels = std::slice::from_ref(&level);
        store.write_indices(levels, shelf, None).await.unwrap();
        let kept = store.closing_indices().await.unwrap();
        assert_eq!(kept == levels, is_taken, "level {price}");
    }
}

async fn an_index_gives_way_to_a_newer_one_alone(store: &dyn Store) {
    let newer = index(Index::Kospi, 2_725.0);
    let mut older = index(Index::Kospi, 2_700.0);
    older.fetched_at -= chrono::TimeDelta::milliseconds(1);
    for level in [&newer, &older] {
        let levels = std::slice::from_ref(level);
        store
            .write_indices(levels, Shelf::Realtime(LIFE), None)
            .await
            .unwrap();
    }
    assert_eq!(store.indices().await.unwrap(), [newer]);
}

async fn realtime_prices_die_and_closes_do_not(store: &dyn Store) {
    let quote = full("005930", 72_000);
    let symbols = [quote.stock_code];
    let quotes = [quote.clone()];
    store.write(&quotes, Shelf::Close, None).await.unwrap();
    let life = Shelf::Realtime(Duration::from_millis(200));
    store.write(&quotes, life, None).await.unwrap();
    until("the price dies", async || {
        store.realtime(&symbols).await.unwrap()[0]
            .is_none()
            .then_some(())
    })
    .await;
    assert_eq!(
        store.close(&symbols).await.unwrap(),
        [Some(Box::new(quote))]
    );
}

async fn a_price_written_again_lives_anew(store: &dyn Store) {
    let quote = full("005930", 72_000);
    let symbols = [quote.stock_code];
    let short = Shelf::Realtime(Duration::from_millis(200));
    let other = full("000660", 1);
    let both = [quote.clone(), other.clone()];
    store.write(&both, short, None).await.unwrap();
    store
        .write(&[quote], Shelf::Realtime(LIFE), None)
        .await
        .unwrap();
    until("the other price dies", async || {
        let read = store.realtime(&[other.stock_code]).await.unwrap();
        read[0].is_none().then_some(())
    })
    .await;
    assert!(store.realtime(&symbols).await.unwrap()[0].is_some());
}

async fn nothing_is_written_and_read_as_nothing(store: &dyn Store) {
    for shelf in [Shelf::Realtime(LIFE), Shelf::Close] {
        store.write(&[], shelf, None).await.unwrap();
    }
    assert!(store.realtime(&[]).await.unwrap().is_empty());
    assert!(store.close(&[]).await.unwrap().is_empty());
    assert_eq!(store.realtime(&[symbol("005930")]).await.unwrap(), [None]);
    store.ping().await.unwrap();
}

async fn copies_are_kept_by_name(store: &dyn Store) {
    assert_eq!(store.load_copy("universe").await.unwrap(), None);
    for text in ["code,name\n005930,삼성전자\n", "another", ""] {
        store.save_copy("universe", text).await.unwrap();
        let copy = store.load_copy("universe").await.unwrap();
        assert_eq!(copy.as_deref(), Some(text));
    }
    assert_eq!(store.load_copy("another").await.unwrap(), None);
}

fn index(index: Index, level: f64) -> IndexQuote {
    let fetched_at = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 1).unwrap();
    IndexQuote {
        index,
        name: index.korean_name().into(),
        level,
        change: Some(-28.38),
        change_rate: Some(-1.03),
        volume: Some(561_107_000),
        value: Some(10_288_958_000_000),
        open: Some(2_751.47),
        high: Some(2_752.17),
        low: None,
        prev_close: None,
        timestamp: fetched_at.naive_local(),
        session: Phase::Regular,
        source: "kis.multi".into(),
        simulated: false,
        fetched_at,
    }
}

async fn indices_are_kept_for_their_life(store: &dyn Store) {
    assert_eq!(store.indices().await.unwrap(), []);
    let first = [index(Index::Kospi200, 380.5), index(Index::Kospi, 2_724.62)];
    store
        .write_indices(&first, Shelf::Realtime(LIFE), None)
        .await
        .unwrap();
    let [kospi200, kospi] = first;
    assert_eq!(store.indices().await.unwrap(), [kospi, kospi200.clone()]);
    let mut newer = index(Index::Kospi, 2_725.0);
    newer.fetched_at += chrono::TimeDelta::nanoseconds(1_456_789);
    store
        .write_indices(&[newer.clone()], Shelf::Realtime(LIFE), None)
        .await
        .unwrap();
    assert_eq!(
        store.indices().await.unwrap(),
        [newer.as_stored(), kospi200.clone()]
    );
    let short = Duration::from_millis(1);
    store
        .write_indices(&[kospi200], Shelf::Realtime(short), None)
        .await
        .unwrap();
    until("an index dies", async || {
        (store.indices().await.unwrap().len() == 1).then_some(())
    })
    .await;
    store
        .write_indices(&[], Shelf::Realtime(LIFE), None)
        .await
        .unwrap();
}

async fn indices_are_taken_from_the_last_leader_alone(store: &dyn Store) {
    let Standing::Leading(leader) = store.campaign("a", LIFE).await.unwrap() else {
        panic!("nobody else leads");
    };
    let level = index(Index::Kosdaq, 712.01);
    let lead = Some(leader.lead);
    store
        .write_indices(std::slice::from_ref(&level), Shelf::Realtime(LIFE), lead)
        .await
        .unwrap();
    let kept = store.indices().await.unwrap();
    assert_eq!(kept, std::slice::from_ref(&level));
    let lower = [index(Index::Kosdaq, 1.0)];
    for ended in [Lead(leader.lead.0 - 1), Lead(leader.lead.0 + 1)] {
        let outcome = store
            .write_indices(&lower, Shelf::Realtime(LIFE), Some(ended))
            .await;
        assert_eq!(outcome, Err(StoreError::Superseded { lead: ended }));
    }
    assert_eq!(store.indices().await.unwrap(), [level]);
}

crate::support::contract::contract!(
    super::MemoryStore::default(),
    super::store_at,
    [in_redis: super::RedisServer, in_a_cluster: super::Cluster, behind_sentinels: super::SentinelSet],
    (
    what_is_written_is_read,
    times_are_cut_to_what_the_contract_carries,
    many_are_read_in_order_with_gaps,
    a_newer_quote_takes_the_place_of_the_older,
    the_newer_stands_whoever_writes,
    an_index_gives_way_to_a_newer_one_alone,
    what_was_last_known_gives_way_to_a_close_and_never_a_close_to_it,
    what_is_simulated_gives_way_to_a_real_close_and_never_a_real_close_to_it,
    realtime_prices_die_and_closes_do_not,
    a_price_written_again_lives_anew,
    nothing_is_written_and_read_as_nothing,
    copies_are_kept_by_name,
    indices_are_kept_for_their_life,
    indices_are_taken_from_the_last_leader_alone,
)
);

#[tokio::test(start_paused = true)]
async fn memory_keeps_a_price_for_its_life_to_the_millisecond() {
    let store = MemoryStore::default();
    let quote = full("005930", 72_000);
    let symbols = [quote.stock_code];
    store
        .write(&[quote], Shelf::Realtime(LIFE), None)
        .await
        .unwrap();
    let moment = Duration::from_millis(1);
    advance(LIFE.saturating_sub(moment)).await;
    assert!(store.realtime(&symbols).await.unwrap()[0].is_some());
    advance(moment).await;
    assert!(store.realtime(&symbols).await.unwrap()[0].is_none());
}

/// A store as the program makes it, with time-outs for a machine full of tests.
fn store_at(url: &str) -> RedisStore {
    store(url, "")
}

fn store(url: &str, namespace: &str) -> RedisStore {
    store_with(url, namespace, Duration::from_secs(2))
}

fn store_with(url: &str, namespace: &str, timeout: Duration) -> RedisStore {
    RedisStore::new(&RedisSettings {
        url,
        namespace,
        connect_timeout: timeout,
        response_timeout: timeout,
    })
    .unwrap()
}

/// As the program has them by default.
const SHORT: Duration = Duration::from_millis(100);

/// Waits until the store answers.
async fn answers(store: &RedisStore) {
    until("the store answers", async || store.ping().await.ok()).await;
}

/// Asserts that the store gives an error instead of waiting.
async fn fails(store: &RedisStore) {
    let quotes = [full("005930", 72_000)];
    let symbols = [symbol("005930"), symbol("000660")];
    let life = Shelf::Realtime(LIFE);
    let in_time = async {
        assert!(store.write(&quotes, life, None).await.is_err());
        assert!(store.realtime(&symbols[..1]).await.is_err());
        assert!(store.realtime(&symbols).await.is_err());
        assert!(store.close(&symbols).await.is_err());
        assert!(store.load_copy("universe").await.is_err());
        assert!(store.save_copy("universe", "").await.is_err());
        assert!(store.ping().await.is_err());
    };
    assert!(timeout(PATIENCE / 4, in_time).await.is_ok(), "it waits");
}

/// Asserts that the store writes and reads.
async fn works(store: &RedisStore) {
    let quote = full("005930", 72_000);
    let life = Shelf::Realtime(LIFE);
    store
        .write(std::slice::from_ref(&quote), life, None)
        .await
        .unwrap();
    let read = store.realtime(&[quote.stock_code]).await.unwrap();
    assert_eq!(read, [Some(Box::new(quote))]);
}

/// What stands in Redis, and whether a price that was asked for at 10:00:01.123 takes its place.
const OTHERS: [(&str, bool); 17] = [
    // The seven fields that other programs write: of its timestamp.
    (
        r#"{"stock_code":"005930","stock_name":"x","price":1,"change":0,"change_rate":0.0,"volume":9,"timestamp":"2026-11-20T10:00:01"}"#,
        true,
    ),
    (
        r#"{"stock_code":"005930","stock_name":"x","price":1,"change":0,"change_rate":0.0,"volume":9,"timestamp":"2026-11-20T10:00:02"}"#,
        false,
    ),
    (
        r#"{ "price": 1, "stock_code": "005930", "timestamp": "2026-11-20T10:00:01.500" }"#,
        false,
    ),
    // Other ways to write the same time.
    (
        r#"{"stock_code":"005930","price":1,"timestamp":"x","fetched_at":"2026-11-20T01:00:01.124Z"}"#,
        false,
    ),
    (
        r#"{"stock_code":"005930","price":1,"timestamp":"x","fetched_at":"2026-11-20T01:00:01.122Z"}"#,
        true,
    ),
    (
        r#"{"stock_code":"005930","price":1,"timestamp":"x","fetched_at":"2026-11-19T20:00:01.124-05:00"}"#,
        false,
    ),
    // The time of something else.
    (
        r#"{"stock_code":"005930","price":1,"of":{"fetched_at":"2026-11-20T10:00:09.000+09:00"},"timestamp":"2026-11-20T09:00:00"}"#,
        true,
    ),
    (
        r#"{"of":{"fetched_at":"2026-11-20T09:00:00.000+09:00"},"stock_code":"005930","price":1,"fetched_at":"2026-11-20T10:00:09.000+09:00"}"#,
        false,
    ),
    (
        r#"{"stock_code":"005930","stock_name":"\"fetched_at\":\"2026-11-20T09:00:00.000+09:00\"","price":1,"fetched_at":"2026-11-20T10:00:09.000+09:00"}"#,
        false,
    ),
    // No price of the code.
    (
        r#"{"stock_code":"000660","price":1,"fetched_at":"2026-11-20T10:00:09.000+09:00"}"#,
        true,
    ),
    (
        r#"{"stock_code":"005930","price":0,"fetched_at":"2026-11-20T10:00:09.000+09:00"}"#,
        true,
    ),
    (
        r#"{"stock_code":"005930","price":"x","fetched_at":"2026-11-20T10:00:09.000+09:00"}"#,
        true,
    ),
    (
        r#"{"stock_code":"005930","price":1,"fetched_at":"2026-11-20T10:00:09.000+09:00""#,
        true,
    ),
    (
        r#"{"stock_code":"005930","price":1,"fetched_at":"soon"}"#,
        true,
    ),
    ("[]", true),
    ("", true),
    // From the future.
    (
        r#"{"stock_code":"005930","price":1,"fetched_at":"2100-11-20T10:00:09.000+09:00"}"#,
        true,
    ),
];

#[tokio::test]
async fn what_others_wrote_is_judged_by_its_time_and_what_is_no_price_stops_nothing() {
    let server = RedisServer::start().await;
    let store = store_at(&server.url());
    let mut connection = server.connection().await;
    for (object, is_newer) in OTHERS {
        let () = connection
            .set("realtime:price:005930", object)
            .await
            .unwrap();
        let quotes = [full("005930", 72_000)];
        let life = Shelf::Realtime(LIFE);
        let written = store.write(&quotes, life, None).await.unwrap();
        assert_eq!(written.older.is_empty(), is_newer, "{object}");
    }
    let () = connection.del("realtime:price:005930").await.unwrap();
    let () = connection
        .hset("realtime:price:005930", "a", "b")
        .await
        .unwrap();
    works(&store).await;
}

#[tokio::test]
async fn nothing_is_written_from_the_future() {
    let server = RedisServer::start().await;
    let store = store_at(&server.url());
    let mut connection = server.connection().await;
    let time: (i64, i64) = ::redis::cmd("TIME")
        .query_async(&mut connection)
        .await
        .unwrap();
    let now = chrono::DateTime::from_timestamp(time.0, 0).unwrap();
    for (ahead, is_written) in [(240, false), (10, false), (0, true), (-240, true)] {
        let mut quote = full("005930", 72_000);
        quote.fetched_at = (now + chrono::TimeDelta::seconds(ahead)).with_timezone(&Seoul);
        let keys = ["realtime:price:005930", "close:price:005930"];
        let () = connection.del(&keys).await.unwrap();
        for shelf in [Shelf::Realtime(LIFE), Shelf::Close] {
            let outcome = store.write(std::slice::from_ref(&quote), shelf, None).await;
            match outcome {
                Ok(written) => assert!(is_written && written.older.is_empty(), "{ahead}"),
                Err(error) => {
                    assert!(!is_written, "{ahead}");
                    let said = error.to_string();
                    assert!(
                        said.contains("from the future") && said.contains("clock"),
                        "{said}"
                    );
                }
            }
        }
        let keys: Vec<String> = connection.keys("realtime:price:*").await.unwrap();
        assert_eq!(keys.len(), usize::from(is_written), "{ahead}");
    }
}

#[tokio::test]
async fn only_what_was_written_is_told_of() {
    let server = RedisServer::start().await;
    let store = store_at(&server.url());
    let mut heard = store.listen();
    let mut next = async || timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    assert_eq!(next().await, Heard::Begin);
    let life = Shelf::Realtime(LIFE);
    let (early, late) = (moment("kis.multi", 1, 1.0, 1), moment("kis.ws", 2, 2.0, 2));
    let other = full("000660", 1);
    for quotes in [
        vec![late.clone()],
        vec![early.clone()],
        vec![early, other.clone()],
    ] {
        store.write(&quotes, life, None).await.unwrap();
    }
    for told in [late, other] {
        assert_eq!(next().await, Heard::Change(Change::Prices(vec![told])));
    }
}

#[tokio::test]
async fn keys_are_named_by_the_contract() {
    let server = RedisServer::start().await;
    for (namespace, prefix) in [("", ""), ("app:live", "app:live:"), ("app:", "app:")] {
        let store = store(&server.url(), namespace);
        let quotes = [full("005930", 72_000)];
        for shelf in [Shelf::Realtime(LIFE), Shelf::Close] {
            store.write(&quotes, shelf, None).await.unwrap();
        }
        store.save_copy("universe", "text").await.unwrap();
        let mut connection = server.connection().await;
        let mut keys: Vec<String> = connection.keys("*").await.unwrap();
        keys.sort_unstable();
        let expected = [
            "close:price:005930",
            "realtime:price:005930",
            "sise:universe",
        ];
        assert_eq!(keys, expected.map(|key| format!("{prefix}{key}")));
        let lives = server.lives(&keys).await;
        assert_eq!((lives[0], lives[2]), (-1, -1));
        assert!((60_000..=120_000).contains(&lives[1]), "{lives:?}");
        let () = ::redis::cmd("FLUSHALL")
            .query_async(&mut connection)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_life_of_a_key_is_set_to_the_millisecond() {
    let server = RedisServer::start().await;
    let store = store(&server.url(), "");
    let life = Duration::from_millis(86_399_999);
    store
        .write(&[full("005930", 72_000)], Shelf::Realtime(life), None)
        .await
        .unwrap();
    let lives = server.lives(&["realtime:price:005930".to_owned()]).await;
    // A rounded life would be longer than the one asked for.
    assert!((86_300_000..=86_399_999).contains(&lives[0]), "{lives:?}");
}

#[tokio::test]
async fn what_is_no_price_counts_as_not_there() {
    let server = RedisServer::start().await;
    let store = store(&server.url(), "");
    let good = serde_json::to_value(full("005930", 72_000)).unwrap();
    let without = |field: &str| {
        let mut object = good.clone();
        object.as_object_mut().unwrap().remove(field);
        object.to_string()
    };
    let with_price = |price: serde_json::Value| {
        let mut object = good.clone();
        object["price"] = price;
        object.to_string()
    };
    let mut connection = server.connection().await;
    for text in [
        String::new(),
        "72000".to_owned(),
        "{}".to_owned(),
        "null".to_owned(),
        "{\"price\":".to_owned(),
        without("price"),
        with_price(0.into()),
        with_price((-1).into()),
        with_price("72,000 won".into()),
        with_price(serde_json::Value::Null),
        // Of another code: whoever put it there, it is not what was asked for.
        serde_json::to_string(&full("035720", 72_000)).unwrap(),
    ] {
        for kind in ["realtime", "close"] {
            let key = format!("{kind}:price:005930");
            let () = connection.set(key, &text).await.unwrap();
        }
        let symbols = [symbol("000660"), symbol("005930")];
        assert_eq!(
            store.realtime(&symbols).await.unwrap(),
            [None, None],
            "{text}"
        );
        assert_eq!(
            store.realtime(&symbols[1..]).await.unwrap(),
            [None],
            "{text}"
        );
        assert_eq!(store.close(&symbols).await.unwrap(), [None, None], "{text}");
    }
    // Bytes that are no text, and a key that holds a list.
    let () = connection
        .set("realtime:price:005930", b"\xff\xfe".as_slice())
        .await
        .unwrap();
    assert_eq!(store.realtime(&[symbol("005930")]).await.unwrap(), [None]);
    let () = connection.del("realtime:price:005930").await.unwrap();
    let () = connection
        .lpush("realtime:price:005930", "x")
        .await
        .unwrap();
    let both = [symbol("005930"), symbol("000660")];
    assert_eq!(store.realtime(&both).await.unwrap(), [None, None]);
    assert_eq!(store.realtime(&both[..1]).await, Ok(vec![None]));
}

#[tokio::test]
async fn a_price_object_of_another_program_is_read() {
    let server = RedisServer::start().await;
    let store = store(&server.url(), "");
    // The seven fields that existing programs rely on, with what the contract adds for age.
    let text = r#"{"stock_code":"005930","stock_name":"삼성전자","price":72000,"change":1000,
        "change_rate":1.41,"volume":15234567,"timestamp":"2025-10-27T14:30:00",
        "fetched_at":"2025-10-27T14:30:00.123+09:00","of_another_time":[1]}"#;
    let mut connection = server.connection().await;
    let () = connection.set("realtime:price:005930", text).await.unwrap();
    let read = store.realtime(&[symbol("005930")]).await.unwrap();
    assert_eq!(read[0].as_ref().unwrap().price, 72_000);
}

#[tokio::test]
async fn user_password_and_database_come_from_the_address() {
    let arguments = [
        "--user", "default", "off", "--user", "alice", "on", ">wonder", "~*", "&*", "+@all",
    ];
    let server = RedisServer::start_with(&arguments, "alice:wonder@").await;
    works(&store(&format!("{}/3", server.url()), "")).await;
    let mut connection = server.connection().await;
    let here: i64 = ::redis::cmd("DBSIZE")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(here, 0, "the key went to database 3");
    for credentials in ["alice:wrong@", ""] {
        let url = format!("redis://{credentials}127.0.0.1:{}", server.port());
        let error = store(&url, "").ping().await.unwrap_err().to_string();
        assert!(!error.contains("wrong"), "{error}");
        assert!(error.contains(&server.port().to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_fails_at_once_and_is_found_again() {
    let mut server = RedisServer::start().await;
    let store = store(&server.url(), "");
    works(&store).await;
    server.kill().await;
    fails(&store).await;
    fails(&store).await;
    server.start_again().await;
    answers(&store).await;
    works(&store).await;
}

#[tokio::test]
async fn a_store_may_be_made_before_its_server() {
    let mut server = RedisServer::start().await;
    server.kill().await;
    let store = store(&server.url(), "");
    fails(&store).await;
    server.start_again().await;
    answers(&store).await;
    works(&store).await;
}

#[tokio::test]
async fn a_server_restarted_between_two_commands_is_not_noticed() {
    let mut server = RedisServer::start().await;
    let store = store(&server.url(), "");
    works(&store).await;
    server.kill().await;
    server.start_again().await;
    works(&store).await;
}

#[tokio::test]
async fn a_frozen_server_fails_in_time_and_works_when_it_thaws() {
    let server = RedisServer::start().await;
    let store = store_with(&server.url(), "", SHORT);
    answers(&store).await;
    server.freeze();
    fails(&store).await;
    server.thaw();
    answers(&store).await;
    let store = store_with(&server.url(), "", Duration::from_secs(2));
    works(&store).await;
}

#[tokio::test]
async fn a_way_that_swallows_everything_is_left_for_a_new_one() {
    let server = RedisServer::start().await;
    let proxy = SilentProxy::to(server.port()).await;
    let store = store_with(&proxy.url(), "", SHORT);
    answers(&store).await;
    proxy.swallow();
    fails(&store).await;
    proxy.pass();
    // The old connection stands and stays silent; only a new one can answer.
    answers(&store).await;
}

/// A server that speaks TLS alone, with these certificates; and its port.
async fn over_tls(certificates: &Certificates) -> (RedisServer, u16) {
    let port = free_port();
    let arguments = certificates.server_arguments(port);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    (RedisServer::start_with(&arguments, "").await, port)
}

#[tokio::test]
async fn redis_over_tls_is_reached_by_whoever_trusts_its_authority() {
    let home = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(home.path());
    let (server, port) = over_tls(&certificates).await;
    let broker = SimulatedBroker::start(&[]).await;
    let program = |url: &str, arguments: &[&str]| {
        Program::new(home.path(), arguments)
            .set("REDIS_URL", url)
            .set("KIS_BASE_URL", broker.url())
            .set("KIS_APP_KEY", "key")
            .set("KIS_APP_SECRET", "secret")
            .set("SISE__STORE__CONNECT_TIMEOUT", "2s")
            .set("SISE__STORE__RESPONSE_TIMEOUT", "2s")
    };
    let url = format!("rediss://127.0.0.1:{port}");
    let once = ["run", "--once", "--codes", "005930"];
    // An authority that this machine does not know.
    let outcome = program(&url, &once).run().await.exits(1);
    outcome.says(&["certificate", "UnknownIssuer"]);
    assert!(server.realtime().await.is_empty());
    let authority = certificates.authority.to_str().unwrap();
    let outcome = program(&url, &once)
        .set("SSL_CERT_FILE", authority)
        .run()
        .await;
    outcome.exits(0);
    assert_eq!(server.realtime().await.len(), 1);
    let outcome = program(&url, &["get", "005930", "--json"])
        .set("SSL_CERT_FILE", authority)
        .run()
        .await
        .exits(0);
    assert_eq!(outcome.json()[0]["source"].as_str(), Some("redis"));
    // The right authority, but the certificate is somebody else's.
    let folder = tempfile::tempdir().unwrap();
    let others = Certificates::of(folder.path(), "DNS:redis.example");
    let (server, port) = over_tls(&others).await;
    let outcome = program(&format!("rediss://127.0.0.1:{port}"), &once)
        .set("SSL_CERT_FILE", others.authority.to_str().unwrap())
        .run()
        .await
        .exits(1);
    outcome.says(&["certificate", "not valid for name"]);
    assert!(server.realtime().await.is_empty());
}
