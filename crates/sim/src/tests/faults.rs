//! Faults on request.

use super::*;

#[tokio::test]
async fn answers_break_as_asked() {
    let all = |faults| async move {
        let world = World::start(faulty(faults)).await;
        let query = "FID_COND_MRKT_DIV_CODE=J&FID_INPUT_ISCD=005930";
        let request = world.request("inquire-price", "FHKST01010100", query);
        let answer = request.send().await;
        (world.sim.stats(), answer)
    };
    let none = Faults::default();
    let (stats, answer) = all(Faults { reset: 1.0, ..none }).await;
    assert!(answer.is_err());
    assert_eq!(stats.faults, 1);
    let (_, answer) = all(Faults {
        http_500: 1.0,
        ..none
    })
    .await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        answer
            .text()
            .await
            .unwrap()
            .contains("Internal Server Error")
    );
    let (_, answer) = all(Faults {
        garbage: 1.0,
        ..none
    })
    .await;
    let text = answer.unwrap().text().await.unwrap();
    assert!(serde_json::from_str::<Value>(&text).is_err());
    let (stats, answer) = all(Faults {
        refuse: 1.0,
        ..none
    })
    .await;
    assert_eq!(read(answer.unwrap()).await.1["msg_cd"], "EGW00201");
    assert_eq!((stats.refused, stats.over_limit), (1, 0));
    let (_, answer) = all(Faults {
        dead_token: 1.0,
        ..none
    })
    .await;
    assert_eq!(read(answer.unwrap()).await.1["msg_cd"], "EGW00123");
    let (_, answer) = all(Faults { zero: 1.0, ..none }).await;
    let (_, body) = read(answer.unwrap()).await;
    assert_eq!(body["output"]["stck_prpr"], "0");
    assert_ne!(body["output"]["stck_oprc"], "0");
    let slow_for = Duration::from_millis(120);
    let begun = tokio::time::Instant::now();
    let (stats, _) = all(Faults {
        slow: 1.0,
        slow_for,
        ..none
    })
    .await;
    assert!(begun.elapsed() >= slow_for);
    assert_eq!(stats.ok, 1);
}

#[tokio::test]
async fn multi_price_breaks_as_asked() {
    let codes = ["005930", "000660", "247540", "035720", "005380"];
    let none = Faults::default();
    let world = World::start(faulty(Faults { short: 1.0, ..none })).await;
    let (_, body) = world.multi(&codes).await;
    assert!((2..5).contains(&body["output"].as_array().unwrap().len()));
    let faults = Faults {
        missing_fields: 1.0,
        zero: 1.0,
        ..none
    };
    let world = World::start(faulty(faults)).await;
    let (_, body) = world.multi(&codes).await;
    for (row, code) in body["output"].as_array().unwrap().iter().zip(codes) {
        assert!(row.as_object().unwrap().len() < 29);
        assert_eq!(row["inter_shrn_iscd"], code);
        assert_eq!(row["inter2_prpr"], "0");
    }
    assert_eq!(world.sim.stats().faults, 1);
    let no_multi = true;
    let world = World::start(faulty(Faults { no_multi, ..none })).await;
    assert_eq!(world.multi(&codes).await.1["msg_cd"], "EGW02006");
    assert_eq!(world.price("005930").await.0, StatusCode::OK);
}

#[tokio::test]
async fn fields_appear_and_change_their_names_as_asked() {
    let none = Faults::default();
    let fields = |faults| async move {
        let world = World::start(faulty(faults)).await;
        let (_, body) = world.price("005930").await;
        let row = body["output"].as_object().unwrap().clone();
        assert_eq!(world.sim.stats().faults, 1);
        row.keys().cloned().collect::<Vec<String>>()
    };
    let unknown_fields = 1.0;
    let names = fields(Faults {
        unknown_fields,
        ..none
    })
    .await;
    assert_eq!(names.len(), 81);
    let renamed_fields = 1.0;
    let names = fields(Faults {
        renamed_fields,
        ..none
    })
    .await;
    let renamed = names.iter().filter(|name| name.ends_with("_new")).count();
    assert_eq!(names.len(), 80);
    assert!((1..40).contains(&renamed), "{renamed}");
    assert!(names.iter().any(|name| name == "stck_prpr"));
}
