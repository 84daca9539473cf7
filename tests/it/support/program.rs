//! The program under test as a process: arguments and variables in; streams and exit code out.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::faked_time::{FakedTime, Traces};
use super::{LOOK_AGAIN, PATIENCE, end, signal};

/// A command line that was not started yet.
pub(crate) struct Program {
    command: Command,
}

/// What is left of a process that ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A process under way. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: JoinHandle<String>,
    stderr: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
    /// Dropped after the child.
    _traces: Option<Traces>,
}

impl Program {
    /// `sise` with these arguments, with nothing of this process's environment, in the folder
    /// `home`, with its state below that.
    pub(crate) fn new(home: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sise"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home)
            .env("SISE__STATE__DIRECTORY", home.join("state"))
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Self { command }
    }

    pub(crate) fn set(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.command.env(name, value.as_ref());
        self
    }

    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// The same, where the system gives the process so many open files and no more.
    pub(crate) fn with_files(self, limit: usize) -> Self {
        self.through(&format!("ulimit -n {limit} && exec \"$0\" \"$@\""))
    }

    /// The same, where standard output is closed.
    pub(crate) fn closed(self) -> Self {
        self.through("exec \"$0\" \"$@\" >&-")
    }

    /// The same, begun by a line of the shell.
    fn through(self, line: &str) -> Self {
        let plain = self.command.as_std();
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .arg(plain.get_program())
            .args(plain.get_args())
            .env_clear()
            .current_dir(plain.get_current_dir().unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for (name, value) in plain.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        Self { command }
    }

    pub(crate) fn at(mut self, time: &FakedTime) -> Self {
        self.command.envs(time.variables());
        self
    }

    /// Sends standard output there; the outcome has none of it.
    pub(crate) fn onto(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    /// Runs it to its end.
    pub(crate) async fn run(self) -> Outcome {
        self.start().end().await
    }

    /// Starts it.
    pub(crate) fn start(mut self) -> Running {
        let mut child = self.command.spawn().unwrap();
        let stdout = child.stdout.take();
        let stdout = tokio::spawn(async move {
            let mut text = String::new();
            if let Some(mut stdout) = stdout {
                stdout.read_to_string(&mut text).await.unwrap();
            }
            text
        });
        let stderr = Arc::new(Mutex::new(String::new()));
        let said = Arc::clone(&stderr);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let reading = tokio::spawn(async move {
            while let Some(line) = lines.next_line().await.unwrap() {
                let mut said = said.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
        Running {
            _traces: Traces::of(child.id()),
            child,
            stdout,
            stderr,
            reading,
        }
    }
}

impl Running {
    /// Standard error so far.
    pub(crate) fn said(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits for a line on standard error that holds all of `parts`.
    pub(crate) async fn says(&self, parts: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Looked at first: what was said last is read by then.
            let is_over = self.reading.is_finished() || Instant::now() > deadline;
            let said = self.said();
            let mut lines = said.lines();
            let line = lines.find(|line| parts.iter().all(|part| line.contains(part)));
            if let Some(line) = line {
                return line.to_owned();
            }
            assert!(!is_over, "it did not say {parts:?}, but:\n{said}");
            sleep(LOOK_AGAIN).await;
        }
    }

    /// The number of lines on standard error that hold all of `parts`.
    pub(crate) fn count(&self, parts: &[&str]) -> usize {
        let said = self.said();
        let holds = |line: &&str| parts.iter().all(|part| line.contains(part));
        said.lines().filter(holds).count()
    }

    /// The address of its health server.
    pub(crate) async fn health_address(&self) -> String {
        let line = self.says(&["health and metrics", "address="]).await;
        let (_, address) = line.split_once("address=").unwrap();
        address.trim().to_owned()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.process(), name);
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// The most memory that it ever held, in bytes, as the system counts.
    pub(crate) fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
        kibibytes.parse::<u64>().unwrap() * 1_024
    }

    /// Whether it has not ended.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end, and asks for it when that takes longer than `patience`.
    pub(crate) async fn end_or_interrupt(mut self, patience: Duration) -> Outcome {
        if timeout(patience, self.child.wait()).await.is_err() {
            self.signal("INT");
        }
        self.end().await
    }

    /// Waits for its end.
    pub(crate) async fn end(mut self) -> Outcome {
        let Ok(status) = timeout(PATIENCE, self.child.wait()).await else {
            panic!("it does not end; it said:\n{}", self.said());
        };
        let stdout = (&mut self.stdout).await.unwrap();
        (&mut self.reading).await.unwrap();
        Outcome {
            code: status.unwrap().code(),
            stdout,
            stderr: self.said(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

impl Outcome {
    /// Asserts the exit code.
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Asserts that standard error holds all of `parts`.
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "'{part}' in:\n{}", self.stderr);
        }
        self
    }

    /// Standard output, which is one line of JSON and nothing else.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(
            self.stdout.lines().count(),
            1,
            "one line of JSON, but:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        serde_json::from_str(&self.stdout).unwrap()
    }
}
