//! A large answer or a file, encoded once for all clients.

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

/// Compression levels that take a few milliseconds for the whole market.
const GZIP: Compression = Compression::new(6);
const BROTLI: i32 = 5;

/// A text and its compressed forms.
#[derive(Debug)]
pub(super) struct Encoded {
    kind: &'static str,
    text: Bytes,
    tag: String,
    /// Whether bodies with the same tag are equivalent but perhaps not identical byte for byte (RFC
    /// 9110, 8.8.1).
    is_weak: bool,
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
    /// Creates a JSON text.
    pub(super) fn json(text: Vec<u8>) -> Self {
        Self::of("application/json", text.into())
    }

    /// Creates a JSON text that is equivalent to every other one with the same `meaning`.
    pub(super) fn json_that_means(text: Vec<u8>, meaning: &[u8]) -> Self {
        Self {
            tag: tag(meaning),
            is_weak: true,
            ..Self::json(text)
        }
    }

    /// Creates a text of a content type.
    pub(super) fn of(kind: &'static str, text: Bytes) -> Self {
        Self {
            kind,
            tag: tag(&text),
            text,
            is_weak: false,
            gzip: OnceLock::new(),
            brotli: OnceLock::new(),
        }
    }

    /// Compresses the text in the ways that `other` was requested, so that no client waits for it.
    pub(super) fn prepare_as(&self, other: &Self) {
        if other.gzip.get().is_some() {
            self.body(Coding::Gzip);
        }
        if other.brotli.get().is_some() {
            self.body(Coding::Brotli);
        }
    }

    /// Returns the answer to a request with these headers.
    pub(super) fn respond(&self, asked: &HeaderMap) -> Response {
        let coding = Coding::wanted(asked);
        // Each coding is a representation of its own and needs its own strong tag.
        let own = match coding {
            Coding::Gzip if !self.is_weak => format!("\"{}-gz\"", self.tag),
            Coding::Brotli if !self.is_weak => format!("\"{}-br\"", self.tag),
            _ => format!("\"{}\"", self.tag),
        };
        let known = asked
            .get(IF_NONE_MATCH)
            .and_then(|value| value.to_str().ok());
        let is_known = known.is_some_and(|known| {
            let mut tags = known
                .split(',')
                .map(|one| one.trim().trim_start_matches("W/"));
            tags.any(|one| one == own || one == "*")
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
        // Clients revalidate every time; the tag makes that cheap.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        let sent = if self.is_weak {
            format!("W/{own}")
        } else {
            own
        };
        if let Ok(sent) = HeaderValue::from_str(&sent) {
            headers.insert(ETAG, sent);
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
    /// Returns the coding that the client prefers (RFC 9110, 12.5.3). If it accepts both equally,
    /// the smaller one wins.
    fn wanted(asked: &HeaderMap) -> Self {
        let values = asked.get_all(ACCEPT_ENCODING).into_iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        let (mut brotli, mut gzip, mut others) = (None, None, None);
        for part in texts.flat_map(|text| text.split(',')) {
            let (name, weight) = part.split_once(';').unwrap_or((part, ""));
            let weight = weight.trim().strip_prefix(['q', 'Q']);
            let weight = weight.and_then(|weight| weight.trim().strip_prefix('='));
            let weight = weight.map_or(Some(1.0), |weight| weight.trim().parse::<f32>().ok());
            match name.trim().to_ascii_lowercase().as_str() {
                "br" => brotli = weight,
                "gzip" | "x-gzip" => gzip = weight,
                "*" => others = weight,
                _ => {}
            }
        }
        let weight = |own: Option<f32>| own.or(others).unwrap_or(0.0);
        match (weight(brotli), weight(gzip)) {
            (brotli, gzip) if brotli > 0.0 && brotli >= gzip => Self::Brotli,
            (_, gzip) if gzip > 0.0 => Self::Gzip,
            _ => Self::None,
        }
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }
}

fn tag(content: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    let bytes = digest.as_ref().iter().take(12);
    bytes.fold(String::new(), |tag, byte| format!("{tag}{byte:02x}"))
}

/// Compresses with gzip. Writing to memory does not fail; if it did, the client would see a
/// truncated body.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coding_that_a_client_likes_best_is_taken() {
        for (asked, wanted) in [
            ("gzip, deflate, br", Coding::Brotli),
            ("gzip", Coding::Gzip),
            ("GZIP", Coding::Gzip),
            ("gzip;q=1, br;q=0.1", Coding::Gzip),
            ("gzip; q=0.5, br; q=0.5", Coding::Brotli),
            ("br;q=0, *", Coding::Gzip),
            ("br;q=0, gzip;q=0.000", Coding::None),
            ("*", Coding::Brotli),
            ("*;q=0", Coding::None),
            ("identity", Coding::None),
            ("br;q=high", Coding::None),
            ("", Coding::None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(asked));
            assert_eq!(Coding::wanted(&headers), wanted, "{asked}");
        }
        assert_eq!(Coding::wanted(&HeaderMap::new()), Coding::None);
    }
}
