//! Headers, files, start and stop.

use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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

/// Returns the head of an answer, as sent over the wire.
async fn head(world: &World, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// The broker's samples recognise its own headers by their lower case.
#[tokio::test]
async fn names_of_headers_are_written_as_the_broker_writes_them() {
    let world = World::start(unlimited()).await;
    let token = &world.token;
    let query = "FID_COND_MRKT_DIV_CODE=J&FID_INPUT_ISCD=005930";
    let asked = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nhost: sim\r\nAUTHORIZATION: Bearer {token}\r\nappKey: {KEY}\r\n\
             appSecret: secret\r\nTr_Id: FHKST01010100\r\n\r\n"
        )
    };
    let found = asked(&format!("{QUOTATIONS}/inquire-price?{query}"));
    // One slash from the host, one from the path.
    let twice = asked(&format!("/{QUOTATIONS}//inquire-price?{query}"));
    assert!(head(&world, &twice).await.starts_with("HTTP/1.1 200"));
    for (request, is_call) in [
        (found, true),
        (asked("/nowhere"), true),
        (asked("/sim/stats"), false),
    ] {
        let head = head(&world, &request).await;
        let names = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let names: Vec<&str> = names.map(|(name, _)| name).collect();
        let own = ["tr_id", "tr_cont", "gt_uid"];
        for name in own {
            assert_eq!(names.contains(&name), is_call, "{name} in: {head}");
        }
        for name in ["Content-Type", "Content-Length", "Date", "Sise-Simulator"] {
            assert!(names.contains(&name), "{name} in: {head}");
        }
        let is_small = |name: &&str| name.chars().all(|letter| !letter.is_ascii_uppercase());
        let small: Vec<&str> = names.into_iter().filter(is_small).collect();
        assert!(small.iter().all(|name| own.contains(name)), "{head}");
    }
}

#[tokio::test]
async fn it_names_itself_in_every_answer_and_when_it_is_asked() {
    let world = World::start(unlimited()).await;
    let name = concat!("sise/", env!("CARGO_PKG_VERSION"));
    for path in [
        "/sim",
        "/nowhere",
        "/kospi_code.mst.zip",
        QUOTATIONS,
        "/oauth2/tokenP",
    ] {
        let answer = world.client.get(world.url(path)).send().await.unwrap();
        assert_eq!(answer.headers()["sise-simulator"], name, "{path}");
    }
    let itself = world.own("/sim").await;
    let expected = json!({
        "simulator": name, "mode": "real", "market": "random walk", "day": "2026-03-23",
    });
    assert_eq!(itself, expected);
    let shaken = "GET /tryitout HTTP/1.1\r\nHost: sim\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let head = head(&world, shaken).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.contains(&format!("Sise-Simulator: {name}")), "{head}");
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
