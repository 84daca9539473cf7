//! One field or row is damaged, in every way that bytes can be, and everything else is read.

use super::super::{Body, row};
use super::mend;

row! {
    /// A row with one damaged field and two required ones.
    Row {
        code,
        name,
        price,
        volume,
    }
}

/// Returns code, price and volume of each row of a body.
fn rows(body: &[u8]) -> Vec<[String; 3]> {
    let body = Body::new(body);
    let rows: Vec<Row<'_>> = body.rows(200).unwrap_or_else(|error| panic!("{error}"));
    let said =
        |row: &Row<'_>| [&row.code, &row.price, &row.volume].map(|text| text.as_str().to_owned());
    rows.iter().map(said).collect()
}

/// Returns a body of three rows, with these bytes in place of the name field of the second.
fn body(damaged: &[u8]) -> Vec<u8> {
    let first =
        br#"{"output":[{"code":"000010","name":"one","price":"10","volume":"1"},{"code":"000020","#;
    let last = br#","price":"20","volume":"2"},{"code":"000030","name":"three","price":"30","volume":"3"}],"rt_cd":"0","msg_cd":"MCA00000"}"#;
    [first.as_slice(), damaged, last].concat()
}

fn all_three() -> Vec<[String; 3]> {
    [
        ["000010", "10", "1"],
        ["000020", "20", "2"],
        ["000030", "30", "3"],
    ]
    .map(|row| row.map(str::to_owned))
    .to_vec()
}

#[test]
fn one_damaged_field_takes_nothing_along() {
    let damages: [&[u8]; 43] = [
        // Encodings: cp949, halves of characters, UTF-16, NUL.
        b"\"name\":\"\xbb\xef\xbc\xba\"",
        b"\"name\":\"\xbb\"",
        b"\"name\":\"\xed\xa0\x80\"",
        b"\"name\":\"\xff\xfe\x01\"",
        b"\"name\":\"a\x00b\"",
        b"\"name\":\"a\nb\tc\rd\x1b\"",
        // Escapes.
        br#""name":"\ud83d""#,
        br#""name":"\ude00\ud83d""#,
        br#""name":"\u12""#,
        br#""name":"\u""#,
        br#""name":"\x41""#,
        br#""name":"a\"b\\c\/d\b\f\n\r\t\uac00\ud83d\ude00""#,
        br#""name":"a\""#,
        // Quotes.
        br#""name":"a"b""#,
        br#""name":"a""#,
        br#""name":"a"#,
        br#""name":a""#,
        br#""name":a b"#,
        br#"name":"a""#,
        br#""name:"a""#,
        br#"name:a"#,
        // Numbers and words.
        br#""name":NaN"#,
        br#""name":-Infinity"#,
        br#""name":1e999"#,
        br#""name":007"#,
        br#""name":+5"#,
        br#""name":1."#,
        br#""name":0x1F"#,
        br#""name":undefined"#,
        br#""name":tru"#,
        // Types and shapes.
        br#""name":null"#,
        br#""name":{"code":"9","price":"9"}"#,
        br#""name":[[[[[[[[[[[[[[1]]]]]]]]]]]]]]"#,
        br#""name":[1,"#,
        br#""name":"#,
        br#""name""#,
        br#""#,
        br#",,"name":"a",,"#,
        br#""name":"a","name":"b","price":"20","price":"NaN","price":"""#,
        br#""name":"a";"#,
        br#""name":]"#,
        br#""name":"a"],"#,
        br#""name":[[[[[[[[[["#,
    ];
    for damaged in damages {
        let said = String::from_utf8_lossy(damaged);
        assert_eq!(rows(&body(damaged)), all_three(), "{said}");
    }
    let digits = format!("\"name\":{}", "9".repeat(5_000));
    assert_eq!(rows(&body(digits.as_bytes())), all_three());
    let deep = format!("\"name\":{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(rows(&body(deep.as_bytes())), all_three());
}

#[test]
fn what_is_damaged_between_rows_takes_no_more_than_its_row_along() {
    let whole = body(br#""name":"two""#);
    let text = String::from_utf8(whole).unwrap();
    for (from, to) in [
        // Braces and brackets that are lost or replaced.
        (r#""volume":"1"},{"code""#, r#""volume":"1",{"code""#),
        (r#""volume":"1"},{"code""#, r#""volume":"1"},"code""#),
        (r#""volume":"1"},{"code""#, r#""volume":"1"}{"code""#),
        (r#""volume":"1"},{"code""#, r#""volume":"1"}x,x{"code""#),
        (r#""volume":"3"}],"rt_cd""#, r#""volume":"3"},"rt_cd""#),
        (r#""volume":"1"},{"code""#, r#""volume":"1"]},{"code""#),
        (r#""volume":"1"},{"code""#, r#""volume":"1"],{"code""#),
        (r#""volume":"1"},{"code""#, r#""volume":"1"}],{"code""#),
        (r#""volume":"1"},{"code""#, r#""volume":"1"},],{"code""#),
        (r#"{"output""#, "\u{feff}\n{\"output\""),
    ] {
        let damaged = text.replacen(from, to, 1);
        assert_ne!(damaged, text);
        assert_eq!(rows(damaged.as_bytes()), all_three(), "{damaged}");
    }
    // The last row is cut off within a text, and the envelope continues.
    let damaged = text.replacen(r#""volume":"3"}],"#, r#""volume":"3"#, 1);
    let said = rows(damaged.replacen(r#"3"rt_cd"#, r#"3,"rt_cd"#, 1).as_bytes());
    assert_eq!(said.get(..2), all_three().get(..2));
    for row in ["null", "7", "NaN", "\"x\"", "[1,{}]", "", "\u{fffd}"] {
        let middle = r#"{"code":"000020","name":"two","price":"20","volume":"2"}"#;
        let damaged = text.replacen(middle, row, 1);
        assert_ne!(damaged, text);
        let others: Vec<_> = all_three()
            .into_iter()
            .filter(|row| row[0] != "000020")
            .collect();
        assert_eq!(rows(damaged.as_bytes()), others, "{damaged}");
    }
}

#[test]
fn a_body_that_is_cut_off_is_no_answer() {
    let text = String::from_utf8(body(br#""name":"two""#)).unwrap();
    for cut in 0..text.len() {
        let part = text.get(..cut).unwrap().as_bytes();
        let body = Body::new(part);
        assert!(
            body.rows::<Row<'_>>(200).is_err(),
            "{}",
            text.get(..cut).unwrap()
        );
    }
}

#[test]
fn two_values_of_one_field_that_differ_are_none() {
    let one = r#"{"output":{"code":"000010","price":"10","price":"20","volume":"1","volume":"1"},"rt_cd":"0"}"#;
    assert_eq!(
        rows(one.as_bytes()),
        [["000010", "10 / 20", "1"].map(str::to_owned)]
    );
}

proptest::proptest! {
    /// After any change of a single byte among the rows, some rows are read unchanged, or nothing
    /// is.
    #[test]
    fn one_wrong_byte_leaves_other_rows_as_they_were(place in 11_usize..190, byte: u8) {
        let mut damaged = body(br#""name":"two""#);
        damaged[place] = byte;
        let body = Body::new(&damaged);
        let Ok(rows) = body.rows::<Row<'_>>(200) else { return Ok(()) };
        let whole = all_three();
        let mut right = rows.iter().filter(|row| {
            let said = [&row.code, &row.price, &row.volume].map(|text| text.as_str().to_owned());
            whole.contains(&said)
        });
        proptest::prop_assert!(right.next().is_some(), "{}", String::from_utf8_lossy(&damaged));
    }

    /// Every repaired body is valid JSON.
    #[test]
    fn what_is_mended_is_json(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), text in "[\\[\\]{}\",:\\\\a0 ]{0,80}") {
        for body in [bytes.as_slice(), text.as_bytes()] {
            if let Some(mended) = mend(body) {
                proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(&mended).is_ok(), "{mended}");
            }
        }
    }
}
