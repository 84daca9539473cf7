//! The `OpenAPI` 3.1 document of the API, generated from the code, and a page to browse it.

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use axum::middleware::{self, Next};
use axum::response::Response;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, License, OpenApi as Document, Ref, ResponseBuilder,
};
use utoipa_swagger_ui::SwaggerUi;

use super::shapes::PriceObject;

/// Content security policy: the page loads nothing from other hosts and runs only its own scripts.
/// It sets inline styles.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(OpenApi)]
#[openapi(
    components(schemas(PriceObject)),
    tags(
        (name = "prices", description = "Prices of codes"),
        (name = "market", description = "What is listed, when it trades, and what moves"),
        (name = "watch lists", description = "Codes that are refreshed more often than the rest"),
        (name = "stream", description = "Changes as they happen"),
        (name = "sessions", description = "Access tokens"),
        (name = "health", description = "For monitors and balancers"),
    )
)]
struct Head;

/// The document without the routes.
pub(super) fn head() -> Document {
    let mut document = Head::openapi();
    document.info = InfoBuilder::new()
        .title("sise")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The price of every KOSPI and KOSDAQ stock. Errors are problem documents (RFC 9457). On \
             addresses other than loopback every route but /live, /ready and the pages needs an \
             access token: `Authorization: Bearer TOKEN`.",
        ))
        .license(Some(License::new("MIT")))
        .build();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", bearer);
    document
}

/// Adds the responses of the access guard to every guarded operation.
pub(super) fn say_guarded(document: &mut Document) {
    let answers = [
        ("401", "Without an access token, if one is required"),
        ("403", "From a page or host name that is not allowed"),
        ("429", "Too many requests from this client"),
    ];
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            for (status, description) in answers {
                let content = ContentBuilder::new()
                    .schema(Some(Ref::from_schema_name("Document")))
                    .build();
                let response = ResponseBuilder::new()
                    .description(description)
                    .content("application/problem+json", content)
                    .build();
                let responses = &mut operation.responses.responses;
                responses
                    .entry(status.to_owned())
                    .or_insert_with(|| response.into());
            }
            let token = SecurityRequirement::new("token", Vec::<String>::new());
            // On loopback no token is needed.
            operation.security = Some(vec![SecurityRequirement::default(), token]);
        }
    }
}

/// The document under `/v1/openapi.json`, and a page to browse it under `/docs`.
pub(super) fn pages<S: Clone + Send + Sync + 'static>(document: Document) -> Router<S> {
    let pages: Router<S> = SwaggerUi::new("/docs")
        .url("/v1/openapi.json", document)
        .into();
    pages.layer(middleware::from_fn(protect))
}

/// Adds the headers that tell a browser what the page may load.
async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
