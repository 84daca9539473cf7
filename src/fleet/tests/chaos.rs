//! Whatever other processes hand in, in any order and number, each code is accounted for once.

use proptest::prelude::*;
use tokio::runtime;

use super::*;
use sise_port::{Finished, Postings, StoreError, Ticket};

/// One set of answers handed in for a batch.
#[derive(Debug, Clone, Copy)]
enum Sheet {
    Whole,
    /// Only every other code.
    Short,
    /// Includes codes that were not asked for, and some codes twice.
    Long,
    Empty,
    /// The answers of another batch under this one's number.
    Other,
    Failed,
    Denied,
    /// Under a number that no batch has.
    Astray,
}

/// What happens to a batch after posting.
#[derive(Debug, Clone)]
struct Fate {
    cannot_be_posted: bool,
    /// Answers, each handed in this many milliseconds after posting.
    sheets: Vec<(u64, Sheet)>,
    /// Stays posted for this many milliseconds.
    open_for: u64,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let sheet = prop_oneof![
        4 => Just(Sheet::Whole),
        1 => Just(Sheet::Short),
        1 => Just(Sheet::Long),
        1 => Just(Sheet::Empty),
        1 => Just(Sheet::Other),
        1 => Just(Sheet::Failed),
        1 => Just(Sheet::Denied),
        1 => Just(Sheet::Astray),
    ];
    let delay = prop_oneof![0_u64..3_000, 0_u64..90_000];
    let fate = (
        proptest::bool::weighted(0.1),
        prop::collection::vec((delay, sheet), 0..4),
        prop_oneof![0_u64..5_000, Just(u64::MAX / 4)],
    );
    let fate = fate.prop_map(|(cannot_be_posted, sheets, open_for)| Fate {
        cannot_be_posted,
        sheets,
        open_for,
    });
    prop::collection::vec(fate, 1..12)
}

/// Shared work in which anything can happen.
struct Chaos {
    fates: Vec<Fate>,
    finished: Mutex<Vec<(Instant, Finished)>>,
    open_until: Mutex<Vec<Instant>>,
}

impl Chaos {
    fn failed() -> StoreError {
        StoreError::Failed {
            store: "here".to_owned(),
            trouble: "away".to_owned(),
        }
    }
}

fn finished(batch: &Batch, sheet: Sheet) -> Finished {
    let symbols = match sheet {
        Sheet::Short => batch.symbols.iter().copied().step_by(2).collect(),
        Sheet::Empty => Vec::new(),
        Sheet::Other => symbols(5),
        Sheet::Long => {
            let others = symbols(7);
            [&others[..], &batch.symbols, &batch.symbols].concat()
        }
        _ => batch.symbols.clone(),
    };
    let answer = |symbol| match sheet {
        Sheet::Failed => Answer::Failed(SourceError::Unavailable("no route".to_owned())),
        Sheet::Denied => Answer::Failed(SourceError::Denied(Denial {
            kind: BanKind::Credentials,
            said: "EGW00103".to_owned(),
        })),
        _ => quote(symbol, 1_000, morning()),
    };
    let answers = symbols.into_iter().map(|symbol| (symbol, answer(symbol)));
    let number = match sheet {
        Sheet::Astray => batch.number + 1_000_000,
        _ => batch.number,
    };
    Finished {
        number,
        answers: Answers {
            answers: answers.collect(),
            indices: Vec::new(),
            tally: Tally {
                calls: 1,
                ..Tally::default()
            },
        },
    }
}

#[async_trait]
impl Postings for Chaos {
    async fn post(&self, batch: &Batch, _: Duration) -> Result<Ticket, StoreError> {
        let now = Instant::now();
        let place = usize::try_from(batch.number).unwrap() % self.fates.len();
        let fate = &self.fates[place];
        for (delay, sheet) in &fate.sheets {
            let due = now + Duration::from_millis(*delay);
            let mut queue = self.finished.lock().unwrap();
            queue.push((due, finished(batch, *sheet)));
        }
        if fate.cannot_be_posted {
            // The batch may have been posted anyway.
            return Err(Self::failed());
        }
        let mut open_until = self.open_until.lock().unwrap();
        open_until.push(now + Duration::from_millis(fate.open_for));
        Ok(Ticket {
            calling: batch.calling,
            entry: (open_until.len() - 1).to_string(),
        })
    }

    async fn is_open(&self, ticket: &Ticket) -> Result<bool, StoreError> {
        let place: usize = ticket.entry.parse().unwrap();
        if place.is_multiple_of(7) {
            return Err(Self::failed());
        }
        Ok(Instant::now() < self.open_until.lock().unwrap()[place])
    }

    async fn withdraw(&self, _: &[Ticket]) -> Result<(), StoreError> {
        Err(Self::failed())
    }

    async fn next_finished(&self, _: &str) -> Result<Option<Finished>, StoreError> {
        let now = Instant::now();
        let due = {
            let mut queue = self.finished.lock().unwrap();
            let place = queue.iter().position(|(due, _)| *due <= now);
            place.map(|place| queue.remove(place).1)
        };
        if due.is_none() {
            sleep(Duration::from_millis(50)).await;
        }
        Ok(due)
    }
}

async fn each_code_is_accounted_for_once(fates: Vec<Fate>, codes: usize) {
    let store = Arc::new(MemoryStore::default());
    let life = Duration::from_secs(3_600);
    let candidate = Candidate::new(store.clone(), "leader".to_owned(), life, clock());
    candidate.campaign().await;
    let chaos = Arc::new(Chaos {
        fates,
        finished: Mutex::default(),
        open_until: Mutex::default(),
    });
    let own = Key::good(15.0);
    let candidate = Arc::new(candidate);
    let dispatcher = Dispatcher::new(chaos, own.clone(), candidate, clock(), LIFE);
    let dispatcher = Arc::new(dispatcher);
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (dispatcher, stop) = (dispatcher.clone(), stop.clone());
        async move { dispatcher.run(&stop).await }
    });
    let report = sweep(dispatcher, &store, codes, &stop).await;
    // Each batch counts once, however often it was handed in, plus the calls of this key.
    let batches = codes.div_ceil(30) as u64 + report.retries;
    let most = batches + own.calls() as u64;
    assert!((batches..=most).contains(&report.calls), "{report:?}");
    for missing in &report.missing {
        // This key asked for everything else itself.
        let named = ["no route", "EGW00103"];
        let is_named = named.iter().any(|words| missing.detail.contains(words));
        assert!(is_named, "{missing:?}");
    }
    // Two passes: each waits at most for its life, and then this key is asked.
    let most = 2 * (LIFE + Duration::from_secs(30));
    assert!(
        Duration::from_millis(report.elapsed_ms) < most,
        "{report:?}"
    );
    stop.cancel();
    running.await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_is_handed_in_each_code_is_accounted_for_once(
        fates in fates(),
        codes in 1_usize..600,
    ) {
        runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(each_code_is_accounted_for_once(fates, codes));
    }
}
