//! Posts to a receiver on a real socket that fails, hangs and redirects.

use std::collections::VecDeque;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::webhook::Pace;
use super::*;
use sise_domain::Rule;

/// A fast pace, with patience for a machine busy with other tests.
const FAST: Pace = Pace {
    patience: Duration::from_secs(2),
    first_pause: Duration::from_millis(1),
    within: Duration::from_secs(60),
};

/// How the receiver treats a post.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Answers(u16),
    Redirects,
    Hangs,
    Closes,
}

struct Receiver {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
    _task: tokio_util::task::AbortOnDropHandle<()>,
}

impl Receiver {
    /// Starts a receiver that goes through `moods` in order and repeats the last.
    async fn new(moods: &[Mood]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "http://{}/hook?token=hidden",
            listener.local_addr().unwrap()
        );
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let (noted, mut moods) = (Arc::clone(&seen), VecDeque::from(moods.to_vec()));
        let task = tokio::spawn(async move {
            let mut hanging = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read(&mut stream).await;
                noted.lock().unwrap().push(request);
                let mood = if moods.len() > 1 {
                    moods.pop_front().unwrap()
                } else {
                    moods[0]
                };
                let head = match mood {
                    Mood::Answers(status) => format!("{status} Status"),
                    Mood::Redirects => "307 Elsewhere\r\nLocation: /elsewhere".to_owned(),
                    Mood::Hangs => {
                        hanging.push(stream);
                        continue;
                    }
                    Mood::Closes => continue,
                };
                let answer =
                    format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self {
            url,
            seen,
            _task: tokio_util::task::AbortOnDropHandle::new(task),
        }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    fn webhook(&self) -> Webhook {
        let now = Seoul.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap();
        let secret = Some(SecretString::from("0123456789abcdef"));
        let clock: Clock = Arc::new(move || now);
        Webhook::at_pace(self.url.as_str().into(), secret, clock, FAST).unwrap()
    }
}

/// Reads a whole request.
async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut some = [0; 4_096];
        let count = stream.read(&mut some).await.unwrap();
        bytes.extend_from_slice(&some[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let length = text.lines().find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        });
        let (Some(length), Some(head)) = (length, text.find("\r\n\r\n")) else {
            assert!(count > 0, "{text}");
            continue;
        };
        let length: usize = length;
        if bytes.len() >= head + 4 + length {
            return text;
        }
    }
}

fn alert(number: usize) -> Alert {
    let at = Seoul.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap();
    let rule = Rule {
        name: format!("rule-{number}"),
        since: at,
        terms: always(Condition::NewHigh),
    };
    Alert::test(&rule, at)
}

#[tokio::test]
async fn a_post_is_signed_and_says_which_it_is() {
    let receiver = Receiver::new(&[Mood::Answers(204)]).await;
    let delivery = receiver.webhook().deliver(&alert(1), |_| {}).await;
    assert_eq!(delivery, Delivery::Delivered);
    let seen = receiver.seen();
    let (head, body) = seen[0].split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("POST /hook?token=hidden HTTP/1.1\r\n"),
        "{head}"
    );
    let head = head.to_lowercase();
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(
        head.contains(&format!("sise-delivery: {}", alert(1).id)),
        "{head}"
    );
    assert_eq!(serde_json::from_str::<Alert>(body).unwrap(), alert(1));
    let at = 1_795_143_600;
    let expected = super::super::signature::signature(&"0123456789abcdef".into(), at, body);
    assert!(
        head.contains(&format!("sise-signature: {expected}")),
        "{head}"
    );
}

#[tokio::test]
async fn a_post_is_repeated_while_that_may_help_and_no_longer() {
    use Mood::{Answers, Closes, Hangs, Redirects};
    let refused = Delivery::Refused;
    for (moods, posts, expected) in [
        (
            &[Answers(503), Closes, Hangs, Answers(429), Answers(200)][..],
            5,
            Delivery::Delivered,
        ),
        (&[Answers(408), Answers(201)], 2, Delivery::Delivered),
        (&[Answers(500)], 5, Delivery::Failed("HTTP 500".to_owned())),
        (&[Answers(400)], 1, refused(400)),
        (&[Answers(410)], 1, refused(410)),
        (&[Redirects], 1, refused(307)),
    ] {
        let receiver = Receiver::new(moods).await;
        let webhook = receiver.webhook();
        assert_eq!(
            webhook.deliver(&alert(1), |_| {}).await,
            expected,
            "{moods:?}"
        );
        let seen = receiver.seen();
        assert_eq!(seen.len(), posts, "{moods:?}");
        assert!(seen.iter().all(|post| post.contains(&alert(1).id)));
    }
}

#[tokio::test]
async fn nobody_there_is_said_without_the_address() {
    let receiver = Receiver::new(&[Mood::Answers(200)]).await;
    let webhook = receiver.webhook();
    let shown = format!("{webhook:?}");
    drop(receiver);
    let delivery = webhook.deliver(&alert(1), |_| {}).await;
    let Delivery::Failed(trouble) = &delivery else {
        panic!("{delivery:?}");
    };
    for text in [trouble, &shown] {
        for secret in ["hidden", "/hook", "0123456789abcdef"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn who_posts_waits_for_nobody_and_the_oldest_goes() {
    let receiver = Receiver::new(&[Mood::Hangs, Mood::Answers(200)]).await;
    let webhook = Arc::new(receiver.webhook());
    for number in 0..300 {
        webhook.post(&alert(number));
    }
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (webhook, stop) = (Arc::clone(&webhook), stop.clone());
        async move { webhook.run(stop).await }
    });
    let last = alert(299).id;
    let deadline = Instant::now() + Duration::from_secs(60);
    while !receiver.seen().iter().any(|post| post.contains(&last)) {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(20)).await;
    }
    // A post that hangs does not hold up the others.
    let seen = receiver.seen();
    let is_there = |number| {
        let id = alert(number).id;
        seen.iter().any(|post| post.contains(&id))
    };
    assert!(!is_there(0) && !is_there(43), "dropped");
    assert!(is_there(44) && is_there(200));
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn what_is_told_last_is_posted_before_the_end() {
    let receiver = Receiver::new(&[Mood::Answers(200)]).await;
    let webhook = receiver.webhook();
    for number in 0..9 {
        webhook.post(&alert(number));
    }
    let stop = CancellationToken::new();
    stop.cancel();
    webhook.run(stop).await;
    assert_eq!(receiver.seen().len(), 9);
}
