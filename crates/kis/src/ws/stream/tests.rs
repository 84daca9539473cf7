use std::collections::VecDeque;
use std::sync::Mutex as StdMutex;
use std::time::Duration;

use chrono::{TimeDelta, TimeZone as _};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::super::socket::{Incoming, Socket};
use super::*;
use crate::{Credentials, Reply, Rest, Transport};
use sise_domain::{KrxTime, Quote, Seoul};
use sise_pace::{LocalBudget, Pacer, Rate};
use sise_port::{Gap, GapReason};

/// Behavior of the broker in one session.
#[derive(Clone)]
enum Play {
    /// There is no connection.
    NoWay,
    /// Registrations get this answer; more than `most` are refused as too many.
    Answers { code: &'static str, most: usize },
    /// Nothing is answered.
    Mute,
}

/// State shared by both sides of a connection.
struct Line {
    play: Play,
    registered: Vec<String>,
    incoming: VecDeque<Option<String>>,
    heard: Vec<Value>,
    arrived: Arc<tokio::sync::Notify>,
}

#[derive(Clone)]
struct Phone(Arc<StdMutex<Line>>);

impl Phone {
    fn line<T>(&self, look: impl FnOnce(&mut Line) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    fn says(&self, text: impl Into<String>) {
        self.put(Some(text.into()));
    }

    fn ends(&self) {
        self.put(None);
    }

    fn put(&self, text: Option<String>) {
        self.line(|line| {
            line.incoming.push_back(text);
            line.arrived.notify_one();
        });
    }

    fn registered(&self) -> Vec<String> {
        self.line(|line| line.registered.clone())
    }
}

fn answer(code: &str, key: &str) -> String {
    let rt_cd = if code.ends_with('0') && code != "OPSP0010" {
        "0"
    } else {
        "1"
    };
    json!({
        "header": {"tr_id": "H0STCNT0", "tr_key": key, "encrypt": "N"},
        "body": {"rt_cd": rt_cd, "msg_cd": code, "msg1": "words",
            "output": {"iv": "0123456789abcdef", "key": "abcdefghijklmnopqrstuvwxyzabcdef"}},
    })
    .to_string()
}

#[async_trait]
impl Socket for Phone {
    async fn send(&mut self, text: String) -> Result<(), String> {
        let message: Value = serde_json::from_str(&text).unwrap();
        let reply = self.line(|line| {
            line.heard.push(message.clone());
            let key = message["body"]["input"]["tr_key"].as_str()?.to_owned();
            let registers = message["header"]["tr_type"] == "1";
            match line.play {
                Play::Answers { .. } if !registers => {
                    line.registered.retain(|held| *held != key);
                    Some(answer("OPSP0001", &key))
                }
                Play::Answers { most, .. } if line.registered.len() >= most => {
                    Some(answer("OPSP0008", &key))
                }
                Play::Answers { code, .. } => {
                    if code == "OPSP0000" {
                        line.registered.push(key.clone());
                    }
                    Some(answer(code, &key))
                }
                Play::NoWay | Play::Mute => None,
            }
        });
        if let Some(reply) = reply {
            self.says(reply);
        }
        Ok(())
    }

    async fn receive(&mut self) -> Result<Option<Incoming>, String> {
        loop {
            let (next, arrived) =
                self.line(|line| (line.incoming.pop_front(), Arc::clone(&line.arrived)));
            match next {
                Some(Some(text)) => return Ok(Some(Incoming::Text(text))),
                Some(None) => return Ok(None),
                None => arrived.notified().await,
            }
        }
    }

    fn is_simulated(&self) -> bool {
        false
    }

    async fn close(&mut self) {}
}

/// The broker's side: runs one play after the other and repeats the last.
struct Exchange {
    plays: StdMutex<VecDeque<Play>>,
    dialled: StdMutex<Vec<(Instant, Phone)>>,
    approvals: StdMutex<u32>,
}

impl Exchange {
    fn phone(&self) -> Phone {
        self.dialled.lock().unwrap().last().unwrap().1.clone()
    }

    fn dials(&self) -> Vec<Instant> {
        let dialled = self.dialled.lock().unwrap();
        dialled.iter().map(|(at, _)| *at).collect()
    }
}

#[async_trait]
impl Dial for Exchange {
    async fn dial(&self) -> Result<Box<dyn Socket>, String> {
        let mut plays = self.plays.lock().unwrap();
        let play = match plays.len() {
            1 => plays[0].clone(),
            _ => plays.pop_front().unwrap(),
        };
        let phone = Phone(Arc::new(StdMutex::new(Line {
            play: play.clone(),
            registered: Vec::new(),
            incoming: VecDeque::new(),
            heard: Vec::new(),
            arrived: Arc::default(),
        })));
        self.dialled
            .lock()
            .unwrap()
            .push((Instant::now(), phone.clone()));
        match play {
            Play::NoWay => Err("connection refused".to_owned()),
            _ => Ok(Box::new(phone)),
        }
    }
}

#[async_trait]
impl Transport for Exchange {
    async fn exchange(&self, request: reqwest::Request) -> Result<Reply, SourceError> {
        assert_eq!(request.url().path(), "/oauth2/Approval");
        let mut count = self.approvals.lock().unwrap();
        *count += 1;
        Ok(Reply {
            status: 200,
            body: format!("{{\"approval_key\":\"approval-{count}\"}}").into_bytes(),
            date: None,
            simulated: false,
        })
    }
}

struct Scene {
    exchange: Arc<Exchange>,
    wants: watch::Sender<Arc<[Symbol]>>,
    hears: mpsc::Receiver<Told>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn codes(codes: &[&str]) -> Arc<[Symbol]> {
    codes.iter().map(|code| code.parse().unwrap()).collect()
}

impl Scene {
    fn new(plays: &[Play], wanted: &[&str]) -> Self {
        let exchange = Arc::new(Exchange {
            plays: StdMutex::new(plays.iter().cloned().collect()),
            dialled: StdMutex::default(),
            approvals: StdMutex::new(0),
        });
        let start = Instant::now();
        let clock: Clock = Arc::new(move || {
            let ten: KrxTime = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
            ten + TimeDelta::from_std(start.elapsed()).unwrap()
        });
        let rate = Rate {
            per_second: 15.0,
            burst: 2.try_into().unwrap(),
        };
        let caps = sise_domain::Caps {
            per_second: 15.0,
            per_minute: None,
            per_day: None,
            late: Duration::ZERO,
        };
        let budget = Arc::new(LocalBudget::new(caps, Arc::clone(&clock)));
        let pacer = Arc::new(Pacer::new(budget, None, rate));
        let rest = Rest::new("http://broker", exchange.clone(), pacer, Arc::clone(&clock));
        let secret = |text: &str| SecretString::from(text.to_owned());
        let credentials = Credentials {
            app_key: secret("app-key"),
            app_secret: secret("app-secret"),
        };
        let approvals = Approvals::new(Arc::new(rest.unwrap()), credentials, Arc::clone(&clock));
        let ticks = KisTicks::new(
            exchange.clone(),
            Arc::new(approvals),
            Arc::new(ArcSwap::from_pointee(Calendar::shipped())),
            Arc::new(ArcSwap::from_pointee(Universe::default())),
            Arc::default(),
            clock,
        );
        let (wants, receiver) = watch::channel(codes(wanted));
        let (told, hears) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let until = stop.clone();
        let task = tokio::spawn(async move { ticks.stream(receiver, told, until).await });
        Self {
            exchange,
            wants,
            hears,
            stop,
            task,
        }
    }

    /// Returns the next report that `pick` accepts.
    async fn hear<T>(&mut self, pick: impl Fn(Told) -> Option<T>) -> T {
        let picked = async {
            loop {
                if let Some(picked) = pick(self.hears.recv().await.unwrap()) {
                    return picked;
                }
            }
        };
        timeout(Duration::from_secs(3_600), picked).await.unwrap()
    }

    async fn gap(&mut self) -> (GapReason, Vec<String>) {
        self.hear(|told| match told {
            Told::Gap(Gap { codes, reason }) => {
                Some((reason, codes.iter().map(ToString::to_string).collect()))
            }
            _ => None,
        })
        .await
    }

    async fn registered(&mut self, count: usize) {
        self.hear(|told| match told {
            Told::Registered(codes) if codes.len() == count => Some(()),
            _ => None,
        })
        .await;
    }

    async fn end(self) {
        self.stop.cancel();
        timeout(Duration::from_secs(5), self.task)
            .await
            .unwrap()
            .unwrap();
    }
}

const GOOD: Play = Play::Answers {
    code: "OPSP0000",
    most: 41,
};

fn refusing(code: &'static str) -> Play {
    Play::Answers { code, most: 41 }
}

fn trade(code: &str, price: &str) -> String {
    let mut fields = vec!["1"; 47];
    (fields[0], fields[1], fields[2], fields[33]) = (code, "100000", price, "20261120");
    (fields[34], fields[43]) = ("20", "0");
    // One share at this price, the first of the day, and no change.
    (fields[3], fields[4], fields[5]) = ("3", "0", "0.00");
    for place in [7, 8, 9, 14] {
        fields[place] = price;
    }
    format!("0|H0STCNT0|001|{}", fields.join("^"))
}

/// Returns a trade with these fields replaced.
fn odd(price: &str, changes: &[(usize, &str)]) -> String {
    let text = trade("005930", price);
    let mut fields: Vec<&str> = text.split('^').collect();
    for (number, value) in changes {
        fields[number - 1] = value;
    }
    fields.join("^")
}

#[tokio::test(start_paused = true)]
async fn what_is_no_trade_of_this_moment_is_not_told() {
    let mut scene = Scene::new(&[GOOD], &["005930"]);
    scene.registered(1).await;
    let phone = scene.exchange.phone();
    let much = "900000000000";
    for changes in [
        &[(44, "A")][..],
        &[(44, "B")],
        &[(44, "C")],
        &[(44, "D")],
        &[(35, "22")],
        &[(35, "32")],
        &[(35, "10")],
        &[(34, "20261113"), (14, much)],
        &[(34, "20200102"), (14, much)],
        &[(2, "000001"), (14, much)],
        &[(2, "235959"), (14, much)],
    ] {
        phone.says(odd("666", changes));
    }
    phone.says(odd("700", &[]));
    let told = scene
        .hear(|told| match told {
            Told::Tick(quote) => Some((quote.price, quote.volume)),
            _ => None,
        })
        .await;
    assert_eq!(told, (700, Some(1)));
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_time_is_wrong_outranks_nothing_and_its_price_is_asked_for() {
    let mut scene = Scene::new(&[GOOD], &["005930"]);
    scene.registered(1).await;
    let phone = scene.exchange.phone();
    sleep(Duration::from_secs(10)).await;
    // The feed is five seconds late: at ten seconds past, it delivers trades of five past.
    let mut before: Option<Quote> = None;
    for (time, day) in [
        ("", "20261120"),
        ("256199", "20261120"),
        ("10000", "20261120"),
        ("100013", "20261120"),
        ("100025", "20261120"),
        ("100105", "20261120"),
        ("100111", "20261120"),
        ("100010", ""),
        ("100010", "20261340"),
        ("100010", "20261113"),
    ] {
        phone.says(odd("10990", &[(2, time), (34, day)]));
        let gap = (GapReason::Refused, vec!["005930".to_owned()]);
        assert_eq!(scene.gap().await, gap, "{time} {day}");
        phone.says(odd("700", &[(2, "100005")]));
        let told = scene.hear(|told| match told {
            Told::Tick(quote) => Some(*quote),
            _ => None,
        });
        let quote = told.await;
        assert_eq!(quote.price, 700);
        assert_eq!(quote.timestamp.to_string(), "2026-11-20 10:00:05");
        let is_older = before.is_some_and(|before| quote.is_outranked_by(&before));
        assert!(!is_older, "{time} {day}");
        before = Some(quote);
    }
    scene.end().await;
}

/// Returns the number of connections in the busiest minute.
fn busiest(dials: &[Instant]) -> usize {
    let within = |start: &Instant| {
        let end = *start + Duration::from_secs(60);
        dials.iter().filter(|at| (*start..end).contains(at)).count()
    };
    dials.iter().map(within).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn codes_are_registered_one_at_a_time_and_follow_what_is_wanted() {
    let mut scene = Scene::new(&[GOOD], &["005930", "000660"]);
    scene.registered(2).await;
    let phone = scene.exchange.phone();
    assert_eq!(phone.registered(), ["005930", "000660"]);
    phone.line(|line| {
        for message in &line.heard {
            assert_eq!(message["header"]["approval_key"], "approval-1");
        }
    });
    scene.wants.send_replace(codes(&["000660", "0126Z0"]));
    scene.registered(1).await;
    scene.registered(2).await;
    assert_eq!(phone.registered(), ["000660", "0126Z0"]);
    phone.says(trade("0126Z0", "1500"));
    phone.says(trade("005930", "9000"));
    phone.says(trade("000660", "0"));
    phone.says(trade("000660", "700"));
    for (code, price) in [("0126Z0", 1_500), ("000660", 700)] {
        let quote = scene
            .hear(|told| match told {
                Told::Tick(quote) => Some(quote),
                _ => None,
            })
            .await;
        assert_eq!((quote.stock_code.as_str(), quote.price), (code, price));
    }
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn while_nothing_is_wanted_there_is_no_session() {
    let mut scene = Scene::new(&[GOOD], &[]);
    sleep(Duration::from_secs(600)).await;
    assert!(scene.exchange.dials().is_empty());
    assert_eq!(*scene.exchange.approvals.lock().unwrap(), 0);
    scene.wants.send_replace(codes(&["005930"]));
    scene.registered(1).await;
    scene.wants.send_replace(codes(&[]));
    scene.registered(0).await;
    sleep(Duration::from_secs(600)).await;
    assert_eq!(scene.exchange.dials().len(), 1);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_is_a_gap_when_it_ends_and_another_when_all_is_registered_again() {
    let mut scene = Scene::new(&[GOOD], &["005930", "000660"]);
    scene.registered(2).await;
    scene.exchange.phone().ends();
    let both = || vec!["000660".to_owned(), "005930".to_owned()];
    assert_eq!(scene.gap().await, (GapReason::Lost, both()));
    assert_eq!(scene.gap().await, (GapReason::Resumed, both()));
    assert_eq!(scene.exchange.dials().len(), 2);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_session_and_a_ping_pong_does_not() {
    let mut scene = Scene::new(&[GOOD], &["005930"]);
    scene.registered(1).await;
    let phone = scene.exchange.phone();
    let ping = r#"{"header":{"tr_id":"PINGPONG","datetime":"20250722100037"}}"#;
    for _ in 0..5 {
        sleep(Duration::from_secs(100)).await;
        phone.says(ping);
    }
    sleep(Duration::from_secs(100)).await;
    assert_eq!(scene.exchange.dials().len(), 1);
    let echoes = phone.line(|line| {
        let is_echo = |message: &&Value| message["header"]["tr_id"] == "PINGPONG";
        line.heard.iter().filter(is_echo).count()
    });
    assert_eq!(echoes, 5);
    assert_eq!(scene.gap().await.0, GapReason::Lost);
    scene.registered(1).await;
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_cannot_be_read_is_a_gap_of_its_code_or_of_all() {
    let mut scene = Scene::new(&[GOOD], &["005930", "000660"]);
    scene.registered(2).await;
    let phone = scene.exchange.phone();
    let frame = trade("005930", "1000");
    phone.says(frame.get(..frame.len() - 10).unwrap());
    let own = vec!["005930".to_owned()];
    assert_eq!(scene.gap().await, (GapReason::Unreadable, own));
    for unreadable in [
        frame.replacen("001", "007", 1),
        frame.replacen('0', "1", 1),
        "x".to_owned(),
    ] {
        phone.says(unreadable);
        let (reason, codes) = scene.gap().await;
        assert_eq!((reason, codes.len()), (GapReason::Unreadable, 2));
    }
    phone.says("0|H0STASP0|001|005930^1^2");
    phone.says("{}");
    phone.says(frame);
    let is_tick = scene.hear(|told| Some(matches!(told, Told::Tick(_)))).await;
    assert!(is_tick, "another stream is no gap");
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn no_refusal_and_no_failure_leads_to_a_fast_loop() {
    for play in [
        Play::NoWay,
        Play::Mute,
        refusing("OPSP0011"),
        refusing("OPSP0007"),
        refusing("OPSP0009"),
        refusing("OPSP9993"),
        refusing("OPSP8996"),
        refusing("OPSP0010"),
        Play::Answers {
            code: "OPSP0000",
            most: 0,
        },
    ] {
        let scene = Scene::new(&[play], &["005930", "000660"]);
        sleep(Duration::from_secs(1_800)).await;
        let dials = scene.exchange.dials();
        assert!(dials.len() >= 3, "{dials:?}");
        assert!(busiest(&dials) <= 7, "{dials:?}");
        scene.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_in_use_is_left_alone_for_a_minute_and_longer_each_time() {
    let scene = Scene::new(&[refusing("OPSP8996")], &["005930"]);
    sleep(Duration::from_secs(600)).await;
    let dials = scene.exchange.dials();
    let pauses: Vec<u64> = dials
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs())
        .collect();
    assert!(
        (60..=91).contains(&pauses[0]) && (120..=181).contains(&pauses[1]),
        "{pauses:?}"
    );
    assert!(dials.len() <= 5);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_approval_is_replaced_and_a_young_one_used_again() {
    let mut scene = Scene::new(&[refusing("OPSP0011"), GOOD], &["005930"]);
    scene.registered(1).await;
    assert_eq!(*scene.exchange.approvals.lock().unwrap(), 2);
    scene.exchange.phone().ends();
    scene.registered(0).await;
    scene.registered(1).await;
    assert_eq!(*scene.exchange.approvals.lock().unwrap(), 2);
    // Hours later the key is not risked on another session.
    for _ in 0..200 {
        sleep(Duration::from_secs(60)).await;
        scene
            .exchange
            .phone()
            .says("{\"header\":{\"tr_id\":\"PINGPONG\"}}");
    }
    scene.exchange.phone().ends();
    scene.registered(0).await;
    scene.registered(1).await;
    assert_eq!(*scene.exchange.approvals.lock().unwrap(), 3);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn where_there_is_room_for_fewer_the_rest_is_not_asked_for_again() {
    let tight = Play::Answers {
        code: "OPSP0000",
        most: 2,
    };
    let mut scene = Scene::new(&[tight], &["000010", "000020", "000030", "000040"]);
    let most = scene
        .hear(|told| match told {
            Told::Full(most) => Some(most),
            _ => None,
        })
        .await;
    assert_eq!(most, 2);
    sleep(Duration::from_secs(60)).await;
    let phone = scene.exchange.phone();
    assert_eq!(phone.line(|line| line.heard.len()), 3);
    // A place that is given up goes to the next code.
    scene.wants.send_replace(codes(&["000020", "000030"]));
    scene.registered(1).await;
    scene.registered(2).await;
    assert_eq!(phone.registered(), ["000020", "000030"]);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_code_that_the_broker_does_not_stream_takes_no_other_along() {
    let mut scene = Scene::new(&[refusing("OPSP8992")], &["000010", "000020"]);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(scene.exchange.dials().len(), 1);
    assert_eq!(scene.exchange.phone().line(|line| line.heard.len()), 2);
    // Each is reported, without an end of the session, which would make room for it again.
    for code in codes(&["000010", "000020"]).iter() {
        assert_eq!(scene.hears.recv().await, Some(Told::Refused(*code)));
    }
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_trade_that_cannot_be_is_not_told_and_its_price_is_asked_for() {
    let mut scene = Scene::new(&[GOOD], &["005930", "000660"]);
    scene.registered(2).await;
    let phone = scene.exchange.phone();
    let good = trade("005930", "1500");
    for price in ["1", "9223372036854775807", "1501"] {
        // High, low and all other figures say 1,500.
        phone.says(good.replacen("^1500^", &format!("^{price}^"), 1));
        let gap = scene.gap().await;
        assert_eq!(
            gap,
            (GapReason::Refused, vec!["005930".to_owned()]),
            "{price}"
        );
    }
    phone.says(good);
    let price = scene.hear(|told| match told {
        Told::Tick(quote) => Some(quote.price),
        _ => None,
    });
    assert_eq!(price.await, 1_500);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_code_is_damaged_takes_no_other_along() {
    let mut scene = Scene::new(&[GOOD], &["005930", "000660"]);
    scene.registered(2).await;
    let phone = scene.exchange.phone();
    let fields = |code: &str| trade(code, "1500").rsplit_once('|').unwrap().1.to_owned();
    let records = ["005930", "00\u{fffd}66", "000660"].map(fields).join("^");
    phone.says(format!("0|H0STCNT0|003|{records}"));
    let tick = |told| match told {
        Told::Tick(quote) => Some(quote.stock_code.to_string()),
        _ => None,
    };
    assert_eq!(scene.hear(tick).await, "005930");
    let all = vec!["000660".to_owned(), "005930".to_owned()];
    assert_eq!(scene.gap().await, (GapReason::Unreadable, all));
    assert_eq!(scene.hear(tick).await, "000660");
    scene.end().await;
}
