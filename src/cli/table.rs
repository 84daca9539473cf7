//! Tables in the house's look.

use std::fmt;

use comfy_table::{CellAlignment, ContentArrangement, presets};

use super::paint::{self, Ink};
use super::visible::visible;

/// A terminal that says it is narrower is taken for this wide: one letter a line tells nothing.
pub(super) const LEAST_WIDTH: u16 = 40;

/// The width where a terminal does not say one, and of a pipe.
const USUAL_WIDTH: u16 = 80;

/// The width of the terminal at hand; a pipe is eighty wide, and so is a terminal that says nothing.
pub(super) fn width() -> u16 {
    let said = terminal_size::terminal_size().map(|(width, _)| width.0);
    match said {
        None | Some(0) => USUAL_WIDTH,
        Some(width) => width,
    }
}

/// A table without lines. What stands in it is made visible.
#[derive(Debug)]
pub(super) struct Table {
    inner: comfy_table::Table,
    is_coloured: bool,
}

/// A cell and its ink.
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
    /// An empty table, each row on one line however wide it is.
    pub(super) fn new(header: &[&str]) -> Self {
        let mut inner = comfy_table::Table::new();
        inner
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(header);
        // Whether there are colours is decided in one place for all output.
        let is_coloured = paint::on_stdout();
        if is_coloured {
            inner.enforce_styling();
            inner.style_text_only();
        } else {
            inner.force_no_tty();
        }
        Self { inner, is_coloured }
    }

    /// Breaks long cells so that rows fit the terminal.
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

    /// Sets the columns of these places to the right.
    pub(super) fn right(&mut self, places: impl IntoIterator<Item = usize>) {
        for place in places {
            if let Some(column) = self.inner.column_mut(place) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }

    /// Its lines.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let lines: Vec<String> = self.inner.lines().collect();
        lines.into_iter().map(|line| line.trim_end().to_owned())
    }
}
