use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use sise_domain::{Group, Listing, Market};
use sise_store::{FileCopies, MemoryStore};

/// A source whose list has as many codes as the test sets.
struct Counted(Arc<AtomicUsize>);

#[async_trait]
impl ListSource for Counted {
    fn name(&self) -> &'static str {
        "master"
    }

    async fn list(&self) -> Result<Universe, ListError> {
        match self.0.load(Ordering::Relaxed) {
            0 => Err(ListError(
                "kospi_code.mst: record 7, byte 2023: bad".to_owned(),
            )),
            count => Ok(Universe::new(None, (0..count).map(listing))),
        }
    }
}

fn listing(number: usize) -> Listing {
    Listing {
        code: format!("{number:06}").parse().unwrap(),
        name: format!("회사{number}"),
        market: Market::Kosdaq,
        group: if number.is_multiple_of(2) {
            Group::Stock
        } else {
            Group::Etf
        },
        halted: Some(number == 2),
        shares: u64::try_from(number * 1_000)
            .ok()
            .filter(|shares| *shares > 0),
        sector: (number != 1).then(|| format!("업종{}", number % 3)),
        listed: None,
        in_liquidation: None,
    }
}

struct World {
    count: Arc<AtomicUsize>,
    directory: tempfile::TempDir,
    store: Arc<MemoryStore>,
}

impl World {
    fn new(count: usize) -> Self {
        Self {
            count: Arc::new(AtomicUsize::new(count)),
            directory: tempfile::tempdir().unwrap(),
            store: Arc::new(MemoryStore::default()),
        }
    }

    fn last_good_in(&self, folder: &Path) -> LastGood {
        let files = Arc::new(FileCopies::new(folder));
        LastGood::new("master", vec![files, self.store.clone()])
    }

    /// Returns the only file of the copy.
    fn file(&self) -> PathBuf {
        let mut entries = std::fs::read_dir(self.directory.path()).unwrap();
        entries.next().unwrap().unwrap().path()
    }

    fn last_good(&self) -> LastGood {
        self.last_good_in(self.directory.path())
    }

    fn loader(&self) -> Loader {
        let sources: Vec<Box<dyn ListSource>> = vec![
            Box::new(Counted(Arc::clone(&self.count))),
            Box::new(self.last_good()),
            Box::new(ShippedList),
        ];
        Loader::new(
            sources,
            self.last_good(),
            Selection {
                etf: true,
                etn: false,
            },
        )
    }

    async fn load(&self, count: usize) -> Loaded {
        self.count.store(count, Ordering::Relaxed);
        self.loader().load().await.unwrap()
    }
}

#[tokio::test]
async fn a_list_that_lost_more_than_a_tenth_is_refused_and_said() {
    let world = World::new(0);
    assert_eq!(world.load(1_000).await.universe.len(), 1_000);
    // A loss of a tenth is accepted, and the new list is the reference from then on.
    assert_eq!(world.load(900).await.source, "master");
    let refused = world.load(809).await;
    assert_eq!((refused.universe.len(), refused.source), (900, "last-good"));
    assert!(refused.notes[0].contains("809 codes") && refused.notes[0].contains("900"));
    assert_eq!(world.loader().accept().await.unwrap().universe.len(), 809);
    assert_eq!(world.load(809).await.source, "master");
}

#[tokio::test]
async fn a_broken_list_falls_to_the_last_good_copy_and_says_where_it_broke() {
    let world = World::new(0);
    let first = world.load(0).await;
    assert_eq!((first.source, first.universe.len()), ("shipped", 2_769));
    assert!(first.notes.last().unwrap().contains("2026-03-20"));
    world.load(10).await;
    let fallen = world.load(0).await;
    assert_eq!((fallen.source, fallen.universe.len()), ("last-good", 10));
    assert!(fallen.notes[0].contains("record 7, byte 2023"));
    let code = "000002".parse().unwrap();
    assert_eq!(fallen.universe.get(code), Some(&listing(2)));
}

#[tokio::test]
async fn the_store_keeps_the_copy_when_the_disk_lost_it() {
    let world = World::new(0);
    world.load(10).await;
    let file = world.file();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(world.load(0).await.source, "last-good");
    // Half a file is not a list, but the copy in the store is whole.
    std::fs::write(&file, "code,name\n000001,\"회").unwrap();
    assert_eq!(world.load(0).await.universe.len(), 10);
}

#[tokio::test]
async fn the_copy_keeps_the_shares_and_an_older_one_without_them_loads() {
    let world = World::new(0);
    world.load(10).await;
    let shares = |universe: &Universe| -> Vec<Option<u64>> {
        let listings = universe.listings().iter();
        listings.map(|listing| listing.shares).collect()
    };
    let loaded = world.load(0).await;
    assert_eq!(loaded.source, "last-good");
    assert_eq!(
        shares(&loaded.universe)[..3],
        [None, Some(1_000), Some(2_000)]
    );
    let older = "# the last good stock list, from master: 2 codes\n\
                 code,name,market,group,halted\n\
                 005930,삼성전자,KOSPI,ST,false\n\
                 000001,새회사,KOSDAQ,ST,\n";
    std::fs::write(world.file(), older).unwrap();
    let loaded = world.load(0).await;
    let shipped = Shipped::get().listing("005930".parse().unwrap()).unwrap();
    let known = u64::try_from(shipped.shares).ok();
    assert_eq!(shares(&loaded.universe), [known, None]);
    let sector = |code: &str| {
        let listing = loaded.universe.get(code.parse().unwrap()).unwrap();
        listing.sector.clone()
    };
    assert_eq!(sector("005930").as_deref(), Some("전기·전자"));
    assert_eq!(sector("000001"), None);
}

#[tokio::test]
async fn a_copy_that_was_cut_off_anywhere_is_no_shorter_list() {
    let world = World::new(0);
    world.load(30).await;
    let whole = std::fs::read(world.file()).unwrap();
    let files = Arc::new(FileCopies::new(world.directory.path()));
    let on_disk = LastGood::new("master", vec![files]);
    assert_eq!(on_disk.list().await.unwrap().len(), 30);
    for length in 0..whole.len() {
        std::fs::write(world.file(), &whole[..length]).unwrap();
        assert!(on_disk.list().await.is_err(), "{length}");
    }
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_is_said_and_loses_nothing() {
    let world = World::new(0);
    let file = world.directory.path().join("not-a-directory");
    std::fs::write(&file, "").unwrap();
    let last_good = world.last_good_in(&file);
    let sources: Vec<Box<dyn ListSource>> = vec![Box::new(ShippedListAsMaster)];
    let loaded = Loader::new(sources, last_good, Selection::default())
        .load()
        .await
        .unwrap();
    assert_eq!(loaded.universe.len(), 2_769);
    assert!(
        loaded.notes[0].contains("not-a-directory"),
        "{:?}",
        loaded.notes
    );
}

struct ShippedListAsMaster;

#[async_trait]
impl ListSource for ShippedListAsMaster {
    fn name(&self) -> &'static str {
        "master"
    }

    async fn list(&self) -> Result<Universe, ListError> {
        ShippedList.list().await
    }
}

#[test]
fn funds_and_notes_come_by_setting_only() {
    let universe = Universe::new(None, (0..10).map(listing));
    assert_eq!(universe.select(Selection::default()).len(), 5);
    assert_eq!(
        universe
            .select(Selection {
                etf: true,
                etn: false
            })
            .len(),
        10
    );
}

#[test]
fn a_csv_needs_codes_only_and_names_what_is_wrong() {
    let read = |text: &str| csv_file::read("list.csv", text.as_bytes());
    let short = read("\u{feff}code\n005930\n# a comment\n000660\n").unwrap();
    assert_eq!(
        short.get("000660".parse().unwrap()).unwrap().name,
        "SK하이닉스"
    );
    let sectors = read("code,sector\n005930,반도체\n000660,\n").unwrap();
    let of = |code: &str| sectors.get(code.parse().unwrap()).unwrap().sector.clone();
    assert_eq!(of("005930").as_deref(), Some("반도체"));
    assert_eq!(of("000660"), None, "the file says that it is not known");
    // Line ends as written by old programs; the comment must not swallow what follows.
    let old = read("code\r# a comment\r005930\r000660\r# the end").unwrap();
    assert_eq!(old.len(), 2);
    for (text, words) in [
        ("name\nx\n", "list.csv: the header has no column 'code'"),
        (
            "code\n005930\n5930\n",
            "list.csv: record 2, byte 12: '5930' is not",
        ),
        (
            "code\n005930\n005930\n",
            "record 2, byte 12: code 005930 is in the file twice",
        ),
        ("code,name\n005930\n", "record 1, byte 10:"),
        ("code\n999999\n", "999999 has no market"),
        ("code,market\n005930,NYSE\n", "market 'NYSE'"),
        ("code,group\n005930,XX\n", "'XX' is no security group"),
        (
            "code,shares\n005930,-1\n",
            "005930: shares is '-1', not a whole",
        ),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let latin = csv_file::read("list.csv", b"code,name\n005930,\xff\xfe\n");
    assert!(latin.unwrap_err().to_string().contains("record 1, byte 10"));
}
