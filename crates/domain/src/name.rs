//! Names that people give: of alert rules, watch lists and users.

/// Most characters of a name.
const LONGEST: usize = 64;

/// A text that is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a valid name: use 1 to {LONGEST} letters, digits, '-', '_' and '.'")]
pub struct NameError(String);

/// Checks a name.
///
/// # Errors
///
/// Returns an error if the name is empty, too long or has a character that is not allowed.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let fits = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if (1..=LONGEST).contains(&name.chars().count()) && name.chars().all(fits) {
        return Ok(());
    }
    // A long text would only flood the message.
    let shown: String = name.chars().take(100).collect();
    Err(NameError(shown.escape_debug().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_up_to_64_letters_digits_and_three_signs() {
        for good in ["a", "관심종목", "my-list_2.new", &"x".repeat(64)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "a/b", "a:b", "a\n", &"x".repeat(65)] {
            let error = check_name(bad).unwrap_err().to_string();
            assert!(error.contains("use 1 to 64 letters"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
