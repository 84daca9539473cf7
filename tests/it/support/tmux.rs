//! A real terminal: a server of tmux for one test.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{LOOK_AGAIN, PATIENCE};

/// A terminal in which a shell runs.
pub(crate) struct Tmux {
    folder: TempDir,
}

impl Tmux {
    /// A terminal of this size, whose shell starts in `home` with nothing but these variables.
    pub(crate) fn start(home: &Path, width: u16, height: u16, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let terminal = Self { folder };
        let mut command = terminal.command(&["-f", "/dev/null", "-u", "new-session", "-d"]);
        command
            .args(["-x", &width.to_string(), "-y", &height.to_string()])
            .arg("-c")
            .arg(home)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home)
            .env("LC_ALL", "C.UTF-8")
            .env("PS1", "$ ")
            .envs(variables.iter().copied())
            .arg("sh");
        let started = command.output().expect("tmux is needed for this test");
        assert!(started.status.success(), "{started:?}");
        terminal
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command
            .arg("-S")
            .arg(self.folder.path().join("tmux"))
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        output
    }

    /// Presses keys, by tmux's names.
    pub(crate) fn press(&self, keys: &[&str]) {
        self.run(&[&["send-keys"], keys].concat());
    }

    /// Types a line.
    pub(crate) fn line(&self, text: &str) {
        self.run(&["send-keys", "-l", text]);
        self.press(&["Enter"]);
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        self.run(&["resize-window", "-x", &width, "-y", &height]);
    }

    /// What stands on it.
    pub(crate) fn text(&self) -> String {
        let output = self.run(&["capture-pane", "-p"]);
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same with its colours as escape sequences.
    pub(crate) fn coloured(&self) -> String {
        let output = self.run(&["capture-pane", "-p", "-e"]);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether a program has taken the whole terminal.
    pub(crate) fn is_taken(&self) -> bool {
        let output = self.run(&["display-message", "-p", "#{alternate_on}"]);
        output.stdout.starts_with(b"1")
    }

    /// Waits for a screen that holds all of `parts`.
    pub(crate) async fn shows(&self, parts: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.text();
            if parts.iter().all(|part| screen.contains(part)) {
                return screen;
            }
            assert!(
                Instant::now() < deadline,
                "{parts:?} never stood on the screen, but:\n{screen}"
            );
            sleep(LOOK_AGAIN).await;
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // It may have ended with its shell.
        let _ = self.command(&["kill-server"]).output();
    }
}
