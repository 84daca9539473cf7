//! Profiles: fields of a user, each of its own type.
//!
//!     REDIS_URL=redis://127.0.0.1:6379 cargo run --example cache_profiles
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = sise::cache_builder_from_env()?
        .namespace("web", "example")
        .connect()
        .await?;
    let settings = cache.profiles("settings");

    settings.set("kim", "language", &"ko").await?;
    settings.set("kim", "rows", &50).await?;
    settings
        .set_bulk("kim", &[("dark", &true), ("compact", &false)])
        .await?;

    let language: Option<String> = settings.get("kim", "language").await;
    let switches: Vec<Option<bool>> = settings.get_bulk("kim", &["dark", "compact", "none"]).await;
    assert_eq!(switches, [Some(true), Some(false), None]);
    println!("{language:?} {switches:?}");

    let all = settings.get_all::<serde_json::Value>("kim").await;
    println!("{all:?}");
    assert_eq!(settings.remove("kim", &["rows", "none"]).await?, 1);
    assert!(settings.clear("kim").await?);
    Ok(())
}
