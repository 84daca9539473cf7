//! The live screen of `sise top`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use super::super::failure::{DONE, Failure, Outcome, by_signal};
use super::super::strip::Look;
use super::super::terminal::{Keys, Terminal};
use super::Kind;
use super::draw::{self, Shown};
use super::picture::{self, Picture};
use crate::daemon::{self, Signal};
use crate::setup::Wiring;
use sise_domain::Market;

/// Interval between redraws, so that the time of day advances while the store is unreachable.
const TICK: Duration = Duration::from_millis(500);

/// What the screen shows at the moment.
#[derive(Debug, Clone, Copy, Default)]
struct View {
    /// Index of the first kind in [`Kind::ALL`].
    selected: usize,
    market: Option<Market>,
    has_help: bool,
}

/// What a key asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    End(u8),
}

/// Shows the screen until a key or a signal ends it.
pub(super) async fn show(wiring: Wiring, address: String, market: Option<Market>) -> Outcome {
    let wiring = Arc::new(wiring);
    let clock = Arc::clone(&wiring.clock);
    let mut signals = std::pin::pin!(daemon::signalled());
    // Polled once to install the signal handlers: from here on no signal can end the process
    // without restoring the terminal.
    if let Some(signal) = (&mut signals).now_or_never() {
        return by_signal(signal);
    }
    let mut view = View {
        market,
        ..View::default()
    };
    let (picked, market) = watch::channel(view.market);
    let (sender, mut pictures) = watch::channel(Picture::default());
    let looking = picture::look_on(Arc::clone(&wiring), market, sender);
    let _looking = AbortOnDropHandle::new(tokio::spawn(looking));
    let look = Look::of_terminal();
    let failed = |error: std::io::Error| Failure::failed(format!("the terminal failed: {error}"));
    let mut terminal = Terminal::take().map_err(failed)?;
    let mut keys = Keys::read();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let picture = pictures.borrow_and_update().clone();
        let shown = Shown {
            picture: &picture,
            now: clock(),
            address: &address,
            market: view.market,
            selected: view.selected,
            has_help: view.has_help,
            look,
        };
        terminal
            .draw(|frame| draw::draw(frame, &shown))
            .map_err(failed)?;
        tokio::select! {
            biased;
            signal = &mut signals => return by_signal(signal),
            event = keys.next() => match event {
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    if let Asked::End(code) = view.press(key) {
                        return Ok(code);
                    }
                    picked.send_if_modified(|held| std::mem::replace(held, view.market) != view.market);
                }
                // Any other event, such as a new size, causes a redraw.
                Some(_) => {}
                None => return Ok(Signal::HangUp.exit_code()),
            },
            changed = pictures.changed() => if changed.is_err() {
                return Err(Failure::failed("the task that reads the store has ended"));
            },
            _ = ticks.tick() => {}
        }
    }
}

impl View {
    fn press(&mut self, key: KeyEvent) -> Asked {
        let kinds = Kind::ALL.len();
        let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if with_control => return Asked::End(Signal::Interrupt.exit_code()),
            _ if with_control => {}
            KeyCode::Esc if self.has_help => self.has_help = false,
            KeyCode::Char('q') | KeyCode::Esc => return Asked::End(DONE),
            KeyCode::Char('?' | 'h') => self.has_help = !self.has_help,
            KeyCode::Right | KeyCode::Down | KeyCode::Tab => {
                self.selected = (self.selected + 1) % kinds;
            }
            KeyCode::Left | KeyCode::Up | KeyCode::BackTab => {
                self.selected = (self.selected + kinds - 1) % kinds;
            }
            KeyCode::Char('m') => {
                self.market = match self.market {
                    None => Some(Market::Kospi),
                    Some(Market::Kospi) => Some(Market::Kosdaq),
                    Some(Market::Kosdaq) => None,
                }
            }
            _ => {}
        }
        Asked::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_change_what_is_shown_and_end_it() {
        let mut view = View::default();
        let press = |view: &mut View, code| view.press(KeyEvent::new(code, KeyModifiers::NONE));
        for (code, selected) in [
            (KeyCode::Tab, 1),
            (KeyCode::Right, 2),
            (KeyCode::Left, 1),
            (KeyCode::BackTab, 0),
            (KeyCode::Left, Kind::ALL.len() - 1),
            (KeyCode::Right, 0),
        ] {
            assert_eq!(press(&mut view, code), Asked::Nothing);
            assert_eq!(view.selected, selected, "{code:?}");
        }
        for market in [Some(Market::Kospi), Some(Market::Kosdaq), None] {
            press(&mut view, KeyCode::Char('m'));
            assert_eq!(view.market, market);
        }
        press(&mut view, KeyCode::Char('?'));
        assert!(view.has_help);
        assert_eq!(press(&mut view, KeyCode::Esc), Asked::Nothing);
        assert!(!view.has_help);
        assert_eq!(press(&mut view, KeyCode::Esc), Asked::End(0));
        assert_eq!(press(&mut view, KeyCode::Char('q')), Asked::End(0));
        let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.press(control), Asked::End(130));
    }
}
