//! Rankings: members by score, and yesterday's ranking.
//!
//!     REDIS_URL=redis://127.0.0.1:6379 cargo run --example cache_rankings
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = sise::cache_builder_from_env()?
        .namespace("game", "example")
        .connect()
        .await?;
    let points = cache.ranking("points");
    points.clear().await?;

    points.set_score("kim", 120.0).await?;
    points
        .set_score_bulk(&[("lee", 300.0), ("park", 120.0), ("choi", 80.0)])
        .await?;

    for place in points.get_rank_range(1, 10).await {
        println!("{}. {} {}", place.rank, place.member, place.score);
    }
    // Of equal scores the member comes first whose bytes are greater: park before kim.
    let kim = points.get_rank("kim").await.ok_or("not ranked")?;
    assert_eq!((kim.rank, points.get_count().await), (3, 4));
    assert_eq!(points.remove(&["choi"]).await?, 1);

    // At midnight, in one step.
    points.take_snapshot("yesterday").await?;
    assert_eq!(points.get_count().await, 0);
    assert_eq!(points.snapshot("yesterday").get_count().await, 3);
    points.snapshot("yesterday").clear().await?;
    Ok(())
}
