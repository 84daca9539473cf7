//! The event log in Redis: a stream of bounded length.

use std::collections::HashSet;
use std::sync::LazyLock;

use async_trait::async_trait;
use redis::{Cmd, Script};

use super::{RedisStore, writing};
use crate::JOURNAL_LENGTH;
use sise_domain::Entry;
use sise_port::{Journal, Place, StoreError};

/// Entries per read, so that a long event log does not exceed the response time-out.
const PAGE: usize = 500;

/// Appends an entry. KEYS: the event log. ARGV: its length, the entry, the position of the earlier
/// version or nothing.
static APPEND: LazyLock<Script> = LazyLock::new(|| {
    writing(
        "stream",
        "local place = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'entry', ARGV[2])
        if ARGV[3] ~= '' then redis.call('XDEL', KEYS[1], ARGV[3]) end
        return place",
    )
});

/// Position and fields; name and value alternate.
type Written = (String, Vec<Vec<u8>>);

impl RedisStore {
    fn journal_key(&self) -> String {
        self.keys.own("journal")
    }
}

#[async_trait]
impl Journal for RedisStore {
    async fn append(&self, entry: &Entry, earlier: Option<&Place>) -> Result<Place, StoreError> {
        let text = serde_json::to_string(entry).map_err(|error| StoreError::Failed {
            store: self.link.address().to_owned(),
            trouble: format!("an entry of the event log cannot be encoded: {error}"),
        })?;
        let earlier = earlier.map_or("", |place| &place.0);
        let place = self
            .link
            .eval(
                &APPEND,
                &[&self.journal_key()],
                (JOURNAL_LENGTH, text, earlier),
            )
            .await?;
        Ok(Place(place))
    }

    async fn entries(&self, most: usize) -> Result<Vec<Entry>, StoreError> {
        let key = self.journal_key();
        let mut entries: Vec<Entry> = Vec::new();
        // After a lost answer, an earlier version of an entry remains. The newest version counts.
        let mut seen = HashSet::new();
        let mut newest = "+".to_owned();
        while entries.len() < most {
            let mut command = Cmd::new();
            command.arg("XREVRANGE").arg(&key).arg(&newest).arg("-");
            command.arg("COUNT").arg(PAGE);
            let page: Vec<Written> = self.link.ask_own(&command).await?;
            for (_, fields) in &page {
                let text = fields.get(1).map_or(&[][..], Vec::as_slice);
                if let Ok(entry) = serde_json::from_slice::<Entry>(text)
                    && seen.insert((entry.process.clone(), entry.number))
                {
                    entries.push(entry);
                }
            }
            match page.last() {
                Some((oldest, _)) if page.len() == PAGE => newest = format!("({oldest}"),
                _ => break,
            }
        }
        entries.truncate(most);
        Ok(entries)
    }
}
