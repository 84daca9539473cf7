//! Hashes, and the numbers in them.

use sise::port::{CacheStore, Growth, Receipt};

use crate::cache_contract::{ONE, growth, numbers, receipt, texts};

pub(super) async fn fields_are_written_read_and_deleted(store: &dyn CacheStore) {
    let every: Vec<u8> = (0..=255).collect();
    let fields = [
        ("b".to_owned(), b"2".to_vec()),
        ("".to_owned(), b"".to_vec()),
        ("가".to_owned(), every),
    ];
    store.set_fields(ONE, &fields).await.unwrap();
    let found = store.fields(ONE, &texts(&["가", "x", "b", "b", ""])).await;
    let expected = [
        Some(&fields[2].1),
        None,
        Some(&fields[0].1),
        Some(&fields[0].1),
        Some(&fields[1].1),
    ];
    assert_eq!(found.unwrap(), expected.map(Option::<&Vec<u8>>::cloned));
    let mut sorted = fields.to_vec();
    sorted.sort();
    assert_eq!(store.all_fields(ONE).await.unwrap(), sorted);
    let newer = [
        ("b".to_owned(), b"3".to_vec()),
        ("b".to_owned(), b"4".to_vec()),
    ];
    store.set_fields(ONE, &newer).await.unwrap();
    assert_eq!(numbers(store, ONE, &["b"]).await, [Some("4".to_owned())]);
    assert_eq!(
        store
            .delete_fields(ONE, &texts(&["b", "b", "x"]))
            .await
            .unwrap(),
        1
    );
    // The last field takes the key along.
    assert_eq!(
        store.delete_fields(ONE, &texts(&["", "가"])).await.unwrap(),
        2
    );
    assert_eq!(store.count_keys("t:").await.unwrap(), 0);
}

pub(super) async fn a_large_hash_is_read_in_pieces(store: &dyn CacheStore) {
    assert_eq!(store.piece(ONE, 0).await.unwrap(), (Vec::new(), None));
    let fields: Vec<(String, Vec<u8>)> = (0..20_000)
        .map(|number| (format!("field-{number:05}"), vec![b'x'; 80]))
        .collect();
    for some in fields.chunks(5_000) {
        store.set_fields(ONE, some).await.unwrap();
    }
    let mut found = std::collections::BTreeMap::new();
    let (mut from, mut longest) = (Some(0), 0);
    while let Some(begin) = from {
        let (piece, next) = store.piece(ONE, begin).await.unwrap();
        longest = longest.max(piece.len());
        found.extend(piece);
        from = next;
    }
    assert!(found.into_iter().eq(fields));
    let is_memory = store.health().await.unwrap().version.starts_with("sise");
    assert!(is_memory || longest < 1_000, "{longest} fields at once");
}

pub(super) async fn numbers_grow_once_a_receipt(store: &dyn CacheStore) {
    let grow = async |number: u64, growths: &[Growth]| {
        store.grow(ONE, growths, &receipt(number)).await.unwrap()
    };
    assert_eq!(grow(1, &[growth("a", 5, None)]).await, [None]);
    assert_eq!(store.count_keys("t:").await.unwrap(), 0, "nothing grows");
    assert_eq!(grow(1, &[growth("a", 5, Some(2))]).await, [Some(7)]);
    assert_eq!(
        grow(1, &[growth("a", 5, Some(2))]).await,
        [Some(7)],
        "sent again"
    );
    assert_eq!(
        grow(1, &[growth("a", 5, None)]).await,
        [Some(7)],
        "sent again"
    );
    assert_eq!(grow(2, &[growth("a", 5, None)]).await, [Some(12)]);
    // Of a batch with one unknown nothing grows, and no receipt is kept.
    let both = [growth("a", 1, None), growth("b", 1, None)];
    assert_eq!(grow(3, &both).await, [Some(12), None]);
    assert_eq!(
        numbers(store, ONE, &["a", "b"]).await,
        [Some("12".to_owned()), None]
    );
    let both = [growth("a", 1, Some(100)), growth("b", 1, Some(10))];
    assert_eq!(grow(3, &both).await, [Some(13), Some(11)]);
    assert_eq!(grow(3, &both).await, [Some(13), Some(11)]);
    // The same name twice, and by nothing.
    let twice = [
        growth("c", 1, Some(0)),
        growth("c", 2, Some(0)),
        growth("d", 0, Some(0)),
    ];
    assert_eq!(grow(4, &twice).await, [Some(1), Some(3), Some(0)]);
    // One that comes when a later one was counted is late, not new.
    assert_eq!(grow(2, &[growth("a", 1, None)]).await, [Some(13)]);
    // The receipt is of the last batch, and another one has its own.
    assert_eq!(grow(5, &[growth("a", 1, None)]).await, [Some(14)]);
    let other = Receipt {
        key: "t:other receipt:{one}".to_owned(),
        ..receipt(5)
    };
    let growths = [growth("a", 1, None)];
    assert_eq!(store.grow(ONE, &growths, &other).await.unwrap(), [Some(15)]);
    // Where all is gone, what was sent is not known to be sent.
    store
        .delete(&texts(&[ONE, "t:receipt:{one}"]))
        .await
        .unwrap();
    assert_eq!(grow(5, &[growth("a", 1, None)]).await, [None]);
}

pub(super) async fn numbers_are_exact_to_their_end_and_stay_there(store: &dyn CacheStore) {
    let grow = async |number: u64, by: u64| {
        let growths = [growth("a", by, Some(0))];
        store.grow(ONE, &growths, &receipt(number)).await.unwrap()[0].unwrap()
    };
    let exact = (1 << 53) + 1;
    assert_eq!(grow(1, exact).await, exact);
    assert_eq!(grow(2, 1).await, exact + 1);
    let highest = i64::MAX.unsigned_abs();
    assert_eq!(grow(3, u64::MAX).await, highest);
    assert_eq!(grow(4, 1).await, highest);
    store.raise(ONE, &[("b".to_owned(), exact)]).await.unwrap();
    store
        .raise(ONE, &[("b".to_owned(), exact - 1)])
        .await
        .unwrap();
    assert_eq!(numbers(store, ONE, &["b"]).await, [Some(exact.to_string())]);
    store
        .raise(ONE, &[("b".to_owned(), exact + 1)])
        .await
        .unwrap();
    assert_eq!(
        numbers(store, ONE, &["b"]).await,
        [Some((exact + 1).to_string())]
    );
    store
        .raise(ONE, &[("b".to_owned(), u64::MAX)])
        .await
        .unwrap();
    assert_eq!(
        numbers(store, ONE, &["b"]).await,
        [Some(highest.to_string())]
    );
}

pub(super) async fn what_is_no_number_counts_as_absent(store: &dyn CacheStore) {
    let nonsense = [
        "",
        "x",
        "-1",
        "+1",
        "1.5",
        " 1",
        "1e3",
        "007",
        "9223372036854775808",
        "99999999999999999999",
    ];
    for (number, text) in (1..).zip(nonsense) {
        let field = [("a".to_owned(), text.as_bytes().to_vec())];
        store.set_fields(ONE, &field).await.unwrap();
        let receipt = receipt(number);
        let grown = store.grow(ONE, &[growth("a", 1, None)], &receipt).await;
        assert_eq!(grown.unwrap(), [None], "{text}");
        let grown = store.grow(ONE, &[growth("a", 1, Some(4))], &receipt).await;
        assert_eq!(grown.unwrap(), [Some(5)], "{text}");
        store.set_fields(ONE, &field).await.unwrap();
        store.raise(ONE, &[("a".to_owned(), 0)]).await.unwrap();
        assert_eq!(
            numbers(store, ONE, &["a"]).await,
            [Some("0".to_owned())],
            "{text}"
        );
    }
}

pub(super) async fn a_number_is_raised_and_never_lowered(store: &dyn CacheStore) {
    let raise = async |numbers: &[(&str, u64)]| {
        let numbers: Vec<(String, u64)> = numbers
            .iter()
            .map(|(name, number)| ((*name).to_owned(), *number))
            .collect();
        store.raise(ONE, &numbers).await.unwrap();
    };
    raise(&[("a", 9), ("b", 0)]).await;
    raise(&[("a", 10), ("b", 1), ("c", 100)]).await;
    raise(&[("a", 9), ("b", 1), ("c", 99), ("c", 101)]).await;
    let expected = ["10", "1", "101"].map(|text| Some(text.to_owned()));
    assert_eq!(numbers(store, ONE, &["a", "b", "c"]).await, expected);
}
