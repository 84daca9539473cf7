//! Colours and marks of the screen.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

use crate::cli::strip::Look;

/// A frame for terminals that know letters only.
pub(super) const LETTERS_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// How things are told apart: by colour where that is wanted, and by a mark in any case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    is_coloured: bool,
    is_unicode: bool,
}

impl Paint {
    pub(super) fn new(look: Look) -> Self {
        Self {
            is_coloured: look.is_coloured,
            is_unicode: look.marks.is_unicode(),
        }
    }

    pub(super) fn is_unicode(self) -> bool {
        self.is_unicode
    }

    /// Korean exchanges show what rises in red and what falls in blue.
    pub(super) fn change(self, change: Option<f64>) -> Style {
        match change {
            Some(change) if change > 0.0 => self.coloured(Color::LightRed),
            Some(change) if change < 0.0 => self.coloured(Color::LightBlue),
            _ => Style::new(),
        }
    }

    /// The direction of a change.
    pub(super) fn arrow(self, change: Option<f64>) -> &'static str {
        let (up, down) = if self.is_unicode {
            ("▲", "▼")
        } else {
            ("+", "-")
        };
        match change {
            Some(change) if change > 0.0 => up,
            Some(change) if change < 0.0 => down,
            _ => "",
        }
    }

    /// What a person should look at.
    pub(super) fn bad(self) -> Style {
        self.coloured(Color::LightRed).add_modifier(Modifier::BOLD)
    }

    /// What a person need not look at.
    pub(super) fn dim(self) -> Style {
        self.coloured(Color::DarkGray)
    }

    pub(super) fn strong() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn selected() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    fn coloured(self, colour: Color) -> Style {
        if self.is_coloured {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }
}
