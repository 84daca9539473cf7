//! Colours and marks of the screen.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

use crate::cli::standing::Standing;
use crate::cli::strip::Look;

/// A frame for terminals without Unicode.
pub(in crate::cli) const LETTERS_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// The style of the screen: marks always, and colours if they are wanted.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Paint {
    is_coloured: bool,
    is_unicode: bool,
}

impl Paint {
    pub(in crate::cli) fn new(look: Look) -> Self {
        Self {
            is_coloured: look.is_coloured,
            is_unicode: look.marks.is_unicode(),
        }
    }

    pub(in crate::cli) fn is_unicode(self) -> bool {
        self.is_unicode
    }

    /// Returns the style of a change: red for a rise, blue for a fall, as on Korean exchanges.
    pub(in crate::cli) fn change(self, change: Option<f64>) -> Style {
        match change {
            Some(change) if change > 0.0 => self.coloured(Color::LightRed),
            Some(change) if change < 0.0 => self.coloured(Color::LightBlue),
            _ => Style::new(),
        }
    }

    /// Returns the mark for the direction of a change.
    pub(in crate::cli) fn arrow(self, change: Option<f64>) -> &'static str {
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

    /// Formats a change rate, or returns the reason that there is none.
    ///
    /// The arrow is doubled if the price is at a limit of the day.
    pub(in crate::cli) fn moved(self, rate: Option<f64>, standing: Option<Standing>) -> String {
        let arrow = self.arrow(rate);
        match (standing, rate) {
            (Some(standing @ (Standing::Halted | Standing::Untraded)), _) => {
                standing.words().to_owned()
            }
            (_, None) => "-".to_owned(),
            (None, Some(rate)) => format!("{arrow}{:.2}", rate.abs()),
            (Some(Standing::LimitUp | Standing::LimitDown), Some(rate)) => {
                format!("{arrow}{arrow}{:.2}", rate.abs())
            }
        }
    }

    /// Returns the style for what needs attention.
    pub(in crate::cli) fn bad(self) -> Style {
        self.coloured(Color::LightRed).add_modifier(Modifier::BOLD)
    }

    /// Returns the style for what is less important.
    pub(in crate::cli) fn dim(self) -> Style {
        self.coloured(Color::DarkGray)
    }

    pub(in crate::cli) fn strong() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(in crate::cli) fn selected() -> Style {
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
