//! Sessions by access token, which stands nowhere in the store.
//!
//!     REDIS_URL=redis://127.0.0.1:6379 cargo run --example cache_sessions
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sise::cache::Sessions;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Login {
    device: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = sise::cache_builder_from_env()?
        .namespace("web", "example")
        .connect()
        .await?;
    // An hour by default; here half of one, and a whole half again whenever it is used.
    let sessions: Sessions<Login> = cache.sessions().life(Duration::from_secs(1_800)).sliding();

    let login = |device: &str| Login {
        device: device.to_owned(),
    };
    // Yours come from a source of random numbers.
    let (phone, laptop) = ("9f1c2a7be0d34c55a1f0", "77c0aa51e9b24d0f83be");
    sessions.set(phone, "kim", login("phone")).await?;
    sessions.set(laptop, "kim", login("laptop")).await?;

    let session = sessions.get(phone).await.ok_or("no session")?;
    println!(
        "{} on a {} since {}",
        session.user, session.value.device, session.since
    );
    assert!(sessions.check(laptop).await);
    assert!(!sessions.check("somebody else's token").await);

    for listed in sessions.of_user("kim").await {
        println!("{}: {}", listed.name, listed.session.value.device);
    }
    assert!(sessions.remove(phone).await?);
    assert_eq!(sessions.end_all("kim").await?, 1);
    assert!(!sessions.check(laptop).await);
    Ok(())
}
