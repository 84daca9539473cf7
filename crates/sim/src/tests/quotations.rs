//! Answers to quotation calls.

use super::*;

#[tokio::test]
async fn every_price_call_tells_the_same_price() {
    let world = World::start(unlimited()).await;
    let (status, single) = world.price("005930").await;
    assert_eq!((status, &single["rt_cd"]), (StatusCode::OK, &json!("0")));
    let single = &single["output"];
    let (_, multi) = world.multi(&["000660", "005930"]).await;
    let row = &multi["output"][1];
    assert_eq!(row["inter_shrn_iscd"], "005930");
    assert_eq!(row["inter_kor_isnm"], "삼성전자");
    // The walk may have stepped between the two calls, but these fields are fixed for the day.
    for (of_multi, of_single) in [
        ("inter2_sdpr", "stck_sdpr"),
        ("inter2_oprc", "stck_oprc"),
        ("inter2_llam", "stck_llam"),
        ("inter2_mxpr", "stck_mxpr"),
    ] {
        assert_eq!(row[of_multi], single[of_single], "{of_multi}");
    }
    assert_eq!(row.as_object().unwrap().len(), 29);
    assert_eq!(single.as_object().unwrap().len(), 80);
    assert!(single.get("apprch_rate").is_none());
    let query = "FID_COND_MRKT_DIV_CODE=J&FID_INPUT_ISCD=005930";
    let (_, flags) = world.call("inquire-price-2", "FHPST01010000", query).await;
    assert_eq!(flags["output"]["stck_prdy_clpr"], single["stck_sdpr"]);
    assert_eq!(flags["output"]["trht_yn"], "N");
    let prices = world.own("/sim/prices").await;
    assert_eq!(prices.as_object().unwrap().len(), 2_769);
    assert!(prices["005930"].as_i64().unwrap() > 0);
}

#[tokio::test]
async fn a_halted_stock_has_a_price_and_no_trade() {
    let world = World::start(unlimited()).await;
    let shipped = &sise_domain::Shipped::get().listings;
    let halted = shipped.iter().find(|row| row.volume == 0).unwrap();
    let (_, body) = world.price(halted.code.as_str()).await;
    let output = &body["output"];
    assert_eq!(output["stck_prpr"], halted.close.to_string());
    for (field, value) in [
        ("iscd_stat_cls_code", "58"),
        ("temp_stop_yn", "Y"),
        ("prdy_vrss_sign", "3"),
        ("acml_vol", "0"),
        ("stck_oprc", "0"),
        ("stck_hgpr", "0"),
        ("stck_lwpr", "0"),
    ] {
        assert_eq!(output[field], value, "{field}");
    }
}

#[tokio::test]
async fn unknown_codes_and_indexes_are_answered_without_error() {
    let world = World::start(unlimited()).await;
    let (status, body) = world.price("ZZZZZZ").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["rt_cd"], "0");
    assert_eq!(body["output"]["stck_prpr"], "0");
    let (_, body) = world.multi(&["999999", "0001", "005930", "nonsense"]).await;
    let rows = body["output"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[0]["inter_shrn_iscd"], "999999");
    assert_eq!(rows[0]["inter2_prpr"], "0");
    assert_eq!(rows[1]["kospi_kosdaq_cls_name"], "업종");
    assert_eq!(rows[1]["inter2_llam"], "");
    assert!(rows[1]["inter2_prpr"].as_str().unwrap().contains('.'));
    assert_ne!(rows[2]["inter2_prpr"], "0");
    assert!(rows.iter().all(|row| row.as_object().unwrap().len() == 29));
    let query = "fid_cond_mrkt_div_code=U&fid_input_iscd=1001";
    let (_, index) = world
        .call("inquire-index-price", "FHPUP02100000", query)
        .await;
    assert_eq!(index["output"].as_object().unwrap().len(), 36);
}

#[tokio::test]
async fn the_daily_chart_pages_back_to_the_listing() {
    let world = World::start(unlimited()).await;
    let mut until = "20260323".to_owned();
    let mut dates: Vec<String> = Vec::new();
    loop {
        let query = format!(
            "FID_COND_MRKT_DIV_CODE=J&FID_INPUT_ISCD=005930&FID_INPUT_DATE_1=20250323\
             &FID_INPUT_DATE_2={until}&FID_PERIOD_DIV_CODE=D&FID_ORG_ADJ_PRC=0"
        );
        let call = "inquire-daily-itemchartprice";
        let (_, body) = world.call(call, "FHKST03010100", &query).await;
        assert_eq!(body["output1"].as_object().unwrap().len(), 30);
        let rows = body["output2"].as_array().unwrap();
        let page: Vec<_> = rows
            .iter()
            .filter_map(|row| row["stck_bsop_date"].as_str())
            .map(str::to_owned)
            .collect();
        assert!(page.len() <= 100);
        if page.len() < 100 {
            assert_eq!(rows.last().unwrap(), &json!({}), "the page is filled");
        }
        let Some(oldest) = page.last() else { break };
        let oldest = chrono::NaiveDate::parse_from_str(oldest, "%Y%m%d").unwrap();
        until = oldest.pred_opt().unwrap().format("%Y%m%d").to_string();
        dates.extend(page);
    }
    assert!((240..250).contains(&dates.len()), "{}", dates.len());
    assert_eq!(dates[0], "20260323");
    assert!(dates.is_sorted_by(|newer, older| newer > older));
}

#[tokio::test]
async fn the_calendar_pages_by_header() {
    let world = World::start(unlimited()).await;
    let query = "BASS_DT=20260911&CTX_AREA_NK=&CTX_AREA_FK=";
    let request = world.request("chk-holiday", "CTCA0903R", query);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["tr_cont"], "F");
    let (_, body) = read(answer).await;
    assert_eq!(body["msg_cd"], "KIOK0500");
    assert_eq!(body["output"][0]["opnd_yn"], "Y");
    assert_eq!(body["output"][1]["opnd_yn"], "N");
    assert_eq!(body["output"][1]["tr_day_yn"], "Y");
    assert_eq!(body["ctx_area_nk"], "20261005            ");
    let query = "BASS_DT=20260911&CTX_AREA_NK=20261005++++++++++++&CTX_AREA_FK=20260911";
    let request = world.request("chk-holiday", "CTCA0903R", query);
    let answer = request.header("tr_cont", "N").send().await.unwrap();
    assert_eq!(answer.headers()["tr_cont"], "M");
    assert_eq!(read(answer).await.1["output"][0]["bass_dt"], "20261005");
}

#[tokio::test]
async fn what_a_stock_is() {
    let world = World::start(unlimited()).await;
    let query = "PRDT_TYPE_CD=300&PDNO=005930";
    let (_, stock) = world.call("search-stock-info", "CTPF1002R", query).await;
    assert_eq!(stock["output"]["pdno"], "00000A005930");
    assert_eq!(stock["output"]["mket_id_cd"], "STK");
    assert_eq!(stock["output"].as_object().unwrap().len(), 67);
    let (_, product) = world.call("search-info", "CTPF1604R", query).await;
    assert_eq!(product["output"]["shtn_pdno"], "005930");
    let query = "PRDT_TYPE_CD=512&PDNO=005930";
    let (_, none) = world.call("search-info", "CTPF1604R", query).await;
    assert_eq!(none["rt_cd"], "7");
}

#[tokio::test]
async fn a_recorded_day_is_answered_as_recorded() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/sim/recorded-day.csv"
    );
    let market = MarketSource::Replay {
        path: path.into(),
        speed: 0.0,
        from: None,
    };
    let world = World::start(SimOptions {
        market,
        ..unlimited()
    })
    .await;
    let (_, body) = world.multi(&["005930", "001570", "999990", "035720"]).await;
    let rows = &body["output"];
    for (field, value) in [
        ("inter2_prpr", "189700"),
        ("inter2_prdy_vrss", "16200"),
        ("prdy_ctrt", "9.34"),
        ("inter2_oprc", "187600"),
        ("inter2_hgpr", "190800"),
        ("inter2_lwpr", "185200"),
        ("acml_vol", "12342799"),
        ("acml_tr_pbmn", "2321476151350"),
        ("inter2_prdy_clpr", "173500"),
    ] {
        assert_eq!(rows[0][field], value, "{field}");
    }
    assert_eq!(rows[1]["inter2_prpr"], "9900");
    assert_eq!(rows[1]["inter2_oprc"], "0");
    assert_eq!(rows[2]["inter_kor_isnm"], "999990");
    assert_eq!(rows[3]["inter2_prpr"], "0", "not recorded, so unknown");
    assert_eq!(world.own("/sim/prices").await.as_object().unwrap().len(), 9);
}

#[tokio::test]
async fn the_last_thirty_days_weeks_and_months_are_those_of_the_chart() {
    let world = World::start(unlimited()).await;
    let of = "FID_COND_MRKT_DIV_CODE=J&FID_INPUT_ISCD=005930&FID_ORG_ADJ_PRC=0";
    for (period, since) in [("D", "20260101"), ("W", "20250401"), ("M", "20230401")] {
        let query = format!("{of}&FID_PERIOD_DIV_CODE={period}");
        let call = "inquire-daily-price";
        let (status, daily) = world.call(call, "FHKST01010400", &query).await;
        assert_eq!((status, &daily["rt_cd"]), (StatusCode::OK, &json!("0")));
        let rows = daily["output"].as_array().unwrap();
        assert_eq!(rows.len(), 30, "{period}");
        let query = format!("{query}&FID_INPUT_DATE_1={since}&FID_INPUT_DATE_2=20260323");
        let call = "inquire-daily-itemchartprice";
        let (_, chart) = world.call(call, "FHKST03010100", &query).await;
        let bars = chart["output2"].as_array().unwrap();
        // The newest bar is still running and may have moved between the two calls.
        for (row, bar) in rows.iter().zip(bars).skip(1) {
            assert_eq!(row.as_object().unwrap().len(), 14);
            for name in [
                "stck_bsop_date",
                "stck_oprc",
                "stck_hgpr",
                "stck_lwpr",
                "stck_clpr",
                "acml_vol",
                "prdy_vrss",
                "prdy_vrss_sign",
            ] {
                assert_eq!(row[name], bar[name], "{period} {name}");
            }
        }
    }
    let unknown = of.replace("005930", "999999");
    let query = format!("{unknown}&FID_PERIOD_DIV_CODE=D");
    let (_, none) = world
        .call("inquire-daily-price", "FHKST01010400", &query)
        .await;
    assert_eq!((&none["rt_cd"], &none["output"]), (&json!("0"), &json!([])));
    let query = format!("{of}&FID_PERIOD_DIV_CODE=Y");
    let (_, refused) = world
        .call("inquire-daily-price", "FHKST01010400", &query)
        .await;
    assert_eq!(refused["msg_cd"], "OPSQ2003");
    let paper = World::start(SimOptions {
        mode: Mode::Paper,
        ..unlimited()
    })
    .await;
    let query = format!("{of}&FID_PERIOD_DIV_CODE=D");
    let (status, _) = paper
        .call("inquire-daily-price", "FHKST01010400", &query)
        .await;
    assert_eq!(status, StatusCode::OK, "paper accounts have it");
}

/// The recorded day begins with a snapshot of blank prices, which must not show later figures.
#[tokio::test]
async fn a_stock_without_a_price_yet_has_a_name_and_a_market_and_no_price() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/sim/recorded-day.csv"
    );
    let world = World::start(SimOptions {
        market: MarketSource::Replay {
            path: path.into(),
            speed: 0.0,
            from: Some("09:10:58".parse().unwrap()),
        },
        ..unlimited()
    })
    .await;
    assert_eq!(world.own("/sim/prices").await, json!({}));
    let (_, multi) = world.multi(&["005930", "999990", "999999"]).await;
    let rows = multi["output"].as_array().unwrap();
    let of = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        (
            text("inter_kor_isnm"),
            text("kospi_kosdaq_cls_name"),
            text("inter2_prpr"),
        )
    };
    let row = |name: &str, market: &str| (name.to_owned(), market.to_owned(), "0".to_owned());
    assert_eq!(of(&rows[0]), row("삼성전자", "거래소"));
    assert_eq!(of(&rows[1]), row("999990", "코스닥"));
    assert_eq!(of(&rows[2]), row("", ""));
    assert_ne!(rows[0]["inter2_sdpr"], "0");
    for (code, market) in [("005930", "KOSPI200"), ("999990", "KOSDAQ")] {
        let (_, single) = world.price(code).await;
        let output = &single["output"];
        assert_eq!(output["stck_prpr"], "0", "{code}");
        assert_eq!(output["rprs_mrkt_kor_name"], market, "{code}");
        assert_eq!(output["stck_shrn_iscd"], code);
    }
}

#[tokio::test]
async fn rankings_have_the_first_thirty() {
    let world = World::start(unlimited()).await;
    let narrowed_by_nothing = "FID_COND_MRKT_DIV_CODE=J&FID_TRGT_CLS_CODE=0&FID_TRGT_EXLS_CLS_CODE=0\
        &FID_INPUT_PRICE_1=&FID_INPUT_PRICE_2=&FID_VOL_CNT=&FID_INPUT_DATE_1=";
    for of in ["0000", "1001"] {
        let query = format!(
            "{narrowed_by_nothing}&FID_COND_SCR_DIV_CODE=20171&FID_DIV_CLS_CODE=0&FID_BLNG_CLS_CODE=3&FID_INPUT_ISCD={of}"
        );
        let (status, ranked) = world.call("volume-rank", "FHPST01710000", &query).await;
        assert_eq!(
            (status, &ranked["rt_cd"]),
            (StatusCode::OK, &json!("0")),
            "{of}"
        );
        let rows = ranked["output"].as_array().unwrap();
        assert_eq!(rows.len(), 30);
        let values = rows.iter().map(|row| row["acml_tr_pbmn"].as_str().unwrap());
        let values: Vec<i64> = values.map(|value| value.parse().unwrap()).collect();
        assert!(
            values.is_sorted_by(|higher, lower| higher >= lower),
            "{values:?}"
        );
        assert_eq!(rows[0].as_object().unwrap().len(), 19);
        assert_eq!(rows[29]["data_rank"], "30");
    }
    let query = format!(
        "{narrowed_by_nothing}&FID_COND_SCR_DIV_CODE=20174&FID_DIV_CLS_CODE=1&FID_INPUT_ISCD=0000"
    )
    .to_lowercase()
    .replace("=j", "=J");
    let request = world.client.get(world.url(&format!(
        "/uapi/domestic-stock/v1/ranking/market-cap?{query}"
    )));
    let request = request
        .header("authorization", format!("Bearer {}", world.token))
        .header("appkey", KEY)
        .header("appsecret", "secret")
        .header("tr_id", "FHPST01740000");
    let (status, ranked) = read(request.send().await.unwrap()).await;
    assert_eq!((status, &ranked["rt_cd"]), (StatusCode::OK, &json!("0")));
    let rows = ranked["output"].as_array().unwrap();
    assert_eq!(
        (rows.len(), &rows[0]["mksc_shrn_iscd"]),
        (30, &json!("005930"))
    );
    assert_eq!(rows[0].as_object().unwrap().len(), 11);
    assert!(
        rows.iter().all(|row| row["mksc_shrn_iscd"] != "005935"),
        "no preferred share"
    );
}

#[tokio::test]
async fn the_chart_of_an_index_goes_back_by_pages_of_fifty() {
    let world = World::start(unlimited()).await;
    let (call, transaction) = ("inquire-daily-indexchartprice", "FHKUP03500100");
    let (mut until, mut days) = ("20260323".to_owned(), Vec::new());
    for _ in 0..3 {
        let query = format!(
            "FID_COND_MRKT_DIV_CODE=U&FID_INPUT_ISCD=0001&FID_INPUT_DATE_1=20250101&FID_INPUT_DATE_2={until}&FID_PERIOD_DIV_CODE=D"
        );
        let (status, body) = world.call(call, transaction, &query).await;
        assert_eq!((status, &body["rt_cd"]), (StatusCode::OK, &json!("0")));
        let bars = body["output2"].as_array().unwrap();
        assert_eq!(bars.len(), 50);
        for bar in bars {
            assert_eq!(bar.as_object().unwrap().len(), 8);
            let level = |name: &str| bar[name].as_str().unwrap().parse::<f64>().unwrap();
            let (open, close) = (level("bstp_nmix_oprc"), level("bstp_nmix_prpr"));
            assert!(
                0.0 < level("bstp_nmix_lwpr") && level("bstp_nmix_lwpr") <= open.min(close),
                "{bar}"
            );
            assert!(level("bstp_nmix_hgpr") >= open.max(close), "{bar}");
            days.push(bar["stck_bsop_date"].as_str().unwrap().to_owned());
        }
        assert_eq!(body["output1"]["bstp_cls_code"], "0001");
        assert_eq!(body["output1"].as_object().unwrap().len(), 16);
        let oldest = chrono::NaiveDate::parse_from_str(days.last().unwrap(), "%Y%m%d").unwrap();
        until = oldest.pred_opt().unwrap().format("%Y%m%d").to_string();
    }
    assert!(days.is_sorted_by(|newer, older| newer > older), "{days:?}");
}
