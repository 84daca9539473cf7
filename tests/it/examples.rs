//! Every example runs to its end on a real Redis.

use std::path::Path;

use crate::support::redis::RedisServer;
use crate::support::rights;
use tokio::process::Command;

#[tokio::test]
async fn every_example_runs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    assert!(names.len() >= 7, "{names:?}");
    let server = RedisServer::start().await;
    let mut connection = server.connection().await;
    rights::change(&mut connection, &rights::listed()).await;
    // Their values lie under the names of their own applications.
    let own_keys = ["SETUSER", "sise", "~*:example:*"].map(str::to_owned);
    rights::change(&mut connection, &own_keys).await;
    let home = tempfile::tempdir().unwrap();
    for name in names {
        let run = Command::new(env!("CARGO"))
            .args(["run", "--locked", "--quiet", "--example", &name])
            .env("REDIS_URL", rights::url(&server))
            .env("SISE_CONFIG", "")
            .env("TMPDIR", home.path())
            .kill_on_drop(true)
            .output();
        let run = run.await.unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{name}: {said}");
        assert!(!run.stdout.is_empty(), "{name} says nothing");
    }
    // The rights that docs/operation.md lists are enough.
    let refused = rights::refused(&mut connection).await;
    assert!(refused.is_empty(), "{refused:?}");
}
