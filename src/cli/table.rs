//! Tables without lines, as all commands print them.

use std::fmt;

use comfy_table::{CellAlignment, ContentArrangement, presets};

use super::paint::{self, Ink};
use super::visible::visible;

/// Smallest width that tables are fitted to. In a narrower one they would be unreadable.
pub(super) const LEAST_WIDTH: u16 = 40;

/// Width of a pipe, and of a terminal that reports none.
const USUAL_WIDTH: u16 = 80;

/// Returns the width of the terminal, or 80 for a pipe or a terminal that reports none.
pub(super) fn width() -> u16 {
    let said = terminal_size::terminal_size().map(|(width, _)| width.0);
    match said {
        None | Some(0) => USUAL_WIDTH,
        Some(width) => width,
    }
}

/// A table without lines. Invisible characters in its cells are escaped.
#[derive(Debug)]
pub(super) struct Table {
    inner: comfy_table::Table,
    is_coloured: bool,
}

/// The text of a cell and its ink.
#[derive(Debug)]
pub(super) struct Cell(String, Ink);

impl Cell {
    pub(super) fn new(text: impl fmt::Display, ink: Ink) -> Self {
        Self(text.to_string(), ink)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self(text, Ink::Plain)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Self {
        text.clone().into()
    }
}

impl Table {
    /// Creates an empty table. Each row is one line, however wide it is.
    pub(super) fn new(header: &[&str]) -> Self {
        let mut inner = comfy_table::Table::new();
        inner
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(header);
        // `paint` decides about colours for all output.
        let is_coloured = paint::on_stdout();
        if is_coloured {
            inner.enforce_styling();
            inner.style_text_only();
        } else {
            inner.force_no_tty();
        }
        Self { inner, is_coloured }
    }

    /// Wraps long cells so that rows fit the terminal.
    pub(super) fn folded(mut self) -> Self {
        self.inner
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width().max(LEAST_WIDTH));
        self
    }

    /// Adds a row.
    pub(super) fn add_row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let cells = cells.into_iter().map(|cell| {
            let Cell(text, ink) = cell.into();
            let cell = comfy_table::Cell::new(visible(&text));
            match ink.colour().filter(|_| self.is_coloured) {
                Some(colour) => cell.fg(colour),
                None => cell,
            }
        });
        self.inner.add_row(cells);
    }

    /// Aligns the columns with these indices to the right.
    pub(super) fn right(&mut self, places: impl IntoIterator<Item = usize>) {
        for place in places {
            if let Some(column) = self.inner.column_mut(place) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }

    /// Returns the lines of the table.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let lines: Vec<String> = self.inner.lines().collect();
        lines.into_iter().map(|line| line.trim_end().to_owned())
    }
}
