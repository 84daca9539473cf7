//! Proves the live screen of `sise top` in a real terminal, on a real Redis that a daemon writes to.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use crate::support::program::Running;
use crate::support::tmux::Tmux;
use crate::support::world::World;
use crate::support::{list, until};

/// Codes of the small list.
const CODES: usize = 60;

/// A daemon that sweeps every second, whatever the time of day.
fn daemon(world: &World) -> Running {
    let codes = list::codes(CODES).join("\n");
    world.file("list.csv", &format!("code\n{codes}\n"));
    world
        .fast_sise(&["run", "--always-open"])
        .set("SISE__UNIVERSE__SOURCE", "csv")
        .set("SISE__UNIVERSE__FILE", "list.csv")
        .set("SISE__SCHEDULE__INTERVAL", "1s")
        .start()
}

/// A terminal in which `sise top` can be typed as `$SISE top`.
fn terminal(world: &World, width: u16, height: u16, more: &[(&str, &str)]) -> Tmux {
    let url = world.redis.url();
    let state = world.path().join("state").display().to_string();
    let variables = [
        ("SISE", env!("CARGO_BIN_EXE_sise")),
        ("REDIS_URL", url.as_str()),
        ("SISE__UNIVERSE__SOURCE", "csv"),
        ("SISE__UNIVERSE__FILE", "list.csv"),
        ("SISE__STATE__DIRECTORY", state.as_str()),
        // Time-outs of real life; a machine full of tests is slower than that.
        ("SISE__STORE__CONNECT_TIMEOUT", "1s"),
        ("SISE__STORE__RESPONSE_TIMEOUT", "1s"),
        ("TERM", "screen-256color"),
    ];
    Tmux::start(world.path(), width, height, &[&variables, more].concat())
}

/// Types a command whose exit code is shown, and what the terminal is set to afterwards.
fn type_command(terminal: &Tmux, command: &str) {
    terminal.line(&format!("{command}; echo \"it ended with $?\"; stty -a"));
}

/// The terminal is the shell's again: cursor, echo and lines.
async fn given_back(terminal: &Tmux, code: u8) {
    let ended = format!("it ended with {code}");
    terminal.shows(&[&ended, " icanon", " echo "]).await;
    assert!(!terminal.is_taken());
}

#[tokio::test]
async fn the_screen_shows_health_and_movers_and_keys_change_it() {
    let world = World::new(&["--limit", "0"]).await;
    let daemon = daemon(&world);
    daemon.says(&["sweep done", "written=60"]).await;
    let terminal = terminal(&world, 80, 24, &[]);
    type_command(&terminal, "$SISE top");
    let screen = terminal
        .shows(&[
            "coverage",
            "half ",
            "leader ",
            "1 leading",
            "next run",
            "gainers",
            "KOSPI200 ",
            "losers",
            "▲",
        ])
        .await;
    assert!(terminal.is_taken());
    assert!(screen.contains("a second"), "{screen}");
    // The best of the day are those that `sise top` lists.
    let colours = terminal.coloured();
    assert!(
        colours.contains("\u{1b}[38;5;9m"),
        "red for what rises:\n{colours}"
    );
    assert!(
        colours.contains("\u{1b}[38;5;12m"),
        "blue for what falls:\n{colours}"
    );

    terminal.press(&["Tab"]);
    let screen = terminal.shows(&["volume"]).await;
    until("the losers come first", async || {
        let screen = terminal.text();
        screen
            .lines()
            .any(|line| line.starts_with("losers"))
            .then_some(())
    })
    .await;
    assert!(screen.contains("losers"), "{screen}");
    terminal.press(&["m"]);
    terminal.shows(&["   KOSPI"]).await;
    terminal.press(&["m"]);
    terminal.shows(&["   KOSDAQ"]).await;
    terminal.press(&["?"]);
    terminal.shows(&["Ctrl-C", "end, as a signal does"]).await;
    terminal.press(&["?"]);
    until("the help is gone", async || {
        (!terminal.text().contains("Ctrl-C")).then_some(())
    })
    .await;

    // Wider and narrower, while it runs.
    terminal.resize(200, 50);
    until("all rankings stand side by side", async || {
        let screen = terminal.text();
        let mut lines = screen.lines();
        let all = |line: &str| {
            line.starts_with("losers") && line.contains("value") && line.contains("gainers")
        };
        lines.any(all).then_some(())
    })
    .await;
    terminal.resize(30, 8);
    terminal.shows(&["at least 40 x 12"]).await;
    terminal.resize(80, 24);
    terminal.shows(&["coverage", "losers"]).await;
    terminal.press(&["q"]);
    given_back(&terminal, 0).await;
    daemon.signal("TERM");
    daemon.end().await.exits(143);
}

#[tokio::test]
async fn a_redis_that_is_away_is_shown_and_heals() {
    let mut world = World::new(&["--limit", "0"]).await;
    let daemon = daemon(&world);
    daemon.says(&["sweep done", "written=60"]).await;
    let terminal = terminal(&world, 100, 30, &[("NO_COLOR", "1")]);
    type_command(&terminal, "$SISE top");
    terminal.shows(&["leader ", "▲"]).await;
    assert!(!terminal.coloured().contains("\u{1b}[38"), "no colours");
    world.redis.kill().await;
    // What was seen last stays, and the time goes on.
    let screen = terminal
        .shows(&["no answer since", "trying again", "▲"])
        .await;
    let second = |screen: &str| screen.split(" KST").next().unwrap().to_owned();
    let before = second(&screen);
    until("the clock goes on", async || {
        (second(&terminal.text()) != before).then_some(())
    })
    .await;
    world.redis.start_again().await;
    until("it is seen again", async || {
        let screen = terminal.text();
        (!screen.contains("no answer since") && screen.contains("1 leading")).then_some(())
    })
    .await;
    world.redis.freeze();
    terminal.shows(&["no answer since"]).await;
    world.redis.thaw();
    until("it answers again", async || {
        (!terminal.text().contains("no answer since")).then_some(())
    })
    .await;
    terminal.press(&["C-c"]);
    given_back(&terminal, 130).await;
}

#[tokio::test]
async fn signals_and_a_store_that_was_never_there_leave_the_terminal_whole() {
    let mut world = World::new(&["--limit", "0"]).await;
    world.file("list.csv", "code\n005930\n");
    world.redis.kill().await;
    let terminal = terminal(&world, 80, 24, &[]);
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        terminal.line("clear; rm -f pid");
        type_command(&terminal, "sh -c 'echo $$ > pid; exec $SISE top'");
        terminal.shows(&["no answer since"]).await;
        let process = std::fs::read_to_string(world.path().join("pid")).unwrap();
        crate::support::signal(process.trim().parse().unwrap(), signal);
        given_back(&terminal, code).await;
    }
}

#[tokio::test]
async fn without_a_terminal_it_says_what_to_do() {
    let world = World::new(&["--limit", "0"]).await;
    let outcome = world.sise(&["top"]).run().await.exits(2);
    let outcome = outcome.says(&["the live screen needs a terminal", "sise top gainers"]);
    assert_eq!(outcome.stdout, "");
    for arguments in [&["top", "--json"][..], &["top", "-n", "3"]] {
        let outcome = world.sise(arguments).run().await.exits(2);
        outcome.says(&["required", "KIND"]);
    }
}

#[tokio::test]
async fn the_demo_takes_the_screen_shows_its_address_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let variables = [
        ("SISE", env!("CARGO_BIN_EXE_sise")),
        ("TERM", "screen-256color"),
    ];
    let terminal = Tmux::start(home.path(), 80, 24, &variables);
    for (key, code) in [("q", 0), ("C-c", 130)] {
        terminal.line("clear");
        type_command(&terminal, "$SISE demo --interval 1s");
        // From the second sweep on there are changes.
        let parts = [
            "SIMULATED",
            "http://127.0.0.1:",
            "2,769 of 2,769 codes live",
            "halted",
            "gainers",
            "losers",
            "latest changes",
            "q or Ctrl-C ends it",
            "▲",
        ];
        let screen = terminal.shows(&parts).await;
        assert!(terminal.is_taken());
        let lines: Vec<&str> = screen.lines().collect();
        let at = |part: &str| lines.iter().position(|line| line.contains(part));
        assert_eq!(at("http://127.0.0.1:"), Some(1), "{screen}");
        assert_eq!(at("q or Ctrl-C"), Some(23), "{screen}");
        assert_eq!(at("gainers"), at("losers"), "{screen}");
        assert!(
            lines.iter().all(|line| line.chars().count() <= 80),
            "{screen}"
        );
        terminal.press(&[key]);
        given_back(&terminal, code).await;
        let left = terminal.text();
        for rubble in ["SIMULATED", "gainers", "http://", "█"] {
            assert!(!left.contains(rubble), "{left}");
        }
    }
}

#[tokio::test]
async fn answers_are_coloured_on_a_terminal_and_whole_at_any_width() {
    let world = World::new(&["--limit", "0"]).await;
    let daemon = daemon(&world);
    daemon.says(&["sweep done", "written=60"]).await;
    let terminal = terminal(&world, 100, 50, &[]);
    let typed = async |command: &str| {
        terminal.line("clear");
        type_command(&terminal, command);
        terminal.shows(&["it ended with 0"]).await;
        (terminal.text(), terminal.coloured())
    };
    let (red, blue, green) = ("\u{1b}[38;5;9m", "\u{1b}[38;5;12m", "\u{1b}[38;5;10m");
    let (text, colours) = typed("$SISE top gainers -n 3; $SISE top losers -n 3").await;
    assert!(colours.contains(red) && colours.contains(blue), "{text}");
    let codes = list::codes(CODES).join(" ");
    let (text, colours) = typed(&format!("$SISE get {codes}")).await;
    assert!(colours.contains(red) && colours.contains(blue), "{text}");
    let (text, colours) = typed("$SISE status").await;
    assert!(
        text.contains("100.0 %") && colours.contains(green),
        "{text}"
    );
    let (text, colours) = typed("NO_COLOR=1 $SISE status; NO_COLOR=1 $SISE top gainers").await;
    assert!(!colours.contains("\u{1b}[38"), "{text}");
    let (text, _) = typed("$SISE top gainers | cat -v").await;
    assert!(text.contains("gainers") && !text.contains("^["), "{text}");
    // A terminal that says it is nothing wide, or next to it.
    for columns in [0, 1] {
        let help = format!("stty cols {columns}; $SISE watch --help; stty cols 100");
        let (text, _) = typed(&help).await;
        assert!(text.contains("Put codes on a list"), "{text}");
    }
    let (text, _) = typed("stty cols 0; $SISE status; stty cols 100").await;
    let process = text.lines().find(|line| line.contains("leading"));
    assert!(
        process.is_some_and(|line| line.contains("shared")),
        "{text}"
    );
    daemon.signal("TERM");
    daemon.end().await.exits(143);
}
