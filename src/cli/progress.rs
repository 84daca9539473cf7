//! The progress bar of a one-shot sweep: on a terminal only.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::paint::colours;

/// Creates a bar over `codes` with rate, time left and count. Without a terminal it is hidden.
pub(super) fn bar(codes: usize) -> ProgressBar {
    let is_terminal = std::io::stderr().is_terminal();
    let target = if is_terminal {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let look = if colours(is_terminal) {
        "{bar:40.cyan/blue} {pos}/{len} codes  {per_sec}  {eta} left"
    } else {
        "{bar:40} {pos}/{len} codes  {per_sec}  {eta} left"
    };
    let bar = ProgressBar::with_draw_target(u64::try_from(codes).ok(), target);
    if let Ok(style) = ProgressStyle::with_template(look) {
        bar.set_style(style);
    }
    bar
}
