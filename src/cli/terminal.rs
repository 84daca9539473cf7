//! Takes over the terminal, restores it in all cases, and reads its keys.

pub(super) mod paint;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event};
use ratatui::{DefaultTerminal, Frame};
use tokio::sync::mpsc;

use super::visible::is_seen;

/// Keys that may wait for the screen. More are dropped, such as repeats of a key that is held down.
const QUEUE: usize = 64;

/// Interval at which the reading thread checks whether it should stop.
const LOOK: Duration = Duration::from_millis(100);

/// The whole terminal. Its previous content is restored on drop and on a panic.
#[derive(Debug)]
pub(super) struct Terminal(DefaultTerminal);

impl Terminal {
    /// Takes the terminal over.
    pub(super) fn take() -> io::Result<Self> {
        ratatui::try_init().map(Self).inspect_err(|_| {
            // It may have been taken over only in part.
            let _ = ratatui::try_restore();
        })
    }

    pub(super) fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        let visible = |frame: &mut Frame<'_>| {
            picture(frame);
            clean(frame.buffer_mut());
        };
        self.0.draw(visible).map(drop)
    }
}

/// Removes invisible characters from a screen, since names come from elsewhere.
fn clean(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().chars().all(is_seen) {
            let seen: String = cell.symbol().chars().filter(|c| is_seen(*c)).collect();
            cell.set_symbol(if seen.is_empty() { " " } else { &seen });
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = ratatui::try_restore();
    }
}

/// The keys of the terminal, read by a separate thread because reading blocks.
#[derive(Debug)]
pub(super) struct Keys {
    events: mpsc::Receiver<Event>,
    stop: Arc<AtomicBool>,
}

impl Keys {
    /// Starts reading.
    pub(super) fn read() -> Self {
        let (sender, events) = mpsc::channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let is_stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !is_stopped.load(Ordering::Relaxed) {
                let event = match event::poll(LOOK) {
                    Ok(true) => event::read(),
                    Ok(false) => continue,
                    Err(error) => Err(error),
                };
                // The terminal is gone, so there will be no more keys.
                let Ok(event) = event else { return };
                match sender.try_send(event) {
                    Err(mpsc::error::TrySendError::Closed(_)) => return,
                    // A key that finds the queue full is dropped.
                    Err(mpsc::error::TrySendError::Full(_)) | Ok(()) => {}
                }
            }
        });
        Self { events, stop }
    }

    /// Returns the next event, or `None` if the terminal is gone.
    pub(super) async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // The thread ends at its next check. It is not joined: on a closed terminal it may block
        // until the process ends.
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal as Screen;
    use ratatui::backend::TestBackend;
    use ratatui::text::Line;

    #[test]
    fn no_name_steers_a_screen() {
        let mut screen = Screen::new(TestBackend::new(20, 1)).unwrap();
        let draw = |frame: &mut Frame<'_>| {
            let name = "a\u{202e}\u{1b}[2Jb\u{200b}\u{9b}c\u{3164}한";
            frame.render_widget(Line::raw(name), frame.area());
            clean(frame.buffer_mut());
        };
        screen.draw(draw).unwrap();
        let cells = &screen.backend().buffer().content;
        let text: String = cells.iter().map(|cell| cell.symbol()).collect();
        assert!(text.chars().all(is_seen), "{text:?}");
        for part in ["a", "[2J", "b", "c", "한"] {
            assert!(text.contains(part), "{text:?}");
        }
    }
}
