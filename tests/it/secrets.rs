//! Proves that app key, app secret, access token and the password of Redis stand nowhere but where
//! they belong: not in what the program prints, logs, stores or exposes, whatever goes wrong.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use futures_util::{StreamExt as _, stream};
use redis::{cmd, pipe};
use sise::config::{RawSettings, Settings};
use sise::kis::Credentials;
use sise::setup::Wiring;
use sise::sim::SimOptions;
use sise::store::{RedisSettings, RedisStore};

use crate::support::echo::{self, EchoBroker, ISSUED, Template};
use crate::support::faked_time::FakedTime;
use crate::support::program::{Outcome, Program};
use crate::support::redis::RedisServer;
use crate::support::simulated_broker::SimulatedBroker;
use crate::support::world::{APP_KEY, APP_SECRET, World};
use crate::support::{free_port, http, list, until};

const PASSWORD: &str = "pa55w0rd-of-redis-pa55w0rd";

/// So much of a secret is enough to be worth hiding.
const PART: usize = 16;

/// Cases that mostly wait run at the same time, so many of them.
const AT_ONCE: usize = 4;

/// Looks for secrets, and for parts of them.
struct Watch {
    secrets: Vec<String>,
}

impl Watch {
    /// For what every test has, and the tokens of its broker.
    fn new(tokens: &[String]) -> Self {
        let known = [APP_KEY, APP_SECRET, PASSWORD].map(str::to_owned);
        let secrets: Vec<String> = known.into_iter().chain(tokens.iter().cloned()).collect();
        assert!(secrets.iter().all(|secret| secret.len() > PART));
        Self { secrets }
    }

    fn look(&self, place: &str, shown: &[u8]) {
        for secret in &self.secrets {
            for part in secret.as_bytes().windows(PART) {
                if shown.windows(PART).any(|window| window == part) {
                    let shown = String::from_utf8_lossy(shown);
                    panic!("{place} shows a part of {secret}:\n{shown}");
                }
            }
        }
    }

    fn look_at_outcome(&self, place: &str, outcome: &Outcome) {
        self.look(&format!("stdout of {place}"), outcome.stdout.as_bytes());
        self.look(&format!("stderr of {place}"), outcome.stderr.as_bytes());
    }

    /// Every file below a folder, and its name.
    fn look_at_files(&self, folder: &Path) -> usize {
        let mut files = 0;
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let place = path.display().to_string();
            self.look("a file's name", place.as_bytes());
            if path.is_dir() {
                files += self.look_at_files(&path);
            } else {
                self.look(&place, &std::fs::read(&path).unwrap());
                files += 1;
            }
        }
        files
    }

    /// Every key and value, and every command that Redis was sent.
    async fn look_at_redis(&self, redis: &RedisServer) -> usize {
        let mut connection = redis.connection().await;
        // Dumps are compressed otherwise.
        let set = ["SET", "rdbcompression", "no"];
        let () = cmd("CONFIG")
            .arg(&set)
            .query_async(&mut connection)
            .await
            .unwrap();
        let keys: Vec<Vec<u8>> = cmd("KEYS")
            .arg("*")
            .query_async(&mut connection)
            .await
            .unwrap();
        for key in &keys {
            let place = String::from_utf8_lossy(key).into_owned();
            self.look("a key of Redis", key);
            let dump = cmd("DUMP").arg(key).clone();
            let dump: Option<Vec<u8>> = dump.query_async(&mut connection).await.unwrap();
            self.look(&format!("Redis under {place}"), &dump.unwrap_or_default());
        }
        let mut pipeline = pipe();
        pipeline.cmd("SLOWLOG").arg(&["GET", "-1"]);
        pipeline.cmd("CLIENT").arg("LIST");
        let said: Vec<redis::Value> = pipeline.query_async(&mut connection).await.unwrap();
        self.look("the commands sent to Redis", format!("{said:?}").as_bytes());
        // Bytes are shown as numbers there; texts must be looked at as such.
        for text in texts(&said) {
            self.look("a command sent to Redis", &text);
        }
        keys.len()
    }
}

/// The texts in an answer of Redis, however deep.
fn texts(values: &[redis::Value]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for value in values {
        match value {
            redis::Value::BulkString(bytes) => found.push(bytes.clone()),
            redis::Value::SimpleString(text) => found.push(text.clone().into_bytes()),
            redis::Value::Array(inner) => found.extend(texts(inner)),
            _ => {}
        }
    }
    found
}

/// A world whose Redis asks for a password and remembers every command.
async fn world(arguments: &[&str]) -> World {
    guarded(World::new(arguments).await).await
}

async fn guarded(mut world: World) -> World {
    let asks = [
        "--requirepass",
        PASSWORD,
        "--slowlog-log-slower-than",
        "0",
        "--slowlog-max-len",
        "100000",
    ];
    world.redis = RedisServer::start_with(&asks, &format!(":{PASSWORD}@")).await;
    let codes = list::codes(30).join("\n");
    world.file("list.csv", &format!("code\n{codes}\n"));
    world
}

/// A command line that says all it can, of a small list.
fn loud(world: &World, arguments: &[&str]) -> Program {
    world
        .fast_sise(arguments)
        .set("SISE__LOG__LEVEL", "trace")
        .set("SISE__UNIVERSE__SOURCE", "csv")
        .set("SISE__UNIVERSE__FILE", "list.csv")
        .set("SISE__SCHEDULE__INTERVAL", "1s")
        .set("SISE__KIS__TIMEOUT", "1s")
        .set("RUST_BACKTRACE", "1")
}

/// Every command that ends by itself.
const COMMANDS: &[&[&str]] = &[
    &["run", "--once", "--codes", "005930"],
    &["run", "--once", "--codes", "005930", "--json"],
    &["get", "005930", "000660"],
    &["get", "005930", "--json"],
    &["doctor"],
    &["doctor", "--json"],
    &["config"],
    &["config", "--json"],
    &["plan"],
    &["universe", "--json"],
    &["calendar", "--json"],
    &["status"],
    &["status", "--json"],
    &["why", "005930"],
    &["why", "--last-skip"],
];

async fn run_all(world: &World, watch: &Watch, change: impl Fn(Program) -> Program) {
    for arguments in COMMANDS {
        let outcome = change(loud(world, arguments)).run().await;
        assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
        watch.look_at_outcome(&arguments.join(" "), &outcome);
    }
}

/// Runs the daemon for a while and looks at all that it exposes.
async fn run_daemon(world: &World, watch: &Watch, change: impl Fn(Program) -> Program) {
    let daemon = change(loud(world, &["run", "--always-open"])).start();
    // Key or secret may be refused, and then it ends by itself.
    let mut daemon = daemon;
    until("the daemon works, or has ended", async || {
        let works = daemon.count(&["sweep done"]) + daemon.count(&["skipped"]) > 0;
        (works || !daemon.runs()).then_some(())
    })
    .await;
    if daemon.runs() {
        let address = daemon.health_address().await;
        for path in ["/metrics", "/ready", "/live", "/", "/status", "/debug"] {
            let answer = http::get(&address, path);
            let answer = answer.unwrap_or_else(|| panic!("no {path}: {}", daemon.said()));
            watch.look(path, answer.body.as_bytes());
        }
        daemon.signal("TERM");
    }
    let outcome = daemon.end().await;
    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
    watch.look_at_outcome("the daemon", &outcome);
}

async fn look_everywhere(world: &World, watch: &Watch) {
    watch.look_at_files(&world.path().join("state"));
    watch.look_at_redis(&world.redis).await;
}

#[tokio::test]
async fn nothing_shows_a_secret_where_all_is_well() {
    let world = world(&["--limit", "0"]).await;
    // The daemon did not ask for the token that dies, so that it may ask for the next one at once.
    let first = loud(&world, &["run", "--once", "--codes", "005930"]).run();
    first.await.exits(0);
    let daemon = loud(&world, &["run", "--always-open"]).start();
    until("sweeps are done", async || {
        (daemon.count(&["sweep done"]) > 1).then_some(())
    })
    .await;
    let mut tokens = world.broker.tokens();
    assert_eq!(tokens.len(), 1);
    // The token dies in the middle of the work, and another takes its place.
    world.broker.kill_tokens();
    until("another token is in use", async || {
        (!world.broker.tokens().is_empty()).then_some(())
    })
    .await;
    tokens.extend(world.broker.tokens());
    let watch = Watch::new(&tokens);
    let address = daemon.health_address().await;
    for path in ["/metrics", "/ready", "/live", "/"] {
        watch.look(path, http::get(&address, path).unwrap().body.as_bytes());
    }
    daemon.signal("TERM");
    watch.look_at_outcome("the daemon", &daemon.end().await.exits(143));
    let json =
        loud(&world, &["run", "--once", "--codes", "005930"]).set("SISE__LOG__FORMAT", "json");
    watch.look_at_outcome("logs in JSON", &json.run().await.exits(0));
    run_all(&world, &watch, |program| program).await;
    // The test looks where something is: the token, the list and the prices are there.
    assert!(watch.look_at_files(&world.path().join("state")) >= 2);
    assert!(watch.look_at_redis(&world.redis).await > 30);
    // And it finds what is there to be found.
    let kept = std::fs::read_to_string(world.token_file()).unwrap();
    let of_file = Watch {
        secrets: vec![kept.clone()],
    };
    let found = std::panic::catch_unwind(|| of_file.look("", kept.as_bytes()));
    assert!(found.is_err());
}

#[tokio::test]
async fn no_fault_of_the_broker_shows_a_secret() {
    let faults: [&[&str]; 8] = [
        &["--garbage", "1"],
        &["--http-500", "1"],
        &["--reset", "1"],
        &["--refuse", "1"],
        &["--zero", "1"],
        &["--dead-token", "1"],
        &["--slow", "1", "--slow-for", "3s"],
        &["--no-multi", "--missing-fields", "1"],
    ];
    for fault in faults {
        // A token may be asked for once a minute, which is a second here.
        let time = FakedTime::faster("2026-11-17 10:00:00", 60);
        let world = World::at(time, &[&["--limit", "0"], fault].concat()).await;
        let world = guarded(world).await;
        for arguments in [
            ["run", "--once", "--codes", "005930"].as_slice(),
            &["doctor"],
            &["get", "005930"],
        ] {
            let outcome = loud(&world, arguments).run().await;
            let watch = Watch::new(&world.broker.tokens());
            watch.look_at_outcome(&format!("{arguments:?} with {fault:?}"), &outcome);
        }
        look_everywhere(&world, &Watch::new(&world.broker.tokens())).await;
    }
}

/// It tells the words of a command that it does not know, and the password is among those of HELLO.
#[tokio::test]
async fn a_redis_without_resp3_is_not_quoted() {
    let mut world = world(&["--limit", "0"]).await;
    let asks = ["--requirepass", PASSWORD, "--rename-command", "HELLO", ""];
    world.redis = RedisServer::start_with(&asks, &format!(":{PASSWORD}@")).await;
    let watch = Watch::new(&[]);
    let url = format!("{}?protocol=resp3", world.redis.url());
    let changes: [(&str, &str); 2] = [("SISE__READER__FIRST_LEVEL", "on"), ("REDIS_URL", &url)];
    for (name, value) in changes {
        run_all(&world, &watch, |program| program.set(name, value)).await;
        run_daemon(&world, &watch, |program| program.set(name, value)).await;
        look_everywhere(&world, &watch).await;
    }
    let doctor = loud(&world, &["doctor"]).set("REDIS_URL", &url).run().await;
    let found = doctor.exits(1).stdout;
    assert!(found.contains("it does not support RESP3"), "{found}");
}

#[tokio::test]
async fn a_broker_that_is_away_shows_no_secret() {
    let mut world = world(&["--limit", "0"]).await;
    loud(&world, &["run", "--once", "--codes", "005930"])
        .run()
        .await
        .exits(0);
    let watch = Watch::new(&world.broker.tokens());
    world.broker.kill().await;
    run_all(&world, &watch, |program| program).await;
    run_daemon(&world, &watch, |program| program).await;
    look_everywhere(&world, &watch).await;
}

#[tokio::test]
async fn a_key_or_secret_that_is_refused_is_not_shown() {
    for refused in [["--app-key", "another"], ["--app-secret", "another"]] {
        let world = world(&[&["--limit", "0"], refused.as_slice()].concat()).await;
        let watch = Watch::new(&[]);
        run_all(&world, &watch, |program| program).await;
        run_daemon(&world, &watch, |program| program).await;
        look_everywhere(&world, &watch).await;
    }
    // A key of the other environment.
    let world = world(&["--limit", "0", "--mode", "paper"]).await;
    let watch = Watch::new(&world.broker.tokens());
    run_all(&world, &watch, |program| program.set("KIS_ENV", "real")).await;
    look_everywhere(&world, &Watch::new(&world.broker.tokens())).await;
}

/// What the broker, or whatever stands before it, may say with a secret in it.
const WORDS: &[Template] = &[
    (
        403,
        r#"{"error_code":"EGW00103","error_description":"this is no key: ECHO"}"#,
    ),
    (
        403,
        r#"{"error_code":"EGW00002 ECHO","error_description":"ECHO TOKEN"}"#,
    ),
    (
        200,
        r#"{"rt_cd":"1","msg_cd":"EGW00002","msg1":"ECHO TOKEN"}"#,
    ),
    (
        500,
        r#"{"rt_cd":"1","msg_cd":"EGW00123","msg1":"the token TOKEN has ended ECHO"}"#,
    ),
    (500, r#"{"rt_cd":"ECHO","msg_cd":"ECHO","msg1":"TOKEN"}"#),
    (500, "<html>ECHO TOKEN</html>"),
    (200, "<html>ECHO TOKEN</html>"),
    (302, ""),
    (200, r#""ECHO TOKEN""#),
    (200, r#"["ECHO TOKEN"]"#),
    (200, r#"{"access_token":["TOKEN"],"expires_in":"ECHO"}"#),
    (200, r#"{"access_token":"TOKEN","expires_in":86400"#),
    (200, r#"{"access_token":"TOKEN\n","expires_in":86400}"#),
    (
        200,
        r#"{"access_token":"TOKEN","access_token_token_expired":"1999-01-01 00:00:00"}"#,
    ),
    (200, r#"{"rt_cd":"0","output":"ECHO TOKEN"}"#),
    (200, r#"{"rt_cd":"0","output":["ECHO TOKEN"]}"#),
    (
        200,
        r#"{"rt_cd":"0","output":{"ECHO TOKEN":"ECHO TOKEN","stck_prpr":"ECHO"}}"#,
    ),
    (
        200,
        r#"{"rt_cd":"0","output":[{"inter_shrn_iscd":"005930","inter2_prpr":"TOKEN ECHO","inter2_sdpr":"ECHO"}]}"#,
    ),
    (
        200,
        r#"{"rt_cd":"0","output":{"stck_prpr":"72000","acml_vol":"ECHO TOKEN","stck_sdpr":"TOKEN","ECHO":"TOKEN"}}"#,
    ),
];

#[tokio::test]
async fn what_the_broker_says_of_a_secret_is_not_repeated() {
    let tokens = [echo::TOKEN.to_owned()];
    let watch = Watch::new(&tokens);
    let brokers = WORDS.iter().map(|words| (*words, *words));
    let brokers = brokers.chain(WORDS.iter().map(|words| (ISSUED, *words)));
    let watch = &watch;
    let each = async |(token, other)| {
        let world = world(&[]).await;
        let broker = EchoBroker::start(token, other).await;
        let at = |program: Program| {
            program
                .set("KIS_BASE_URL", broker.url())
                .set("KIS_MASTER_URL", broker.url())
                .set("SISE__UNIVERSE__SOURCE", "auto")
        };
        for arguments in [
            ["doctor"].as_slice(),
            &["get", "005930", "--json"],
            &["run", "--once", "--codes", "005930"],
        ] {
            // It waits for a token that it cannot have; a signal ends that.
            let run = at(loud(&world, arguments)).start();
            let outcome = run
                .end_or_interrupt(std::time::Duration::from_secs(3))
                .await;
            assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
            watch.look_at_outcome(&format!("{arguments:?} told {token:?} {other:?}"), &outcome);
        }
        look_everywhere(&world, watch).await;
    };
    stream::iter(brokers)
        .for_each_concurrent(AT_ONCE, each)
        .await;
}

#[tokio::test]
async fn a_redis_that_cannot_be_used_shows_no_secret() {
    let mut world = world(&["--limit", "0"]).await;
    let watch = Watch::new(&[]);
    let port = world.redis.port();
    let nobody = free_port();
    let urls = [
        // A password that is wrong is one all the same: it is right elsewhere.
        format!("redis://:{PASSWORD}x@127.0.0.1:{port}"),
        format!("redis://somebody:{PASSWORD}@127.0.0.1:{port}"),
        format!("redis://{PASSWORD}@127.0.0.1:{port}"),
        format!("redis://:{PASSWORD}@127.0.0.1:{nobody}"),
        format!("rediss://:{PASSWORD}@127.0.0.1:{port}"),
        format!("redis://:{PASSWORD}@127.0.0.1:{port}/99"),
        format!("redis://:{PASSWORD}@no-such-host.invalid:{port}"),
    ];
    let (watching, world_now) = (&watch, &world);
    let each = async |url: String| {
        let change = |program: Program| {
            let program = program.set("REDIS_URL", &url);
            program.set("SISE__STORE__CONNECT_TIMEOUT", "300ms")
        };
        run_all(world_now, watching, change).await;
        run_daemon(world_now, watching, change).await;
    };
    stream::iter(urls).for_each_concurrent(AT_ONCE, each).await;
    world.redis.freeze();
    let slow = |program: Program| {
        let program = program.set("SISE__STORE__CONNECT_TIMEOUT", "300ms");
        program.set("SISE__STORE__RESPONSE_TIMEOUT", "50ms")
    };
    run_all(&world, &watch, slow).await;
    world.redis.thaw();
    look_everywhere(&world, &watch).await;
    world.redis.kill().await;
    run_all(&world, &watch, |program| program).await;
    watch.look_at_files(&world.path().join("state"));
}

#[tokio::test]
async fn settings_that_are_refused_show_no_secret() {
    let world = world(&[]).await;
    let watch = Watch::new(&[]);
    for url in [
        format!("redis://:{PASSWORD} x@127.0.0.1"),
        format!("redis://:{PASSWORD}@127.0.0.1:port"),
        format!("redis://:{PASSWORD}/x@127.0.0.1"),
        format!("redis://:{PASSWORD}#x@127.0.0.1"),
        format!("redis://:{PASSWORD}?x@127.0.0.1"),
        format!("redis:/:{PASSWORD}@127.0.0.1"),
        format!("redis:{PASSWORD}@127.0.0.1"),
        format!("redis//:{PASSWORD}@127.0.0.1"),
        format!("postgres://user:{PASSWORD}@127.0.0.1"),
        format!("http://user:{PASSWORD}@127.0.0.1"),
        format!("//user:{PASSWORD}@127.0.0.1"),
        format!("user:{PASSWORD}@127.0.0.1"),
        format!("{PASSWORD}@127.0.0.1"),
        format!("redis://:{PASSWORD}@"),
        format!("redis://:{PASSWORD}"),
        format!("redis://127.0.0.1/{PASSWORD}"),
        format!("redis://127.0.0.1?password={PASSWORD}"),
        format!("redis-sentinel://:{PASSWORD}@a:1,b:2/x y"),
        format!("redis-cluster://:{PASSWORD}@a:1,b"),
        PASSWORD.to_owned(),
    ] {
        for arguments in [
            ["config"].as_slice(),
            &["config", "--json"],
            &["doctor"],
            &["get", "005930"],
            &["run"],
        ] {
            let program = loud(&world, arguments).set("REDIS_URL", &url).start();
            let outcome = program
                .end_or_interrupt(std::time::Duration::from_secs(5))
                .await;
            watch.look_at_outcome(&format!("{arguments:?} with {url}"), &outcome);
        }
    }
    for name in ["KIS_BASE_URL", "KIS_MASTER_URL"] {
        for url in [
            format!("http://user:{PASSWORD}@127.0.0.1:1"),
            format!("http://{PASSWORD}@127.0.0.1:1"),
            format!("ftp://user:{PASSWORD}@127.0.0.1"),
        ] {
            run_all(&world, &watch, |program| program.set(name, &url)).await;
        }
    }
    for name in ["KIS_APP_KEY", "KIS_APP_SECRET"] {
        for value in [
            format!("{APP_SECRET}\u{ac00}"),
            format!("{APP_SECRET}\n{APP_KEY}"),
            format!("{APP_SECRET}\u{7f}"),
        ] {
            run_all(&world, &watch, |program| program.set(name, &value)).await;
        }
    }
    // Every other setting is named with its value, which is no reason to name the secrets too.
    for key in sise::config::KEYS.iter().filter(|key| !key.is_secret) {
        let outcome = loud(&world, &["config"])
            .set(
                &key.general_variable(),
                "\u{0}no value".replace('\u{0}', "?"),
            )
            .run()
            .await;
        watch.look_at_outcome(key.name, &outcome);
    }
    for text in [
        format!("[kis]\napp_secret = {APP_SECRET}\n"),
        format!("[kis]\napp_secret = \"{APP_SECRET}\n"),
        format!("[kis]\napp_secret = \"{APP_SECRET}\"\napp_secret = \"{APP_SECRET}\"\n"),
        format!("[kis]\napp_secret = [\"{APP_SECRET}\"]\n"),
        format!("[kis]\napp_secret: {APP_SECRET}\n"),
        format!("kis.app_secret = \"{APP_SECRET}\" x\n"),
        format!("kis = \"{APP_SECRET}\"\n"),
        format!("[store]\nurl = \"redis://:{PASSWORD}@host\"\nttl = 5\n"),
    ] {
        world.file("broken.toml", &text);
        run_all(&world, &watch, |program| {
            program.set("SISE_CONFIG", "broken.toml")
        })
        .await;
    }
    for text in [
        format!("KIS_APP_SECRET {APP_SECRET}\n"),
        format!("KIS_APP_SECRET='{APP_SECRET}\n"),
        format!("KIS_APP_SECRET={APP_SECRET} {APP_KEY}\n"),
        format!("{APP_SECRET}\n"),
        format!("=REDIS_URL=redis://:{PASSWORD}@host\n"),
    ] {
        world.file(".env", &text);
        run_all(&world, &watch, |program| program.unset("KIS_APP_SECRET")).await;
    }
    world.file(".env", "");
    for (argument, code) in [
        (format!("kis.app_secret:{APP_SECRET}"), 2),
        (format!("kis.app_secret {APP_SECRET}"), 2),
        (format!("store.url=redis://:{PASSWORD}@host:port"), 2),
        (format!("kis.app_secret={APP_SECRET}\u{ac00}"), 0),
    ] {
        let outcome = loud(&world, &["config", "--set", &argument])
            .run()
            .await
            .exits(code);
        watch.look_at_outcome(&argument, &outcome);
    }
    watch.look_at_files(&world.path().join("state"));
}

/// A full disk, a port that is taken, a killed process.
#[tokio::test]
async fn an_end_that_nobody_asked_for_shows_no_secret() {
    let world = world(&["--limit", "0"]).await;
    let mut tokens = Vec::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let outcome = loud(&world, &["run", "--always-open"])
        .set("SISE__API__LISTEN", &address)
        .run()
        .await
        .exits(1);
    Watch::new(&tokens).look_at_outcome("a port that is taken", &outcome);
    world.file("no-folder", "");
    let outcome = loud(&world, &["run", "--once", "--codes", "005930"])
        .set("SISE__STATE__DIRECTORY", "no-folder/state")
        .run()
        .await;
    tokens.extend(world.broker.tokens());
    Watch::new(&tokens).look_at_outcome("a state that cannot be kept", &outcome);
    for signal in ["ABRT", "KILL", "USR1"] {
        let daemon = loud(&world, &["run", "--always-open"]).start();
        until("a sweep is done", async || {
            (daemon.count(&["sweep done"]) > 0).then_some(())
        })
        .await;
        tokens.extend(world.broker.tokens());
        daemon.signal(signal);
        Watch::new(&tokens).look_at_outcome(signal, &daemon.end().await);
    }
    look_everywhere(&world, &Watch::new(&tokens)).await;
}

/// The simulated broker is given real keys by mistake sooner or later.
#[tokio::test]
async fn the_simulated_broker_shows_no_key() {
    let watch = Watch::new(&[]);
    let home = tempfile::tempdir().unwrap();
    let arguments = [
        "sim",
        "--listen",
        "127.0.0.1:0",
        "--app-key",
        APP_KEY,
        "--app-secret",
        APP_SECRET,
    ];
    let sim = Program::new(home.path(), &arguments)
        .set("SISE__LOG__LEVEL", "trace")
        .start();
    sim.says(&["point sise at it"]).await;
    sim.signal("TERM");
    watch.look_at_outcome("sise sim", &sim.end().await);
    let broker = SimulatedBroker::start(&arguments[3..]).await;
    let address = broker.url().replace("http://", "");
    for path in ["/sim/stats", "/oauth2/tokenP", "/"] {
        watch.look(path, http::get(&address, path).unwrap().body.as_bytes());
    }
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let watch = Watch::new(&[]);
    let url = format!("redis://:{PASSWORD}@127.0.0.1:1/0");
    let home = tempfile::tempdir().unwrap();
    let mut raw = RawSettings::unset();
    raw.set("store.url", &url);
    raw.set("kis.app_key", APP_KEY);
    raw.set("kis.app_secret", APP_SECRET);
    raw.set("state.directory", home.path().to_str().unwrap());
    let settings = Settings::new(&raw).unwrap();
    let redis = RedisSettings {
        url: &url,
        namespace: "",
        connect_timeout: std::time::Duration::from_secs(1),
        response_timeout: std::time::Duration::from_secs(1),
    };
    let credentials = Credentials {
        app_key: APP_KEY.to_owned().into(),
        app_secret: APP_SECRET.to_owned().into(),
    };
    let sim = SimOptions {
        app_key: Some(APP_KEY.to_owned()),
        app_secret: Some(APP_SECRET.to_owned()),
        ..SimOptions::default()
    };
    let builder = sise::Reader::builder()
        .redis_url(&url)
        .credentials(APP_KEY, APP_SECRET);
    let wiring = Wiring::new(settings.clone(), sise::clock::system()).unwrap();
    let broker = wiring.broker.as_ref().unwrap();
    for shown in [
        format!("{raw:?} {settings:?} {:#?}", settings.kis),
        format!("{redis:?} {:?}", RedisStore::new(&redis)),
        format!("{credentials:?} {sim:?} {builder:?}"),
        format!("{wiring:?} {:?} {:?}", wiring.reader(), wiring.redis),
        format!(
            "{broker:?} {:?} {:?} {:?}",
            broker.rest, broker.auth, broker.pacer
        ),
        format!("{:?} {:?}", broker.caller, broker.source),
        format!("{:?} {:?}", wiring.candidate(), wiring.sweeper(None)),
        format!("{:?}", wiring.loader()),
    ] {
        watch.look("Debug", shown.as_bytes());
    }
}
