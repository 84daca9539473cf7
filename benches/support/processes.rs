//! Processes that a benchmark starts and that end with it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Outcome;

/// Longest time for a process to start.
const START: Duration = Duration::from_secs(10);

/// The unit in which Linux counts the time of processes: hundredths of a second.
const TICKS_A_SECOND: f64 = 100.0;

/// A private Redis server on a free port, without persistence.
#[derive(Debug)]
pub(crate) struct PrivateRedis {
    process: Child,
    /// `redis://127.0.0.1:<port>`
    pub(crate) url: String,
}

impl PrivateRedis {
    /// Starts `redis-server`, which must be on the path.
    pub(crate) async fn start() -> Outcome<Self> {
        let port = free_port()?;
        let port_text = port.to_string();
        let options = ["--port", &port_text, "--bind", "127.0.0.1"];
        let process = Command::new("redis-server")
            .args(options)
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("redis-server cannot be started: {error}"))?;
        let redis = Self {
            process,
            url: format!("redis://127.0.0.1:{port}"),
        };
        let until = Instant::now() + START;
        while !answers(port) {
            if Instant::now() > until {
                return Err("redis-server does not answer".into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(redis)
    }
}

/// Returns an unused port.
pub(crate) fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn answers(port: u16) -> bool {
    let ping = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"+PONG")
    };
    ping().unwrap_or(false)
}

impl PrivateRedis {
    pub(crate) fn usage(&self) -> Outcome<Usage> {
        Usage::of(self.process.id())
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// `sise sim` in a process of its own.
#[derive(Debug)]
pub(crate) struct SimProcess {
    process: Child,
    /// Kept open, so that the process does not write to a closed pipe.
    _output: BufReader<ChildStdout>,
    /// `http://127.0.0.1:<port>`
    pub(crate) url: String,
}

impl SimProcess {
    /// Starts a simulated broker with additional `arguments` on a free port.
    pub(crate) fn start(arguments: &[&str]) -> Outcome<Self> {
        let mut process = sise_command()
            .args(["sim", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut output = BufReader::new(process.stdout.take().ok_or("no standard output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let url = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .ok_or("the simulated broker says no address")?
            .to_owned();
        Ok(Self {
            process,
            _output: output,
            url,
        })
    }

    pub(crate) fn usage(&self) -> Outcome<Usage> {
        Usage::of(self.process.id())
    }
}

impl Drop for SimProcess {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// Returns a command for the `sise` program that cargo built with this benchmark, without
/// environment variables that would be settings.
pub(crate) fn sise_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sise"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("SISE") || text.starts_with("KIS_") || text == "REDIS_URL" {
            command.env_remove(name);
        }
    }
    // Avoids a settings file or `.env` in the folder of the benchmark.
    command.current_dir(std::env::temp_dir());
    command
}

/// Asks a process to end (SIGTERM) and waits up to ten seconds.
pub(crate) async fn terminate(process: &mut Child) -> Outcome<Option<i32>> {
    let identity = process.id().to_string();
    Command::new("kill").args(["-TERM", &identity]).status()?;
    let until = Instant::now() + START;
    while Instant::now() < until {
        if let Some(status) = process.try_wait()? {
            return Ok(status.code());
        }
        sleep(Duration::from_millis(20)).await;
    }
    end(process);
    Err("the process did not end when asked to".into())
}

fn end(process: &mut Child) {
    // It may have ended by itself; either way it is gone afterwards.
    let _ = process.kill();
    let _ = process.wait();
}

/// The resources that a process has used, by the kernel's figures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Resident memory, bytes.
    pub(crate) resident: f64,
    /// Peak resident memory, bytes.
    pub(crate) most_resident: f64,
    /// Processor time in user and kernel, seconds.
    pub(crate) processor: f64,
}

impl Usage {
    /// Returns the usage of a running process.
    pub(crate) fn of(process: u32) -> Outcome<Self> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let kilobytes = |name: &str| -> Option<f64> {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The second field is the name in parentheses and may contain spaces; user and kernel time
        // are fields 14 and 15, which are numbers 12 and 13 after the parenthesis.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: f64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<f64>().ok())
            .sum();
        Ok(Self {
            resident: kilobytes("VmRSS:").ok_or("no VmRSS")? * 1024.0,
            most_resident: kilobytes("VmHWM:").ok_or("no VmHWM")? * 1024.0,
            processor: ticks / TICKS_A_SECOND,
        })
    }
}
