//! Normalization and search of Korean names.
//!
//! Names are compared without spaces and case, in composed form, and match by whole syllables or by
//! initial consonants.

const INITIALS: [char; 19] = [
    'ㄱ', 'ㄲ', 'ㄴ', 'ㄷ', 'ㄸ', 'ㄹ', 'ㅁ', 'ㅂ', 'ㅃ', 'ㅅ', 'ㅆ', 'ㅇ', 'ㅈ', 'ㅉ', 'ㅊ', 'ㅋ',
    'ㅌ', 'ㅍ', 'ㅎ',
];

/// The first syllable, and the number of syllables per initial, and per initial and vowel.
const FIRST: u32 = 0xac00;
const OF_AN_INITIAL: u32 = 588;
const OF_A_VOWEL: u32 = 28;

/// Pairs of consonants that an input method joins although they were typed separately.
const JOINED: [(char, [char; 2]); 11] = [
    ('ㄳ', ['ㄱ', 'ㅅ']),
    ('ㄵ', ['ㄴ', 'ㅈ']),
    ('ㄶ', ['ㄴ', 'ㅎ']),
    ('ㄺ', ['ㄹ', 'ㄱ']),
    ('ㄻ', ['ㄹ', 'ㅁ']),
    ('ㄼ', ['ㄹ', 'ㅂ']),
    ('ㄽ', ['ㄹ', 'ㅅ']),
    ('ㄾ', ['ㄹ', 'ㅌ']),
    ('ㄿ', ['ㄹ', 'ㅍ']),
    ('ㅀ', ['ㄹ', 'ㅎ']),
    ('ㅄ', ['ㅂ', 'ㅅ']),
];

/// Normalizes a text for comparison.
///
/// The result is composed, in lower case and without spaces; full-width letters become ASCII.
pub(super) fn plain(text: &str) -> Vec<char> {
    let mut plain: Vec<char> = Vec::new();
    for letter in text.chars().filter(|letter| !letter.is_whitespace()) {
        let letter = match letter {
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(letter) - 0xfee0).unwrap_or(letter),
            letter => letter,
        };
        match plain.last_mut() {
            Some(last) if compose(*last, letter).is_some() => {
                *last = compose(*last, letter).unwrap_or(letter);
            }
            _ => plain.extend(letter.to_lowercase()),
        }
    }
    plain
}

/// Composes a syllable from its parts, as written by file systems and some keyboards (NFD).
fn compose(left: char, right: char) -> Option<char> {
    let (left, right) = (u32::from(left), u32::from(right));
    let syllable = match (left, right) {
        (0x1100..=0x1112, 0x1161..=0x1175) => {
            FIRST + (left - 0x1100) * OF_AN_INITIAL + (right - 0x1161) * OF_A_VOWEL
        }
        (0xac00..=0xd7a3, 0x11a8..=0x11c2) if (left - FIRST).is_multiple_of(OF_A_VOWEL) => {
            left + right - 0x11a7
        }
        _ => return None,
    };
    char::from_u32(syllable)
}

/// Returns the initial consonant of a syllable.
fn initial(letter: char) -> Option<char> {
    let place = u32::from(letter).checked_sub(FIRST)? / OF_AN_INITIAL;
    INITIALS.get(usize::try_from(place).ok()?).copied()
}

/// Normalizes a search text and splits joined consonants.
pub(super) fn typed(text: &str) -> Vec<char> {
    let split = |letter: char| match JOINED.iter().find(|(joined, _)| *joined == letter) {
        Some((_, parts)) => parts.to_vec(),
        None => vec![letter],
    };
    plain(text).into_iter().flat_map(split).collect()
}

/// Returns the position of `typed` in a normalized name.
///
/// A letter matches the same letter. An initial consonant matches every syllable that begins with
/// it.
pub(super) fn place_of(typed: &[char], name: &[char]) -> Option<usize> {
    let agrees =
        |(typed, letter): (&char, &char)| typed == letter || initial(*letter) == Some(*typed);
    let mut windows = name.windows(typed.len().max(1));
    windows.position(|window| typed.iter().zip(window).all(agrees))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_parts_and_by_initials() {
        for (text, name, place) in [
            ("삼성전자", "삼성전자", Some(0)),
            ("전자", "삼성전자", Some(2)),
            ("ㅅㅅㅈㅈ", "삼성전자", Some(0)),
            ("삼ㅅ", "삼성전자", Some(0)),
            ("ㅄ", "부산은행", Some(0)),
            ("ㄲ", "까뮤이앤씨", Some(0)),
            ("sk 하이", "SK하이닉스", Some(0)),
            ("ｎａｖｅｒ", "NAVER", Some(0)),
            (
                "\u{1109}\u{1161}\u{11b7}\u{1109}\u{1165}\u{11bc}",
                "삼성",
                Some(0),
            ),
            ("현대", "삼성전자", None),
            ("삼성전자우", "삼성전자", None),
        ] {
            assert_eq!(place_of(&typed(text), &plain(name)), place, "{text}");
        }
    }
}
