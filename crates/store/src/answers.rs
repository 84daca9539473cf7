//! Answers to a batch as JSON, the form in which the process that asked the broker passes them to
//! the process that waits for them.

use serde::{Deserialize, Serialize};

use sise_domain::{Ban, BanKind, Denial, IndexQuote, Quote, Symbol};
use sise_port::{Answer, Answers, Finished, SourceError, Tally};

#[derive(Serialize, Deserialize)]
struct Sheet {
    number: u64,
    calls: u64,
    refused_calls: u64,
    retries: u64,
    rows: Vec<Row>,
    /// Absent in sheets of versions without indices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    indices: Vec<IndexQuote>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    code: Symbol,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Quote(Box<Quote>),
    Unknown(()),
    Refused(String),
    Failed(Failure),
}

#[derive(Serialize, Deserialize)]
struct Failure {
    kind: String,
    said: String,
    /// The access that the broker denies, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    denied: Option<BanKind>,
    /// The ban in force, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ban: Option<Ban>,
}

/// Serializes the answers to the batch with this number.
pub(super) fn write(number: u64, answers: &Answers) -> Result<String, serde_json::Error> {
    let row = |(code, answer): &(Symbol, Answer)| Row {
        code: *code,
        kind: match answer {
            Answer::Quote(quote) => Kind::Quote(quote.clone()),
            Answer::Unknown => Kind::Unknown(()),
            Answer::Refused(why) => Kind::Refused(why.clone()),
            Answer::Failed(error) => Kind::Failed(failure(error)),
        },
    };
    serde_json::to_string(&Sheet {
        number,
        calls: answers.tally.calls,
        refused_calls: answers.tally.refused_calls,
        retries: answers.tally.retries,
        rows: answers.answers.iter().map(row).collect(),
        indices: answers.indices.clone(),
    })
}

/// Parses answers. An invalid quote, or a quote of another code, counts as a failure of the code.
pub(super) fn read(text: &str) -> Result<Finished, serde_json::Error> {
    let sheet: Sheet = serde_json::from_str(text)?;
    let answer = |row: Row| {
        let answer = match row.kind {
            Kind::Quote(quote) if quote.stock_code == row.code && quote.price > 0 => {
                Answer::Quote(quote)
            }
            Kind::Quote(_) => Answer::Failed(SourceError::Malformed(
                "another process handed in an invalid price of the code".to_owned(),
            )),
            Kind::Unknown(()) => Answer::Unknown,
            Kind::Refused(why) => Answer::Refused(why),
            Kind::Failed(failure) => Answer::Failed(error(failure)),
        };
        (row.code, answer)
    };
    let levels = sheet.indices.into_iter().filter(|index| index.level > 0.0);
    Ok(Finished {
        number: sheet.number,
        answers: Answers {
            answers: sheet.rows.into_iter().map(answer).collect(),
            indices: levels.collect(),
            tally: Tally {
                calls: sheet.calls,
                refused_calls: sheet.refused_calls,
                retries: sheet.retries,
            },
        },
    })
}

fn failure(error: &SourceError) -> Failure {
    let mut denied = None;
    let mut ban = None;
    let said = match error {
        SourceError::Throttled(said)
        | SourceError::Exhausted(said)
        | SourceError::Unauthorized(said)
        | SourceError::Unsupported(said)
        | SourceError::Rejected(said)
        | SourceError::Unreachable(said)
        | SourceError::Unavailable(said)
        | SourceError::Malformed(said) => said.as_str(),
        SourceError::Denied(denial) => {
            denied = Some(denial.kind);
            denial.said.as_str()
        }
        SourceError::Banned(in_force) => {
            ban = Some(Ban::clone(in_force));
            ""
        }
        SourceError::Stopped => "",
    };
    Failure {
        kind: error.slug().to_owned(),
        said: said.to_owned(),
        denied,
        ban,
    }
}

fn error(failure: Failure) -> SourceError {
    let Failure {
        kind,
        said,
        denied,
        ban,
    } = failure;
    match (kind.as_str(), denied, ban) {
        ("throttled", ..) => SourceError::Throttled(said),
        ("exhausted", ..) => SourceError::Exhausted(said),
        ("unauthorized", ..) => SourceError::Unauthorized(said),
        ("denied", Some(kind), _) => SourceError::Denied(Denial { kind, said }),
        ("banned", _, Some(ban)) => SourceError::Banned(Box::new(ban)),
        ("unsupported", ..) => SourceError::Unsupported(said),
        ("rejected", ..) => SourceError::Rejected(said),
        ("malformed", ..) => SourceError::Malformed(said),
        ("stopped", ..) => SourceError::Stopped,
        // A kind that only a newer version knows is treated as trouble with the broker.
        _ => SourceError::Unavailable(said),
    }
}

/// Rules for every sheet, whichever process handed it in.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod oracle {
    use super::{Answer, read, write};

    /// Reads `bytes` as answers and panics if a quote is not a price of its code.
    pub fn check(bytes: &[u8]) {
        let Ok(finished) = read(&String::from_utf8_lossy(bytes)) else {
            return;
        };
        for (code, answer) in &finished.answers.answers {
            if let Answer::Quote(quote) = answer {
                assert!(quote.price > 0 && quote.stock_code == *code, "{quote:?}");
            }
        }
        let levels = &finished.answers.indices;
        assert!(levels.iter().all(|index| index.level > 0.0), "{levels:?}");
        let text = write(finished.number, &finished.answers).unwrap_or_default();
        let again = read(&text);
        let again = again.as_ref().map(|again| again.answers.answers.len());
        assert!(
            again.is_ok_and(|rows| rows == finished.answers.answers.len()),
            "{text}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;
    use sise_domain::Seoul;

    fn quote(code: &str, price: i64) -> Box<Quote> {
        let fetched_at = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 1).unwrap();
        Box::new(Quote {
            change: Some(-1_000),
            change_rate: Some(-1.41),
            ..Quote::sample(code.parse().unwrap(), price, fetched_at)
        })
    }

    fn answers(answers: Vec<(&str, Answer)>) -> Answers {
        let answer = |(code, answer): (&str, Answer)| (code.parse().unwrap(), answer);
        Answers {
            answers: answers.into_iter().map(answer).collect(),
            indices: Vec::new(),
            tally: Tally {
                calls: 3,
                refused_calls: 2,
                retries: 1,
            },
        }
    }

    #[test]
    fn every_kind_of_answer_arrives_as_it_left() {
        let said = || "said".to_owned();
        let denial = || Denial {
            kind: BanKind::Access,
            said: said(),
        };
        let now = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 1).unwrap();
        let errors = [
            SourceError::Throttled(said()),
            SourceError::Exhausted(said()),
            SourceError::Unauthorized(said()),
            SourceError::Denied(denial()),
            SourceError::Banned(Box::new(Ban::after(None, denial(), now))),
            SourceError::Unsupported(said()),
            SourceError::Rejected(said()),
            SourceError::Unavailable(said()),
            SourceError::Malformed(said()),
            SourceError::Stopped,
        ];
        let mut sent = vec![
            ("005930", Answer::Quote(quote("005930", 72_000))),
            ("0126Z0", Answer::Unknown),
            ("000660", Answer::Refused("zero price".to_owned())),
        ];
        let failed = |error: &SourceError| ("00104K", Answer::Failed(error.clone()));
        sent.extend(errors.iter().map(failed));
        let sent = answers(sent);
        let text = write(7, &sent).unwrap();
        let Finished {
            number,
            answers: arrived,
        } = read(&text).unwrap();
        assert_eq!((number, arrived.tally), (7, sent.tally));
        let shown = |answers: &Answers| format!("{:?}", answers.answers);
        assert_eq!(shown(&arrived), shown(&sent));
    }

    #[test]
    fn what_is_no_price_of_the_code_is_a_failure() {
        for wrong in [
            quote("005930", 0),
            quote("005930", -1),
            quote("000660", 72_000),
        ] {
            let sent = answers(vec![("005930", Answer::Quote(wrong))]);
            let arrived = read(&write(1, &sent).unwrap()).unwrap();
            let (_, answer) = &arrived.answers.answers[0];
            assert!(matches!(answer, Answer::Failed(SourceError::Malformed(_))));
        }
    }

    #[test]
    fn text_that_is_no_sheet_of_answers_is_refused() {
        let good = write(1, &answers(vec![("005930", Answer::Unknown)])).unwrap();
        let cut = good.strip_suffix('}').unwrap();
        for text in ["", "{}", "[]", "null", cut] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
