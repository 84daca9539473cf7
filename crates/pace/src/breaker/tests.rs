use tokio::time::{advance, sleep, timeout};

use super::*;

/// Patience of a call that does not wait.
const AT_ONCE: Duration = Duration::ZERO;
/// Patience of a call that waits for a short outage.
const A_WHILE: Duration = Duration::from_secs(10);
/// Longer than any pause.
const LATER: Duration = Duration::from_secs(37);

/// Returns a breaker that has just opened.
async fn opened() -> Breaker {
    let breaker = Breaker::default();
    for _ in 0..FAILURES {
        breaker.admit(AT_ONCE).await.unwrap().failed("refused");
    }
    assert!(breaker.refusal(AT_ONCE).is_some());
    breaker
}

#[tokio::test(start_paused = true)]
async fn it_opens_after_failures_in_a_row_and_says_since_when_and_until_when() {
    let breaker = Breaker::default();
    for _ in 0..3 {
        for _ in 1..FAILURES {
            breaker.admit(AT_ONCE).await.unwrap().failed("refused");
        }
        advance(Duration::from_millis(1)).await;
        breaker.admit(AT_ONCE).await.unwrap().answered();
        advance(Duration::from_millis(1)).await;
    }
    for _ in 0..FAILURES {
        breaker.admit(AT_ONCE).await.unwrap().failed("refused");
    }
    advance(Duration::from_millis(500)).await;
    let said = breaker.admit(AT_ONCE).await.unwrap_err();
    assert!(said.contains("not answered for 0.5 s"), "{said}");
    assert!(said.contains("tried again in 0."), "{said}");
    assert!(said.contains("last: refused"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn slow_calls_that_others_overtook_do_not_open_it() {
    let breaker = Breaker::default();
    let mut slow = Vec::new();
    for _ in 0..20 {
        slow.push(breaker.admit(AT_ONCE).await.unwrap());
    }
    advance(Duration::from_secs(1)).await;
    breaker.admit(AT_ONCE).await.unwrap().answered();
    advance(Duration::from_secs(1)).await;
    for pass in slow {
        pass.failed("too slow");
    }
    assert!(breaker.admit(AT_ONCE).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_trial_at_a_time_and_an_answer_closes_it() {
    let breaker = opened().await;
    advance(FIRST_PAUSE * 2).await;
    let mut trial = breaker.admit(AT_ONCE).await.unwrap();
    assert!(trial.holds());
    let said = breaker.admit(AT_ONCE).await.unwrap_err();
    assert!(said.contains("one call is trying"), "{said}");
    trial.answered();
    let passes = [breaker.admit(AT_ONCE).await, breaker.admit(AT_ONCE).await];
    assert!(passes.iter().all(Result::is_ok));
}

/// `refusal` and `admit` agree on which calls are refused.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_known_beforehand() {
    let breaker = opened().await;
    let agree = async |refused: [bool; 3]| {
        for (patience, refused) in [AT_ONCE, A_WHILE, LATER].into_iter().zip(refused) {
            assert_eq!(breaker.refusal(patience).is_some(), refused, "{patience:?}");
            let admitted = timeout(Duration::ZERO, breaker.admit(patience)).await;
            assert_eq!(matches!(admitted, Ok(Err(_))), refused, "{patience:?}");
        }
    };
    agree([true, false, false]).await;
    advance(LONGEST_PAUSE).await;
    agree([false, false, false]).await;
    let trial = breaker.admit(AT_ONCE).await.unwrap();
    agree([true, false, false]).await;
    trial.failed("refused");
    // In the pause after the trial, the shorter patience is used up.
    agree([true, true, false]).await;
    assert!(breaker.refusal(AT_ONCE).unwrap().contains("last: refused"));
}

#[tokio::test(start_paused = true)]
async fn the_pause_grows_to_its_limit() {
    let breaker = opened().await;
    let mut pauses = Vec::new();
    for _ in 0..10 {
        let start = Instant::now();
        let trial = loop {
            match breaker.admit(AT_ONCE).await {
                Ok(pass) => break pass,
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        };
        pauses.push(start.elapsed().as_secs_f64());
        trial.failed("refused");
    }
    for (number, pause) in pauses.iter().enumerate() {
        let full = f64::from(2_u32.pow(u32::try_from(number).unwrap())).min(30.0);
        assert!((full * 0.79..full * 1.25).contains(pause), "{pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trial_whose_caller_went_away_is_free_at_once() {
    let breaker = opened().await;
    advance(LATER).await;
    drop(breaker.admit(AT_ONCE).await.unwrap());
    assert!(breaker.admit(AT_ONCE).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_hangs_is_over_by_its_deadline_and_harms_no_later_one() {
    let breaker = opened().await;
    advance(LATER).await;
    let mut hung = breaker.admit(AT_ONCE).await.unwrap();
    advance(Duration::from_millis(9_900)).await;
    assert!(hung.holds());
    assert!(breaker.admit(AT_ONCE).await.is_err());
    advance(Duration::from_millis(100)).await;
    let mut next = breaker.admit(AT_ONCE).await.unwrap();
    assert!(!hung.holds());
    hung.failed("at last");
    assert!(next.holds());
    next.answered();
    assert!(breaker.admit(AT_ONCE).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_is_patient_waits_for_the_trial_and_goes_on_after_it() {
    let breaker = opened().await;
    let patient = || async { breaker.admit(A_WHILE).await.map(Permit::answered) };
    let start = Instant::now();
    let passed = futures_util::future::join_all((0..50).map(|_| patient())).await;
    assert!(passed.iter().all(Result::is_ok));
    assert!(start.elapsed() < FIRST_PAUSE * 2, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_is_patient_gives_up_on_a_long_outage() {
    let breaker = opened().await;
    let fail = || async {
        // Fails as soon as no other call does.
        loop {
            breaker.admit(A_WHILE).await?.failed("refused");
        }
    };
    let fail: [Result<(), String>; 2] = futures_util::future::join(fail(), fail()).await.into();
    assert!(fail.iter().all(Result::is_err));
    // From then on each call fails at once.
    let start = Instant::now();
    assert!(breaker.refusal(A_WHILE).is_some());
    assert!(breaker.admit(A_WHILE).await.is_err());
    assert_eq!(start.elapsed(), Duration::ZERO);
    // But while a trial is under way, every call waits for it.
    advance(LATER).await;
    let trial = breaker.admit(A_WHILE).await.unwrap();
    let waiting = breaker.admit(A_WHILE);
    tokio::pin!(waiting);
    assert!(timeout(Duration::from_secs(1), &mut waiting).await.is_err());
    trial.answered();
    assert!(waiting.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_for_its_turn_does_not_go_out_into_an_outage() {
    let breaker = Breaker::default();
    let mut early = breaker.admit(AT_ONCE).await.unwrap();
    for _ in 0..FAILURES {
        breaker.admit(AT_ONCE).await.unwrap().failed("refused");
    }
    assert!(!early.holds());
}

#[tokio::test(start_paused = true)]
async fn what_is_shown_ends_where_nobody_calls_any_more() {
    let interval = Duration::from_secs(60);
    assert_eq!(Breaker::default().shown(interval), Shown::Closed);
    let breaker = opened().await;
    assert_eq!(breaker.shown(interval), Shown::Open);
    // A call every interval keeps it shown, however long the outage lasts.
    for _ in 0..10 {
        advance(interval).await;
        assert_eq!(breaker.shown(interval), Shown::Open);
        let trial = breaker.admit(AT_ONCE).await.unwrap();
        assert_eq!(breaker.shown(interval), Shown::HalfOpen);
        trial.failed("refused");
    }
    // The market closes.
    advance(LONGEST_PAUSE * 6 / 5 + interval + SLACK).await;
    assert_eq!(breaker.shown(interval), Shown::Closed);
    // Trials still happen, and with rarer calls the state is shown for longer.
    assert_eq!(breaker.shown(interval * 10), Shown::Open);
    let trial = breaker.admit(AT_ONCE).await.unwrap();
    assert_eq!(breaker.shown(interval), Shown::HalfOpen);
    trial.failed("refused");
    assert_eq!(breaker.shown(interval), Shown::Open);
    advance(LATER).await;
    breaker.admit(AT_ONCE).await.unwrap().answered();
    assert_eq!(breaker.shown(interval), Shown::Closed);
}
