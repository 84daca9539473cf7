//! A large answer or a file, encoded once for all who ask.

use std::io::Write as _;
use std::sync::OnceLock;

use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Of both kinds of compression a strength that takes a few milliseconds for the whole market.
const GZIP: Compression = Compression::new(6);
const BROTLI: i32 = 5;

/// A text and what it becomes on the wire.
#[derive(Debug)]
pub(super) struct Encoded {
    kind: &'static str,
    text: Bytes,
    tag: String,
    gzip: OnceLock<Bytes>,
    brotli: OnceLock<Bytes>,
}

/// How an answer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    None,
    Gzip,
    Brotli,
}

impl Encoded {
    /// A JSON text.
    pub(super) fn new(json: Vec<u8>) -> Self {
        Self::of("application/json", json.into())
    }

    /// A text of a type.
    pub(super) fn of(kind: &'static str, text: Bytes) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, &text);
        let tag = digest
            .as_ref()
            .iter()
            .take(12)
            .fold(String::new(), |tag, byte| format!("{tag}{byte:02x}"));
        Self {
            kind,
            text,
            tag,
            gzip: OnceLock::new(),
            brotli: OnceLock::new(),
        }
    }

    /// Compresses it as `other` was asked for, so that nobody waits for it.
    pub(super) fn prepare_as(&self, other: &Self) {
        if other.gzip.get().is_some() {
            self.body(Coding::Gzip);
        }
        if other.brotli.get().is_some() {
            self.body(Coding::Brotli);
        }
    }

    /// The answer to a request with these headers.
    pub(super) fn respond(&self, asked: &HeaderMap) -> Response {
        let coding = Coding::wanted(asked);
        // Each coding is another representation, and has another tag.
        let tag = match coding {
            Coding::None => format!("\"{}\"", self.tag),
            Coding::Gzip => format!("\"{}-gz\"", self.tag),
            Coding::Brotli => format!("\"{}-br\"", self.tag),
        };
        let known = asked
            .get(IF_NONE_MATCH)
            .and_then(|value| value.to_str().ok());
        let is_known = known.is_some_and(|known| {
            let mut tags = known
                .split(',')
                .map(|one| one.trim().trim_start_matches("W/"));
            tags.any(|one| one == tag || one == "*")
        });
        let mut response = if is_known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let mut response = Body::from(self.body(coding)).into_response();
            let kind = HeaderValue::from_static(self.kind);
            response.headers_mut().insert(CONTENT_TYPE, kind);
            if let Some(name) = coding.name() {
                let name = HeaderValue::from_static(name);
                response.headers_mut().insert(CONTENT_ENCODING, name);
            }
            response
        };
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        // To be asked for again each time; the tag makes that cheap.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(ETAG, tag);
        }
        response
    }

    fn body(&self, coding: Coding) -> Bytes {
        match coding {
            Coding::None => self.text.clone(),
            Coding::Gzip => self.gzip.get_or_init(|| gzip(&self.text)).clone(),
            Coding::Brotli => self.brotli.get_or_init(|| brotli(&self.text)).clone(),
        }
    }
}

impl Coding {
    /// The best that the client takes.
    fn wanted(asked: &HeaderMap) -> Self {
        let values = asked.get_all(ACCEPT_ENCODING).into_iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        let mut best = Self::None;
        for part in texts.flat_map(|text| text.split(',')) {
            let (name, weight) = part.split_once(';').unwrap_or((part, ""));
            let is_refused = weight.trim().trim_start_matches("q=").parse() == Ok(0.0);
            match name.trim() {
                _ if is_refused => {}
                "br" => return Self::Brotli,
                "gzip" => best = Self::Gzip,
                _ => {}
            }
        }
        best
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }
}

/// Writing into memory does not fail; were it to, the client would see a body that ends early.
fn gzip(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 3), GZIP);
    let _ = encoder.write_all(text);
    encoder.finish().unwrap_or_default().into()
}

fn brotli(text: &[u8]) -> Bytes {
    let mut compressed = Vec::with_capacity(text.len() / 3);
    let parameters = ::brotli::enc::BrotliEncoderParams {
        quality: BROTLI,
        ..Default::default()
    };
    let _ = ::brotli::BrotliCompress(&mut &*text, &mut compressed, &parameters);
    compressed.into()
}
