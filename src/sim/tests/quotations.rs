//! What is answered.

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
    // The walk may have stepped between the two calls; what holds all day does not move.
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
    let shipped = &crate::domain::Shipped::get().listings;
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
        "/tests/fixtures/sim/recorded-day.csv"
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
