use std::sync::atomic::{AtomicI64, Ordering};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock;
use crate::domain::Caps;
use crate::kis::{Caller, Http};
use crate::pace::{LocalBudget, Pacer, Rate};
use crate::sim::{Sim, SimOptions};
use crate::store::MemoryTokens;

/// A simulated broker on a port of its own, and a folder for token files.
struct World {
    sim: Sim,
    base: String,
    folder: tempfile::TempDir,
    shared: Arc<dyn TokenStore>,
    _stop: tokio_util::sync::DropGuard,
}

impl World {
    async fn new(options: SimOptions) -> Self {
        Self::with_clock(options, clock::system()).await
    }

    /// A broker whose time of day is `clock`.
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
            _stop: stop.drop_guard(),
        }
    }

    fn auth(&self, secret: &str) -> Auth {
        self.auth_at(secret, clock::system())
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

/// Whoever holds the turn may have died with it, and a ban is known without it.
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
    world.sim.kill_tokens();
    auth.forget(&dead);
    assert!(!auth.has_valid_token());
    let next = auth.token().await.unwrap();
    assert!(!next.is(&dead));
    // The others come late with the same dead token: it is not the one in use any more.
    auth.forget(&dead);
    assert!(auth.token().await.unwrap().is(&next));
    assert_eq!(world.sim.stats().tokens_issued, 2);
}

#[tokio::test]
async fn a_dead_token_that_another_process_replaced_is_taken_from_disk() {
    let world = World::new(SimOptions::default()).await;
    let (ours, theirs) = (world.auth("the-secret"), world.auth("the-secret"));
    let dead = ours.token().await.unwrap();
    world.sim.kill_tokens();
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
    world.sim.kill_tokens();
    theirs.token().await.unwrap();
    world.sim.kill_tokens();
    let caller = Caller::new(Arc::clone(&ours.rest), Arc::new(ours));
    let today = (clock::system())().date_naive();
    caller.open_days(today).await.unwrap();
    assert_eq!(world.sim.stats().tokens_issued, 3);
}

/// A broker that gives the same token again and again, as the real one does for 6 hours.
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
    let second = auth.token().await.unwrap();
    assert!(second.is(&first) && auth.has_valid_token());
    // A call that was made with the first comes home late: it says nothing of the second.
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

/// The minute between two tokens is not over when an early renewal falls due: nobody waits for it
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
    assert_eq!(world.sim.stats().token_requests, 2, "it was tried");
    // And not with every call from then on.
    assert!(auth.token().await.unwrap().is(&first));
    assert_eq!(world.sim.stats().token_requests, 2);
}

#[test]
fn a_token_is_renewed_before_it_ends() {
    let now = (clock::system())();
    let token = |life: TimeDelta| {
        let stored = StoredToken {
            access_token: "x".to_owned(),
            expires_at: (now + life).naive_local(),
        };
        Token::new(&stored, None, now)
    };
    let day = token(TimeDelta::hours(24)).unwrap();
    assert_eq!(day.expires_at - day.refresh_at, TimeDelta::minutes(10));
    let short = token(TimeDelta::seconds(30)).unwrap();
    assert_eq!(short.expires_at - short.refresh_at, TimeDelta::seconds(3));
    assert!(token(TimeDelta::seconds(-1)).is_none());
}
