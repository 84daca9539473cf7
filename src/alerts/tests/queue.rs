use crate::board::{News, Onlooker as _, Posted};

use super::*;

fn posted(place: usize, price: i64) -> Arc<Posted> {
    let at = Seoul.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap();
    Arc::new(Posted::new(Quote::sample(code(place), price, at), place))
}

#[tokio::test]
async fn a_full_queue_keeps_the_latest_of_each_code() {
    let inbox = Inbox::default();
    for price in 1..=5 {
        let prices: Vec<Arc<Posted>> = (0..3_000).map(|place| posted(place, price)).collect();
        inbox.told(&News::Prices(&prices));
    }
    inbox.arrived().await;
    let taken = inbox.take();
    let prices: Vec<i64> = taken.iter().map(|posted| posted.quote.price).collect();
    assert_eq!(prices, [5; 3_000]);
    let places = taken.iter().map(|posted| posted.place);
    assert!(places.is_sorted(), "in the order in which they came");
    assert!(inbox.take().is_empty());
    // Two prices of one code that fit are both seen.
    inbox.told(&News::Prices(&[posted(1, 1), posted(1, 2)]));
    assert_eq!(inbox.take().len(), 2);
    inbox.told(&News::Lost);
    let codes: Vec<Arc<Posted>> = (0..9_000).map(|place| posted(place, 1)).collect();
    inbox.told(&News::Prices(&codes));
    assert_eq!(inbox.take().len(), 8_192);
}
