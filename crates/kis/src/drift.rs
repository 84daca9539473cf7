//! Schema drift: fields of the broker that are not, or no longer, as documented.
//!
//! Only one answer of each call is checked per interval, so that most calls pay nothing for it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::NaiveDate;
use metrics::{counter, gauge};
use serde_json::{Map, Value};
use strsim::normalized_levenshtein;
use tokio::time::Instant;

use super::fields::{ENVELOPE, Fields, Shape};
use super::wire::Contradicted;

/// Interval in which one answer of each call is checked.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Similarity from 0 to 1 at which two names may be the same field.
const ALIKE: f64 = 0.7;

/// Findings remembered per call, and characters shown of a name or a sample.
const MOST_FINDINGS: usize = 200;
const LONGEST: usize = 40;

/// What was found about a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DriftKind {
    /// The field is not documented.
    Unknown,
    /// The field is documented but missing.
    Missing,
    /// The field is probably a documented one with a new name.
    Renamed,
    /// Its value contradicts price and base price, which take precedence.
    Contradictory,
}

impl DriftKind {
    /// Kinds found by checking an answer.
    const LOOKED_FOR: [Self; 3] = [Self::Unknown, Self::Missing, Self::Renamed];

    /// Returns the label used in metrics.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Missing => "missing",
            Self::Renamed => "renamed",
            Self::Contradictory => "contradictory",
        }
    }
}

/// A field that is not as documented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drifted {
    /// The call: `multi`, `single` or `holidays`.
    pub call: &'static str,
    /// What was found.
    pub kind: DriftKind,
    /// Current name of the field.
    pub field: String,
    /// Documented name of the field if it was renamed.
    pub documented: Option<&'static str>,
    /// Shape of the value, or the number of contradictions.
    ///
    /// In a shape, digits are shown as 9 and letters as x or 가.
    pub sample: String,
}

impl fmt::Display for Drifted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            call,
            field,
            sample,
            ..
        } = self;
        match (self.kind, self.documented) {
            (DriftKind::Contradictory, _) => {
                write!(
                    f,
                    "{call}: {field} contradicts price and base price, {sample}"
                )
            }
            (DriftKind::Missing, _) => write!(f, "{call}: {field} is missing"),
            (DriftKind::Renamed, Some(documented)) => write!(
                f,
                "{call}: {documented} seems to be named {field} now, such as '{sample}'"
            ),
            _ => write!(f, "{call}: {field} is not documented, such as '{sample}'"),
        }
    }
}

/// Findings so far.
#[derive(Debug, Default)]
pub(super) struct Drift {
    looks: Mutex<HashMap<&'static str, Look>>,
    /// Number of contradictions per value of a call.
    contradictions: Mutex<BTreeMap<(&'static str, Contradicted), u64>>,
}

/// Findings in the answers to one call.
#[derive(Debug)]
struct Look {
    again: Instant,
    last: Vec<Drifted>,
    said: HashSet<(DriftKind, String)>,
}

impl Drift {
    /// Checks a good answer if the interval is over.
    pub(super) fn look(&self, fields: &'static Fields, body: &[u8]) {
        let now = Instant::now();
        {
            let mut looks = self.looks();
            let look = looks.entry(fields.call).or_insert_with(|| Look {
                again: now,
                last: Vec::new(),
                said: HashSet::new(),
            });
            if now < look.again {
                return;
            }
            look.again = now + LOOK_AGAIN;
        }
        let Some(found) = drifted(fields, body) else {
            return;
        };
        for kind in DriftKind::LOOKED_FOR {
            let count = found.iter().filter(|drifted| drifted.kind == kind).count();
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            gauge!("sise_schema_drift_fields", "call" => fields.call, "kind" => kind.slug())
                .set(count);
        }
        if let Some(look) = self.looks().get_mut(fields.call) {
            for drifted in &found {
                look.say(drifted);
            }
            look.last = found;
        }
    }

    /// Counts the values of a row that contradict its price and base price.
    pub(super) fn contradicted(&self, call: &'static str, what: &[Contradicted]) {
        if what.is_empty() {
            return;
        }
        let mut counts = self.contradictions();
        for what in what {
            let kind = DriftKind::Contradictory.slug();
            counter!("sise_schema_drift_total", "call" => call, "kind" => kind).increment(1);
            let count = counts.entry((call, *what)).or_default();
            *count += 1;
            if *count == 1 {
                let field = what.slug();
                tracing::warn!(
                    call,
                    field,
                    "the broker contradicts itself: price and base price take precedence"
                );
            }
        }
    }

    /// Returns the findings of the last check of each call, and the contradictions.
    pub(super) fn found(&self) -> Vec<Drifted> {
        let looks = self.looks();
        let mut calls: Vec<_> = looks.iter().collect();
        calls.sort_unstable_by_key(|(call, _)| **call);
        let found = calls.into_iter().flat_map(|(_, look)| look.last.clone());
        let contradictions = self.contradictions();
        let contradicted = contradictions.iter().map(|((call, what), count)| Drifted {
            call,
            kind: DriftKind::Contradictory,
            field: what.slug().to_owned(),
            documented: None,
            sample: format!("{count} times"),
        });
        found.chain(contradicted).collect()
    }

    fn contradictions(&self) -> MutexGuard<'_, BTreeMap<(&'static str, Contradicted), u64>> {
        let counts = self.contradictions.lock();
        counts.unwrap_or_else(PoisonError::into_inner)
    }

    fn looks(&self) -> MutexGuard<'_, HashMap<&'static str, Look>> {
        // No code that holds the lock leaves a look half made.
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look {
    /// Logs and counts a finding that is new.
    fn say(&mut self, drifted: &Drifted) {
        let named = (drifted.kind, drifted.field.clone());
        if self.said.len() >= MOST_FINDINGS || !self.said.insert(named) {
            return;
        }
        let (call, kind) = (drifted.call, drifted.kind.slug());
        counter!("sise_schema_drift_total", "call" => call, "kind" => kind).increment(1);
        tracing::warn!(
            call,
            kind,
            field = drifted.field,
            "the broker's answer is not as documented: {drifted}"
        );
    }
}

/// Returns the findings in an answer; `None` if it has no complete row to judge by.
fn drifted(fields: &'static Fields, body: &[u8]) -> Option<Vec<Drifted>> {
    let Ok(Value::Object(envelope)) = serde_json::from_slice(body) else {
        return None;
    };
    let mut found = compare(fields.call, &ENVELOPE, &envelope);
    let is_whole = |row: &&Map<String, Value>| match row.get(fields.proof) {
        // The row of a code that the broker does not know is mostly empty.
        Some(proof) => !matches!(text_of(proof).trim(), "" | "0"),
        None => !row.is_empty(),
    };
    let row = match envelope.get("output") {
        Some(Value::Array(rows)) => rows.iter().filter_map(Value::as_object).find(is_whole),
        Some(Value::Object(row)) => Some(row).filter(is_whole),
        _ => None,
    };
    match row {
        Some(row) => found.extend(compare(fields.call, fields, row)),
        None if found.is_empty() => return None,
        None => {}
    }
    found.truncate(MOST_FINDINGS);
    Some(found)
}

fn compare(call: &'static str, fields: &Fields, row: &Map<String, Value>) -> Vec<Drifted> {
    let mut missing: Vec<(&'static str, Shape)> = fields
        .all()
        .filter(|(name, _)| !row.contains_key(*name) && !fields.conditional.contains(name))
        .collect();
    let is_unknown = |(name, _): &(&String, &Value)| fields.all().all(|(known, _)| known != *name);
    let unknown = row.iter().filter(is_unknown).take(MOST_FINDINGS);
    let mut unknown: Vec<(&str, &Value)> = unknown.map(|(n, v)| (n.as_str(), v)).collect();
    let mut found = Vec::new();
    while let Some((lost, new)) = likeliest_rename(&missing, &unknown) {
        let ((documented, _), (name, value)) =
            (missing.swap_remove(lost), unknown.swap_remove(new));
        found.push(Drifted {
            call,
            kind: DriftKind::Renamed,
            field: shown(name),
            documented: Some(documented),
            sample: redacted(&text_of(value)),
        });
    }
    found.extend(unknown.into_iter().map(|(name, value)| Drifted {
        call,
        kind: DriftKind::Unknown,
        field: shown(name),
        documented: None,
        sample: redacted(&text_of(value)),
    }));
    found.extend(missing.into_iter().map(|(name, _)| Drifted {
        call,
        kind: DriftKind::Missing,
        field: name.to_owned(),
        documented: None,
        sample: String::new(),
    }));
    found
}

/// Returns the positions of a missing and an unknown field that are probably the same field.
///
/// Their names are very similar, or they are the only two fields left and their values look alike.
fn likeliest_rename(
    missing: &[(&'static str, Shape)],
    unknown: &[(&str, &Value)],
) -> Option<(usize, usize)> {
    let is_only_pair = missing.len() == 1 && unknown.len() == 1;
    let mut best: Option<(f64, (usize, usize))> = None;
    for (lost, (documented, shape)) in missing.iter().enumerate() {
        for (new, (name, value)) in unknown.iter().enumerate() {
            let text = text_of(value);
            let text = text.trim();
            let likeness = normalized_levenshtein(documented, &name.to_lowercase());
            // A blank value may be anything.
            let is_likely = match text.is_empty() {
                true => likeness >= ALIKE,
                false => fits(*shape, text) && (likeness >= ALIKE || is_only_pair),
            };
            if is_likely && best.is_none_or(|(most, _)| likeness > most) {
                best = Some((likeness, (lost, new)));
            }
        }
    }
    best.map(|(_, places)| places)
}

/// Returns whether a value may belong to a field of this shape.
fn fits(shape: Shape, text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.trim_start_matches(['-', '+']);
    match shape {
        Shape::Whole => is_digits(unsigned),
        Shape::Decimal => {
            let parts = unsigned.split_once('.');
            parts.is_some_and(|(whole, fraction)| is_digits(whole) && is_digits(fraction))
        }
        Shape::Flag => ["Y", "N"].contains(&text),
        Shape::Date => text.len() == 8 && NaiveDate::parse_from_str(text, "%Y%m%d").is_ok(),
        Shape::Text => !is_digits(unsigned) && !["Y", "N"].contains(&text),
    }
}

/// Returns a value as text, with arrays and objects reduced to a placeholder.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(_) => "[..]".to_owned(),
        Value::Object(_) => "{..}".to_owned(),
        Value::Null | Value::Bool(_) => value.to_string(),
    }
}

/// Returns the shape of a value without its content.
fn redacted(text: &str) -> String {
    let look = |c: char| match c {
        '0'..='9' => '9',
        '가'..='힣' => '가',
        c if c.is_alphanumeric() => 'x',
        c if c.is_control() => '?',
        c => c,
    };
    text.chars().take(LONGEST).map(look).collect()
}

/// Returns a name unchanged if it looks like one of the broker's, else redacted.
fn shown(name: &str) -> String {
    let fits = |is_letter: fn(&char) -> bool| {
        let fits = |c: char| is_letter(&c) || c.is_ascii_digit() || c == '_';
        name.len() <= LONGEST && name.chars().all(fits)
    };
    if fits(char::is_ascii_lowercase) || fits(char::is_ascii_uppercase) {
        name.to_owned()
    } else {
        redacted(name)
    }
}

/// Invariants that hold for every answer, whatever it contains.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod oracle {
    use super::super::fields::{HOLIDAYS, MULTI, SINGLE};
    use super::{LONGEST, MOST_FINDINGS, drifted};

    /// Checks `bytes` as an answer to every call; panics if too much of it is shown.
    pub fn check(bytes: &[u8]) {
        for fields in [&MULTI, &SINGLE, &HOLIDAYS] {
            let found = drifted(fields, bytes).unwrap_or_default();
            assert!(found.len() <= MOST_FINDINGS);
            for drifted in &found {
                let shown = drifted.field.chars().chain(drifted.sample.chars());
                assert!(
                    shown.clone().count() <= 2 * LONGEST && !shown.clone().any(char::is_control)
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
