//! Headers, files, start and stop.

use super::*;

#[tokio::test]
async fn headers_carry_the_simulators_time_and_the_transaction() {
    let world = World::start(unlimited()).await;
    world.moved.store(3_600, Ordering::SeqCst);
    let query = "FID_COND_MRKT_DIV_CODE=J&FID_INPUT_ISCD=005930";
    let request = world.request("inquire-price", "FHKST01010100", query);
    let answer = request.send().await.unwrap();
    let header = |name| answer.headers().get(name).unwrap().to_str().unwrap();
    assert_eq!(header("date"), "Mon, 23 Mar 2026 02:00:00 GMT");
    assert_eq!(header("content-type"), "application/json; charset=utf-8");
    assert_eq!(header("tr_id"), "FHKST01010100");
    assert_eq!(header("tr_cont"), "");
    assert_eq!(header("gt_uid").len(), 32);
}

#[tokio::test]
async fn symbol_files_lie_under_any_path() {
    let world = World::without_token(unlimited()).await;
    for path in ["/kospi_code.mst.zip", "/common/master/kosdaq_code.mst.zip"] {
        let answer = world.client.get(world.url(path)).send().await.unwrap();
        let bytes = answer.bytes().await.unwrap();
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        let member = archive.by_index(0).unwrap();
        let name = member.name().unwrap().into_owned();
        assert!(path.contains(&name), "{name}");
    }
    let answer = world.client.get(world.url("/else")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn it_stops_when_told_even_with_an_answer_under_way() {
    let faults = Faults {
        slow: 1.0,
        slow_for: Duration::from_secs(60),
        ..Faults::default()
    };
    let world = World::start(faulty(faults)).await;
    let query = "FID_COND_MRKT_DIV_CODE=J&FID_INPUT_ISCD=005930";
    let request = world.request("inquire-price", "FHKST01010100", query);
    let waiting = tokio::spawn(request.send());
    while world.sim.stats().calls == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.stop.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(5), world.task).await;
    stopped.unwrap().unwrap().unwrap();
    waiting.abort();
}

#[tokio::test]
async fn options_out_of_range_are_named() {
    let share = SimOptions {
        faults: Faults {
            zero: 1.5,
            ..Faults::default()
        },
        ..SimOptions::default()
    };
    let backwards = SimOptions {
        market: MarketSource::Replay {
            path: "day.csv".into(),
            speed: -1.0,
            from: None,
        },
        ..SimOptions::default()
    };
    let clock: Clock = Arc::new(|| Seoul.with_ymd_and_hms(2026, 3, 23, 10, 0, 0).unwrap());
    for (options, word) in [(share, "zero"), (backwards, "speed")] {
        let error = Sim::new(options, Arc::clone(&clock)).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
    let secret = SimOptions {
        app_secret: Some("sesame".to_owned()),
        ..SimOptions::default()
    };
    assert!(!format!("{secret:?}").contains("sesame"));
}
