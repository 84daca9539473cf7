use std::sync::atomic::{AtomicI64, Ordering};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{Caller, Http};
use sise_domain::Caps;
use sise_pace::{LocalBudget, Pacer, Rate};
use sise_port::clock;
use sise_sim::{Sim, SimOptions};
use sise_store::MemoryTokens;

/// A simulated broker on its own port, and a folder for token files.
struct World {
    sim: Sim,
    base: String,
    folder: tempfile::TempDir,
    shared: Arc<dyn TokenStore>,
    /// How far the clock of the processes is moved, in seconds.
    moved: Arc<AtomicI64>,
    _stop: tokio_util::sync::DropGuard,
}

impl World {
    async fn new(options: SimOptions) -> Self {
        Self::with_clock(options, clock::system()).await
    }

    /// Creates a broker whose time of day is `clock`.
    async fn with_clock(options: SimOptions, clock: Clock) -> Self {
        let sim = Sim::new(options, clock).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let serving = (sim.clone(), stop.clone());
        tokio::spawn(async move { serving.0.serve(listener, serving.1).await });
        Self {
            sim,
            base,
            folder: tempfile::tempdir().unwrap(),
            shared: Arc::new(MemoryTokens::default()),
            moved: Arc::default(),
            _stop: stop.drop_guard(),
        }
    }

    fn auth(&self, secret: &str) -> Auth {
        let moved = Arc::clone(&self.moved);
        let by = move || TimeDelta::seconds(moved.load(Ordering::SeqCst));
        self.auth_at(secret, Arc::new(move || (clock::system())() + by()))
    }

    /// Ends all tokens at the broker, at a time when new ones may be requested.
    fn kill_tokens(&self) {
        self.sim.kill_tokens();
        self.moved.fetch_add(61, Ordering::SeqCst);
    }

    fn auth_at(&self, secret: &str, clock: Clock) -> Auth {
        let credentials = Credentials {
            app_key: "the-app-key".to_owned().into(),
            app_secret: secret.to_owned().into(),
        };
        let caps = Caps {
            per_second: 1_000.0,
            per_minute: None,
            per_day: None,
            late: std::time::Duration::ZERO,
        };
        let budget = Arc::new(LocalBudget::new(caps, clock::system()));
        let pacer = Arc::new(Pacer::new(budget, None, Rate::new(1_000.0, 100)));
        let http = Arc::new(Http::new(&self.base, Duration::from_secs(5)).unwrap());
        let rest = Arc::new(Rest::new(&self.base, http, pacer, clock::system()).unwrap());
        let identity = credentials.identity(&self.base);
        let keep = Keep {
            shared: Arc::clone(&self.shared),
            file: Some(TokenFile::new(self.folder.path(), &identity)),
            process: "a-process".to_owned(),
        };
        Auth::new(rest, credentials, keep, clock)
    }
}

fn value(token: &Token) -> &str {
    token.value.expose_secret()
}

/// The process with the turn may have died with it, and a ban is known without it.
#[tokio::test]
async fn under_a_ban_nobody_waits_for_the_turn_to_ask() {
    let world = World::new(SimOptions {
        app_secret: Some("right".to_owned()),
        ..SimOptions::default()
    })
    .await;
    let auth = world.auth("wrong");
    let denied = auth.token().await.unwrap_err();
    assert!(matches!(denied, SourceError::Denied(_)), "{denied}");
    let life = Duration::from_secs(600);
    let turn = world.shared.claim("another", 0, life).await.unwrap();
    assert_eq!(turn, Issue::Ask);
    let banned = timeout(Duration::from_secs(20), auth.token()).await;
    let banned = banned.unwrap().unwrap_err();
    assert!(matches!(banned, SourceError::Banned(_)), "{banned}");
}

#[tokio::test]
async fn all_who_come_at_once_get_one_token() {
    let world = World::new(SimOptions::default()).await;
    let auth = world.auth("the-secret");
    let tokens = futures_util::future::join_all((0..50).map(|_| auth.token())).await;
    let first = tokens[0].as_ref().unwrap();
    assert!(tokens.iter().all(|token| token.as_ref().unwrap().is(first)));
    assert_eq!(world.sim.stats().token_requests, 1);
    assert!(auth.has_valid_token());
}

#[tokio::test]
async fn the_next_process_takes_the_token_from_disk() {
    let world = World::new(SimOptions::default()).await;
    let first = world.auth("the-secret").token().await.unwrap();
    let second = world.auth("the-secret").token().await.unwrap();
    assert!(first.is(&second));
    assert_eq!(world.sim.stats().token_requests, 1);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_reads_the_file_and_debug_shows_no_secret() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new(SimOptions::default()).await;
    let auth = world.auth("the-secret");
    let token = auth.token().await.unwrap();
    let file = std::fs::read_dir(world.folder.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let name = file.file_name().into_string().unwrap();
    assert!(!name.contains("the-app-key"));
    let headers = auth.headers(&token, "TR");
    let shown = format!("{auth:?} {token:?} {headers:?} {:?}", auth.credentials);
    for secret in ["the-secret", "the-app-key", value(&token)] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn a_dead_token_is_replaced_once_however_many_met_it() {
    let world = World::new(SimOptions::default()).await;
    let auth = world.auth("the-secret");
    let dead = auth.token().await.unwrap();
    world.kill_tokens();
    auth.forget(&dead);
    assert!(!auth.has_valid_token());
    let next = auth.token().await.unwrap();
    assert!(!next.is(&dead));
    // The others come late with the same dead token, which is no longer the current one.
    auth.forget(&dead);
    assert!(auth.token().await.unwrap().is(&next));
    assert_eq!(world.sim.stats().tokens_issued, 2);
}

#[tokio::test]
async fn a_dead_token_that_another_process_replaced_is_taken_from_disk() {
    let world = World::new(SimOptions::default()).await;
    let (ours, theirs) = (world.auth("the-secret"), world.auth("the-secret"));
    let dead = ours.token().await.unwrap();
    world.kill_tokens();
    theirs.forget(&theirs.token().await.unwrap());
    let next = theirs.token().await.unwrap();
    ours.forget(&dead);
    assert!(ours.token().await.unwrap().is(&next));
    assert_eq!(world.sim.stats().tokens_issued, 2);
}

#[tokio::test]
async fn a_call_gets_through_where_the_token_of_another_process_is_as_dead_as_its_own() {
    let world = World::new(SimOptions::default()).await;
    let (ours, theirs) = (world.auth("the-secret"), world.auth("the-secret"));
    ours.token().await.unwrap();
    theirs.forget(&theirs.token().await.unwrap());
    world.kill_tokens();
    theirs.token().await.unwrap();
    world.kill_tokens();
    let caller = Caller::new(Arc::clone(&ours.rest), Arc::new(ours));
    let today = (clock::system())().date_naive();
    caller.open_days(today).await.unwrap();
    assert_eq!(world.sim.stats().tokens_issued, 3);
}

/// A broker that issues the same token again and again, as the real one does for 6 hours.
#[tokio::test]
async fn the_same_token_given_again_is_tried_again() {
    let end = (clock::system())() + TimeDelta::hours(24);
    let body = json!({
        "access_token": "the-same",
        "access_token_token_expired": end.format("%Y-%m-%d %H:%M:%S").to_string(),
        "expires_in": 86_400,
    });
    let answer = move || std::future::ready(axum::Json(body.clone()));
    let router = axum::Router::new().route("/oauth2/tokenP", axum::routing::post(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let world = World {
        base,
        ..World::new(SimOptions::default()).await
    };
    let auth = world.auth("the-secret");
    let first = auth.token().await.unwrap();
    auth.forget(&first);
    world.moved.store(61, Ordering::SeqCst);
    let second = auth.token().await.unwrap();
    assert!(second.is(&first) && auth.has_valid_token());
    // A call that was made with the first returns late: it says nothing about the second.
    auth.forget(&first);
    assert!(auth.has_valid_token());
}

#[tokio::test]
async fn a_wrong_secret_is_denied_after_one_request() {
    let world = World::new(SimOptions {
        app_secret: Some("the-secret".to_owned()),
        ..SimOptions::default()
    })
    .await;
    let error = world.auth("another").token().await.unwrap_err();
    assert!(matches!(error, SourceError::Denied(_)), "{error}");
    assert!(!error.to_string().contains("another"));
    assert_eq!(world.sim.stats().token_requests, 1);
}

/// An early renewal may fall due before the minute between two tokens is over: nothing waits for it
/// while the old token lives.
#[tokio::test]
async fn an_early_renewal_that_comes_too_soon_waits_for_nothing() {
    let moved = Arc::new(AtomicI64::new(0));
    let seconds = Arc::clone(&moved);
    let clock: Clock =
        Arc::new(move || (clock::system())() + TimeDelta::seconds(seconds.load(Ordering::SeqCst)));
    let options = SimOptions {
        token_validity: Duration::from_secs(50),
        ..SimOptions::default()
    };
    let world = World::with_clock(options, Arc::clone(&clock)).await;
    let auth = world.auth_at("the-secret", clock);
    let first = auth.token().await.unwrap();
    // In the last tenth of its life.
    moved.store(46, Ordering::SeqCst);
    let patience = Duration::from_secs(30);
    let second = timeout(patience, auth.token()).await.expect("no wait");
    assert!(second.unwrap().is(&first));
    assert!(auth.token().await.unwrap().is(&first));
    assert_eq!(
        world.sim.stats().token_requests,
        1,
        "the minute is not over"
    );
}

/// A broker that answers in memory, in paused time.
#[derive(Default)]
struct Counter {
    /// Times at which a token was requested.
    asked: std::sync::Mutex<Vec<Instant>>,
    /// The answer to these requests; a new token if `None`.
    refusal: Option<(u16, &'static str)>,
    /// Calls with tokens before this one are refused.
    first_good: AtomicI64,
    /// Number of calls that met a dead token.
    dead_calls: AtomicI64,
    /// The second request for a token is answered late, with an error.
    second_fails: bool,
}

impl Counter {
    fn asked(&self) -> Vec<Instant> {
        self.asked.lock().unwrap().clone()
    }

    fn reply(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply {
            status,
            body: body.into(),
            date: None,
            simulated: false,
        }
    }

    async fn token(&self) -> Reply {
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(Instant::now());
            asked.len()
        };
        if self.second_fails && number == 2 {
            sleep(Duration::from_secs(2)).await;
            return Self::reply(500, "out of order");
        }
        match self.refusal {
            Some((status, body)) => Self::reply(status, body),
            None => Self::reply(
                200,
                format!(r#"{{"access_token":"{number}","expires_in":3600}}"#),
            ),
        }
    }
}

#[async_trait::async_trait]
impl crate::Transport for Counter {
    async fn exchange(&self, request: reqwest::Request) -> Result<Reply, SourceError> {
        sleep(Duration::from_millis(50)).await;
        if request.url().path() == "/oauth2/tokenP" {
            return Ok(self.token().await);
        }
        let bearer = request.headers()[AUTHORIZATION].to_str().unwrap();
        let number: i64 = bearer.trim_start_matches("Bearer ").parse().unwrap();
        if number >= self.first_good.load(Ordering::SeqCst) {
            return Ok(Self::reply(200, r#"{"rt_cd":"0","output":[]}"#));
        }
        self.dead_calls.fetch_add(1, Ordering::SeqCst);
        let dead = r#"{"rt_cd":"1","msg_cd":"EGW00121","msg1":"dead"}"#;
        Ok(Self::reply(500, dead))
    }
}

/// A store that forgets what it is given, or accepts nothing.
struct Useless {
    takes: bool,
}

impl Useless {
    fn answer<T>(&self, value: T) -> Result<T, sise_port::StoreError> {
        if self.takes {
            return Ok(value);
        }
        Err(sise_port::StoreError::Failed {
            store: "redis".to_owned(),
            trouble: "OOM command not allowed when used memory > 'maxmemory'".to_owned(),
        })
    }
}

#[async_trait::async_trait]
impl TokenStore for Useless {
    async fn load(&self) -> Result<Option<SharedToken>, sise_port::StoreError> {
        self.answer(None)
    }

    async fn claim(&self, _: &str, _: u64, _: Duration) -> Result<Issue, sise_port::StoreError> {
        self.answer(Issue::Ask)
    }

    async fn unclaim(&self, _: &str, _: u64) -> Result<(), sise_port::StoreError> {
        self.answer(())
    }

    async fn save(&self, _: &str, _: Duration) -> Result<u64, sise_port::StoreError> {
        self.answer(1)
    }
}

/// Creates an `Auth` with a clock that follows the runtime's paused time.
fn counted(counter: &Arc<Counter>, shared: Arc<dyn TokenStore>) -> Arc<Auth> {
    let begin = (clock::system())();
    let started = Instant::now();
    let clock: Clock = Arc::new(move || begin + TimeDelta::from_std(started.elapsed()).unwrap());
    let credentials = Credentials {
        app_key: "the-app-key".to_owned().into(),
        app_secret: "the-secret".to_owned().into(),
    };
    let caps = Caps {
        per_second: 15.0,
        per_minute: None,
        per_day: None,
        late: std::time::Duration::ZERO,
    };
    let budget = Arc::new(LocalBudget::new(caps, Arc::clone(&clock)));
    let pacer = Arc::new(Pacer::new(budget, None, Rate::new(15.0, 1)));
    let transport = Arc::clone(counter) as Arc<dyn crate::Transport>;
    let rest = Rest::new("http://broker", transport, pacer, Arc::clone(&clock)).unwrap();
    let keep = Keep {
        shared,
        file: None,
        process: "a-process".to_owned(),
    };
    Arc::new(Auth::new(Arc::new(rest), credentials, keep, clock))
}

/// Holds for any number of callers, any answer, and stores that fail or forget the claim.
#[tokio::test(start_paused = true)]
async fn no_process_asks_more_than_once_a_minute() {
    let throttled = r#"{"error_code":"EGW00133","error_description":"wait"}"#;
    for refusal in [
        None,
        Some((403, throttled)),
        Some((500, "out of order")),
        Some((200, "{}")),
        Some((
            200,
            r#"{"error_code":"EGW00002","error_description":"out"}"#,
        )),
    ] {
        // A store that is full, and one that evicts at once.
        for takes in [false, true] {
            let counter = Arc::new(Counter {
                refusal,
                ..Counter::default()
            });
            let auth = counted(&counter, Arc::new(Useless { takes }));
            let ends = Instant::now() + Duration::from_secs(600);
            let callers = (0..8).map(|_| async {
                while Instant::now() < ends {
                    // Each token is rejected at once.
                    if let Ok(token) = auth.token().await {
                        auth.forget(&token);
                    }
                    sleep(Duration::from_secs(1)).await;
                }
            });
            futures_util::future::join_all(callers).await;
            let asked = counter.asked();
            assert!(asked.len() >= 3, "{refusal:?} {}", asked.len());
            for pair in asked.windows(2) {
                let apart = pair[1] - pair[0];
                assert!(apart >= SPACING, "{refusal:?} takes: {takes} {apart:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_token_costs_one_call_not_all_that_stand_in_line() {
    let counter = Arc::new(Counter::default());
    let auth = counted(&counter, Arc::new(MemoryTokens::default()));
    let caller = Caller::new(Arc::clone(&auth.rest), Arc::clone(&auth));
    let today = (clock::system())().date_naive();
    caller.open_days(today).await.unwrap();
    sleep(Duration::from_secs(100)).await;
    counter.first_good.store(2, Ordering::SeqCst);
    let calls = (0..32).map(|_| caller.open_days(today));
    for outcome in futures_util::future::join_all(calls).await {
        outcome.unwrap();
    }
    assert_eq!(counter.dead_calls.load(Ordering::SeqCst), 1);
    assert_eq!(counter.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_called_dead_while_its_renewal_fails_is_not_taken_up_again() {
    let counter = Arc::new(Counter {
        second_fails: true,
        ..Counter::default()
    });
    let auth = counted(&counter, Arc::new(MemoryTokens::default()));
    let token = auth.token().await.unwrap();
    // In the last tenth of its hour.
    sleep(Duration::from_secs(3_300)).await;
    let dies = async {
        sleep(Duration::from_secs(1)).await;
        auth.forget(&token);
    };
    let (renewed, ()) = tokio::join!(auth.token(), dies);
    renewed.unwrap_err();
    assert!(!auth.has_valid_token());
    // Nor does a call that returns late say anything about the next token.
    sleep(SPACING).await;
    auth.token().await.unwrap();
    auth.forget(&token);
    assert!(auth.has_valid_token());
    assert_eq!(counter.asked().len(), 3);
}
