//! Invariants that hold for every message of the live feed, whatever it contains.

use chrono::TimeZone as _;

use super::frame::Frame;
use super::reply;
use super::trade::{Context, read};
use sise_domain::{Phase, Quote, Seoul};

/// Reads `bytes` as a message and returns the quotes.
///
/// Panics if a price differs from the one in the message.
pub fn messages(bytes: &[u8]) -> Vec<Quote> {
    let text = String::from_utf8_lossy(bytes);
    let Some(now) = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).single() else {
        return Vec::new();
    };
    // Checks only that nothing panics.
    let _ = reply::read(&text);
    let Ok(frame) = Frame::read(&text) else {
        return Vec::new();
    };
    let Ok(records) = frame.records(frame.data) else {
        return Vec::new();
    };
    let fields: Vec<&str> = frame.data.split('^').collect();
    // A record with too many fields is left out, so the positions of its neighbours are not known
    // here.
    let is_even = fields.len().is_multiple_of(records.len());
    let width = (fields.len() / records.len().max(1)).max(1);
    let mut quotes = Vec::new();
    for (record, fields) in records.iter().zip(fields.chunks(width)) {
        let symbol = record.field(1).parse();
        let Ok(symbol) = symbol else { continue };
        let context = Context {
            symbol,
            listing: None,
            arrived_at: now,
            session: Phase::Regular,
            basis: None,
        };
        let Ok((quote, _)) = read(record, context) else {
            continue;
        };
        let number = |place: usize| -> Option<i64> {
            let text = match is_even {
                true => fields.get(place)?.trim(),
                false => record.field(place + 1),
            };
            // A fraction of zeros is accepted.
            text.split('.').next()?.parse().ok()
        };
        assert!(
            quote.price > 0 && number(2) == Some(quote.price),
            "{quote:?}"
        );
        for (place, read) in [(7, quote.open), (8, quote.high), (9, quote.low)] {
            assert!(read.is_none_or(|read| read > 0 && number(place) == Some(read)));
        }
        for (place, read) in [(13, quote.volume), (14, quote.value)] {
            assert!(read.is_none_or(|read| read >= 0 && number(place) == Some(read)));
        }
        assert!(quote.change_rate.is_none_or(f64::is_finite), "{quote:?}");
        quotes.push(quote);
    }
    quotes
}
