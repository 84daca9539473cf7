//! Output of the commands: data goes to standard output, everything else to standard error.
//!
//! Text for people is escaped on the way out, because it may come from elsewhere.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::sync::OnceLock;

use serde::Serialize;

use super::failure::Failure;
use super::paint::Painted;
use super::table::Table;
use super::visible::{visible, visible_json, visible_lines};
pub(super) use sise_domain::grouped;

/// The first write that failed. Nothing is written after it, so that output with a gap never looks
/// complete.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// Writes bytes as they are.
///
/// [`check`] reports at the end of the command whether they arrived. [`written`] reports it
/// earlier, if the next step depends on it.
pub(super) fn raw(bytes: &[u8]) {
    if FAILED.get().is_none()
        && let Err(error) = write(bytes)
    {
        let _ = FAILED.set(error);
    }
}

/// Writes to the descriptor itself: `std::io::Stdout` reports success if it is not writable.
fn write(bytes: &[u8]) -> io::Result<()> {
    let descriptor = io::stdout().as_fd().try_clone_to_owned()?;
    File::from(descriptor).write_all(bytes)
}

/// Returns whether standard output is the null device.
///
/// This is also the case if the descriptor was closed when the program began.
pub(super) fn is_lost() -> bool {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    let device = |path| {
        let about = std::fs::metadata(path).ok()?;
        about.file_type().is_char_device().then(|| about.rdev())
    };
    device("/dev/stdout").is_some_and(|stdout| device("/dev/null") == Some(stdout))
}

/// Returns the error of the first failed write, if there was one.
pub(super) fn written() -> Result<(), &'static io::Error> {
    FAILED.get().map_or(Ok(()), Err)
}

/// Fails if not everything was written. A pipe that its reader closed is not a failure.
pub(super) fn check() -> Result<(), Failure> {
    match written() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(format!(
            "the answer cannot be written to standard output: {error}; what the command changed \
             stays changed"
        ))),
        _ => Ok(()),
    }
}

/// Writes a line. Line ends and control characters in it are escaped.
pub(super) fn line(text: impl std::fmt::Display) {
    raw(format!("{}\n", visible(&text.to_string())).as_bytes());
}

/// Writes a line with colours.
pub(super) fn painted(line: Painted) {
    raw(format!("{line}\n").as_bytes());
}

/// Writes a table.
pub(super) fn rows(table: &Table) {
    let lines: String = table.lines().map(|line| line + "\n").collect();
    raw(lines.as_bytes());
}

/// Writes a value as one line of JSON.
pub(super) fn json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => raw(format!("{}\n", visible_json(text)).as_bytes()),
        Err(error) => {
            let _ = FAILED.set(error.into());
        }
    }
}

/// Writes a line for people to standard error.
pub(super) fn note(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{}", visible_lines(&text.to_string()));
}
