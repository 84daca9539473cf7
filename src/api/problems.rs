//! The pages that a problem's `type` points to: one for each kind, for people.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::IntoResponse;

use super::extract::Name;
use super::problem::{Document, Kind, Problem};

/// What a kind of problem means
///
/// The `type` of every problem is a path of this form.
#[utoipa::path(get, path = "/problems/{name}", tag = "health",
    params(("name" = String, Path, description = "The end of a problem's type", min_length = 1, max_length = 64, example = "no-price")),
    responses(
        (status = 200, description = "What it means, and what to do", content_type = "text/plain", body = String),
        (status = 404, description = "There is no such kind", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn problem(Name(name): Name) -> Result<impl IntoResponse, Problem> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.parts().0 == name);
    let kind = kind.ok_or_else(|| Kind::NotFound.because("there is no such kind of problem"))?;
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CACHE_CONTROL, "public, max-age=3600"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, page(kind)))
}

fn page(kind: Kind) -> String {
    let (name, status, title) = kind.parts();
    let advice = advice(kind);
    format!(
        "{title}\n\nproblem: {name}\nstatus: {status}\n\n{advice}\nThe answer's `detail` says what \
         happened to the request.\n"
    )
}

/// Returns what to do about a kind of problem.
fn advice(kind: Kind) -> &'static str {
    match kind {
        Kind::BadRequest => "Compare path, query and body with the API's document at /docs.",
        Kind::BadCode => "A code is six digits or capital letters, such as 005930 or 0126Z0.",
        Kind::Unauthorized => {
            "Send `Authorization: Bearer TOKEN`. `sise clients add NAME` makes an access token, and \
             `sise clients list` shows which have not ended."
        }
        Kind::Forbidden => "Ask from where the server allows it, or with another access token.",
        Kind::NotFound => "The API's document at /docs lists all routes.",
        Kind::NoPrice => {
            "The code may be new, delisted or halted, or not part of any sweep: `sise why CODE` says more."
        }
        Kind::MethodNotAllowed => "The header Allow lists the allowed methods.",
        Kind::TimedOut => "Try again, or ask for less at once.",
        Kind::TooLarge => "A body may have at most 64 kB: ask for less at once.",
        Kind::HeadersTooLarge => "Send fewer or shorter headers.",
        Kind::UnsupportedMediaType => "Send JSON, with `Content-Type: application/json`.",
        Kind::Unprocessable => "Change what is not allowed: see the document at /docs.",
        Kind::TooManyRequests => "Wait for as long as the header Retry-After says.",
        Kind::Internal => "The server's log says why.",
        Kind::NotAvailable => "The server was set up without what this needs.",
        Kind::StoreAway => "Check Redis: `sise doctor` says what is wrong. Try again meanwhile.",
        Kind::BrokerAway => "`sise doctor` and `/ready` say why the broker is not asked.",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[tokio::test]
    async fn every_type_leads_to_a_page_of_its_own() {
        let names = Kind::ALL.map(|kind| kind.parts().0);
        assert_eq!(BTreeSet::from(names).len(), Kind::ALL.len());
        for kind in Kind::ALL {
            let document = kind.because("something").document(None);
            let name = document.kind.strip_prefix("/problems/").unwrap();
            let page = problem(Name(name.to_owned())).await.unwrap();
            assert_eq!(page.into_response().status(), 200, "{name}");
        }
        assert!(problem(Name("another".to_owned())).await.is_err());
    }
}
