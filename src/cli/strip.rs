//! Coverage by minute as one line of blocks, fitted to the width of the terminal.

use chrono::{TimeDelta, Timelike as _};

use super::paint::{self, Ink, Painted};
use super::table;
use crate::status::Slot;
use sise_domain::KrxTime;

/// The marks of a cell: full, growing shares below that, and not counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    full: char,
    short: &'static [char],
    not_counted: char,
}

/// How the strip is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) width: usize,
    pub(super) marks: Marks,
    pub(super) is_coloured: bool,
}

impl Look {
    /// Returns the look for standard output. A pipe counts as 80 columns wide.
    pub(super) fn of_terminal() -> Self {
        Self {
            width: table::width().into(),
            marks: if speaks_unicode(|name| std::env::var(name).ok()) {
                Marks::BLOCKS
            } else {
                Marks::LETTERS
            },
            is_coloured: paint::on_stdout(),
        }
    }
}

/// Returns whether the locale uses UTF-8. The first variable that is set decides.
fn speaks_unicode(variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()));
    let locale = set.unwrap_or_default().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// One or more minutes in one column of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) mark: char,
    /// The list was below the limit, or was not counted.
    pub(super) is_bad: bool,
}

/// Returns the number of minutes per cell.
pub(super) fn minutes_a_cell(slots: &[Slot], width: usize) -> usize {
    let width = width.clamp(1, slots.len().max(1));
    slots.len().div_ceil(width).max(1)
}

/// Returns the cells of a strip.
pub(super) fn cells(slots: &[Slot], below: f64, look: Look) -> Vec<Cell> {
    let cell = |minutes: &[Slot]| {
        let slot = fold(minutes, below);
        Cell {
            mark: look.marks.of(slot, below),
            is_bad: match slot {
                Slot::Share(share) => share < below,
                Slot::NotCounted => true,
                Slot::Future => false,
            },
        }
    };
    let minutes = minutes_a_cell(slots, look.width);
    slots.chunks(minutes).map(cell).collect()
}

/// Returns the lines of a strip: the cells, the hours below them, and a legend.
pub(super) fn draw(slots: &[Slot], open: KrxTime, below: f64, look: Look) -> Vec<Painted> {
    let minutes = minutes_a_cell(slots, look.width);
    let painted = || Painted::coloured(look.is_coloured);
    let mut line = painted();
    for Cell { mark, is_bad } in cells(slots, below, look) {
        line.push(if is_bad { Ink::Bad } else { Ink::Plain }, mark);
    }
    let cell = match minutes {
        1 => "a minute".to_owned(),
        minutes => format!("the worst of {minutes} minutes"),
    };
    let Marks {
        full,
        short,
        not_counted,
    } = look.marks;
    let (least, most) = (
        short.first().unwrap_or(&full),
        short.last().unwrap_or(&full),
    );
    let meaning = format!(
        "{full} {:.0} % of the list live or more   {least}-{most} less   {not_counted} not counted   a cell is {cell}",
        below * 100.0
    );
    let hours = hours(slots.len(), minutes, open);
    vec![
        line,
        painted().with(Ink::Plain, hours),
        painted().with(Ink::Plain, meaning),
    ]
}

/// Returns the worst of several minutes.
fn fold(cell: &[Slot], below: f64) -> Slot {
    let shares = cell.iter().filter_map(|slot| match slot {
        Slot::Share(share) => Some(*share),
        Slot::NotCounted | Slot::Future => None,
    });
    let lowest = shares.min_by(f64::total_cmp);
    match lowest {
        Some(lowest) if lowest < below => Slot::Share(lowest),
        _ if cell.contains(&Slot::NotCounted) => Slot::NotCounted,
        Some(lowest) => Slot::Share(lowest),
        None => Slot::Future,
    }
}

impl Marks {
    pub(super) const BLOCKS: Self = Self {
        full: '█',
        short: &['▁', '▂', '▃', '▄', '▅', '▆'],
        not_counted: '·',
    };

    /// Marks for terminals without Unicode.
    pub(super) const LETTERS: Self = Self {
        full: '#',
        short: &['_', '1', '2', '3', '4', '5', '6', '7', '8'],
        not_counted: '?',
    };

    /// Returns whether these marks are more than ASCII.
    pub(super) fn is_unicode(self) -> bool {
        !self.full.is_ascii()
    }

    fn of(self, slot: Slot, below: f64) -> char {
        match slot {
            Slot::Future => ' ',
            Slot::NotCounted => self.not_counted,
            Slot::Share(share) if share >= below => self.full,
            Slot::Share(share) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "a share of a handful of marks"
                )]
                let place = (share / below * self.short.len() as f64) as usize;
                let last = self.short.len().saturating_sub(1);
                *self.short.get(place.min(last)).unwrap_or(&self.full)
            }
        }
    }
}

/// Returns the line of full hours below the cells, without those that do not fit.
pub(super) fn hours(slots: usize, minutes: usize, open: KrxTime) -> String {
    let mut line = String::new();
    for minute in 0..slots {
        let offset = i64::try_from(minute).unwrap_or(0);
        let time = open + TimeDelta::minutes(offset);
        let column = minute / minutes;
        let is_mark = minute == 0 || time.minute() == 0;
        let is_free = line.is_empty() || column > line.len();
        if is_mark && is_free && column + 5 <= slots.div_ceil(minutes).max(5) {
            line += &" ".repeat(column - line.len());
            line += &time.format("%H:%M").to_string();
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;
    use sise_domain::Seoul;

    const BELOW: f64 = 0.9;

    fn drawn(slots: &[Slot], width: usize, marks: Marks) -> Vec<String> {
        let open = Seoul.with_ymd_and_hms(2026, 11, 20, 9, 0, 0).unwrap();
        let look = Look {
            width,
            marks,
            is_coloured: false,
        };
        let lines = draw(slots, open, BELOW, look);
        lines.iter().map(ToString::to_string).collect()
    }

    /// A session with one bad minute, one that was not counted, and an hour still to come.
    fn session() -> Vec<Slot> {
        let mut slots = vec![Slot::Share(1.0); 330];
        slots[61] = Slot::Share(0.5);
        slots[200] = Slot::NotCounted;
        slots.extend([Slot::Future; 60]);
        slots
    }

    #[test]
    fn a_single_bad_minute_is_seen_at_every_width() {
        for width in [390, 100, 80, 78, 40, 20, 5, 1] {
            let lines = drawn(&session(), width, Marks::BLOCKS);
            assert!(lines[0].chars().count() <= width, "{width}: {}", lines[0]);
            assert!(
                lines[0].contains(['▁', '▂', '▃', '▄']),
                "{width}: {}",
                lines[0]
            );
            if width > 5 {
                assert!(lines[0].contains('·'), "{width}: {}", lines[0]);
            }
        }
    }

    #[test]
    fn eighty_columns_show_five_minutes_a_cell_with_hours() {
        let lines = drawn(&session(), 80, Marks::BLOCKS);
        assert_eq!(lines[0].chars().count(), 78);
        assert!(lines[0].ends_with(&" ".repeat(12)), "{}", lines[0]);
        assert_eq!(
            lines[1],
            "09:00       10:00       11:00       12:00       13:00       14:00       15:00"
        );
        assert!(lines[2].contains("the worst of 5 minutes"), "{}", lines[2]);
    }

    #[test]
    fn letters_do_where_there_are_no_blocks() {
        let lines = drawn(&session(), 80, Marks::LETTERS);
        assert!(lines.iter().all(|line| line.is_ascii()), "{lines:?}");
        assert!(
            lines[0].contains('?') && lines[0].contains('5'),
            "{lines:?}"
        );
        let none = drawn(&[Slot::Share(0.0)], 80, Marks::LETTERS);
        assert_eq!(none[0], "_");
    }

    #[test]
    fn a_terminal_as_narrow_as_can_be_and_no_minutes_at_all_are_drawn() {
        assert_eq!(drawn(&[], 80, Marks::BLOCKS)[0], "");
        assert_eq!(drawn(&session(), 0, Marks::BLOCKS)[0].chars().count(), 1);
    }

    #[test]
    fn the_locale_decides_on_the_marks() {
        let with = |pairs: &'static [(&str, &str)]| {
            speaks_unicode(move |name| {
                let found = pairs.iter().find(|(held, _)| *held == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(with(&[("LANG", "ko_KR.UTF-8")]));
        assert!(with(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]));
        assert!(!with(&[("LC_ALL", "C"), ("LANG", "ko_KR.UTF-8")]));
        assert!(!with(&[]));
    }
}
