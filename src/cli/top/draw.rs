//! Draws the screen from the latest picture.

mod health;
mod movers;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::super::strip::Look;
use super::super::terminal::paint::{LETTERS_BORDER, Paint};
use super::super::words::short;
use super::picture::Picture;
use sise_domain::{KrxTime, Market};

/// Smallest readable screen: width and height.
const LEAST: (u16, u16) = (40, 12);

/// What the keys do.
const HELP: [(&str, &str); 6] = [
    ("Tab, arrows", "next or previous ranking"),
    ("m", "KOSPI, KOSDAQ, or both"),
    ("two arrows", "at the limit of the day"),
    ("?", "this help"),
    ("q, Esc", "end"),
    ("Ctrl-C", "end, as a signal does"),
];

/// What is shown, and how.
pub(super) struct Shown<'a> {
    pub(super) picture: &'a Picture,
    pub(super) now: KrxTime,
    /// Address of the store.
    pub(super) address: &'a str,
    pub(super) market: Option<Market>,
    /// Index of the first ranking.
    pub(super) selected: usize,
    pub(super) has_help: bool,
    pub(super) look: Look,
}

/// Draws the whole screen.
pub(super) fn draw(frame: &mut Frame<'_>, shown: &Shown<'_>) {
    let area = frame.area();
    let paint = Paint::new(shown.look);
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let (width, height) = LEAST;
        let words = format!("at least {width} x {height} characters are needed");
        frame.render_widget(Paragraph::new(words), area);
        return;
    }
    let mut lines = Vec::new();
    lines.push(health::title(shown, paint));
    lines.extend(health::indices(&shown.picture.indices, paint));
    match &shown.picture.status {
        Some(status) => lines.extend(health::lines(status, shown, area.width.into(), paint)),
        None => lines.push(Line::raw("asking the store ...")),
    }
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let [head, tabs, body, foot] = Layout::vertical([
        Constraint::Length(height),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(lines), head);
    frame.render_widget(Paragraph::new(movers::tabs(shown, paint)), tabs);
    movers::draw(frame, body, shown, paint);
    frame.render_widget(Paragraph::new(footer(shown, paint)), foot);
    if shown.has_help {
        help(frame, area, paint);
    }
}

/// Returns the last line: what is wrong, or else the keys.
fn footer(shown: &Shown<'_>, paint: Paint) -> Line<'static> {
    match &shown.picture.trouble {
        Some(trouble) => Line::styled(
            format!(
                "no answer since {}, trying again: {}",
                short(trouble.since, shown.now),
                trouble.words
            ),
            paint.bad(),
        ),
        None => Line::styled("q end   Tab ranking   m market   ? help", paint.dim()),
    }
}

fn help(frame: &mut Frame<'_>, area: Rect, paint: Paint) {
    let line = |(key, what): (&'static str, &'static str)| {
        Line::from(vec![
            Span::styled(format!(" {key:<12} "), Paint::strong()),
            Span::raw(what),
        ])
    };
    let lines: Vec<Line<'_>> = HELP.into_iter().map(line).collect();
    let width = area.width.min(48);
    let height = u16::try_from(HELP.len() + 2).unwrap_or(area.height);
    let place = Rect {
        x: (area.width - width) / 2,
        y: area.height.saturating_sub(height) / 2,
        width,
        height: height.min(area.height),
    };
    frame.render_widget(Clear, place);
    let mut block = Block::bordered().title(" keys ");
    if !paint.is_unicode() {
        block = block.border_set(LETTERS_BORDER);
    }
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

#[cfg(test)]
mod tests;
