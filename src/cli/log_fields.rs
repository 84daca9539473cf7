//! The fields of log lines for people, without those that the message already contains.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use super::visible::visible;

/// Formats a message and the fields that add to it.
#[derive(Debug)]
pub(super) struct NotSaid;

impl<'writer> FormatFields<'writer> for NotSaid {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut line = Line::default();
        fields.record(&mut line);
        write!(writer, "{}", line.sentence)?;
        for (name, value, is_number) in line.fields {
            // The same number in the message may mean something else.
            if !is_number && says(&line.sentence, &value) {
                continue;
            }
            let (dim, plain) = match writer.has_ansi_escapes() {
                true => ("\u{1b}[2m", "\u{1b}[0m"),
                false => ("", ""),
            };
            write!(writer, " {dim}{name}={plain}{value}")?;
        }
        Ok(())
    }
}

/// Returns whether a sentence contains a value, but not as part of a longer word or number.
fn says(sentence: &str, value: &str) -> bool {
    let value = value.trim_matches('"').replace('_', " ");
    let is_inner = |c: char| c.is_alphanumeric();
    sentence.match_indices(value.as_str()).any(|(at, found)| {
        let before = sentence.get(..at).and_then(|text| text.chars().next_back());
        let behind = sentence
            .get(at + found.len()..)
            .and_then(|text| text.chars().next());
        !value.is_empty() && !before.is_some_and(is_inner) && !behind.is_some_and(is_inner)
    })
}

#[derive(Default)]
struct Line {
    sentence: String,
    /// Name, value, and whether the value is a number.
    fields: Vec<(&'static str, String, bool)>,
}

impl Line {
    fn take(&mut self, field: &Field, value: &str, is_number: bool) {
        match field.name() {
            "message" => self.sentence = visible(value).into_owned(),
            // The place in the code of another crate.
            name if name.starts_with("log.") => {}
            name => self
                .fields
                .push((name, visible(value).into_owned(), is_number)),
        }
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // Four decimals are enough for people, and a whole number needs no point.
        let text = format!("{value:.4}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        self.take(field, text, true);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, &value.to_string(), true);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, &value.to_string(), true);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(text, "{value:?}");
        self.take(field, &text, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Paper {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn logged(log: impl FnOnce()) -> String {
        let paper = Paper::default();
        let logs = tracing_subscriber::fmt()
            .with_writer(paper.clone())
            .without_time()
            .with_level(false)
            .with_target(false)
            .with_ansi(false)
            .fmt_fields(NotSaid)
            .finish();
        tracing::subscriber::with_default(logs, log);
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().trim().to_owned()
    }

    #[test]
    fn nothing_is_said_twice_and_numbers_are_short() {
        let why = "weekend";
        let line = logged(|| {
            tracing::info!(reason = why, next_run = %"09:00", codes = 9, "run skipped: {why}; next run 09:00 or 19");
        });
        assert_eq!(line, "run skipped: weekend; next run 09:00 or 19 codes=9");
        let line = logged(|| {
            tracing::info!(
                coverage = 0.909_090_909_090_909_1,
                rate = 15.0,
                share = 1e-9,
                "sweep done"
            );
        });
        assert_eq!(line, "sweep done coverage=0.9091 rate=15 share=0");
        let line = logged(|| tracing::warn!(source = "a file", error = %"x", "no list"));
        assert_eq!(line, "no list source=\"a file\" error=x");
    }

    #[test]
    fn what_others_say_does_not_steer_the_terminal() {
        let said = "\u{1b}[2Jgone\nnext";
        let line = logged(|| tracing::warn!(%said, "they say {said}"));
        assert_eq!(line, "they say \\u{1b}[2Jgone\\nnext");
    }
}
