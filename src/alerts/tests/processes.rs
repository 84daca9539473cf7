use sise_port::{Change, Heard};

use super::*;

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

fn below() -> Terms {
    always(Condition::PriceBelow(70_000))
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_added_is_watched_and_told_on_every_way() {
    let world = World::new(1);
    let mut heard = world.store.listen();
    let process = world.process("one", true);
    seconds(5).await;
    world.price(1, 71_000).await;
    world.rule("low", &below()).await;
    world.price(1, 69_000).await;
    world.price(1, 69_500).await;
    let told = process.told();
    let [alert] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!((alert.rule.as_str(), alert.code), ("low", Some(code(1))));
    let mut messages = Vec::new();
    while let Ok(heard) = heard.try_recv() {
        if let Heard::Change(Change::Alert(alert)) = heard {
            messages.push(alert);
        }
    }
    assert_eq!(messages, told);
    assert!(world.rules.remove("low").await.unwrap());
    seconds(4).await;
    world.price(1, 71_000).await;
    world.price(1, 69_000).await;
    assert_eq!(process.told().len(), 1);
    process.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_of_two_tells_and_the_other_goes_on() {
    let world = World::new(1);
    world.rule("low", &below()).await;
    let first = world.process("first", false);
    seconds(1).await;
    let second = world.process("second", false);
    seconds(4).await;
    for price in [71_000, 69_000, 69_500] {
        world.price(1, price).await;
    }
    assert_eq!((first.told().len(), second.told().len()), (1, 0));
    // The first process dies. Fired alerts do not fire again; new ones do.
    first.crash();
    seconds(20).await;
    for price in [70_100, 69_000] {
        world.price(1, price).await;
    }
    assert_eq!(second.told().len(), 0);
    for price in [71_000, 69_000] {
        world.price(1, price).await;
    }
    assert_eq!(second.told().len(), 1);
    second.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_happens_between_the_two_is_told_by_the_second_once() {
    let world = World::new(2);
    world.rule("low", &below()).await;
    let first = world.process("first", false);
    seconds(4).await;
    let second = world.process("second", false);
    seconds(4).await;
    world.price(1, 71_000).await;
    world.price(2, 71_000).await;
    world.price(2, 69_000).await;
    first.crash();
    world.price(1, 69_000).await;
    assert_eq!(second.told().len(), 0);
    seconds(20).await;
    let told = second.told();
    let codes: Vec<_> = told.iter().filter_map(|alert| alert.code).collect();
    assert_eq!(codes, [code(1)], "the other one was told by the first");
    seconds(60).await;
    assert_eq!(second.told().len(), 1);
    let marks = marks::Marks::new(&world.cache).read().await.unwrap();
    let sides: Vec<i8> = marks.values().map(|mark| mark.side).collect();
    assert_eq!(sides, [-1, -1], "who comes next knows of both");
    second.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_starts_anew_does_not_tell_again_what_lasts() {
    let world = World::new(1);
    let terms = always(Condition::ChangeBeyond(5.0));
    world.rule("far", &terms).await;
    let price = async |world: &World| {
        let mut quote = Quote::sample(code(1), 70_000, world.now());
        quote.change_rate = Some(7.0);
        world.write(&[quote]).await;
    };
    let first = world.process("first", false);
    seconds(4).await;
    price(&world).await;
    assert_eq!(first.told().len(), 1);
    first.end().await;
    let second = world.process("second", false);
    seconds(4).await;
    price(&world).await;
    seconds(30).await;
    assert_eq!(second.told().len(), 0);
    // The rule is changed.
    world.rule("far", &terms).await;
    price(&world).await;
    assert_eq!(second.told().len(), 1);
    second.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_holds_when_it_is_made_is_told_at_once() {
    let world = World::new(2);
    let first = world.process("first", false);
    seconds(5).await;
    world.price(1, 69_000).await;
    world.price(2, 71_000).await;
    // No price comes after the rule is added.
    world.rule("low", &below()).await;
    let told = first.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].code, Some(code(1)));
    let crossing = Terms {
        next_crossing: true,
        ..below()
    };
    world.rule("crossing", &crossing).await;
    assert_eq!(first.told().len(), 1);
    // Neither the next process nor the next price fires it again.
    first.end().await;
    let second = world.process("second", false);
    seconds(5).await;
    for price in [69_100, 69_200] {
        world.price(1, price).await;
    }
    assert_eq!(second.told(), []);
    for price in [71_000, 69_000] {
        world.price(1, price).await;
    }
    let rules: Vec<_> = second.told().into_iter().map(|alert| alert.rule).collect();
    assert_eq!(rules, ["crossing", "low"]);
    second.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_list_is_followed() {
    let world = World::new(2);
    let lists = crate::watch::WatchLists::new(&world.cache);
    let terms = Terms {
        of: Scope::List("mine".to_owned()),
        ..below()
    };
    lists.add("mine", &[code(1)], world.now()).await.unwrap();
    world.rule("low", &terms).await;
    let process = world.process("one", true);
    seconds(4).await;
    let fall = async || {
        for price in [71_000, 69_000] {
            world.price(1, price).await;
            world.price(2, price).await;
        }
    };
    fall().await;
    lists.add("mine", &[code(2)], world.now()).await.unwrap();
    lists.remove("mine", &[code(1)]).await.unwrap();
    seconds(4).await;
    fall().await;
    let told = process.told();
    let codes: Vec<_> = told.iter().filter_map(|alert| alert.code).collect();
    assert_eq!(codes, [code(1), code(2)]);
    assert!(
        told.iter()
            .all(|alert| alert.list.as_deref() == Some("mine"))
    );
    process.end().await;
}

#[tokio::test(start_paused = true)]
async fn coverage_and_the_leader_are_looked_at() {
    let world = World::new(10);
    let coverage = Condition::CoverageBelow {
        percent: 90.0,
        for_s: 60,
    };
    world.rule("gap", &always(coverage)).await;
    let lost = Condition::LeaderLost { for_s: 30 };
    world.rule("leader", &always(lost)).await;
    let lead = async |seconds| {
        let life = Duration::from_secs(seconds);
        world.store.campaign("sweeper", life).await.unwrap();
    };
    lead(600).await;
    let quotes = |count| -> Vec<Quote> {
        let quote = |number| Quote::sample(code(number), 70_000, world.now());
        (1..=count).map(quote).collect()
    };
    world.write(&quotes(10)).await;
    let process = world.process("one", true);
    for _ in 0..3 {
        seconds(60).await;
        world.write(&quotes(10)).await;
    }
    assert_eq!(process.told(), []);
    for _ in 0..4 {
        seconds(60).await;
        world.write(&quotes(8)).await;
    }
    let told = process.told();
    let texts: Vec<&str> = told.iter().map(|alert| alert.text.as_str()).collect();
    assert_eq!(
        texts,
        ["80.0 % of the list have a live price; it has been below 90 % for 1 min"]
    );
    seconds(300).await;
    let told = process.told();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[1].text.starts_with("no process has led for 3"),
        "{told:?}"
    );
    process.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_storm_is_cut() {
    let world = World::new(150);
    world.rule("low", &below()).await;
    let process = world.process("one", true);
    seconds(4).await;
    for price in [71_000, 69_000] {
        let quote = |number| Quote::sample(code(number), price, world.now());
        let quotes: Vec<Quote> = (1..=150).map(quote).collect();
        world.write(&quotes).await;
    }
    assert_eq!(process.told().len(), 100);
    process.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_and_is_no_rule_stops_no_other() {
    let world = World::new(1);
    let strange = serde_json::json!({ "since": "now" });
    let profiles = world.cache.profiles(PROFILES);
    profiles
        .set(rules::RULES, "strange", &strange)
        .await
        .unwrap();
    world.rule("low", &below()).await;
    let kept = world.rules.all().await.unwrap();
    assert_eq!((kept.rules.len(), kept.unreadable.len()), (1, 1));
    let error = world.rules.get("strange").await.unwrap_err().to_string();
    assert!(error.starts_with("strange is not a rule: "), "{error}");
    let process = world.process("one", true);
    seconds(4).await;
    for price in [71_000, 69_000] {
        world.price(1, price).await;
    }
    assert_eq!(process.told().len(), 1);
    for number in 2..200 {
        let name = format!("rule-{number}");
        world.rules.set(&name, &below(), world.now()).await.unwrap();
    }
    let error = world.rules.set("more", &below(), world.now()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("200 rules already"), "{error}");
    assert!(!world.rules.set("low", &below(), world.now()).await.unwrap());
    process.end().await;
}

/// The log output.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn marks_that_cannot_be_read_are_said_once() {
    let world = World::new(1);
    let said = Said::default();
    let paper = said.clone();
    let log = tracing_subscriber::fmt().with_writer(move || paper.clone());
    let _listening = tracing::subscriber::set_default(log.finish());
    let mut marks = marks::Marks::new(&world.cache);
    let key = "sise:profile:alerts:told";
    let another_kind = sise_port::CacheEntry {
        key: key.to_owned(),
        value: b"no hash".to_vec(),
        life: None,
    };
    let store: &dyn sise_port::CacheStore = &*world.store;
    store.set(&[another_kind]).await.unwrap();
    for _ in 0..3 {
        assert!(marks.read().await.is_err());
    }
    let text = String::from_utf8(said.0.lock().unwrap().clone()).unwrap();
    let warned = |line: &&str| line.contains("WARN") && line.contains("cannot be read");
    assert_eq!(text.lines().filter(warned).count(), 1, "{text}");
    store.delete(&[key.to_owned()]).await.unwrap();
    seconds(10).await;
    assert!(marks.read().await.unwrap().is_empty());
}
