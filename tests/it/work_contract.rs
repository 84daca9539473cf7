//! Proves one contract on shared work in Redis, in a cluster and in memory: each batch is given out at least
//! once, again when its worker died, and handed in once. And of Redis: an empty one is as good.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use sise::domain::{Calling, Symbol};
use sise::port::{
    Answer, Answers, Assignments, Batch, Lead, Postings, SourceError, Taken, Tally, Ticket,
};
use sise::store::{MemoryWork, RedisSettings, RedisStore, RedisWork};
use tokio::task::JoinSet;

use crate::support::cluster::Cluster;
use crate::support::redis::RedisServer;
use crate::support::silent_proxy::SilentProxy;
use crate::support::{list, until};

/// A batch that nobody held on to for so long is given out again.
const IDLE: Duration = Duration::from_millis(1_500);

const LIFE: Duration = Duration::from_secs(300);

trait Work: Postings + Assignments {}
impl<T: Postings + Assignments> Work for T {}

fn batch(number: u64, calling: Calling) -> Batch {
    let codes = list::codes(30);
    Batch {
        lead: Lead(1_795_392_000_000),
        process: "leader".to_owned(),
        number,
        calling,
        symbols: codes.iter().map(|code| code.parse().unwrap()).collect(),
    }
}

fn multi(number: u64) -> Batch {
    batch(number, Calling::Multi)
}

fn answers(batch: &Batch) -> Answers {
    let failed = || Answer::Failed(SourceError::Unavailable("no route".to_owned()));
    let answer = |symbol: &Symbol| match symbol.as_str().ends_with('5') {
        true => (*symbol, Answer::Unknown),
        false => (*symbol, failed()),
    };
    Answers {
        answers: batch.symbols.iter().map(answer).collect(),
        indices: Vec::new(),
        tally: Tally {
            calls: 2,
            refused_calls: 1,
            retries: 1,
        },
    }
}

/// Takes until there is one.
async fn take(work: &dyn Work, calling: Calling) -> Taken {
    until("a batch is given out", async || {
        work.take(calling).await.unwrap()
    })
    .await
}

async fn is_empty(work: &dyn Work, calling: Calling) -> bool {
    work.take(calling).await.unwrap().is_none()
}

async fn numbers_handed_in(work: &dyn Work, process: &str) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(finished) = work.next_finished(process).await.unwrap() {
        numbers.push(finished.number);
    }
    numbers
}

async fn what_is_posted_is_taken_and_handed_in(work: &dyn Work) {
    // Nobody has posted yet, and so nothing is there.
    assert!(is_empty(work, Calling::Multi).await);
    let posted = multi(7);
    let ticket = work.post(&posted, LIFE).await.unwrap();
    assert!(work.is_open(&ticket).await.unwrap());
    let taken = take(work, Calling::Multi).await;
    assert_eq!((&taken.batch, &taken.ticket), (&posted, &ticket));
    assert!(!taken.is_left_behind && !taken.is_overdue, "{taken:?}");
    assert!(work.is_open(&ticket).await.unwrap(), "being worked on");
    assert!(is_empty(work, Calling::Multi).await, "given out twice");
    let answers = answers(&posted);
    assert!(work.finish(&taken, Some(&answers)).await.unwrap());
    assert!(!work.is_open(&ticket).await.unwrap());
    let finished = work.next_finished("leader").await.unwrap().unwrap();
    assert_eq!(
        (finished.number, finished.answers.tally),
        (7, answers.tally)
    );
    let shown = |answers: &Answers| format!("{:?}", answers.answers);
    assert_eq!(shown(&finished.answers), shown(&answers));
    assert_eq!(
        numbers_handed_in(work, "leader").await,
        Vec::<u64>::default()
    );
}

async fn what_was_posted_before_anybody_looked_is_given_out(work: &dyn Work) {
    for number in 1..=3 {
        work.post(&multi(number), LIFE).await.unwrap();
    }
    let mut numbers = Vec::new();
    for _ in 0..3 {
        numbers.push(take(work, Calling::Multi).await.batch.number);
    }
    assert_eq!(numbers, [1, 2, 3]);
}

async fn a_batch_goes_to_who_can_ask_that_way(work: &dyn Work) {
    work.post(&batch(1, Calling::Single), LIFE).await.unwrap();
    assert!(is_empty(work, Calling::Multi).await);
    let taken = take(work, Calling::Single).await;
    assert_eq!(taken.batch.calling, Calling::Single);
}

async fn each_is_given_to_one_of_many_workers(leader: &dyn Work, workers: [Arc<dyn Work>; 4]) {
    const BATCHES: u64 = 200;
    for number in 0..BATCHES {
        leader.post(&multi(number), LIFE).await.unwrap();
    }
    let mut working = JoinSet::new();
    for work in workers {
        working.spawn(async move {
            let mut numbers = Vec::new();
            // A group that is made at the first look gives nothing out yet.
            let mut looks = 0;
            while looks < 2 {
                match work.take(Calling::Multi).await.unwrap() {
                    Some(taken) => {
                        numbers.push(taken.batch.number);
                        let answers = answers(&taken.batch);
                        assert!(work.finish(&taken, Some(&answers)).await.unwrap());
                    }
                    None => looks += 1,
                }
            }
            numbers
        });
    }
    let mut numbers: Vec<u64> = working.join_all().await.into_iter().flatten().collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..BATCHES).collect::<Vec<_>>());
    let mut handed_in = numbers_handed_in(leader, "leader").await;
    handed_in.sort_unstable();
    assert_eq!(handed_in, numbers);
}

async fn what_a_dead_worker_had_is_given_out_again(work: &dyn Work) {
    let ticket = work.post(&multi(1), LIFE).await.unwrap();
    let first = take(work, Calling::Multi).await;
    assert!(!first.is_left_behind);
    let second = take(work, Calling::Multi).await;
    assert_eq!((&second.ticket, second.is_left_behind), (&ticket, true));
    // The first one was not dead but slow. Whoever comes first counts.
    let answers = answers(&first.batch);
    assert!(work.finish(&second, Some(&answers)).await.unwrap());
    assert!(!work.finish(&first, Some(&answers)).await.unwrap());
    assert_eq!(numbers_handed_in(work, "leader").await, [1]);
}

async fn what_is_held_is_given_to_nobody_else(work: &dyn Work) {
    work.post(&multi(1), LIFE).await.unwrap();
    let taken = take(work, Calling::Multi).await;
    // Each look waits for a part of the time after which it would be given out.
    for _ in 0..5 {
        let held = work.hold(std::slice::from_ref(&taken.ticket));
        held.await.unwrap();
        assert!(is_empty(work, Calling::Multi).await);
    }
    assert!(work.finish(&taken, None).await.unwrap());
}

async fn what_is_dropped_or_withdrawn_leaves_nothing(work: &dyn Work) {
    let dropped = work.post(&multi(1), LIFE).await.unwrap();
    let taken = take(work, Calling::Multi).await;
    assert!(work.finish(&taken, None).await.unwrap());
    assert!(!work.is_open(&dropped).await.unwrap());
    let waiting = work.post(&multi(2), LIFE).await.unwrap();
    work.withdraw(std::slice::from_ref(&waiting)).await.unwrap();
    assert!(is_empty(work, Calling::Multi).await);
    // One that is being worked on, too: its answers are of no use any more.
    let ticket = work.post(&multi(3), LIFE).await.unwrap();
    let taken = take(work, Calling::Multi).await;
    work.withdraw(&[ticket]).await.unwrap();
    let answers = answers(&taken.batch);
    assert!(!work.finish(&taken, Some(&answers)).await.unwrap());
    assert_eq!(
        numbers_handed_in(work, "leader").await,
        Vec::<u64>::default()
    );
}

async fn an_overdue_batch_says_so(work: &dyn Work) {
    work.post(&multi(1), Duration::from_millis(100))
        .await
        .unwrap();
    let taken = take(work, Calling::Multi).await;
    assert!(work.finish(&taken, None).await.unwrap());
    work.post(&multi(2), Duration::ZERO).await.unwrap();
    // Its time is over while the second of these waits; the first may but make a group.
    for _ in 0..2 {
        assert!(is_empty(work, Calling::Single).await);
    }
    let taken = take(work, Calling::Multi).await;
    assert_eq!((taken.batch.number, taken.is_overdue), (2, true));
}

async fn each_process_gets_its_own(work: &dyn Work) {
    for (number, process) in [(1, "one"), (1, "other")] {
        let batch = Batch {
            process: process.to_owned(),
            ..multi(number)
        };
        work.post(&batch, LIFE).await.unwrap();
        let taken = take(work, Calling::Multi).await;
        let answers = answers(&batch);
        assert!(work.finish(&taken, Some(&answers)).await.unwrap());
    }
    assert_eq!(numbers_handed_in(work, "other").await, [1]);
    assert_eq!(numbers_handed_in(work, "one").await, [1]);
}

crate::support::contract::contract!(
    super::MemoryWork::new(super::IDLE),
    super::redis,
    [in_redis: super::RedisServer, in_a_cluster: super::Cluster],
    (
    what_is_posted_is_taken_and_handed_in,
    what_was_posted_before_anybody_looked_is_given_out,
    a_batch_goes_to_who_can_ask_that_way,
    what_a_dead_worker_had_is_given_out_again,
    what_is_held_is_given_to_nobody_else,
    what_is_dropped_or_withdrawn_leaves_nothing,
    an_overdue_batch_says_so,
    each_process_gets_its_own,
)
);

#[tokio::test(start_paused = true)]
async fn each_is_given_to_one_of_many_workers_in_memory() {
    let work = MemoryWork::new(IDLE);
    let workers = std::array::from_fn(|_| Arc::new(work.clone()) as Arc<dyn Work>);
    each_is_given_to_one_of_many_workers(&work, workers).await;
}

#[tokio::test]
async fn each_is_given_to_one_of_many_workers_in_redis() {
    let server = RedisServer::start().await;
    let workers = std::array::from_fn(|_| Arc::new(redis(&server.url())) as Arc<dyn Work>);
    each_is_given_to_one_of_many_workers(&redis(&server.url()), workers).await;
}

/// Shared work as the program makes it, with time-outs for a machine full of tests.
fn redis(url: &str) -> RedisWork {
    let settings = RedisSettings {
        url,
        namespace: "",
        connect_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_secs(2),
    };
    let store = Arc::new(RedisStore::new(&settings).unwrap());
    RedisWork::new(store, &settings, "worker", IDLE).unwrap()
}

/// Posts until somebody takes.
async fn goes_on(work: &RedisWork, number: u64) {
    let posted = until("a batch is posted", async || {
        work.post(&multi(number), LIFE).await.ok()
    })
    .await;
    let taken = until("a batch is given out", async || {
        let taken = work.take(Calling::Multi).await.ok().flatten();
        taken.filter(|taken| taken.ticket == posted)
    })
    .await;
    assert!(
        work.finish(&taken, Some(&answers(&taken.batch)))
            .await
            .unwrap()
    );
    let finished = until("its answers arrive", async || {
        work.next_finished("leader").await.ok().flatten()
    })
    .await;
    assert_eq!(finished.number, number);
}

#[tokio::test]
async fn an_empty_redis_is_as_good_as_the_one_before() {
    let mut server = RedisServer::start().await;
    let work = redis(&server.url());
    goes_on(&work, 1).await;
    let ticket = work.post(&multi(2), LIFE).await.unwrap();
    let taken = take(&work, Calling::Multi).await;
    let mut connection = server.connection().await;
    let flush = ::redis::cmd("FLUSHALL");
    let () = flush.query_async(&mut connection).await.unwrap();
    assert!(!work.is_open(&ticket).await.unwrap());
    work.hold(std::slice::from_ref(&ticket)).await.unwrap();
    let answers = answers(&taken.batch);
    assert!(!work.finish(&taken, Some(&answers)).await.unwrap());
    goes_on(&work, 3).await;
    server.kill().await;
    assert!(work.post(&multi(4), LIFE).await.is_err());
    assert!(work.take(Calling::Multi).await.is_err());
    server.start_again().await;
    goes_on(&work, 5).await;
}

/// Who waits for a batch when everything is deleted is not forgotten there.
#[tokio::test]
async fn who_waits_while_redis_is_emptied_waits_no_longer_than_ever() {
    let server = RedisServer::start().await;
    let work = Arc::new(redis(&server.url()));
    goes_on(&work, 1).await;
    let mut connection = server.connection().await;
    for number in 2..6 {
        let waiting = tokio::spawn({
            let work = Arc::clone(&work);
            async move { work.take(Calling::Multi).await }
        });
        until("the server has somebody waiting", async || {
            let info = ::redis::cmd("INFO");
            let text: String = info.query_async(&mut connection).await.unwrap();
            let waits = text.lines().any(|line| line.trim() == "blocked_clients:1");
            waits.then_some(())
        })
        .await;
        let flush = ::redis::cmd("FLUSHALL");
        let () = flush.query_async(&mut connection).await.unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(None));
        goes_on(&work, number).await;
    }
}

/// The client library keeps a socket that swallows everything for as long as it stands.
#[tokio::test]
async fn a_connection_that_swallows_everything_is_replaced() {
    let server = RedisServer::start().await;
    let proxy = SilentProxy::to(server.port()).await;
    let settings = RedisSettings {
        url: &proxy.url(),
        namespace: "",
        connect_timeout: Duration::from_millis(200),
        response_timeout: Duration::from_millis(200),
    };
    let store = Arc::new(RedisStore::new(&settings).unwrap());
    let work = RedisWork::new(store, &settings, "worker", IDLE).unwrap();
    goes_on(&work, 1).await;
    proxy.swallow();
    assert!(work.take(Calling::Multi).await.is_err());
    assert!(work.next_finished("leader").await.is_err());
    proxy.pass();
    goes_on(&work, 2).await;
}

#[tokio::test]
async fn what_others_leave_there_is_dropped_and_stops_nobody() {
    let server = RedisServer::start().await;
    let work = redis(&server.url());
    goes_on(&work, 1).await;
    let mut connection = server.connection().await;
    let stream = "sise:{work}:batches:multi";
    for fields in [
        vec!["a", "b"],
        vec![
            "lead", "x", "process", "p", "number", "1", "life", "1", "codes", "005930",
        ],
        vec![
            "lead", "1", "process", "p", "number", "1", "life", "1", "codes", "5930",
        ],
        vec![
            "lead", "1", "process", "p", "number", "1", "life", "1", "codes", "",
        ],
    ] {
        let mut command = ::redis::cmd("XADD");
        command.arg(stream).arg("*").arg(fields);
        let _: String = command.query_async(&mut connection).await.unwrap();
        assert_eq!(work.take(Calling::Multi).await, Ok(None));
    }
    let length: u64 = ::redis::cmd("XLEN")
        .arg(stream)
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(length, 0);
    for text in ["", "no JSON", "{}", "\u{0}"] {
        let mut command = ::redis::cmd("RPUSH");
        command.arg("sise:{work}:finished:leader").arg(text);
        let _: u64 = command.query_async(&mut connection).await.unwrap();
        assert!(work.next_finished("leader").await.unwrap().is_none());
    }
    // Something else altogether under the name: who posts is told, and who takes clears it away.
    let mut command = ::redis::cmd("SET");
    command.arg(stream).arg("text");
    let () = command.query_async(&mut connection).await.unwrap();
    assert!(work.post(&multi(2), LIFE).await.is_err());
    assert_eq!(work.take(Calling::Multi).await, Ok(None));
    goes_on(&work, 3).await;
}

#[tokio::test]
async fn nothing_grows_in_redis() {
    let server = RedisServer::start().await;
    let work = redis(&server.url());
    for number in 0..1_500 {
        work.post(&multi(number), LIFE).await.unwrap();
    }
    let mut connection = server.connection().await;
    let length: u64 = ::redis::cmd("XLEN")
        .arg("sise:{work}:batches:multi")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(length, 1_024);
    // The oldest were let go.
    let taken = take(&work, Calling::Multi).await;
    assert_eq!(taken.batch.number, 1_500 - 1_024);
    work.finish(&taken, Some(&answers(&taken.batch)))
        .await
        .unwrap();
    let finished = "sise:{work}:finished:leader".to_owned();
    let life = server.lives(&[finished]).await[0];
    assert!((1..=300_000).contains(&life), "{life} ms");
    // Restarts of a worker leave no consumer behind.
    for _ in 0..3 {
        take(&redis(&server.url()), Calling::Multi).await;
    }
    let consumers: Vec<::redis::Value> = ::redis::cmd("XINFO")
        .arg("CONSUMERS")
        .arg("sise:{work}:batches:multi")
        .arg("workers")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(consumers.len(), 1);
    let gone = Ticket {
        calling: Calling::Multi,
        entry: "1-0".to_owned(),
    };
    assert!(!work.is_open(&gone).await.unwrap());
}
