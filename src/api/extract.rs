//! Extractors for path, query and body. A rejection is a problem document.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem};
use sise_domain::Symbol;

/// The query.
#[derive(Debug)]
pub(super) struct Params<T>(pub(super) T);

/// The stock code in the path.
#[derive(Debug)]
pub(super) struct Code(pub(super) Symbol);

/// A name in the path.
#[derive(Debug)]
pub(super) struct Name(pub(super) String);

/// The JSON body.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(query) = Query::from_request_parts(parts, state).await?;
        Ok(Self(query))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Code {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await?;
        Ok(Self(code(&text)?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await?;
        Ok(Self(text))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(body) = Json::from_request(request, state).await?;
        Ok(Self(body))
    }
}

/// Parses a stock code.
pub(super) fn code(text: &str) -> Result<Symbol, Problem> {
    let code = text.parse::<Symbol>();
    code.map_err(|error| Kind::BadCode.because(error.to_string()))
}

/// Parses stock codes, without duplicates, up to `most`.
pub(super) fn codes<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    most: usize,
) -> Result<Vec<Symbol>, Problem> {
    let mut codes: Vec<Symbol> = Vec::new();
    for text in texts {
        let code = code(text.trim())?;
        if !codes.contains(&code) {
            codes.push(code);
        }
        if codes.len() > most {
            return Err(Kind::Unprocessable.because(format!("at most {most} codes at once")));
        }
    }
    if codes.is_empty() {
        return Err(Kind::BadRequest.because("no codes are given"));
    }
    Ok(codes)
}
