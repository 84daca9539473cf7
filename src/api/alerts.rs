//! Alert rules and fired alerts.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::extract::{Body, Name, Params};
use super::problem::{Document, Kind, Problem};
use super::shapes::{AlertObject, RuleMadeObject, RuleObject, TermsObject};
use sise_domain::{Alert, Event, Quote, Rule, Symbol, Terms};

/// Number of alerts shown if `n` is not set.
const USUALLY: usize = 20;

/// Largest number of alerts shown.
const MOST: usize = 200;

/// Event log entries searched for alerts: a few days.
const ENTRIES: usize = 2_000;

/// All rules.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RulesAnswer {
    /// By name.
    #[schema(value_type = Vec<RuleObject>)]
    alerts: Vec<Rule>,
}

/// Alerts that fired.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FiredAnswer {
    /// Newest first.
    #[schema(value_type = Vec<AlertObject>)]
    fired: Vec<Alert>,
}

/// A rule that was added.
#[derive(Debug, Serialize)]
pub(super) struct RuleMade {
    #[serde(flatten)]
    rule: Rule,
    #[serde(skip_serializing_if = "Option::is_none")]
    holds: Option<Vec<Symbol>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outlook: Option<String>,
    warnings: Vec<String>,
}

/// The number of alerts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HowMany {
    /// Maximum number of alerts; 20 if omitted.
    #[param(minimum = 1, maximum = 200)]
    n: Option<usize>,
}

/// All alert rules
#[utoipa::path(get, path = "/v1/alerts", tag = "alerts", responses(
    (status = 200, description = "The rules", body = RulesAnswer),
    (status = 503, description = "The store does not answer", body = Document, content_type = "application/problem+json"),
))]
pub(super) async fn all(State(api): State<Api>) -> Result<Json<RulesAnswer>, Problem> {
    let alerts = api.alert_rules.all().await?.rules;
    Ok(Json(RulesAnswer { alerts }))
}

/// The latest alerts that fired
#[utoipa::path(get, path = "/v1/alerts/fired", tag = "alerts", params(HowMany), responses(
    (status = 200, description = "The alerts of the last days", body = FiredAnswer),
    (status = 400, description = "`n` is not a valid number", body = Document, content_type = "application/problem+json"),
    (status = 503, description = "The store does not answer", body = Document, content_type = "application/problem+json"),
))]
pub(super) async fn fired(
    State(api): State<Api>,
    Params(HowMany { n }): Params<HowMany>,
) -> Result<Json<FiredAnswer>, Problem> {
    let most = n.unwrap_or(USUALLY);
    if !(1..=MOST).contains(&most) {
        return Err(Kind::BadRequest.because(format!("n must be from 1 to {MOST}")));
    }
    let entries = api.parts.records.entries(ENTRIES).await?;
    let alert = |event: Event| match event {
        Event::Alert { alert } => Some(*alert),
        _ => None,
    };
    let told = entries.into_iter().filter_map(|entry| alert(entry.event));
    let fired = told.take(most).collect();
    Ok(Json(FiredAnswer { fired }))
}

/// Adds a rule, or replaces the one of that name
#[utoipa::path(put, path = "/v1/alerts/{name}", tag = "alerts",
    params(("name" = String, Path, description = "Name of the rule: letters, digits, '-', '_' and '.'", min_length = 1, max_length = 64, example = "low-samsung")),
    request_body = TermsObject,
    responses(
        (status = 200, description = "The rule, and whether it holds now", body = RuleMadeObject),
        (status = 400, description = "The body is not understood", body = Document, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Document, content_type = "application/problem+json"),
        (status = 415, description = "The body is not JSON", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "The name or terms are not allowed, or there are too many rules", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The store does not answer", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn put(
    State(api): State<Api>,
    Name(name): Name,
    Body(terms): Body<Terms>,
) -> Result<Json<RuleMade>, Problem> {
    let since = (api.parts.clock)();
    api.alert_rules.set(&name, &terms, since).await?;
    let found = api.parts.outlooks.of(&terms).await;
    let (holds, outlook, warnings) = match &found {
        Ok(outlook) => {
            let codes = |beyond: Vec<&Quote>| beyond.iter().map(|quote| quote.stock_code).collect();
            let holds = outlook.beyond(&terms).map(codes);
            let promise = outlook.promise(&terms);
            (holds, Some(promise), outlook.warnings(&terms))
        }
        // The rule was added all the same.
        Err(error) => {
            let warning = format!("could not check whether the rule holds now: {error}");
            (None, None, vec![warning])
        }
    };
    Ok(Json(RuleMade {
        rule: Rule { name, since, terms },
        holds,
        outlook,
        warnings,
    }))
}

/// Removes a rule
#[utoipa::path(delete, path = "/v1/alerts/{name}", tag = "alerts",
    params(("name" = String, Path, description = "Name of the rule: letters, digits, '-', '_' and '.'", min_length = 1, max_length = 64, example = "low-samsung")),
    responses(
        (status = 204, description = "Removed"),
        (status = 404, description = "There is no such rule", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The store does not answer", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn delete(
    State(api): State<Api>,
    Name(name): Name,
) -> Result<StatusCode, Problem> {
    if api.alert_rules.remove(&name).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Kind::NotFound.because("there is no rule with this name"))
    }
}
