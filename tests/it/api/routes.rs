//! Every route by hand: what it says, and what it says of nonsense.

use std::io::Read as _;

use serde_json::{Value, json};

use crate::api::wire::{get, request, send};
use crate::api::{Served, codes};
use crate::support::until;

#[tokio::test]
async fn a_price_says_how_old_it_is_and_where_it_came_from() {
    let served = Served::new().await;
    let prices = served.world.broker.prices();
    for code in codes(3) {
        let answer = get(&served.address, &format!("/v1/prices/{code}")).await;
        assert_eq!(answer.status, 200);
        let price = answer.json();
        assert_eq!(price["stock_code"], code);
        assert_eq!(price["quote_source"], "kis.multi");
        assert_eq!(price["source"], "redis");
        assert_eq!(price["stale"], false);
        let age_ms = price["age_ms"].as_u64().unwrap();
        let age: u64 = answer.header("age").unwrap().parse().unwrap();
        assert_eq!(age, age_ms / 1_000);
        let control = format!("private, max-age={}", age + 1);
        assert_eq!(answer.header("cache-control"), Some(control.as_str()));
        assert_eq!(answer.header("sise-source"), Some("redis"));
        assert_eq!(answer.header("sise-session"), price["session"].as_str());
        assert!(prices.contains_key(&code));
    }
}

#[tokio::test]
async fn a_price_that_the_store_lacks_is_asked_for() {
    let served = Served::new().await;
    let code = &codes(1)[0];
    served
        .world
        .redis
        .delete(&format!("realtime:price:{code}"))
        .await;
    // The board may still have it: what another program deletes is found out within seconds.
    let answer = until("the broker is asked", async || {
        let answer = get(&served.address, &format!("/v1/prices/{code}")).await;
        (answer.json()["source"] == "api").then_some(answer)
    })
    .await;
    assert_eq!(answer.header("sise-source"), Some("api"));
    // Written back, told of, and so on the board.
    until("it is in the store again", async || {
        let answer = get(&served.address, &format!("/v1/prices/{code}")).await;
        (answer.json()["source"] == "redis").then_some(())
    })
    .await;
}

#[tokio::test]
async fn many_prices_come_in_the_order_asked_for() {
    let served = Served::new().await;
    let mut wanted = codes(20);
    wanted.reverse();
    wanted.insert(5, "999999".to_owned());
    let answer = get(
        &served.address,
        &format!("/v1/prices?codes={}", wanted.join(",")),
    )
    .await;
    assert_eq!(answer.status, 200);
    let found = answer.json();
    assert_eq!(found["missing"], json!(["999999"]));
    wanted.remove(5);
    let prices = found["prices"].as_array().unwrap();
    let order: Vec<&str> = prices
        .iter()
        .filter_map(|price| price["stock_code"].as_str())
        .collect();
    assert_eq!(order, wanted);
    let oldest = prices
        .iter()
        .filter_map(|price| price["age_ms"].as_u64())
        .max();
    let age: u64 = answer.header("age").unwrap().parse().unwrap();
    assert_eq!(Some(age), oldest.map(|age| age / 1_000));
}

#[tokio::test]
async fn nonsense_is_a_problem_document() {
    let served = Served::new().await;
    let address = &served.address;
    let too_many: Vec<String> = (0..501).map(|number| format!("{number:06}")).collect();
    let too_many = format!("/v1/prices?codes={}", too_many.join(","));
    for (path, status, kind) in [
        ("/v1/prices/samsung", 400, "bad-code"),
        ("/v1/prices/00593%30", 404, "no-price"),
        ("/v1/prices/%FF", 400, "bad-request"),
        ("/v1/prices/999999", 404, "no-price"),
        ("/v1/prices", 400, "bad-request"),
        ("/v1/prices?codes=", 400, "bad-code"),
        ("/v1/prices?code=005930", 400, "bad-request"),
        (too_many.as_str(), 422, "unprocessable"),
        ("/v1/movers/friends", 404, "not-found"),
        ("/v1/movers/gainers?n=0", 400, "bad-request"),
        ("/v1/movers/gainers?market=NYSE", 400, "bad-request"),
        ("/v1/calendar?at=noon", 400, "bad-request"),
        ("/v1/watchlists/none", 404, "not-found"),
        ("/v1/refresh/none", 404, "not-found"),
        ("/v1/nothing", 404, "not-found"),
        ("/v1/stream?codes=x", 400, "bad-code"),
        ("/v1/stream?all=yes", 400, "bad-request"),
    ] {
        if path.contains("00593%30") {
            // It is 005930, whatever way it is written.
            assert_eq!(get(address, path).await.json()["stock_code"], "005930");
            continue;
        }
        let document = get(address, path).await.is_problem(status, kind);
        let (pure, _) = path.split_once('?').unwrap_or((path, ""));
        assert_eq!(document["instance"], pure, "{path}");
    }
    let none = get(address, "/v1/prices/999999").await;
    let none = none.is_problem(404, "no-price");
    let reason = "it is not in the stock list, which leaves out ETFs (universe.etf)";
    assert!(none["detail"].as_str().unwrap().contains(reason), "{none}");
    let post = request(address, "POST", "/v1/market", &[], "{}").await;
    post.is_problem(405, "method-not-allowed");
    assert!(post.header("allow").unwrap().contains("GET"));
    for (body, status, kind) in [
        ("{", 400, "bad-request"),
        ("[]", 422, "unprocessable"),
        ("{\"codes\":[]}", 400, "bad-request"),
        ("{\"codes\":[\"x\"]}", 400, "bad-code"),
        ("{\"codes\":[\"005930\"],\"more\":1}", 422, "unprocessable"),
    ] {
        let answer = request(address, "POST", "/v1/refresh", &[], body).await;
        answer.is_problem(status, kind);
    }
    let text = "POST /v1/refresh HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    let untyped = send(address, text.as_bytes()).await;
    untyped.is_problem(415, "unsupported-media-type");
    let large = format!("{{\"codes\":[\"{}\"]}}", "0".repeat(70_000));
    let answer = request(address, "POST", "/v1/refresh", &[], &large).await;
    answer.is_problem(413, "too-large");
    let long = "x".repeat(20_000);
    let answer = request(address, "GET", "/v1/market", &[("x-long", &long)], "").await;
    answer.is_problem(431, "headers-too-large");
    let many: Vec<(String, &str)> = (0..110).map(|place| (format!("x-{place}"), "1")).collect();
    let many: Vec<(&str, &str)> = many
        .iter()
        .map(|(name, one)| (name.as_str(), *one))
        .collect();
    let answer = request(address, "GET", "/v1/indices", &many, "").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn the_whole_market_is_one_answer_with_a_tag_and_compressed() {
    let served = Served::new().await;
    let address = &served.address;
    let plain = get(address, "/v1/market").await;
    let market = plain.json();
    assert_eq!(market["v"], 1);
    let columns: Vec<&str> = market["columns"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let rows = market["rows"].as_array().unwrap();
    assert_eq!(rows.len(), crate::api::CODES);
    let column = |name: &str| columns.iter().position(|held| *held == name).unwrap();
    for (row, code) in rows.iter().zip(codes(crate::api::CODES)) {
        assert_eq!(row.as_array().unwrap().len(), columns.len());
        assert_eq!(row[column("code")], code);
        assert!(row[column("price")].as_i64().unwrap() > 0);
        assert_eq!(row[column("live")], true);
    }
    let tag = plain.header("etag").unwrap();
    assert!(tag.starts_with("W/"), "{tag}");
    // The page is made anew meanwhile, with other ages; no price is another one.
    let at = market["at"].clone();
    until("a page that was made later", async || {
        (get(address, "/v1/market").await.json()["at"] != at).then_some(())
    })
    .await;
    let headers = [("if-none-match", tag)];
    let answer = request(address, "GET", "/v1/market", &headers, "").await;
    assert_eq!(answer.status, 304);
    for coding in ["gzip", "br"] {
        let headers = [("accept-encoding", coding)];
        let answer = request(address, "GET", "/v1/universe", &headers, "").await;
        assert_eq!(answer.header("content-encoding"), Some(coding));
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        let mut text = Vec::new();
        match coding {
            "gzip" => drop(
                flate2::read::GzDecoder::new(answer.body.as_slice())
                    .read_to_end(&mut text)
                    .unwrap(),
            ),
            _ => drop(
                brotli::Decompressor::new(answer.body.as_slice(), 4_096)
                    .read_to_end(&mut text)
                    .unwrap(),
            ),
        }
        let list: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(list["count"], crate::api::CODES);
        // As the client has it: nothing is sent again.
        let tag = answer.header("etag").unwrap();
        let headers = [("accept-encoding", coding), ("if-none-match", tag)];
        let again = request(address, "GET", "/v1/universe", &headers, "").await;
        assert_eq!(again.status, 304);
        assert!(again.body.is_empty());
    }
    served.sweep().await;
    until("the market has another tag", async || {
        let headers = [("if-none-match", tag)];
        let answer = request(address, "GET", "/v1/market", &headers, "").await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_refresh_goes_to_the_broker_and_its_result_is_for_all_servers() {
    let served = Served::new().await;
    let (_other, other) = crate::api::serve(&served.world, &[]).await;
    let before = served.world.broker.stats().calls;
    let body = json!({"codes": ["005930", "999999"]}).to_string();
    let answer = request(&served.address, "POST", "/v1/refresh", &[], &body).await;
    assert_eq!(answer.status, 202);
    let waiting = answer.json();
    assert_eq!(waiting["state"], "waiting");
    let id = waiting["id"].as_str().unwrap();
    let path = format!("/v1/refresh/{id}");
    assert_eq!(answer.header("location"), Some(path.as_str()));
    let done = until("the refresh is done", async || {
        let refresh = get(&other, &path).await.json();
        (refresh["state"] == "done").then_some(refresh)
    })
    .await;
    assert!(served.world.broker.stats().calls > before);
    assert_eq!(done["results"][0]["code"], "005930");
    assert_eq!(done["results"][0]["outcome"], "written");
    assert!(done["results"][0]["price"].as_i64().unwrap() > 0);
    assert_eq!(done["results"][1]["outcome"], "unknown");
    assert_eq!(done["results"][1].get("price"), None);
}

#[tokio::test]
async fn watch_lists_are_the_same_as_on_the_command_line() {
    let served = Served::new().await;
    let address = &served.address;
    let body = json!({"codes": ["005930", "000660"]}).to_string();
    let put = request(address, "PUT", "/v1/watchlists/mine", &[], &body).await;
    assert_eq!(
        put.json(),
        json!({"name": "mine", "codes": ["000660", "005930"]})
    );
    let body = json!({"codes": ["005930", "035720"]}).to_string();
    request(address, "PUT", "/v1/watchlists/mine", &[], &body).await;
    let listed = crate::api::small(&served.world, &["watch", "list", "--json"])
        .run()
        .await
        .exits(0);
    let mine = json!([{"name": "mine", "codes": ["005930", "035720"]}]);
    assert_eq!(listed.json(), mine);
    let all = get(address, "/v1/watchlists").await.json();
    assert_eq!(all["watchlists"][0]["codes"], json!(["005930", "035720"]));
    let gone = request(address, "DELETE", "/v1/watchlists/mine", &[], "").await;
    assert_eq!(gone.status, 204);
    get(address, "/v1/watchlists/mine")
        .await
        .is_problem(404, "not-found");
    let unnamed = request(address, "PUT", "/v1/watchlists/a%20b", &[], &body).await;
    unnamed.is_problem(422, "unprocessable");
}

#[tokio::test]
async fn what_needs_the_store_says_when_it_is_away() {
    let mut served = Served::new().await;
    served.world.redis.kill().await;
    let address = &served.address;
    until("the list is refused", async || {
        let answer = get(address, "/v1/watchlists").await;
        (answer.status == 503).then(|| answer.is_problem(503, "store-away"))
    })
    .await;
    let ready = get(address, "/ready").await;
    assert_eq!(ready.status, 503);
    // A price comes from the broker all the same.
    let price = until("a price comes from the broker", async || {
        let answer = get(address, "/v1/prices/005930").await;
        (answer.status == 200 && answer.json()["source"] == "api").then_some(answer.json())
    })
    .await;
    assert!(price["price"].as_i64().unwrap() > 0);
    assert!(served.server.runs());
}

#[tokio::test]
async fn a_broker_that_cannot_be_asked_is_no_code_without_a_price() {
    let mut served = Served::new().await;
    let code = codes(1).remove(0);
    served.world.broker.kill().await;
    let (_server, keyless) = crate::api::serve(
        &served.world,
        &[("KIS_APP_KEY", ""), ("KIS_APP_SECRET", "")],
    )
    .await;
    for (address, why) in [(&served.address, ""), (&keyless, "no app key")] {
        for path in [
            "/v1/prices/999999",
            "/v1/prices?codes=999999",
            "/v1/prices?codes=999999,888888",
        ] {
            let document = get(address, path).await.is_problem(503, "broker-away");
            assert!(
                document["detail"].as_str().unwrap().contains(why),
                "{document}"
            );
        }
        let answer = get(address, &format!("/v1/prices?codes={code},999999")).await;
        assert_eq!(answer.status, 207, "{:?}", answer.json());
        let found = answer.json();
        assert_eq!(found["prices"][0]["stock_code"], code, "{found}");
        assert_eq!(found["missing"], json!([]), "{found}");
        assert_eq!(found["failed"][0]["code"], "999999", "{found}");
        let detail = found["failed"][0]["detail"].as_str().unwrap();
        assert!(!detail.is_empty() && detail.contains(why), "{found}");
        let known = get(address, &format!("/v1/prices?codes={code}")).await;
        assert_eq!(known.status, 200);
        assert_eq!(known.json()["failed"], json!([]));
    }
}

#[tokio::test]
async fn the_type_of_a_problem_leads_to_what_it_means() {
    let served = Served::new().await;
    let problem = get(&served.address, "/v1/prices/x").await;
    let problem = problem.is_problem(400, "bad-code");
    let page = get(&served.address, problem["type"].as_str().unwrap()).await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    let text = String::from_utf8(page.body.clone()).unwrap();
    assert!(text.contains("This is not a stock code"), "{text}");
    let none = get(&served.address, "/problems/another").await;
    none.is_problem(404, "not-found");
}

#[tokio::test]
async fn a_line_says_that_its_prices_are_simulated() {
    let served = Served::new().await;
    let code = &codes(1)[0];
    let line = until("the line has a point", async || {
        let answer = get(&served.address, &format!("/v1/lines/{code}")).await;
        let line = answer.json();
        (!line["points"].as_array()?.is_empty()).then_some(line)
    })
    .await;
    assert_eq!(line["simulated"], true, "{line}");
    let none = get(&served.address, "/v1/lines/999999").await.json();
    assert_eq!(
        (&none["points"], &none["simulated"]),
        (&json!([]), &json!(false))
    );
}
