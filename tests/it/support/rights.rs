//! A user of Redis with just the rights that docs/operation.md lists.

use redis::aio::MultiplexedConnection;

use super::redis::RedisServer;

/// Name and password of the user.
const USER: &str = "sise";
const PASSWORD: &str = "longpasswordlongpassword";

/// The words of the line in the README and on the pages, from `SETUSER` on.
pub(crate) fn listed() -> Vec<String> {
    let line = |page: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find(|line| line.starts_with("ACL SETUSER "));
        line.unwrap_or_else(|| panic!("{page} has no such line"))
            .to_owned()
    };
    let listed = line("README.md");
    for page in ["README.ko.md", "docs/operation.md", "docs/ko/operation.md"] {
        assert_eq!(line(page), listed, "{page}");
    }
    let words = listed.split(' ').skip(1);
    words
        .map(|word| word.replace("PASSWORD", PASSWORD))
        .collect()
}

/// Gives the user these rights, beyond those that it has, or takes them.
pub(crate) async fn change(connection: &mut MultiplexedConnection, words: &[String]) {
    let mut command = redis::cmd("ACL");
    let () = command.arg(words).query_async(connection).await.unwrap();
}

/// The address of `server` for the user.
pub(crate) fn url(server: &RedisServer) -> String {
    format!("redis://{USER}:{PASSWORD}@127.0.0.1:{}", server.port())
}

/// What was refused since the server was started.
pub(crate) async fn refused(connection: &mut MultiplexedConnection) -> Vec<String> {
    let entries: Vec<std::collections::HashMap<String, redis::Value>> = redis::cmd("ACL")
        .arg("LOG")
        .query_async(connection)
        .await
        .unwrap();
    entries.iter().map(|entry| format!("{entry:?}")).collect()
}
