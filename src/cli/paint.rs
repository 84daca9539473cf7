//! Colours on a terminal. There are none in a pipe, or if `NO_COLOR` is set.

use std::fmt;
use std::io::IsTerminal as _;

use clap::builder::styling::{AnsiColor, Style};
use comfy_table::Color;

use super::visible::visible;

/// The meaning of a text, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Without colour.
    Plain,
    /// A price that rose.
    Rise,
    /// A price that fell.
    Fall,
    /// In order.
    Good,
    /// Worth a look.
    Warning,
    /// Wrong.
    Bad,
    /// Less important.
    Dim,
}

impl Ink {
    /// Returns the ink of a change: a rise is red and a fall blue, as on Korean screens.
    pub(super) fn of_change(change: Option<f64>) -> Self {
        match change {
            Some(change) if change > 0.0 => Self::Rise,
            Some(change) if change < 0.0 => Self::Fall,
            _ => Self::Plain,
        }
    }

    /// Returns the colour of a table cell.
    pub(super) fn colour(self) -> Option<Color> {
        match self {
            Self::Plain => None,
            Self::Rise | Self::Bad => Some(Color::Red),
            Self::Fall => Some(Color::Blue),
            Self::Good => Some(Color::Green),
            Self::Warning => Some(Color::Yellow),
            Self::Dim => Some(Color::DarkGrey),
        }
    }

    /// Returns the same colour as the style of a text.
    fn style(self) -> Style {
        let colour = match self {
            Self::Plain => return Style::new(),
            Self::Rise | Self::Bad => AnsiColor::BrightRed,
            Self::Fall => AnsiColor::BrightBlue,
            Self::Good => AnsiColor::BrightGreen,
            Self::Warning => AnsiColor::BrightYellow,
            Self::Dim => AnsiColor::BrightBlack,
        };
        colour.on_default()
    }
}

/// Returns whether a stream gets colours: on a terminal, unless `NO_COLOR` is set.
pub(super) fn colours(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns whether standard output gets colours.
pub(super) fn on_stdout() -> bool {
    colours(std::io::stdout().is_terminal())
}

/// A line with coloured parts.
///
/// Invisible characters in its texts are escaped, so its only escape sequences are its colours.
#[derive(Debug, Clone, Default)]
pub(super) struct Painted {
    text: String,
    is_coloured: bool,
}

impl Painted {
    /// Creates an empty line for standard output.
    pub(super) fn new() -> Self {
        Self::coloured(on_stdout())
    }

    /// Creates an empty line, coloured or not.
    pub(super) fn coloured(is_coloured: bool) -> Self {
        Self {
            text: String::new(),
            is_coloured,
        }
    }

    /// Returns the line with another part at its end.
    pub(super) fn with(mut self, ink: Ink, text: impl fmt::Display) -> Self {
        self.push(ink, text);
        self
    }

    /// Appends a part to the line.
    pub(super) fn push(&mut self, ink: Ink, text: impl fmt::Display) {
        let text = text.to_string();
        let text = visible(&text);
        if self.is_coloured && ink != Ink::Plain {
            let style = ink.style();
            self.text += &format!("{style}{text}{style:#}");
        } else {
            self.text += &text;
        }
    }
}

impl fmt::Display for Painted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_colours_are_escape_sequences() {
        let line = |is_coloured| {
            Painted::coloured(is_coloured)
                .with(Ink::Plain, "\u{1b}[31mred? ")
                .with(Ink::Rise, "\u{1b}[0m+1.00")
                .to_string()
        };
        assert_eq!(line(false), "\\u{1b}[31mred? \\u{1b}[0m+1.00");
        assert_eq!(
            line(true),
            "\\u{1b}[31mred? \u{1b}[91m\\u{1b}[0m+1.00\u{1b}[0m"
        );
    }
}
