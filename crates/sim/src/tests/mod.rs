//! The simulated broker seen from outside, over a real socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{TimeDelta, TimeZone};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use sise_domain::Seoul;

mod admission;
mod faults;
mod quotations;
mod server;

const QUOTATIONS: &str = "/uapi/domestic-stock/v1/quotations";
const KEY: &str = "PSabcdefghijklmnopqrstuvwxyz01234567";

/// A running simulator and one client.
struct World {
    sim: Sim,
    address: SocketAddr,
    client: Client,
    token: String,
    /// Seconds by which the wall clock has been moved.
    moved: Arc<AtomicI64>,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl World {
    async fn start(options: SimOptions) -> Self {
        let mut world = Self::without_token(options).await;
        let (status, body) = world.ask_token(KEY, "secret").await;
        assert_eq!(status, StatusCode::OK, "{body}");
        world.token = body["access_token"].as_str().unwrap().to_owned();
        world
    }

    async fn without_token(options: SimOptions) -> Self {
        // Another test may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let moved = Arc::new(AtomicI64::new(0));
        let seconds = Arc::clone(&moved);
        let clock: Clock = Arc::new(move || {
            let start = Seoul.with_ymd_and_hms(2026, 3, 23, 10, 0, 0).unwrap();
            start + TimeDelta::seconds(seconds.load(Ordering::SeqCst))
        });
        let sim = Sim::new(options, clock).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let (sim, stop) = (sim.clone(), stop.clone());
            async move { sim.serve(listener, stop).await }
        });
        Self {
            sim,
            address,
            client: Client::builder().no_proxy().build().unwrap(),
            token: String::new(),
            moved,
            stop,
            task,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn ask_token(&self, key: &str, secret: &str) -> (StatusCode, Value) {
        let body = json!({
            "grant_type": "client_credentials", "appkey": key, "appsecret": secret
        });
        self.post("/oauth2/tokenP", &body).await
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.client.post(self.url(path)).body(body.to_string());
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    fn request(&self, call: &str, transaction: &str, query: &str) -> reqwest::RequestBuilder {
        self.client
            .get(self.url(&format!("{QUOTATIONS}/{call}?{query}")))
            .header("authorization", format!("Bearer {}", self.token))
            .header("appkey", KEY)
            .header("appsecret", "secret")
            .header("tr_id", transaction)
    }

    async fn call(&self, call: &str, transaction: &str, query: &str) -> (StatusCode, Value) {
        let answer = self.request(call, transaction, query).send().await.unwrap();
        read(answer).await
    }

    async fn price(&self, code: &str) -> (StatusCode, Value) {
        let query = format!("FID_COND_MRKT_DIV_CODE=J&FID_INPUT_ISCD={code}");
        self.call("inquire-price", "FHKST01010100", &query).await
    }

    async fn multi(&self, codes: &[&str]) -> (StatusCode, Value) {
        let query = multi_query(codes);
        self.call("intstock-multprice", "FHKST11300006", &query)
            .await
    }

    async fn own(&self, path: &str) -> Value {
        let answer = self.client.get(self.url(path)).send().await.unwrap();
        read(answer).await.1
    }
}

fn multi_query(codes: &[&str]) -> String {
    let slots = codes.iter().zip(1..).map(|(code, number)| {
        let division = if code.len() == 4 { "U" } else { "J" };
        format!("FID_COND_MRKT_DIV_CODE_{number}={division}&FID_INPUT_ISCD_{number}={code}")
    });
    slots.collect::<Vec<_>>().join("&")
}

async fn read(answer: Response) -> (StatusCode, Value) {
    let status = answer.status();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap())
}

fn unlimited() -> SimOptions {
    SimOptions {
        calls_per_second: Some(0),
        ..SimOptions::default()
    }
}

fn faulty(faults: Faults) -> SimOptions {
    SimOptions {
        faults,
        ..unlimited()
    }
}
