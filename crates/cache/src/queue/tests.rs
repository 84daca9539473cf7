use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// What a sink does with its next batch; the last entry applies to all later ones.
#[derive(Debug, Clone, Copy)]
enum SinkMode {
    Takes,
    Fails,
    Hangs,
    Panics,
}

#[derive(Default)]
struct Odd {
    modes: Mutex<Vec<SinkMode>>,
    batches: Mutex<Vec<Vec<(String, u32)>>>,
    tries: AtomicU32,
}

#[async_trait]
impl Sink<u32> for Odd {
    async fn write(&self, batch: &[(String, u32)]) -> Result<(), BoxError> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        let mode = self.modes.lock().unwrap().pop().unwrap_or(SinkMode::Takes);
        match mode {
            SinkMode::Takes => {}
            SinkMode::Fails => return Err("away".into()),
            SinkMode::Hangs => std::future::pending().await,
            SinkMode::Panics => panic!("a sink of somebody else's"),
        }
        self.batches.lock().unwrap().push(batch.to_vec());
        Ok(())
    }
}

impl Odd {
    /// Takes the modes in the order of their use.
    fn new(modes: &[SinkMode]) -> Arc<Self> {
        let odd = Self::default();
        *odd.modes.lock().unwrap() = modes.iter().rev().copied().collect();
        Arc::new(odd)
    }

    fn written(&self) -> Vec<(String, u32)> {
        self.batches.lock().unwrap().concat()
    }
}

fn queue(sink: &Arc<Odd>, most: usize) -> Queue<u32> {
    let behind = Behind {
        every: 10,
        within: Duration::from_secs(10),
        most,
    };
    Queue::new(sink.clone(), behind)
}

fn one(value: u32) -> Vec<(String, u32)> {
    vec![("a".to_owned(), value)]
}

#[tokio::test(start_paused = true)]
async fn what_is_being_written_is_known_and_gives_way_to_what_is_newer() {
    let sink = Odd::new(&[SinkMode::Hangs]);
    let queue = queue(&sink, 1);
    queue.put("a", 1, true).unwrap();
    sleep(WRITE / 5).await;
    assert_eq!(sink.tries.load(Ordering::SeqCst), 1);
    assert_eq!((queue.get("a"), queue.waiting()), (Some(1), 1));
    assert_eq!(queue.put("b", 1, true), Err(Full { waiting: 1 }));
    queue.put("a", 2, false).unwrap();
    assert_eq!((queue.get("a"), queue.waiting()), (Some(2), 1));
    assert_eq!(queue.all(), HashMap::from([("a".to_owned(), 2)]));
    // The first write times out. The newer value is due at once, because it replaces both.
    sleep(WRITE).await;
    assert_eq!(sink.written(), one(2));
    assert_eq!((queue.get("a"), queue.waiting()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_the_newer_value_of_one_that_failed() {
    let sink = Odd::new(&[SinkMode::Hangs, SinkMode::Fails]);
    let queue = queue(&sink, 10);
    queue.put("a", 1, true).unwrap();
    sleep(WRITE / 2).await;
    let newer = async {
        sleep(WRITE / 4).await;
        queue.put("a", 2, false).unwrap();
    };
    let (flushed, ()) = tokio::join!(queue.flush(), newer);
    flushed.unwrap();
    assert_eq!(sink.written(), one(2));
}

#[tokio::test(start_paused = true)]
async fn a_flush_does_not_wait_for_what_came_after_it() {
    let sink = Odd::new(&[]);
    let queue = queue(&sink, 1_000);
    queue.put("a", 1, false).unwrap();
    let more = async {
        for number in 0..1_000 {
            queue.put(&number.to_string(), number, true).unwrap();
            sleep(Duration::from_millis(1)).await;
        }
    };
    let flushed = async {
        let began = Instant::now();
        queue.flush().await.unwrap();
        began.elapsed()
    };
    let (took, ()) = tokio::join!(flushed, more);
    assert!(took < Duration::from_millis(100), "{took:?}");
    assert_eq!(queue.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_flush_ends_the_pause_after_a_failure() {
    let sink = Odd::new(&[SinkMode::Fails; 8]);
    let queue = queue(&sink, 10);
    queue.put("a", 1, true).unwrap();
    // The longest pause follows the eighth failure.
    while sink.tries.load(Ordering::SeqCst) < 8 {
        sleep(Duration::from_millis(10)).await;
    }
    let began = Instant::now();
    queue.flush().await.unwrap();
    assert_eq!((sink.written(), began.elapsed()), (one(1), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_is_tried_again() {
    let sink = Odd::new(&[SinkMode::Panics, SinkMode::Panics]);
    let queue = queue(&sink, 10);
    queue.put("a", 1, true).unwrap();
    queue.put("b", 2, true).unwrap();
    queue.close().await.unwrap();
    assert_eq!(sink.written().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_time_the_number_alone_counts() {
    let sink = Odd::new(&[]);
    let behind = Behind {
        within: Duration::MAX,
        ..Behind::default()
    };
    let queue = Queue::new(sink.clone(), behind);
    queue.put("a", 1, false).unwrap();
    sleep(WRITE).await;
    assert_eq!(sink.tries.load(Ordering::SeqCst), 0);
    queue.make_due();
    sleep(WRITE).await;
    assert_eq!((sink.written(), queue.waiting()), (one(1), 0));
}

#[tokio::test(start_paused = true)]
async fn an_end_comes_also_where_the_sink_hangs() {
    let sink = Odd::new(&[SinkMode::Hangs; 9]);
    let queue = queue(&sink, 10);
    queue.put("a", 1, true).unwrap();
    queue.put("b", 1, false).unwrap();
    sleep(WRITE / 2).await;
    let began = Instant::now();
    assert_eq!(queue.close().await, Err(Unwritten { count: 2 }));
    assert!(began.elapsed() <= WRITE + DRAIN, "{:?}", began.elapsed());
}
