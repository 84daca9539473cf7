//! The demo on a terminal. It takes the whole screen while it runs and leaves nothing on it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use ratatui::Frame;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::Modifier;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Cell, Paragraph, Row, Table};
use tokio::time::{MissedTickBehavior, interval};

use super::super::failure::{DONE, Failure, Outcome, by_signal};
use super::super::output::grouped;
use super::super::standing::Standing;
use super::super::strip::Look;
use super::super::terminal::paint::Paint;
use super::super::terminal::{Keys, Terminal};
use super::board::{Board, Picture};
use crate::daemon::{self, Signal};
use sise_domain::{KrxTime, Quote};
use sise_port::clock::Clock;
use sise_sim::Sim;

/// Interval between redraws.
const FRAME: Duration = Duration::from_millis(250);

/// Width of the strip that shows the progress of a sweep.
const STRIP: usize = 24;

/// Smallest width that has room for two rankings side by side.
const TWO_PANELS: u16 = 64;

/// Shows the demo until a key or a signal ends it. `address` is that of its page.
pub(super) async fn show(
    board: Arc<Board>,
    sim: Sim,
    clock: Clock,
    address: Option<String>,
) -> Outcome {
    let mut signals = std::pin::pin!(daemon::signalled());
    // Polled once to install the signal handlers: from here on no signal can end the process
    // without restoring the terminal.
    if let Some(signal) = (&mut signals).now_or_never() {
        return by_signal(signal);
    }
    let paint = Paint::new(Look::of_terminal());
    let failed = |error: std::io::Error| Failure::failed(format!("the terminal failed: {error}"));
    let mut terminal = Terminal::take().map_err(failed)?;
    let mut keys = Keys::read();
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let shown = Shown {
            picture: board.picture(),
            now: clock(),
            address: address.as_deref(),
            busiest: sim.stats().max_calls_per_second_window,
            paint,
        };
        terminal.draw(|frame| shown.draw(frame)).map_err(failed)?;
        tokio::select! {
            biased;
            signal = &mut signals => return by_signal(signal),
            event = keys.next() => match event {
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    if let Some(code) = end(key) {
                        return Ok(code);
                    }
                }
                Some(_) => {}
                None => return Ok(Signal::HangUp.exit_code()),
            },
            _ = frames.tick() => {}
        }
    }
}

/// Returns the exit code if the key ends the demo.
fn end(key: KeyEvent) -> Option<u8> {
    let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if with_control => Some(Signal::Interrupt.exit_code()),
        KeyCode::Char('q') | KeyCode::Esc if !with_control => Some(DONE),
        _ => None,
    }
}

/// What is on the screen.
struct Shown<'a> {
    picture: Picture,
    now: KrxTime,
    address: Option<&'a str>,
    /// Number of calls in the busiest second.
    busiest: u64,
    paint: Paint,
}

impl Shown<'_> {
    fn draw(&self, frame: &mut Frame<'_>) {
        let head = self.head();
        let height = u16::try_from(head.len()).unwrap_or(u16::MAX);
        let [top, body, foot] = Layout::vertical([
            Constraint::Length(height),
            Constraint::Fill(1),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(Paragraph::new(head), top);
        self.draw_body(frame, body);
        let keys = Line::styled("q or Ctrl-C ends it", self.paint.dim());
        frame.render_widget(Paragraph::new(keys), foot);
    }

    fn head(&self) -> Vec<Line<'static>> {
        let Self { picture, paint, .. } = self;
        let page = self.address.map_or_else(
            || Span::raw("none (--listen off)"),
            |address| {
                let style = Paint::strong().add_modifier(Modifier::UNDERLINED);
                Span::styled(address.to_owned(), style)
            },
        );
        let (full, empty) = match paint.is_unicode() {
            true => ("█", "·"),
            false => ("#", "."),
        };
        let filled = (picture.done * STRIP / picture.total.max(1)).min(STRIP);
        let strip = full.repeat(filled) + &empty.repeat(STRIP - filled);
        let last = match (&picture.trouble, &picture.last) {
            (Some(trouble), _) => Line::styled(format!("skipped: {trouble}"), paint.bad()),
            (None, Some(last)) => Line::raw(format!(
                "last: {} written, {} missing, {} calls, {:.1} s",
                grouped(last.written),
                grouped(last.missing.len()),
                last.calls,
                Duration::from_millis(last.elapsed_ms).as_secs_f64()
            )),
            (None, None) => Line::raw("first sweep..."),
        };
        let count = |words: String, change| Span::styled(words, paint.change(Some(change)));
        let arrow = |change| paint.arrow(Some(change));
        vec![
            Line::from(vec![
                Span::styled("sise demo  ", Paint::strong()),
                Span::raw("SIMULATED prices, no real quotes   "),
                Span::raw(self.now.format("%H:%M:%S KST").to_string()),
            ]),
            Line::from(vec![Span::raw("the market on one page: "), page]),
            Line::raw(format!(
                "{strip}  sweep {}   {} of {} codes live",
                picture.sweeps + 1,
                grouped(picture.live),
                grouped(picture.total)
            )),
            last,
            Line::raw(format!(
                "{} calls in the busiest second (limit 18)",
                self.busiest
            )),
            Line::from(vec![
                count(format!("{} {} up   ", arrow(1.0), grouped(picture.up)), 1.0),
                count(
                    format!("{} {} down   ", arrow(-1.0), grouped(picture.down)),
                    -1.0,
                ),
                Span::raw(format!(
                    "{} unchanged   {} halted   {} untraded",
                    grouped(picture.unchanged),
                    grouped(picture.halted),
                    grouped(picture.untraded)
                )),
            ]),
            Line::default(),
        ]
    }

    /// Draws gainers, losers if there is room, and the latest changes below them.
    fn draw_body(&self, frame: &mut Frame<'_>, area: Rect) {
        let rates = |quote: &Quote| {
            let words = self.paint.moved(quote.change_rate, Standing::of(quote));
            (words, quote.change_rate.unwrap_or_default())
        };
        let rows = |quotes: &[Quote]| -> Vec<Row<'static>> {
            quotes
                .iter()
                .map(|quote| {
                    let (words, rate) = rates(quote);
                    self.row(quote, words, rate)
                })
                .collect()
        };
        let [above, below] =
            Layout::vertical([Constraint::Fill(3), Constraint::Fill(2)]).areas(area);
        let gainers = rows(&self.picture.gainers);
        if area.width < TWO_PANELS {
            self.panel(frame, above, "gainers, %", gainers);
        } else {
            let halves = [Constraint::Fill(1), Constraint::Fill(1)];
            let [left, right] = Layout::horizontal(halves).spacing(2).areas(above);
            self.panel(frame, left, "gainers, %", gainers);
            self.panel(frame, right, "losers, %", rows(&self.picture.losers));
        }
        let changes = self.picture.changes.iter().map(|(quote, moved)| {
            let sign = if *moved > 0 { 1.0 } else { -1.0 };
            let arrow = self.paint.arrow(Some(sign));
            let words = format!("{arrow}{}", grouped(moved.abs()));
            self.row(quote, words, sign)
        });
        self.panel(frame, below, "latest changes, won", changes.collect());
    }

    fn panel(&self, frame: &mut Frame<'_>, area: Rect, title: &'static str, rows: Vec<Row<'_>>) {
        let [head, body] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
        frame.render_widget(Paragraph::new(Line::styled(title, self.paint.dim())), head);
        let widths = [
            Constraint::Length(6),
            Constraint::Fill(1),
            Constraint::Length(10),
            Constraint::Length(9),
        ];
        frame.render_widget(Table::new(rows, widths), body);
    }

    fn row(&self, quote: &Quote, change: String, sign: f64) -> Row<'static> {
        let right = |words: String| Text::from(words).alignment(Alignment::Right);
        Row::new([
            Cell::from(quote.stock_code.to_string()),
            Cell::from(quote.stock_name.to_string()),
            Cell::from(right(grouped(quote.price))),
            Cell::from(right(change)).style(self.paint.change(Some(sign))),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::strip::Marks;
    use super::*;
    use chrono::TimeZone as _;
    use ratatui::Terminal as Screen;
    use ratatui::backend::TestBackend;
    use sise_domain::Seoul;

    fn screen(width: u16, height: u16) -> String {
        let now = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 15, 2).unwrap();
        let quote = |price| Quote {
            stock_name: "맥쿼리한국인프라투융자회사".into(),
            change_rate: Some(-1.41),
            ..Quote::sample("005930".parse().unwrap(), price, now)
        };
        let shown = Shown {
            picture: Picture {
                live: 2_700,
                total: 2_769,
                unchanged: 300,
                halted: 86,
                gainers: vec![quote(1_234_500); 30],
                losers: vec![quote(72_000); 30],
                changes: vec![(quote(72_000), -1_000); 30],
                ..Picture::default()
            },
            now,
            address: Some("http://127.0.0.1:41233/"),
            busiest: 16,
            paint: Paint::new(Look {
                width: 80,
                marks: Marks::BLOCKS,
                is_coloured: true,
            }),
        };
        let mut screen = Screen::new(TestBackend::new(width, height)).unwrap();
        screen.draw(|frame| shown.draw(frame)).unwrap();
        screen.backend().to_string()
    }

    #[test]
    fn eighty_by_twenty_four_shows_the_address_and_whole_numbers() {
        let text = screen(80, 24);
        for part in [
            "http://127.0.0.1:41233/",
            "2,700 of 2,769 codes live",
            "300 unchanged   86 halted",
            "1,234,500",
            "▼1.41",
            "▼1,000",
            "q or Ctrl-C ends it",
        ] {
            assert!(text.contains(part), "'{part}' in:\n{text}");
        }
    }

    #[test]
    fn every_size_is_drawn_and_the_address_stays() {
        for width in 1..=90 {
            for height in [1, 2, 3, 8, 12, 24, 60] {
                let text = screen(width, height);
                if width >= 50 && height >= 8 {
                    assert!(text.contains("http://127.0.0.1:41233/"), "{text}");
                }
            }
        }
    }

    #[test]
    fn q_escape_and_control_c_end_it() {
        let key = |code, modifiers| end(KeyEvent::new(code, modifiers));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::NONE), Some(0));
        assert_eq!(key(KeyCode::Esc, KeyModifiers::NONE), Some(0));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(130));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), None);
    }
}
