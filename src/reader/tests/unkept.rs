//! Prices that are asked for and cannot be written back.

use super::*;

fn node() -> StoreError {
    StoreError::Refused {
        store: "test".to_owned(),
        trouble: "it is a node of a cluster".to_owned(),
        mend: "write redis-cluster://",
    }
}

fn of_another_broker() -> StoreError {
    StoreError::OtherBroker {
        ours: "ours".to_owned(),
        theirs: "theirs".to_owned(),
        process: "other".to_owned(),
        seconds: 9,
    }
}

#[tokio::test(start_paused = true)]
async fn a_price_that_is_not_kept_is_said_once_until_one_is() {
    let world = world_at(noon());
    let is_said = async |code: &str, refusal: Option<fn() -> StoreError>| {
        *world.store.refusal.lock().unwrap() = refusal;
        let reading = world.reader.price(code).await.unwrap().unwrap();
        assert_eq!(reading.source, Source::Api);
        world.reader.shared.said_unkept.load(Ordering::Relaxed)
    };
    assert!(is_said("005930", Some(node)).await);
    // It is known, so it is not logged again.
    assert!(is_said("000660", Some(of_another_broker)).await);
    assert!(!is_said("035420", None).await);
    // Another broker's prices are reported by the code that writes prices.
    assert!(!is_said("000020", Some(of_another_broker)).await);
    assert!(is_said("000100", Some(node)).await);
}
