//! Colours on a terminal: none in a pipe, none where `NO_COLOR` is set.

use std::fmt;
use std::io::IsTerminal as _;

use clap::builder::styling::{AnsiColor, Style};
use comfy_table::Color;

use super::visible::visible;

/// What a text stands for, and so how it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// As it is.
    Plain,
    /// A price that rose.
    Rise,
    /// A price that fell.
    Fall,
    /// As it should be.
    Good,
    /// Worth a look.
    Warning,
    /// Wrong.
    Bad,
    /// Of less weight.
    Dim,
}

impl Ink {
    /// The ink of a change: Korean screens show what rises in red and what falls in blue.
    pub(super) fn of_change(change: Option<f64>) -> Self {
        match change {
            Some(change) if change > 0.0 => Self::Rise,
            Some(change) if change < 0.0 => Self::Fall,
            _ => Self::Plain,
        }
    }

    /// The colour of a table's cell.
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

    /// The same colour in a line of words.
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

/// Whether to colour what goes to a stream: on a terminal, unless `NO_COLOR` is set.
pub(super) fn colours(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether standard output takes colours.
pub(super) fn on_stdout() -> bool {
    colours(std::io::stdout().is_terminal())
}

/// A line of which some parts are coloured. Its texts are made visible, so that the only escape
/// sequences in it are those of its colours.
#[derive(Debug, Clone, Default)]
pub(super) struct Painted {
    text: String,
    is_coloured: bool,
}

impl Painted {
    /// An empty line for standard output.
    pub(super) fn new() -> Self {
        Self::coloured(on_stdout())
    }

    /// An empty line, coloured or not.
    pub(super) fn coloured(is_coloured: bool) -> Self {
        Self {
            text: String::new(),
            is_coloured,
        }
    }

    /// The line with another part at its end.
    pub(super) fn with(mut self, ink: Ink, text: impl fmt::Display) -> Self {
        self.push(ink, text);
        self
    }

    /// Puts another part at the end of the line.
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
