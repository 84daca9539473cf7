//! Admission of calls, and rate limits.

use super::*;

#[tokio::test]
async fn a_call_over_the_limit_is_refused_and_the_window_counted() {
    let world = World::start(SimOptions::default()).await;
    let mut refused = 0;
    for _ in 0..25 {
        let (status, body) = world.price("005930").await;
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            assert_eq!(body["msg_cd"], "EGW00201");
            assert_eq!(body["rt_cd"], "1");
            refused += 1;
        }
    }
    assert!(refused >= 1, "25 calls took more than a second");
    let stats = world.sim.stats();
    assert_eq!((stats.calls, stats.over_limit), (25, refused));
    assert_eq!(stats.calls, stats.ok + stats.refused);
    assert!(stats.max_calls_per_second_window > 18);
    let own = world.own("/sim/stats").await;
    assert_eq!(own["refused"], refused);
    assert_eq!(own["tokens_issued"], 1);
    // Each key is shown by its last letters only.
    let end = KEY.get(KEY.len() - 4..).unwrap();
    let window = stats.max_calls_per_second_window;
    let expected = json!({
        end: {"calls": 25, "over_limit": refused, "max_calls_per_second_window": window},
    });
    assert_eq!(own["by_key"], expected);
}

#[tokio::test]
async fn paper_has_fewer_calls_and_one_a_second() {
    let world = World::start(SimOptions {
        mode: Mode::Paper,
        ..SimOptions::default()
    })
    .await;
    assert_eq!(world.price("005930").await.0, StatusCode::OK);
    let (status, body) = world.price("005930").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(body["msg_cd"], "EGW00201");
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    let (status, body) = world.multi(&["005930"]).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(body["msg_cd"], "EGW02006");
}

#[tokio::test]
async fn tokens_keep_the_brokers_rules() {
    let world = World::without_token(unlimited()).await;
    for (body, code) in [
        (json!({"appkey": KEY, "appsecret": "secret"}), "EGW00115"),
        (json!({"grant_type": "client_credentials"}), "EGW00102"),
        (json!("nonsense"), "EGW00101"),
    ] {
        let (status, answer) = world.post("/oauth2/tokenP", &body).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert_eq!(answer["error_code"], code, "{body}");
    }
    let (_, first) = world.ask_token(KEY, "secret").await;
    assert_eq!(first["access_token_token_expired"], "2026-03-24 10:00:00");
    assert_eq!(first["expires_in"], 86_400);
    let (status, soon) = world.ask_token(KEY, "secret").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(soon["error_code"], "EGW00133");
    world.moved.store(61, Ordering::SeqCst);
    let (_, again) = world.ask_token(KEY, "secret").await;
    assert_eq!(again["access_token"], first["access_token"]);
    let url = world.url("/sim/tokens/kill");
    world.client.post(url).send().await.unwrap();
    let (_, new) = world.ask_token(KEY, "secret").await;
    assert_ne!(new["access_token"], first["access_token"]);
    assert_eq!(world.sim.stats().tokens_issued, 2);
}

#[tokio::test]
async fn a_killed_token_is_refused_until_a_new_one_is_asked_for() {
    let mut world = World::start(unlimited()).await;
    world.sim.kill_tokens();
    let (status, body) = world.price("005930").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(body["msg_cd"], "EGW00121");
    let (_, token) = world.ask_token(KEY, "secret").await;
    world.token = token["access_token"].as_str().unwrap().to_owned();
    assert_eq!(world.price("005930").await.0, StatusCode::OK);
    let body = json!({"appkey": KEY, "appsecret": "secret", "token": world.token});
    assert_eq!(world.post("/oauth2/revokeP", &body).await.1["code"], 200);
    assert_eq!(world.price("005930").await.1["msg_cd"], "EGW00121");
    assert_eq!(world.sim.stats().unauthorized, 2);
}

#[tokio::test]
async fn a_wrong_question_is_told_apart() {
    let world = World::start(unlimited()).await;
    let good = "FID_COND_MRKT_DIV_CODE=J&FID_INPUT_ISCD=005930";
    for (transaction, query, rt_cd, code) in [
        ("FHKST11300006", good, "1", "OPSQ0002"),
        ("FHKST01010100", "FID_INPUT_ISCD=005930", "2", "OPSQ2001"),
        ("FHKST01010100", "FID_COND_MRKT_DIV_CODE=J", "2", "OPSQ2001"),
        (
            "FHKST01010100",
            "FID_COND_MRKT_DIV_CODE=X&FID_INPUT_ISCD=005930",
            "2",
            "OPSQ2001",
        ),
    ] {
        let (status, body) = world.call("inquire-price", transaction, query).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            (&body["rt_cd"], &body["msg_cd"]),
            (&json!(rt_cd), &json!(code))
        );
    }
    assert_eq!(world.multi(&[]).await.1["msg_cd"], "OPSQ2001");
}
