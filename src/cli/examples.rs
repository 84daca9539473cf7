//! Examples at the end of every `--help`.

use clap::Command;

/// Each command and its examples. A test parses them all.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "sise",
        &[
            "sise demo                       # a simulated market: no key, no Redis",
            "sise doctor                     # what is wrong with the set-up, and how to fix it",
            "sise run                        # the daemon",
            "sise get 삼성전자 000660",
        ],
    ),
    (
        "sise run",
        &[
            "sise run                        # the daemon, until Ctrl-C",
            "sise run --once --json          # one pass over the whole list",
            "sise run --once --codes 005930,000660",
            "sise run --once --if-open       # for cron: nothing while the market is closed",
        ],
    ),
    (
        "sise serve",
        &["sise serve", "sise serve --set api.listen=127.0.0.1:8788"],
    ),
    (
        "sise search",
        &[
            "sise search 삼성",
            "sise search ㅅㅅㅈㅈ            # by initial consonants",
            "sise search naver -n 5 --json",
        ],
    ),
    (
        "sise get",
        &[
            "sise get 005930 0126Z0",
            "sise get 삼성전자 --max-age 5s  # asks the broker if the price is older",
            "sise get 005930,000660 --json",
            "sise get 005930 --allow-stale 10m --within 300ms",
        ],
    ),
    (
        "sise plan",
        &[
            "sise plan                       # for the stock list and settings at hand",
            "sise plan --count 2769 --watched 100",
            "sise plan --codes 005930,000660 --set kis.env=paper --json",
        ],
    ),
    (
        "sise calendar",
        &[
            "sise calendar",
            "sise calendar --at 2026-11-19T16:25",
            "sise calendar --days 10 --json",
        ],
    ),
    (
        "sise universe",
        &[
            "sise universe",
            "sise universe --source shipped --json",
            "sise universe --accept          # take a list that lost many codes",
        ],
    ),
    (
        "sise sim",
        &[
            "sise sim",
            "sise sim --listen 127.0.0.1:9080 --mode paper",
            "sise sim --latency 270ms --refuse 0.02 --garbage 0.01",
        ],
    ),
    (
        "sise demo",
        &[
            "sise demo                       # q ends it",
            "sise demo --seed 7 --interval 5s --listen 127.0.0.1:8787",
        ],
    ),
    ("sise doctor", &["sise doctor", "sise doctor --json"]),
    (
        "sise status",
        &["sise status", "sise status --sweeps 20 --json"],
    ),
    (
        "sise why",
        &[
            "sise why 005930                 # since when its price is unchanged, or why it has none",
            "sise why --last-skip",
            "sise why --at 10:15             # what was going on then",
        ],
    ),
    (
        "sise top",
        &[
            "sise top                        # the live screen",
            "sise top gainers -n 20 --market KOSDAQ",
            "sise top value --json",
        ],
    ),
    (
        "sise watch",
        &["sise watch add mine 005930 삼성전기", "sise watch list"],
    ),
    (
        "sise watch add",
        &[
            "sise watch add mine 005930 000660",
            "sise watch add mine 삼성전자,SK하이닉스",
        ],
    ),
    (
        "sise watch remove",
        &[
            "sise watch remove mine 005930",
            "sise watch remove mine          # the whole list",
        ],
    ),
    (
        "sise watch list",
        &["sise watch list", "sise watch list mine --json"],
    ),
    (
        "sise clients",
        &["sise clients add desk", "sise clients list"],
    ),
    ("sise clients add", &["sise clients add desk"]),
    ("sise clients remove", &["sise clients remove desk"]),
    (
        "sise clients list",
        &["sise clients list", "sise clients list --json"],
    ),
    (
        "sise alert",
        &[
            "sise alert add low --codes 005930 --price-below 70000",
            "sise alert list --fired",
        ],
    ),
    (
        "sise alert add",
        &[
            "sise alert add low --codes 005930 --price-below 70000",
            "sise alert add jumps --list mine --jump 3 --within 5m",
            "sise alert add moves --market --change-beyond 10 --every 1h",
            "sise alert add thin --coverage-below 90 --for 3m",
        ],
    ),
    ("sise alert remove", &["sise alert remove low"]),
    (
        "sise alert list",
        &["sise alert list", "sise alert list --fired --json"],
    ),
    (
        "sise alert test",
        &["sise alert test low              # sends a test alert through all channels"],
    ),
    (
        "sise config",
        &["sise config", "sise config --set store.ttl=90s --json"],
    ),
    (
        "sise completions",
        &[
            "sise completions bash > ~/.local/share/bash-completion/completions/sise",
            "sise completions zsh",
        ],
    ),
];

/// Returns the command and its subcommands with their examples.
pub(super) fn added(command: Command) -> Command {
    added_at(command, "sise")
}

fn added_at(mut command: Command, path: &str) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    for name in names {
        let path = format!("{path} {name}");
        command = command.mut_subcommand(name, |command| added_at(command, &path));
    }
    let Some((_, lines)) = EXAMPLES.iter().find(|(of, _)| *of == path) else {
        return command;
    };
    let mut text = format!("Examples:\n  {}", lines.join("\n  "));
    if let Some(words) = command.get_after_help() {
        text = format!("{text}\n\n{words}");
    }
    command.after_help(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command;

    fn check(command: &Command, path: &str) {
        let examples = EXAMPLES.iter().find(|(of, _)| *of == path);
        let (_, lines) = examples.unwrap_or_else(|| panic!("'{path}' has no examples"));
        for line in *lines {
            let typed = line.split(['#', '>']).next().unwrap_or_default().trim();
            assert!(
                typed == path || typed.starts_with(&format!("{path} ")) || path == "sise",
                "'{typed}' of '{path}'"
            );
            let words = typed.split_whitespace();
            let parsed = super::super::command().try_get_matches_from(words);
            assert!(parsed.is_ok(), "'{typed}': {}", parsed.unwrap_err());
        }
        for beneath in command.get_subcommands() {
            if beneath.get_name() != "help" {
                check(beneath, &format!("{path} {}", beneath.get_name()));
            }
        }
    }

    #[test]
    fn every_help_has_examples_that_work() {
        check(&command(), "sise");
    }

    #[test]
    fn every_example_belongs_to_a_command() {
        for (path, _) in EXAMPLES {
            let mut command = command();
            for name in path.split(' ').skip(1) {
                let beneath = command.find_subcommand(name).cloned();
                command = beneath.unwrap_or_else(|| panic!("there is no '{path}'"));
            }
            let help = command.render_long_help().to_string();
            assert!(help.contains("Examples:"), "{help}");
        }
    }
}
