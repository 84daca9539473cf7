//! Who may ask, from where, and how often.

use serde_json::json;

use crate::api::wire::{Answer, Stream, get, request, send};
use crate::api::{Served, serve, small};
use crate::support::world::World;
use crate::support::{PATIENCE, until};

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

/// An access token of the world, made on the command line.
async fn token(world: &World, user: &str, life: &str) -> String {
    let made = small(world, &["clients", "add", user, "--life", life]);
    made.run().await.exits(0).stdout.trim().to_owned()
}

/// As who has a token.
async fn ask(address: &str, method: &str, path: &str, token: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    request(address, method, path, &[("authorization", &bearer)], body).await
}

#[tokio::test]
async fn a_session_ends_with_the_one_that_began_it() {
    let world = World::new(&["--limit", "0"]).await;
    token(&world, "keeper", "90days").await;
    let (_server, open) = serve(&world, &[("SISE__API__LISTEN", OTHER)]).await;
    // Without a token nobody is asked for one here, but one that is sent counts all the same.
    let (_here, here) = serve(&world, &[]).await;
    let there = open.replace("0.0.0.0", "127.0.0.1");
    let longest = json!({"life_s": 34_560_000}).to_string();
    for address in [&here, &there] {
        let first = token(&world, "agent", "60s").await;
        let before = sise::clock::system()();
        let mut chain = vec![first.clone()];
        for _ in 0..2 {
            let last = chain.last().unwrap();
            let begun = ask(address, "POST", "/v1/sessions", last, &longest).await;
            assert_eq!(begun.status, 201);
            let begun = begun.json();
            assert_eq!(begun["user"], "agent");
            let until: chrono::DateTime<chrono::Utc> =
                begun["until"].as_str().unwrap().parse().unwrap();
            assert!((until - before.to_utc()).num_seconds() <= 60, "{until}");
            chain.push(begun["token"].as_str().unwrap().to_owned());
        }
        let boss = json!({"user": "boss"}).to_string();
        let refused = ask(address, "POST", "/v1/sessions", &first, &boss).await;
        refused.is_problem(422, "unprocessable");
        let kept = world.redis.texts("*session:*").await.into_iter();
        let kept = kept.filter(|(_, session)| session.contains("agent"));
        let keys: Vec<String> = kept.map(|(key, _)| key).collect();
        assert!(keys.len() >= chain.len(), "{keys:?}");
        let lives = world.redis.lives(&keys).await;
        assert!(
            lives.iter().all(|life| (1..=60_000).contains(life)),
            "{lives:?}"
        );
        for token in &chain {
            assert_eq!(
                ask(&there, "GET", "/v1/market", token, "").await.status,
                200
            );
        }
        let ended = ask(address, "DELETE", "/v1/sessions", &first, "").await;
        assert_eq!(ended.status, 204);
        for token in &chain {
            until("it has ended with the first", async || {
                let answer = ask(&there, "GET", "/v1/market", token, "").await;
                (answer.status == 401).then_some(())
            })
            .await;
            let begun = ask(&there, "POST", "/v1/sessions", token, "{}").await;
            begun.is_problem(401, "unauthorized");
        }
        let listed = small(&world, &["clients", "list", "--json"]).run().await;
        let listed = listed.exits(0).json();
        let users = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|session| &session["user"]);
        assert_eq!(users.collect::<Vec<_>>(), ["keeper"]);
    }
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
    // Health is for monitors, however often they ask.
    for path in ["/live", "/ready", "/metrics"].repeat(40) {
        assert_eq!(get(&served.address, path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn who_guesses_tokens_is_held_off_and_who_has_one_is_not() {
    let world = World::new(&["--limit", "0"]).await;
    let first = token(&world, "agent", "90days").await;
    let settings = [
        ("SISE__API__LISTEN", OTHER),
        ("SISE__API__REQUESTS_PER_SECOND", "5"),
    ];
    let (_server, address) = serve(&world, &settings).await;
    let address = address.replace("0.0.0.0", "127.0.0.1");
    let guess = async |number: u32| {
        let answer = ask(
            &address,
            "GET",
            "/v1/indices",
            &format!("sise_{number}"),
            "",
        )
        .await;
        if answer.status != 429 {
            answer.is_problem(401, "unauthorized");
        }
        answer.status == 429
    };
    let mut held_off = 0;
    for number in 0..40 {
        held_off += u32::from(guess(number).await);
    }
    assert!((1..40).contains(&held_off), "{held_off} of 40 held off");
    // From the same address, while the guesses go on: tokens that this server never saw before.
    assert!(guess(40).await);
    assert_eq!(
        ask(&address, "GET", "/v1/indices", &first, "").await.status,
        200
    );
    let second = token(&world, "other", "90days").await;
    until("a new token is let in", async || {
        guess(41).await;
        let answer = ask(&address, "GET", "/v1/indices", &second, "").await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_are_told_apart() {
    let settings = [
        ("SISE__API__REQUESTS_PER_SECOND", "5"),
        ("SISE__API__TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.1"),
    ];
    let served = Served::with(&settings).await;
    let ask = async |name: &str, value: &str| {
        let headers = [(name, value)];
        request(&served.address, "GET", "/v1/indices", &headers, "").await
    };
    let of_loud = [
        ("x-forwarded-for", "198.51.100.7, 192.0.2.1"),
        ("x-forwarded-for", "192.0.2.1, 10.0.0.1"),
        ("forwarded", "for=192.0.2.1;proto=https"),
    ];
    let mut refused = 0;
    for (name, value) in of_loud.repeat(20) {
        refused += u32::from(ask(name, value).await.status == 429);
    }
    assert!(refused > 0, "three ways to say one client");
    assert_eq!(ask("x-forwarded-for", "192.0.2.2").await.status, 200);
    assert_eq!(
        ask("forwarded", "for=\"[2001:db8::1]:80\"").await.status,
        200
    );
    let settings = [("SISE__API__TRUSTED_PROXIES", "10.0.0.0/33")];
    let refused = small(&served.world, &["serve"]).set(settings[0].0, settings[0].1);
    let refused = refused.run().await.exits(2);
    refused.says(&["api.trusted_proxies", "10.0.0.0/8"]);
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
    // What is said in headers can be read.
    let usual = ["cache-control", "content-length", "content-type"];
    let exposed = answer.header("access-control-expose-headers").unwrap();
    let exposed: Vec<&str> = exposed.split(',').map(str::trim).collect();
    let of_transport = [
        "date",
        "connection",
        "vary",
        "transfer-encoding",
        "x-content-type-options",
    ];
    for (method, path, body) in [
        ("GET", "/v1/prices/005930", ""),
        ("GET", "/v1/market", ""),
        ("GET", "/v1/prices", ""),
        ("DELETE", "/v1/market", ""),
        ("POST", "/v1/refresh", "{\"codes\":[\"005930\"]}"),
    ] {
        let answer = request(&address, method, path, &origin, body).await;
        for name in answer.names() {
            let is_read = exposed.contains(&name) || usual.contains(&name);
            let is_ours = !(of_transport.contains(&name) || name.starts_with("access-control-"));
            assert!(is_read || !is_ours, "{name} of {path} is hidden");
        }
    }
    for name in ["age", "etag", "retry-after", "sise-source", "sise-session"] {
        assert!(exposed.contains(&name), "{name}");
    }
}

#[tokio::test]
async fn a_request_says_once_to_whom_it_is() {
    let served = Served::new().await;
    for (version, hosts, status) in [
        ("1.1", &["localhost"][..], 200),
        ("1.0", &[], 200),
        ("1.1", &[], 400),
        ("1.1", &["localhost", "localhost"], 400),
        ("1.0", &["localhost", "evil.example"], 400),
        ("1.1", &["local host"], 400),
    ] {
        for path in ["/live", "/v1/indices", "/"] {
            let hosts: Vec<String> = hosts
                .iter()
                .map(|host| format!("host: {host}\r\n"))
                .collect();
            let hosts = hosts.concat();
            let text = format!("GET {path} HTTP/{version}\r\n{hosts}connection: close\r\n\r\n");
            let answer = send(&served.address, text.as_bytes()).await;
            assert_eq!(answer.status, status, "{text}");
        }
    }
}

#[tokio::test]
async fn a_browser_is_told_what_each_page_may_do() {
    let served = Served::new().await;
    let address = &served.address;
    for path in [
        "/",
        "/main.js",
        "/docs/",
        "/docs/swagger-ui-bundle.js",
        "/v1/openapi.json",
    ] {
        let answer = get(address, path).await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    }
    for path in [
        "/",
        "/docs/",
        "/docs",
        "/live",
        "/metrics",
        "/v1/market",
        "/v1/nothing",
    ] {
        let answer = get(address, path).await;
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
    }
    // Nothing in it runs that the policy forbids.
    let page = String::from_utf8(get(address, "/docs/").await.body).unwrap();
    assert!(
        !page.contains("<script>") && !page.contains("onload="),
        "{page}"
    );
}
