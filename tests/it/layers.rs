//! Keeps the layers of `src/lib.rs`: a module imports only what lies below it.
#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "a test that fails is a panic, and the sources are ASCII where they are cut"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Modules from the ground up. A module may import those of lower rows, and those of its own row
/// only where the table below says so.
const LAYERS: &[&[&str]] = &[
    &[
        "universe",
        "calendar",
        "sweep",
        "reader",
        "leadership",
        "provenance",
        "journal",
        "ping",
    ],
    &[
        "board", "broker", "fleet", "feed", "presence", "ledger", "movers", "closes", "watch",
        "clients",
    ],
    &["alerts", "planner", "freshness", "telemetry"],
    &["schedule"],
    &["status"],
    &["api"],
    // Above the services, so that none of them knows the settings.
    &["config"],
    &["setup"],
    &["daemon"],
    &["cli"],
];

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source of the workspace, with the name of its crate in front, or nothing for the product's.
fn sources() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = fs::read_dir(root.join("crates")).unwrap();
    let mut roots: Vec<_> = crates
        .map(|entry| {
            let entry = entry.unwrap();
            let name = format!("{}/", entry.file_name().to_str().unwrap());
            (name, entry.path().join("src"))
        })
        .collect();
    roots.push((String::new(), root.join("src")));
    let mut sources = Vec::new();
    for (name, root) in roots {
        let mut found = Vec::new();
        files(&root, &mut found);
        assert!(!found.is_empty(), "{name} has no sources");
        sources.extend(found.into_iter().map(|path| {
            let inside = path.strip_prefix(&root).unwrap().to_str().unwrap();
            (format!("{name}{inside}"), path)
        }));
    }
    sources
}

/// The modules that a text imports: `crate::module`, alone or in a group.
fn imports(text: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for (place, _) in text.match_indices("crate::") {
        let rest = &text[place + "crate::".len()..];
        let group = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap_or_default(),
            None => rest,
        };
        let names = group.split(',').map(|name| {
            let name = name.trim();
            let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            name[..end.unwrap_or(name.len())].to_owned()
        });
        match rest.starts_with('{') {
            true => modules.extend(names),
            false => modules.extend(names.take(1)),
        }
    }
    modules
}

#[test]
fn no_module_imports_what_lies_above_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&source, &mut found);
    assert!(found.len() > 40, "the sources are not where they were");
    let mut wrong = Vec::new();
    for path in found {
        let inside = path.strip_prefix(&source).unwrap();
        let first = inside.components().next().unwrap().as_os_str();
        let module = Path::new(first).file_stem().unwrap().to_str().unwrap();
        // Tests may wire what they need.
        let is_test = inside
            .iter()
            .any(|part| part == "tests" || part == "tests.rs");
        // The fuzzer's door opens on every parser.
        if ["lib", "main", "fuzzing"].contains(&module) || is_test {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for import in imports(code) {
            let allowed = match (module, import.as_str()) {
                (module, import) if module == import => true,
                (_, import) => match (rank(module), rank(import)) {
                    (Some(own), Some(other)) => other < own,
                    _ => false,
                },
            };
            if !allowed {
                wrong.push(format!("{} imports {import}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Where something is spawned beside `supervisor`, and why it may be. What is spawned there ends by
/// itself, and whoever spawns it waits for it and hears of a panic.
const SPAWNS: &[(&str, usize, &str)] = &[
    ("api/market.rs", 2, "awaited: work for a thread of its own"),
    ("api/server.rs", 1, "a connection, seen"),
    (
        "cache/count_file.rs",
        1,
        "awaited: work for a thread of its own",
    ),
    ("cli/get.rs", 1, "last words, which end by themselves"),
    ("cli/terminal.rs", 1, "a thread that reads keys"),
    ("cli/top/screen.rs", 1, "the screen ends with it"),
    (
        "cli/traces.rs",
        1,
        "awaited: the exporter has a thread without a runtime",
    ),
    ("fleet/worker.rs", 1, "a batch, joined"),
    ("kis/ban_file.rs", 1, "awaited: a file is written"),
    ("kis/token_file.rs", 1, "awaited: a file is written"),
    ("schedule/runs.rs", 1, "a sweep, joined"),
    (
        "sim/connections.rs",
        1,
        "a connection; the simulator stands apart",
    ),
    (
        "sim/server.rs",
        1,
        "serves and ends; the command waits for it",
    ),
    ("store/files.rs", 1, "awaited: a file is written"),
    (
        "store/redis/prices.rs",
        2,
        "two questions at once, which end by themselves",
    ),
    ("sweep.rs", 1, "a batch, joined"),
];

/// Whether a line starts something that runs by itself, or runs loops of which one may end unseen.
fn spawns(line: &str) -> bool {
    let starts = ["spawn(", "spawn_blocking(", "spawn_local(", "tokio::join!("];
    let code = line.split("//").next().unwrap_or_default();
    starts.iter().any(|start| code.contains(start))
}

/// A task that nobody looks after dies unseen.
#[test]
fn nothing_is_spawned_beside_the_supervisor() {
    let mut wrong = Vec::new();
    for (inside, path) in sources() {
        if inside.contains("tests") || inside.starts_with("net/supervisor") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let count = code.lines().filter(|line| spawns(line)).count();
        let allowed = SPAWNS.iter().find(|(file, ..)| *file == inside);
        let allowed = allowed.map_or(0, |(_, count, _)| *count);
        if count != allowed {
            wrong.push(format!(
                "{inside} spawns {count} times, {allowed} are known"
            ));
        }
    }
    assert!(wrong.is_empty(), "use supervisor::Tasks: {wrong:#?}");
}

/// Files that may be read or written where they stand, which holds up the thread, and why.
const BLOCKING: &[(&str, usize, &str)] = &[
    (
        "cache/count_file.rs",
        4,
        "on a thread of its own; opened at the start of a process",
    ),
    ("cli/doctor.rs", 3, "a command that does nothing beside"),
    (
        "cli/output.rs",
        1,
        "devices, before a command shows a token",
    ),
    ("calendar.rs", 1, "at the start of a process"),
    ("config/mod.rs", 1, "at the start of a process"),
    ("config/raw.rs", 3, "at the start of a process"),
    (
        "net/atomic_file.rs",
        6,
        "says so: its callers give it a thread of its own",
    ),
    ("net/unique.rs", 1, "at the start of a process; in memory"),
    ("sim/replay.rs", 1, "at the start of a process"),
];

/// A disk that hangs must not hold up what else runs on the thread.
#[test]
fn no_file_is_waited_for_on_a_thread_of_the_runtime() {
    let blocks = |line: &&str| {
        let code = line.split("//").next().unwrap_or_default();
        let calls = [
            "OpenOptions::new(",
            "File::open(",
            "File::create(",
            ".exists()",
            ".metadata()",
            ".is_file()",
            ".is_dir()",
            "to_socket_addrs(",
            "thread::sleep(",
        ];
        let is_file = code.contains("fs::") && !code.contains("tokio::fs::");
        let is_use = code.trim_start().starts_with("use ");
        !is_use && (is_file || calls.iter().any(|call| code.contains(call)))
    };
    let mut wrong = Vec::new();
    for (inside, path) in sources() {
        if inside.contains("tests") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines: Vec<&str> = code.lines().filter(blocks).collect();
        let allowed = BLOCKING.iter().find(|(file, ..)| *file == inside);
        let allowed = allowed.map_or(0, |(_, count, _)| *count);
        if lines.len() != allowed {
            wrong.push(format!("{inside}, where {allowed} are known: {lines:#?}"));
        }
    }
    assert!(wrong.is_empty(), "use tokio::fs: {wrong:#?}");
}
