//! The stocks of the day: rankings side by side, as far as they fit.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::Shown;
use crate::cli::output::grouped;
use crate::cli::terminal::paint::Paint;
use crate::cli::top::Kind;
use crate::cli::top::picture::{Movers, Place};
use crate::movers::Prices;

/// Width of a ranking, including the gap to the next one.
const WIDTH: u16 = 40;
const GAP: u16 = 2;

/// Returns the line of tabs: all rankings, with the selected one highlighted, and the market.
pub(super) fn tabs(shown: &Shown<'_>, paint: Paint) -> Line<'static> {
    let mut spans = Vec::new();
    for (place, kind) in Kind::ALL.into_iter().enumerate() {
        let style = if place == shown.selected {
            Paint::selected()
        } else {
            paint.dim()
        };
        spans.push(Span::styled(format!(" {} ", title(kind)), style));
    }
    let market = shown
        .market
        .map_or("both markets", |market| market.as_str());
    spans.push(Span::raw(format!("   {market}")));
    Line::from(spans)
}

/// Draws the rankings, beginning with the selected one.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, shown: &Shown<'_>, paint: Paint) {
    let kinds = Kind::ALL.len();
    let fit = usize::from(((area.width + GAP) / WIDTH).max(1)).min(kinds);
    let columns = vec![Constraint::Fill(1); fit];
    let areas = Layout::horizontal(columns).spacing(GAP).split(area);
    for (offset, area) in areas.iter().enumerate() {
        let Some(kind) = Kind::ALL.get((shown.selected + offset) % kinds) else {
            continue;
        };
        let mut all = shown.picture.movers.iter();
        match all.find(|movers| movers.kind == *kind) {
            Some(movers) => panel(frame, *area, movers, paint),
            None => frame.render_widget(Paragraph::new(title(*kind)), *area),
        }
    }
}

fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Gainers => "gainers",
        Kind::Losers => "losers",
        Kind::Volume => "volume",
        Kind::Value => "value",
        Kind::Cap => "cap",
    }
}

fn panel(frame: &mut Frame<'_>, area: Rect, movers: &Movers, paint: Paint) {
    let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let of = match movers.prices {
        Prices::Realtime => "",
        Prices::Close => " of the last close",
    };
    let words = format!("{}{of}", title(movers.kind));
    frame.render_widget(Paragraph::new(Line::styled(words, Paint::strong())), head);
    if movers.places.is_empty() {
        let words = Line::styled("nothing is ranked yet", paint.dim());
        frame.render_widget(Paragraph::new(words), body);
        return;
    }
    let shown = movers.places.iter().take(usize::from(body.height));
    let rows = shown.map(|place| row(place, movers.kind, paint));
    let widths = [
        Constraint::Length(6),
        Constraint::Fill(1),
        Constraint::Length(10),
        Constraint::Length(8),
    ];
    frame.render_widget(Table::new(rows, widths), body);
}

fn row(place: &Place, kind: Kind, paint: Paint) -> Row<'static> {
    let number = match kind {
        Kind::Gainers | Kind::Losers => place.price.map_or_else(|| "-".to_owned(), grouped),
        Kind::Volume | Kind::Value | Kind::Cap => compact(place.number),
    };
    let rate = match kind {
        Kind::Gainers | Kind::Losers => Some(place.number),
        Kind::Volume | Kind::Value | Kind::Cap => place.rate,
    };
    let words = paint.moved(rate, place.standing);
    let right = |words: String| Text::from(words).alignment(Alignment::Right);
    Row::new([
        Cell::from(place.code.to_string()),
        Cell::from(place.name.clone()),
        Cell::from(right(number)),
        Cell::from(right(words).style(paint.change(rate))),
    ])
}

/// Units of large numbers, each a thousand of the one before.
const UNITS: [(f64, &str); 5] = [(1.0, ""), (1e3, "K"), (1e6, "M"), (1e9, "B"), (1e12, "T")];

/// Formats a large number, of shares or won, in a few characters.
///
/// A number that rounds up to a thousand of a unit is shown as one of the next unit.
pub(super) fn compact(number: f64) -> String {
    let mut text = String::new();
    for (unit, letter) in UNITS {
        let amount = number / unit;
        let rounded = |digits: i32| {
            let scale = 10_f64.powi(digits);
            (amount.abs() * scale).round() / scale
        };
        let digits = match unit {
            1.0 => 0,
            _ if rounded(2) < 10.0 => 2,
            _ if rounded(1) < 100.0 => 1,
            _ => 0,
        };
        text = format!("{amount:.digits$}{letter}");
        if rounded(0) < 1_000.0 {
            break;
        }
    }
    text
}
