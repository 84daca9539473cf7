//! Rankings against a sorted vector, on Redis and in memory.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use sise::cache::{Cache, NewRanking, Ranked};

use crate::cache::cache_at;
use crate::support::redis::RedisServer;

/// Something that is done to a ranking.
#[derive(Debug, Clone)]
enum Step {
    Set(&'static str, f64),
    SetBulk(Vec<(&'static str, f64)>),
    Remove(Vec<&'static str>),
    Replace(Vec<(&'static str, f64)>),
    Snapshot(&'static str),
    Clear,
}

/// What a ranking must be: members with their scores, in order.
type Model = Vec<(&'static str, f64)>;

fn set(model: &mut Model, member: &'static str, score: f64) {
    model.retain(|(held, _)| *held != member);
    model.push((member, score));
    // The highest first, and of equal ones the member whose bytes are greater.
    model.sort_by(|(a, a_score), (b, b_score)| {
        let by_score = b_score.partial_cmp(a_score).unwrap();
        by_score.then(b.as_bytes().cmp(a.as_bytes()))
    });
}

fn expected(model: &Model) -> Vec<Ranked> {
    let ranked = |(rank, (member, score)): (u64, &(&str, f64))| Ranked {
        rank,
        member: (*member).to_owned(),
        score: *score,
    };
    (1..).zip(model).map(ranked).collect()
}

fn member() -> impl Strategy<Value = &'static str> {
    select(&["005930", "000660", "a", "A", "b", "", "가", "나"][..])
}

fn score() -> impl Strategy<Value = f64> {
    let whole = select(&[-1.0, 0.0, 1.0, 2.0, 9_007_199_254_740_991.0][..]);
    prop_oneof![3 => whole, 1 => -1e12..1e12]
}

fn members() -> impl Strategy<Value = Vec<(&'static str, f64)>> {
    proptest::collection::vec((member(), score()), 0..6)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = select(&["yesterday", "{odd}:name"][..]);
    let step = prop_oneof![
        4 => (member(), score()).prop_map(|(member, score)| Step::Set(member, score)),
        3 => members().prop_map(Step::SetBulk),
        2 => proptest::collection::vec(member(), 0..4).prop_map(Step::Remove),
        1 => members().prop_map(Step::Replace),
        1 => name.prop_map(Step::Snapshot),
        1 => Just(Step::Clear),
    ];
    proptest::collection::vec(step, 1..25)
}

async fn is_as_expected(cache: &Cache, steps: &[Step]) -> Result<(), TestCaseError> {
    let ranking = cache.ranking("gainers");
    let mut model = Model::new();
    let mut snapshots = std::collections::BTreeMap::<&str, Model>::new();
    for step in steps {
        match step {
            Step::Set(member, score) => {
                ranking.set_score(member, *score).await.unwrap();
                set(&mut model, member, *score);
            }
            Step::SetBulk(members) => {
                ranking.set_score_bulk(members).await.unwrap();
                members
                    .iter()
                    .for_each(|(member, score)| set(&mut model, member, *score));
            }
            Step::Remove(members) => {
                let before = model.len();
                model.retain(|(held, _)| !members.contains(held));
                let removed = ranking.remove(members).await.unwrap();
                prop_assert_eq!(removed, (before - model.len()) as u64);
            }
            Step::Replace(members) => {
                let new = NewRanking {
                    ranking: &ranking,
                    members: members
                        .iter()
                        .map(|(member, score)| ((*member).to_owned(), *score))
                        .collect(),
                    life: None,
                };
                cache.replace_rankings(vec![new]).await.unwrap();
                model.clear();
                members
                    .iter()
                    .for_each(|(member, score)| set(&mut model, member, *score));
            }
            Step::Snapshot(name) => {
                let taken = ranking.take_snapshot(name).await.unwrap();
                prop_assert_eq!(taken, !model.is_empty());
                if taken {
                    snapshots.insert(*name, std::mem::take(&mut model));
                }
            }
            Step::Clear => {
                prop_assert_eq!(ranking.clear().await.unwrap(), !model.is_empty());
                model.clear();
            }
        }
        let all = expected(&model);
        prop_assert_eq!(ranking.try_get_count().await.unwrap(), all.len() as u64);
        prop_assert_eq!(&ranking.try_get_rank_range(1, 100).await.unwrap(), &all);
        prop_assert_eq!(
            &ranking.get_rank_range(2, 2).await,
            &all.iter().skip(1).take(2).cloned().collect::<Vec<_>>()
        );
        let lowest = ranking.try_get_lowest(1, 2).await.unwrap();
        let last = all
            .iter()
            .rev()
            .skip(1)
            .take(2)
            .map(|ranked| (ranked.member.clone(), ranked.score));
        prop_assert_eq!(lowest, last.collect::<Vec<_>>());
        for ranked in &all {
            let found = ranking.try_get_rank(&ranked.member).await.unwrap();
            prop_assert_eq!(found.as_ref(), Some(ranked));
        }
        prop_assert_eq!(ranking.try_get_rank("nobody").await.unwrap(), None);
    }
    for (name, model) in &snapshots {
        let snapshot = ranking.snapshot(name);
        prop_assert_eq!(
            snapshot.try_get_rank_range(1, 100).await.unwrap(),
            expected(model)
        );
    }
    Ok(())
}

#[test]
fn a_ranking_is_a_sorted_vector() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(RedisServer::start());
    let redis = runtime.block_on(async { cache_at(&server.url()) });
    let mut runner = TestRunner::new(Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&steps(), |steps| {
        runtime.block_on(async {
            server.delete("*").await;
            let memory = Cache::builder().redis_url("memory").build().unwrap();
            is_as_expected(&memory, &steps).await?;
            is_as_expected(&redis, &steps).await
        })
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[tokio::test]
async fn scores_that_are_no_finite_numbers_are_refused() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    let ranking = cache.ranking("gainers");
    for score in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(
            ranking
                .set_score_bulk(&[("a", 1.0), ("b", score)])
                .await
                .is_err()
        );
    }
    assert_eq!(ranking.get_count().await, 0);
    assert!(ranking.try_get_rank_range(0, 1).await.is_err());
    assert!(ranking.get_rank_range(0, 1).await.is_empty());
}

#[tokio::test]
async fn readers_never_see_a_part_of_a_ranking_that_is_replaced() {
    let server = RedisServer::start().await;
    let (cache, reader) = (cache_at(&server.url()), cache_at(&server.url()));
    let names: Vec<String> = (0..2_000).map(|name| format!("{name:04}")).collect();
    let replace = |round: f64| {
        let (ranking, names, cache) = (cache.ranking("gainers"), &names, &cache);
        async move {
            let new = NewRanking {
                ranking: &ranking,
                members: names.iter().map(|name| (name.clone(), round)).collect(),
                life: Some(Duration::from_secs(60)),
            };
            cache.replace_rankings(vec![new]).await.unwrap();
        }
    };
    replace(0.0).await;
    let writes = async {
        for round in 1..30 {
            replace(f64::from(round)).await;
        }
    };
    let reads = async {
        loop {
            let all = reader
                .ranking("gainers")
                .try_get_rank_range(1, 5_000)
                .await
                .unwrap();
            assert_eq!(all.len(), 2_000);
            assert!(
                all.iter().all(|ranked| ranked.score == all[0].score),
                "two rankings in one"
            );
        }
    };
    tokio::select! {
        () = writes => {}
        () = reads => {}
    }
    assert_eq!(server.texts("*").await.len(), 0, "nothing but the ranking");
}
