//! Guesses what a mistyped word was meant to be.

use strsim::{jaro_winkler, osa_distance};

/// Least similarity at which a word is taken for a typo of another.
const ALIKE: f64 = 0.75;

/// Returns the word of `known` that is most similar to `word`, if any is similar enough.
pub(super) fn similar<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let likeness = |known: &str| {
        let known = known.to_lowercase();
        // In a short word one typo weighs too much for Jaro-Winkler.
        match osa_distance(&word, &known) {
            0 | 1 => 1.0,
            _ => jaro_winkler(&word, &known),
        }
    };
    known
        .into_iter()
        .map(|known| (likeness(known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}

/// Returns the same as a question at the end of a message, or an empty text without a guess.
pub(super) fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    similar(word, known).map_or_else(String::new, |known| format!("; did you mean {known}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_word_and_nonsense_none() {
        let known = ["store.ttl", "sweep.batch_size", "schedule.interval", "low"];
        for (word, found) in [
            ("sweep.batchsize", Some("sweep.batch_size")),
            ("store.tll", Some("store.ttl")),
            ("SCHEDULE.INTERVALL", Some("schedule.interval")),
            ("lwo", Some("low")),
            ("qqq", None),
        ] {
            assert_eq!(similar(word, known), found, "{word}");
        }
        assert_eq!(meant("store.tll", known), "; did you mean store.ttl?");
        assert_eq!(meant("qqq", known), "");
    }
}
