//! Trade records (contract 5.5).

use sise_domain::KrxTime;

use super::super::multi::Book;
use super::super::stock::{Figures, Stock, hundredths, sign_of};

/// Returns the record of a trade of `size` shares of `stock` at `price`, with `fields` fields.
///
/// The trade is dated `moment`, whichever day the market replays.
pub(super) fn record(
    stock: &Stock,
    now: &Figures,
    price: i64,
    size: i64,
    moment: KrxTime,
    fields: usize,
) -> String {
    let cents = |hundredths: i64| {
        let sign = if hundredths < 0 { "-" } else { "" };
        let whole = hundredths.unsigned_abs();
        format!("{sign}{}.{:02}", whole / 100, whole % 100)
    };
    let book = Book::of(now);
    let time = moment.format("%H%M%S").to_string();
    let average = now.value.saturating_mul(100) / now.volume.max(1);
    let (sold, bought) = (now.volume / 2, now.volume - now.volume / 2);
    let trades = now.volume / 10 + 1;
    let from = |price: i64| now.price - price;
    let is_up = size % 2 == 0;
    let mut texts: Vec<String> = vec![
        stock.code.as_str().trim_start_matches('Q').to_owned(),
        time.clone(),
        price.to_string(),
        now.sign().to_owned(),
        now.change().to_string(),
        cents(now.rate),
        cents(average),
        now.open.to_string(),
        now.high.to_string(),
        now.low.to_string(),
        book.ask.to_string(),
        book.bid.to_string(),
        size.to_string(),
        now.volume.to_string(),
        now.value.to_string(),
        trades.to_string(),
        (trades + 1).to_string(),
        "1".to_owned(),
        cents(hundredths(bought, sold.max(1))),
        sold.to_string(),
        bought.to_string(),
        if is_up { "1" } else { "5" }.to_owned(),
        "0.50".to_owned(),
        cents(hundredths(now.volume, stock.previous_volume)),
        "090015".to_owned(),
        sign_of(from(now.open)).to_owned(),
        from(now.open).to_string(),
        "090120".to_owned(),
        sign_of(from(now.high)).to_owned(),
        from(now.high).to_string(),
        "090240".to_owned(),
        sign_of(from(now.low)).to_owned(),
        from(now.low).to_string(),
        moment.format("%Y%m%d").to_string(),
        if now.is_in_liquidation() { "27" } else { "20" }.to_owned(),
        if stock.halted { "Y" } else { "N" }.to_owned(),
        book.ask_size.to_string(),
        book.bid_size.to_string(),
        (book.ask_size * 17).to_string(),
        (book.bid_size * 19).to_string(),
        cents(hundredths(now.volume, stock.shares)),
        stock.previous_volume.to_string(),
        cents(hundredths(now.volume, stock.previous_volume)),
        "0".to_owned(),
        String::new(),
        now.open.to_string(),
    ];
    if fields > texts.len() {
        texts.push("2".to_owned());
    }
    texts.join("^")
}
