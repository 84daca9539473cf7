//! Who may ask, from where, and how often.

use serde_json::json;

use crate::support::world::World;
use crate::support::{PATIENCE, until};
use crate::wire::{Stream, get, request, send};
use crate::{Served, serve, small};

/// An address of this machine that is not called loopback, so that tokens are asked for.
const OTHER: &str = "0.0.0.0:0";

#[tokio::test]
async fn an_open_address_without_a_token_is_refused_at_the_start() {
    let world = World::new(&["--limit", "0"]).await;
    for command in [&["serve"][..], &["run", "--always-open"]] {
        let ended = small(&world, command)
            .set("SISE__API__LISTEN", OTHER)
            .run()
            .await;
        ended.exits(2).says(&["access token", "sise clients add"]);
    }
    let made = small(&world, &["clients", "add", "agent"])
        .run()
        .await
        .exits(0);
    let token = made.stdout.trim().to_owned();
    assert!(
        !made.stderr.contains(&token),
        "told once, on standard output"
    );
    let (server, address) = serve(&world, &[("SISE__API__LISTEN", OTHER)]).await;
    let address = address.replace("0.0.0.0", "127.0.0.1");

    // Whoever has no token, or a wrong one, learns nothing.
    for headers in [
        &[][..],
        &[("authorization", "Bearer sise_wrong")],
        &[("authorization", "Basic x")],
    ] {
        for path in [
            "/v1/market",
            "/v1/prices/005930",
            "/metrics",
            "/v1/stream",
            "/v1/sessions",
        ] {
            let answer = request(&address, "GET", path, headers, "").await;
            answer.is_problem(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    // Monitors and the page itself need none.
    for path in ["/live", "/", "/v1/openapi.json"] {
        assert_eq!(get(&address, path).await.status, 200, "{path}");
    }
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let answer = request(&address, "GET", "/v1/market", &headers, "").await;
    assert_eq!(answer.status, 200);

    // A second session of the same user; none of another.
    let body = json!({"user": "boss"}).to_string();
    let refused = request(&address, "POST", "/v1/sessions", &headers, &body).await;
    refused.is_problem(422, "unprocessable");
    let begun = request(&address, "POST", "/v1/sessions", &headers, "{}").await;
    assert_eq!(begun.status, 201);
    let second = begun.json();
    assert_eq!(second["user"], "agent");
    let listed = request(&address, "GET", "/v1/sessions", &headers, "")
        .await
        .json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(&token));
    let other = format!("Bearer {}", second["token"].as_str().unwrap());
    let others = [("authorization", other.as_str())];
    let ended = request(&address, "DELETE", "/v1/sessions", &others, "").await;
    assert_eq!(ended.status, 204);
    request(&address, "GET", "/v1/market", &others, "")
        .await
        .is_problem(401, "unauthorized");

    // Taken away on the command line, it ends here within seconds.
    small(&world, &["clients", "remove", "agent"])
        .run()
        .await
        .exits(0);
    until("the token has ended", async || {
        let answer = request(&address, "GET", "/v1/market", &headers, "").await;
        (answer.status == 401).then_some(())
    })
    .await;
    assert!(!server.said().contains(&token), "no token in the log");
    let texts = world.redis.texts("*").await;
    assert!(
        !texts.values().any(|text| text.contains(&token)),
        "no token in Redis"
    );
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_come_again() {
    let served = Served::with(&[("SISE__API__REQUESTS_PER_SECOND", "5")]).await;
    let mut refused = 0;
    for _ in 0..40 {
        let answer = get(&served.address, "/v1/indices").await;
        if answer.status == 429 {
            answer.is_problem(429, "too-many-requests");
            assert_eq!(answer.header("retry-after"), Some("1"));
            refused += 1;
        }
    }
    assert!((1..40).contains(&refused), "{refused} of 40 refused");
    // Health is for monitors, and is counted apart.
    assert_eq!(get(&served.address, "/live").await.status, 200);
}

#[tokio::test]
async fn who_guesses_tokens_is_held_off_and_who_has_one_is_not() {
    let world = World::new(&["--limit", "0"]).await;
    let made = small(&world, &["clients", "add", "agent"]).run().await;
    let token = made.exits(0).stdout.trim().to_owned();
    let settings = [
        ("SISE__API__LISTEN", OTHER),
        ("SISE__API__REQUESTS_PER_SECOND", "5"),
    ];
    let (_server, address) = serve(&world, &settings).await;
    let address = address.replace("0.0.0.0", "127.0.0.1");
    let bearer = format!("Bearer {token}");
    let good = [("authorization", bearer.as_str())];
    let answer = request(&address, "GET", "/v1/indices", &good, "").await;
    assert_eq!(answer.status, 200);
    let mut held_off = 0;
    for guess in 0..40 {
        let guess = format!("Bearer sise_{guess}");
        let headers = [("authorization", guess.as_str())];
        let answer = request(&address, "GET", "/v1/indices", &headers, "").await;
        match answer.status {
            429 => held_off += 1,
            _ => drop(answer.is_problem(401, "unauthorized")),
        }
    }
    assert!((1..40).contains(&held_off), "{held_off} of 40 held off");
    until("a good token is let in from the same address", async || {
        let answer = request(&address, "GET", "/v1/indices", &good, "").await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_ends_with_its_access_token() {
    let world = World::new(&["--limit", "0"]).await;
    let made = small(&world, &["clients", "add", "agent"]).run().await;
    let token = made.exits(0).stdout.trim().to_owned();
    let (_server, address) = serve(&world, &[("SISE__API__LISTEN", OTHER)]).await;
    let address = address.replace("0.0.0.0", "127.0.0.1");
    let mut stream = Stream::open_with(&address, "?all=1", &token).await;
    stream.next_of("subscribed").await;
    let removed = small(&world, &["clients", "remove", "agent"]).run().await;
    removed.exits(0);
    let error = stream.next_of("error").await;
    assert_eq!(error["problem"]["status"], 401, "{error}");
    assert!(stream.next_or_end(PATIENCE).await.is_none());
}

#[tokio::test]
async fn a_page_of_elsewhere_gets_neither_stream_nor_answer() {
    let served = Served::new().await;
    let address = &served.address;
    let upgrade = |origin| {
        [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("origin", origin),
        ]
    };
    let refused = request(
        address,
        "GET",
        "/v1/stream",
        &upgrade("http://evil.example"),
        "",
    )
    .await;
    refused.is_problem(403, "forbidden");
    // A name that was made to mean this machine.
    let text = "GET /v1/market HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    send(address, text.as_bytes())
        .await
        .is_problem(403, "forbidden");
}

#[tokio::test]
async fn pages_of_other_origins_may_ask_only_where_that_is_set() {
    let origin = [("origin", "https://example.org")];
    let served = Served::new().await;
    let answer = request(&served.address, "GET", "/v1/indices", &origin, "").await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let settings = [("SISE__API__CORS_ORIGIN", "https://example.org")];
    let (_server, address) = serve(&served.world, &settings).await;
    let answer = request(&address, "GET", "/v1/indices", &origin, "").await;
    let allowed = answer.header("access-control-allow-origin");
    assert_eq!(allowed, Some("https://example.org"));
}
