//! Proves that rules of alerts are kept for all processes, that a daemon tells by them on every way,
//! and that another process goes on when it dies.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::program::{Outcome, Program};
use crate::support::world::World;
use crate::support::{http, list, until};

/// Codes of the small list.
const CODES: usize = 60;

const SECRET: &str = "a secret that nobody else has";

fn daemon(world: &World) -> Program {
    let codes = list::codes(CODES).join("\n");
    world.file("list.csv", &format!("code\n{codes}\n"));
    world
        .fast_sise(&["run", "--always-open"])
        .set("SISE__UNIVERSE__SOURCE", "csv")
        .set("SISE__UNIVERSE__FILE", "list.csv")
        .set("SISE__SCHEDULE__INTERVAL", "1s")
        .set("SISE__SCHEDULE__LEASE", "3s")
}

async fn alert(world: &World, arguments: &[&str]) -> Outcome {
    world.sise(&[&["alert"], arguments].concat()).run().await
}

/// Takes posts.
struct Receiver {
    url: String,
    posts: Arc<Mutex<Vec<Post>>>,
    task: JoinHandle<()>,
}

/// A post: its headers, in small letters, and its body.
#[derive(Debug, Clone)]
struct Post {
    headers: Vec<(String, String)>,
    body: String,
}

impl Post {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(held, _)| held == name);
        &found.unwrap_or_else(|| panic!("no {name} in {self:?}")).1
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Whether the signature is what `openssl` makes of it.
    fn is_signed(&self) -> bool {
        let signature = self.header("sise-signature");
        let (at, digest) = signature.split_once(",v1=").unwrap();
        let at = at.strip_prefix("t=").unwrap();
        let mut openssl = Command::new("openssl")
            .args(["dgst", "-sha256", "-hmac", SECRET])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = openssl.stdin.take().unwrap();
        stdin
            .write_all(format!("{at}.{}", self.body).as_bytes())
            .unwrap();
        drop(stdin);
        let output = openssl.wait_with_output().unwrap();
        let expected = String::from_utf8(output.stdout).unwrap();
        expected.trim().ends_with(digest) && digest.len() == 64
    }
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let posts: Arc<Mutex<Vec<Post>>> = Arc::default();
        let noted = Arc::clone(&posts);
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                if let Some(post) = read(&mut stream).await {
                    noted.lock().unwrap().push(post);
                }
                let answer = "HTTP/1.1 204 None\r\nConnection: close\r\n\r\n";
                // Who died does not take it.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self {
            url: format!("http://{address}/hook?token=hidden"),
            posts,
            task,
        }
    }

    fn posts(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }

    async fn post_of(&self, kind: &str) -> Post {
        until(&format!("a post of {kind}"), async || {
            let mut posts = self.posts().into_iter();
            posts.find(|post| post.json()["kind"] == kind)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(stream: &mut TcpStream) -> Option<Post> {
    let mut bytes = Vec::new();
    loop {
        let mut some = [0; 4_096];
        let count = stream.read(&mut some).await.ok()?;
        bytes.extend_from_slice(&some[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let header = |line: &str| {
                let (name, value) = line.split_once(": ")?;
                Some((name.to_lowercase(), value.to_owned()))
            };
            let post = Post {
                headers: head.lines().filter_map(header).collect(),
                body: body.to_owned(),
            };
            let length: usize = post.header("content-length").parse().unwrap();
            if body.len() >= length {
                return Some(post);
            }
        }
        if count == 0 {
            return None;
        }
    }
}

/// What a stream of alerts tells until the first one.
async fn first_alert(address: String) -> Value {
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let request = format!(
        "GET /v1/stream?alerts=1 HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    loop {
        let mut some = [0; 4_096];
        let count = stream.read(&mut some).await.unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&some[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let data = text.lines().find_map(|line| {
            let data: Value = serde_json::from_str(line.strip_prefix("data: ")?).ok()?;
            (data["type"] == "alert").then_some(data)
        });
        if let Some(data) = data {
            return data;
        }
    }
}

/// The alerts of a kind in the journal.
async fn told(world: &World, kind: &str) -> Vec<Value> {
    let entries = world.redis.journal().await.into_iter();
    let alerts = entries.filter(|entry| entry["kind"] == "alert");
    let of_kind = alerts.filter(|entry| entry["alert"]["kind"] == kind);
    of_kind.map(|entry| entry["alert"].clone()).collect()
}

#[tokio::test]
async fn rules_are_kept_for_every_process() {
    let world = World::new(&[]).await;
    let list = async || alert(&world, &["list", "--json"]).await.exits(0).json();
    alert(&world, &["list"])
        .await
        .exits(0)
        .says(&["there are no rules", "sise alert add"]);
    assert_eq!(list().await, json!([]));
    let outcome = alert(
        &world,
        &[
            "add",
            "low-samsung",
            "--list",
            "mine",
            "--price-below",
            "70000",
            "--quiet",
            "15:40-08:50",
            "--hysteresis",
            "0.5",
            "--every",
            "5m",
        ],
    )
    .await
    .exits(0)
    .says(&["nothing is on the watch list mine yet"]);
    assert_eq!(
        outcome.stdout,
        "low-samsung is added: price below 70,000 won, of the list mine, again after 0.5 % back, \
         quiet 15:40-08:50, every 5m at most\n\
         whether it holds is not known without a live price: it fires as soon as it holds; during \
         quiet hours, 15:40-08:50, only after them\n"
    );
    assert!(outcome.stderr.contains("no process watches for alerts"));
    let rules = list().await;
    let since = rules[0]["since"].clone();
    assert_eq!(
        rules,
        json!([{
            "name": "low-samsung", "since": since, "of": { "list": "mine" },
            "when": { "price_below": 70_000 }, "hysteresis": 0.5, "quiet": "15:40-08:50",
            "every_s": 300,
        }])
    );
    for (name, arguments) in [
        (
            "a",
            &["--codes", "005930,000660", "--change-beyond", "5"][..],
        ),
        ("b", &["--market", "--jump", "3", "--within", "5m"]),
        ("c", &["--market", "--new-high"]),
        ("d", &["--market", "--new-low"]),
        ("e", &["--market", "--volume-times", "3", "--within", "10m"]),
        ("f", &["--coverage-below", "90"]),
        ("g", &["--leader-lost", "30s"]),
        (
            "low-samsung",
            &["--codes", "005930", "--price-above", "90000"],
        ),
    ] {
        alert(&world, &[&["add", name], arguments].concat())
            .await
            .exits(0);
    }
    let outcome = alert(&world, &["list"]).await.exits(0);
    for shown in [
        "price above 90,000 won, of 005930",
        "jump of 3 % within 5m, of all codes",
        "coverage below 90 % for 3m, every 10m",
        "no process leads for 30s",
    ] {
        assert!(outcome.stdout.contains(shown), "{}", outcome.stdout);
    }
    let outcome = alert(&world, &["remove", "a"]).await.exits(0);
    assert_eq!(outcome.stdout, "a is removed\n");
    for arguments in [&["remove", "a"][..], &["test", "a"]] {
        alert(&world, arguments)
            .await
            .exits(3)
            .says(&["there is no rule a"]);
    }
    assert_eq!(list().await.as_array().unwrap().len(), 7);
    // They stay until they are taken away.
    let keys = ["sise:profile:alerts:rules".to_owned()];
    assert_eq!(world.redis.lives(&keys).await, [-1]);
    let fired = alert(&world, &["list", "--fired", "--json"]).await.exits(0);
    assert_eq!(fired.json(), json!([]));
}

#[tokio::test]
async fn what_is_no_rule_is_refused_with_the_reason() {
    let world = World::new(&[]).await;
    for (arguments, reason) in [
        (&["x"][..], "required"),
        (&["x", "--price-below", "70000"], "of which stocks?"),
        (&["a b", "--market", "--new-high"], "is not a valid name"),
        (&["x", "--market", "--price-below", "1"], "whole won from 2"),
        (
            &["x", "--market", "--change-beyond", "10001"],
            "percent from 0.1 to 10000",
        ),
        (
            &["x", "--market", "--new-high", "--next-crossing"],
            "next_crossing is for price_above",
        ),
        (
            &["x", "--market", "--price-below", "1", "--new-high"],
            "cannot be used with",
        ),
        (
            &["x", "--market", "--list", "mine", "--new-high"],
            "cannot be used with",
        ),
        (&["x", "--codes", "0059300", "--new-high"], "0059300"),
        (&["x", "--list", "a:b", "--new-high"], "is not a valid name"),
        (&["x", "--market", "--jump", "3"], "--within"),
        (
            &["x", "--market", "--jump", "3", "--within", "7m"],
            "1m, 2m, 3m, 5m",
        ),
        (
            &["x", "--market", "--new-high", "--within", "5m"],
            "--within goes with",
        ),
        (
            &["x", "--market", "--new-high", "--quiet", "25:00-01:00"],
            "quiet hours",
        ),
        (
            &["x", "--market", "--new-high", "--hysteresis", "0"],
            "hysteresis 0",
        ),
        (
            &["x", "--list", "mine", "--leader-lost", "30s"],
            "takes no list",
        ),
        (
            &["x", "--market", "--new-high", "--every", "2days"],
            "a day at most",
        ),
    ] {
        let outcome = alert(&world, &[&["add"], arguments].concat()).await;
        outcome.exits(2).says(&[reason]);
    }
    let kept = alert(&world, &["list", "--json"]).await.exits(0).json();
    assert_eq!(kept, json!([]));
    let outcome = world.sise(&["alert", "list"]).set("REDIS_URL", "memory");
    outcome.run().await.exits(2).says(&["store.url is memory"]);
    let short = world
        .sise(&["alert", "list"])
        .set("SISE__ALERTS__WEBHOOK_SECRET", "short-one");
    let outcome = short.run().await.exits(2).says(&["at least 16 characters"]);
    assert!(!outcome.stderr.contains("short-one"), "{}", outcome.stderr);
}

#[tokio::test]
async fn a_daemon_tells_on_every_way() {
    let world = World::new(&["--limit", "0"]).await;
    let receiver = Receiver::start().await;
    let running = daemon(&world)
        .set("SISE__ALERTS__WEBHOOK_URL", &receiver.url)
        .set("SISE__ALERTS__WEBHOOK_SECRET", SECRET)
        .start();
    let address = running.health_address().await;
    let stream = tokio::spawn(first_alert(address.clone()));
    alert(
        &world,
        &["add", "high", "--market", "--new-high", "--every", "0s"],
    )
    .await
    .exits(0);
    let post = receiver.post_of("new_high").await;
    assert!(post.is_signed(), "{post:?}");
    let told_of = post.json();
    assert_eq!(
        post.header("sise-delivery"),
        told_of["id"].as_str().unwrap()
    );
    assert_eq!(told_of["rule"], "high");
    let text = told_of["text"].as_str().unwrap();
    assert!(text.contains("has a new high of the day"), "{text}");
    assert!(text.ends_with("(simulated)"), "{text}");
    running
        .says(&["WARN", "alert:", "has a new high of the day"])
        .await;
    let code = told_of["code"].as_str().unwrap();
    let high = told_of["value"].as_i64().unwrap();
    let now = world.redis.realtime().await[code]["high"].as_i64().unwrap();
    assert!(now >= high, "{now} {high}");

    let message = stream.await.unwrap();
    assert_eq!(
        (&message["v"], &message["type"]),
        (&json!(1), &json!("alert"))
    );
    assert_eq!(message["alert"]["kind"], "new_high");
    until("the journal has it", async || {
        let told = told(&world, "new_high").await;
        told.contains(&told_of).then_some(())
    })
    .await;
    let fired = alert(&world, &["list", "--fired", "--json", "-n", "1000"]).await;
    let fired = fired.exits(0).json();
    assert!(fired.as_array().unwrap().contains(&told_of));
    let why = world.sise(&["why", code]).run().await.exits(0).stdout;
    assert!(
        why.contains("last alert ") && why.contains("of the rule high"),
        "{why}"
    );
    let metrics = http::get(&address, "/metrics").unwrap().body;
    assert!(metrics.contains("\nsise_alert_rules 1\n"), "{metrics}");
    for told in [
        r#"sise_alerts_fired_total{kind="new_high"}"#,
        r#"sise_alert_webhooks_total{outcome="delivered"}"#,
    ] {
        let line = metrics.lines().find_map(|line| line.strip_prefix(told));
        assert!(line.unwrap().trim().parse::<u64>().unwrap() > 0, "{told}");
    }

    // A rule that already holds fires at once, or only at the next crossing.
    let code = list::codes(1).remove(0);
    for (arguments, told) in [
        (&["add", "held"][..], "it fires at once"),
        (
            &["add", "crossed", "--next-crossing"],
            "it fires only at the next crossing",
        ),
    ] {
        let above = ["--codes", &code, "--price-above", "1"];
        let outcome = alert(&world, &[arguments, &above].concat()).await.exits(0);
        let said = format!("it holds now for {code}: {told}");
        assert!(outcome.stdout.contains(&said), "{}", outcome.stdout);
        assert_eq!(outcome.stderr, "");
    }
    alert(
        &world,
        &["add", "far", "--codes", "999999", "--price-above", "1"],
    )
    .await
    .exits(0)
    .says(&["so there are no prices: 999999"]);
    running.says(&["alert:", "is above 1 won"]).await;
    assert_eq!(running.count(&["is above 1 won", "rule=\"crossed\""]), 0);

    let outcome = alert(&world, &["test", "high"]).await.exits(0);
    for shown in [
        "codes, 60 with a live price",
        " watches",
        "stream   told",
        "webhook  alerts.webhook_url is not set",
    ] {
        assert!(outcome.stdout.contains(shown), "{}", outcome.stdout);
    }
    let test = world
        .sise(&["alert", "test", "high", "--json"])
        .set("SISE__ALERTS__WEBHOOK_URL", &receiver.url)
        .set("SISE__ALERTS__WEBHOOK_SECRET", SECRET)
        // It leads nowhere, and no post to this machine goes over it.
        .set("http_proxy", "http://127.0.0.1:1")
        .set("ALL_PROXY", "http://127.0.0.1:1");
    let test = test.run().await.exits(0).json();
    assert_eq!(test["webhook"], "delivered");
    let post = receiver.post_of("test").await;
    assert!(post.is_signed());
    assert_eq!(post.json(), test["alert"]);
    assert_eq!(told(&world, "test").await.len(), 2);
    let gone = world.sise(&["alert", "test", "high"]).set(
        "SISE__ALERTS__WEBHOOK_URL",
        "http://127.0.0.1:1/hook?token=hidden",
    );
    let outcome = gone.run().await.exits(3);
    assert!(
        outcome.stdout.contains("webhook  not delivered"),
        "{}",
        outcome.stdout
    );
    // It is not silent meanwhile, and says the cause.
    let outcome = outcome.says(&[
        "webhook: try 1: not delivered",
        "onnection refused",
        "again in",
    ]);
    for said in [&running.said(), &outcome.stdout, &outcome.stderr] {
        assert!(!said.contains("hidden") && !said.contains(SECRET), "{said}");
    }
    running.signal("TERM");
    running.end().await.exits(143);
}

#[tokio::test]
async fn a_daemon_without_api_watches_too() {
    let world = World::new(&["--limit", "0"]).await;
    alert(&world, &["add", "high", "--market", "--new-high"])
        .await
        .exits(0);
    let running = daemon(&world).set("SISE__API__LISTEN", "off").start();
    running.says(&["alert:", "has a new high of the day"]).await;
    running.signal("TERM");
    running.end().await.exits(143);
}

#[tokio::test]
async fn who_serves_tells_that_the_only_daemon_died() {
    let world = World::new(&["--limit", "0"]).await;
    alert(&world, &["add", "leader", "--leader-lost", "5s"])
        .await
        .exits(0);
    let mut running = daemon(&world).start();
    running.says(&["this process watches for alerts"]).await;
    let serving = world
        .sise(&["serve"])
        .set("SISE__SCHEDULE__LEASE", "3s")
        .start();
    let address = serving.health_address().await;
    let stream = tokio::spawn(first_alert(address));
    assert!(running.runs());
    running.signal("KILL");
    serving.says(&["this process watches for alerts"]).await;
    serving.says(&["alert:", "no process has led for"]).await;
    let message = stream.await.unwrap();
    assert_eq!(message["alert"]["kind"], "leader_lost");
    assert_eq!(message["alert"].get("code"), None);
    until("the journal has it", async || {
        (told(&world, "leader_lost").await.len() == 1).then_some(())
    })
    .await;
    // Who comes next knows what was told.
    serving.signal("TERM");
    serving.end().await.exits(143);
    let again = world.sise(&["serve"]).start();
    again.says(&["this process watches for alerts"]).await;
    alert(&world, &["add", "another", "--leader-lost", "5s"])
        .await
        .exits(0);
    let told = until("the new rule is told of", async || {
        let told = told(&world, "leader_lost").await;
        (told.len() > 1).then_some(told)
    })
    .await;
    let rules: Vec<&Value> = told.iter().map(|alert| &alert["rule"]).collect();
    assert_eq!(rules, ["leader", "another"]);
}

#[tokio::test]
async fn rules_are_kept_over_http_too() {
    let world = World::new(&[]).await;
    let serving = world.sise(&["serve"]).start();
    let address = serving.health_address().await;
    let ask = async |method: &str, path: &str, body: &str| {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    };
    let terms = r#"{"of":{"codes":["005930"]},"when":{"price_below":70000}}"#;
    let (status, rule) = ask("PUT", "/v1/alerts/low", terms).await;
    assert_eq!(
        (status, &rule["name"], &rule["every_s"]),
        (200, &json!("low"), &json!(600))
    );
    assert_eq!(rule["holds"], json!([]));
    let outlook = rule["outlook"].as_str().unwrap();
    assert!(outlook.contains("fires as soon as it holds"), "{outlook}");
    let warnings = rule["warnings"].to_string();
    assert!(
        warnings.contains("live price") || warnings.contains("closed"),
        "{warnings}"
    );
    let (_, all) = ask("GET", "/v1/alerts", "").await;
    assert_eq!(all["alerts"][0]["when"], json!({ "price_below": 70_000 }));
    assert_eq!(all["alerts"].as_array().unwrap().len(), 1);
    let listed = alert(&world, &["list", "--json"]).await.exits(0).json();
    assert_eq!(listed, all["alerts"]);
    for (path, body, expected) in [
        ("/v1/alerts/low", r#"{"when":{"price_below":0}}"#, 422),
        ("/v1/alerts/low", r#"{"when":"new_high","often":1}"#, 422),
        ("/v1/alerts/a%20b", terms, 422),
        ("/v1/alerts/low", "{", 400),
    ] {
        let (status, problem) = ask("PUT", path, body).await;
        assert_eq!(status, expected, "{body}");
        assert_eq!(problem["status"], expected, "{problem}");
    }
    alert(&world, &["test", "low"]).await.exits(0);
    let (status, fired) = ask("GET", "/v1/alerts/fired?n=5", "").await;
    assert_eq!((status, &fired["fired"][0]["kind"]), (200, &json!("test")));
    assert_eq!(ask("GET", "/v1/alerts/fired?n=0", "").await.0, 400);
    assert_eq!(ask("DELETE", "/v1/alerts/low", "").await.0, 204);
    assert_eq!(ask("DELETE", "/v1/alerts/low", "").await.0, 404);
}
