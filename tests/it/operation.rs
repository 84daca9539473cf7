//! Proves that what is shipped to watch the program by, a dashboard and rules for alerts, names
//! metrics and labels that there are, and that metrics are named and described by convention.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking, and sources are cut at ASCII"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use sise::config::{RawSettings, Settings};
use sise_net::descriptors::Descriptors;

use crate::support::world::World;
use crate::support::{http, list, until};

/// Kind and help of a metric.
type Described = BTreeMap<String, (String, String)>;

fn shipped(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// All sources of the program in one text.
fn program() -> String {
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    sources(&root.join("src"), &mut found);
    sources(&root.join("crates"), &mut found);
    assert!(found.len() > 100, "the sources are not where they were");
    let texts = found.iter().map(|path| fs::read_to_string(path).unwrap());
    texts.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_unit_gives_as_many_files_as_the_connections_that_are_promised() {
    let unit = shipped("scripts/sise.service");
    let mut lines = unit.lines();
    let limit = lines.find_map(|line| line.strip_prefix("LimitNOFILE="));
    let soft = limit.unwrap().parse().unwrap();
    let promised = Settings::new(&RawSettings::unset())
        .unwrap()
        .api
        .connections;
    assert_eq!(Descriptors { soft, hard: soft }.room(promised), promised);
}

/// What stands between the first two quotation marks, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let (_, rest) = text.split_once('"')?;
    rest.split_once('"')
}

/// What every Prometheus client tells of its process, as far as anything of ours names it.
const OF_PROCESS: [(&str, &str); 3] = [
    ("counter", "process_cpu_seconds_total"),
    ("gauge", "process_open_fds"),
    ("gauge", "process_resident_memory_bytes"),
];

/// What `src/telemetry.rs` describes, and what is told of the process.
fn described() -> Described {
    let text = shipped("src/telemetry.rs");
    let mut described = Described::new();
    for kind in ["counter", "gauge", "histogram"] {
        for part in text.split(&format!("describe_{kind}!(")).skip(1) {
            let call = part.split(");").next().unwrap();
            let (name, rest) = quoted(call).unwrap();
            let (help, _) = quoted(rest).unwrap_or_else(|| panic!("{name} has no help"));
            let entry = (kind.to_owned(), help.to_owned());
            let before = described.insert(name.to_owned(), entry);
            assert_eq!(before, None, "{name} is described twice");
        }
    }
    assert!(described.len() > 50, "{described:?}");
    for (kind, name) in OF_PROCESS {
        let entry = (kind.to_owned(), "Of the process".to_owned());
        described.insert(name.to_owned(), entry);
    }
    described
}

/// The names of sise's metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let starts = ["sise_", "process_"].map(|start| text.match_indices(start));
    let starts = starts.into_iter().flatten().map(|(at, _)| at);
    let free = starts.filter(|at| {
        let before = text[..*at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || before == '_')
    });
    let name = |at: usize| {
        let rest = &text[at..];
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
        rest[..end.unwrap_or(rest.len())].to_owned()
    };
    free.map(name).collect()
}

/// The metric that a series is of: a histogram is several.
fn metric(series: &str, described: &Described) -> Option<String> {
    if described.contains_key(series) {
        return Some(series.to_owned());
    }
    let base = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|end| series.strip_suffix(end))?;
    let is_histogram = described
        .get(base)
        .is_some_and(|(kind, _)| kind == "histogram");
    is_histogram.then(|| base.to_owned())
}

/// Title and expression of each thing that a dashboard shows.
fn shown() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&shipped("config/grafana-dashboard.json")).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let is_source = |variable: &&Value| variable["type"] == "datasource";
    let source = variables.iter().find(is_source).unwrap();
    assert_eq!(source["query"], "prometheus");
    let source = format!("${{{}}}", source["name"].as_str().unwrap());
    let mut ids = BTreeSet::new();
    let mut shown = Vec::new();
    let mut rows = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap().to_owned();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let place = &panel["gridPos"];
        let end = place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap();
        assert!(end <= 24, "{title} does not fit");
        if panel["type"] == "row" {
            rows.push(title);
            continue;
        }
        assert!(
            !panel["description"].as_str().unwrap().is_empty(),
            "{title}"
        );
        for target in panel["targets"].as_array().unwrap() {
            // Whoever imports it says which Prometheus it is.
            assert_eq!(target["datasource"]["uid"], source, "{title}");
            let expression = target["expr"].as_str().unwrap().to_owned();
            shown.push((title.clone(), expression));
        }
    }
    let expected = [
        "Market",
        "Sweeps",
        "Calls against the limit",
        "Ages",
        "Feed",
        "API and stream",
        "Redis",
        "Processes",
    ];
    assert_eq!(rows, expected);
    shown
}

/// A value of YAML that means the same with and without a careful reader.
fn is_plain(value: &str) -> bool {
    if let Some(inside) = value.strip_prefix('"') {
        return inside
            .strip_suffix('"')
            .is_some_and(|text| !text.contains(['"', '\\']));
    }
    let special = [
        '{', '}', '[', ']', '&', '*', '!', '|', '>', '\'', '%', '@', '`', '#',
    ];
    !value.starts_with(special) && !value.contains(": ") && !value.contains(" #")
}

/// Name and expression of each rule for alerts. The file is read line by line: it keeps to the few
/// shapes of YAML that every reader agrees on.
fn rules() -> Vec<(String, String)> {
    let text = shipped("config/alert-rules.yml");
    let mut rules: Vec<BTreeMap<String, String>> = Vec::new();
    for line in text.lines() {
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let indent = line.len() - content.len();
        let item = content.strip_prefix("- ");
        let depth = indent + if item.is_some() { 2 } else { 0 };
        assert!(depth.is_multiple_of(2) && !line.contains('\t'), "{line}");
        let (key, value) = item.unwrap_or(content).split_once(':').unwrap();
        let value = value.trim();
        assert!(is_plain(value), "quotation marks are missing: {line}");
        match (depth, key) {
            (0, "groups") | (4, "name" | "rules") => {}
            (8, "alert" | "record") => {
                rules.push(BTreeMap::from([(key.to_owned(), value.to_owned())]));
            }
            (8, "expr" | "for" | "labels" | "annotations")
            | (10, "severity" | "summary" | "action") => {
                let before = rules
                    .last_mut()
                    .unwrap()
                    .insert(key.to_owned(), value.to_owned());
                assert_eq!(before, None, "{line}");
            }
            _ => panic!("unexpected: {line}"),
        }
    }
    let mut seen = BTreeSet::new();
    let (recorded, mut rules): (Vec<_>, Vec<_>) = rules
        .into_iter()
        .partition(|rule| rule.contains_key("record"));
    for record in recorded {
        // What is recorded shows what it is recorded from.
        for rule in &mut rules {
            let expression = rule.get_mut("expr").unwrap();
            *expression = expression.replace(&record["record"], &format!("({})", record["expr"]));
        }
    }
    for rule in &rules {
        let name = &rule["alert"];
        assert!(
            name.starts_with("Sise") && seen.insert(name.clone()),
            "{name}"
        );
        assert!(
            ["critical", "warning"].contains(&rule["severity"].as_str()),
            "{name}"
        );
        assert!(
            rule["summary"].len() > 20 && rule["action"].len() > 20,
            "{name}"
        );
        if let Some(time) = rule.get("for") {
            assert!(time.ends_with('m') || time.ends_with('s'), "{name}: {time}");
        }
    }
    rules
        .into_iter()
        .map(|rule| (rule["alert"].clone(), rule["expr"].clone()))
        .collect()
}

/// The labels that an expression picks or groups by.
fn labels(expression: &str) -> BTreeSet<String> {
    let mut labels = BTreeSet::new();
    for word in ["by (", "on (", "ignoring ("] {
        for part in expression.split(word).skip(1) {
            let inside = part.split(')').next().unwrap();
            labels.extend(inside.split(',').map(|label| label.trim().to_owned()));
        }
    }
    for part in expression.split('{').skip(1) {
        let inside = part.split('}').next().unwrap();
        // Commas stand between matchers only: no value of ours has one.
        for matcher in inside.split(',') {
            let end = matcher.find(['=', '!']).unwrap();
            labels.insert(matcher[..end].trim().to_owned());
        }
    }
    labels.remove("");
    labels
}

#[test]
fn dashboard_and_rules_name_metrics_and_labels_that_there_are() {
    let described = described();
    let program = program();
    let mut known: BTreeSet<String> = ["le", "job", "instance"].map(str::to_owned).into();
    for (at, _) in program.match_indices("\" =>") {
        let start = program[..at].rfind('"').unwrap();
        known.insert(program[start + 1..at].to_owned());
    }
    let rules = rules();
    assert!(rules.len() >= 15, "{rules:?}");
    let mut used = BTreeSet::new();
    for (title, expression) in shown().iter().chain(&rules) {
        let series = names(expression);
        assert!(
            !series.is_empty(),
            "{title} shows nothing of sise: {expression}"
        );
        for series in series {
            let name = metric(&series, &described);
            let name = name.unwrap_or_else(|| panic!("{title}: there is no {series}"));
            let is_counter = described[&name].0 == "counter";
            // Or held against itself of before.
            let is_rated = ["rate(", "increase(", "changes(", " offset "]
                .iter()
                .any(|word| expression.contains(word));
            assert!(
                !is_counter || is_rated,
                "{title}: the counter {name} as it stands"
            );
            used.insert(name);
        }
        for label in labels(expression) {
            assert!(known.contains(&label), "{title}: there is no label {label}");
        }
        for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
            let count = |sign| expression.matches(sign).count();
            assert_eq!(count(open), count(close), "{title}: {expression}");
        }
    }
    // What nobody looks at need not be counted.
    let unseen: Vec<_> = described
        .keys()
        .filter(|name| !used.contains(*name))
        .collect();
    assert!(
        unseen.is_empty(),
        "neither on the dashboard nor in a rule: {unseen:?}"
    );
}

#[test]
fn metrics_are_named_by_convention_and_described() {
    let described = described();
    for (name, (kind, help)) in &described {
        let is_of = |end: &str| name.ends_with(end);
        assert_eq!(kind == "counter", is_of("_total"), "{name} is a {kind}");
        if kind == "histogram" {
            assert!(is_of("_seconds") || is_of("_bytes"), "{name} has no unit");
        }
        // Base units: seconds, bytes, ratios.
        for other in ["_ms", "millis", "minute", "hour", "percent", "kilo", "mega"] {
            assert!(!name.contains(other), "{name} is in no base unit");
        }
        assert!(help.len() > 8 && !help.ends_with('.'), "{name}: '{help}'");
    }
    let program = program();
    let mut used = BTreeSet::new();
    for kind in ["counter", "gauge", "histogram"] {
        for (at, call) in program.match_indices(&format!("{kind}!(")) {
            if program[..at].ends_with("describe_") {
                continue;
            }
            let rest = program[at + call.len()..].trim_start();
            // A name in a variable is one of a list of names, which are looked at below.
            let Some(rest) = rest.strip_prefix('"') else {
                continue;
            };
            let name = rest.split('"').next().unwrap().to_owned();
            let (known, _) = described
                .get(&name)
                .unwrap_or_else(|| panic!("{name} is not described in src/telemetry.rs"));
            assert_eq!(known, kind, "{name}");
            used.insert(name);
        }
    }
    used.extend(OF_PROCESS.map(|(_, name)| name.to_owned()));
    for name in described.keys() {
        assert!(used.contains(name), "{name} is described and never counted");
    }
}

/// Runs promtool, with `input`, and says what it finds fault with.
fn promtool(arguments: &[&str], input: &str) -> Result<(), String> {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool of Debian's package prometheus");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    if output.status.success() {
        Ok(())
    } else {
        Err(said.concat())
    }
}

const STORIES: &str = "tests/operation/alert-rules.test.yml";

#[test]
fn each_rule_fires_for_as_long_as_its_fault_lasts() {
    promtool(&["check", "rules", "config/alert-rules.yml"], "").unwrap();
    promtool(&["test", "rules", STORIES], "").unwrap();
    let stories = shipped(STORIES);
    for (name, _) in rules() {
        let label = format!("alertname=\"{name}\", job=\"a\"");
        assert!(stories.contains(&label), "no story tells of {name}");
    }
}

#[tokio::test]
async fn prometheus_finds_no_fault_with_the_metrics_of_daemon_and_server() {
    let world = World::new(&["--limit", "0"]).await;
    let codes = list::codes(60).join("\n");
    world.file("list.csv", &format!("code\n{codes}\n"));
    let process = |arguments: &[&str]| {
        world
            .fast_sise(arguments)
            .set("SISE__UNIVERSE__SOURCE", "csv")
            .set("SISE__UNIVERSE__FILE", "list.csv")
            .set("SISE__SCHEDULE__INTERVAL", "1s")
            .start()
    };
    let daemon = process(&["run", "--always-open"]);
    daemon.says(&["sweep done", "written=60"]).await;
    let server = process(&["serve"]);
    for process in [&daemon, &server] {
        let address = process.health_address().await;
        http::get(&address, "/v1/prices/005930");
        let text = http::get(&address, "/metrics").unwrap().body;
        promtool(&["check", "metrics"], &text).unwrap_or_else(|said| panic!("{said}"));
    }
    for process in [daemon, server] {
        process.signal("TERM");
        process.end().await.exits(143);
    }
}

#[tokio::test]
async fn a_running_program_renders_what_is_described() {
    let world = World::new(&["--limit", "0"]).await;
    let codes = list::codes(60).join("\n");
    world.file("list.csv", &format!("code\n{codes}\n"));
    let daemon = world
        .fast_sise(&["run", "--always-open"])
        .set("SISE__UNIVERSE__SOURCE", "csv")
        .set("SISE__UNIVERSE__FILE", "list.csv")
        .set("SISE__SCHEDULE__INTERVAL", "1s")
        .start();
    daemon.says(&["sweep done", "written=60"]).await;
    let address = daemon.health_address().await;
    http::get(&address, "/v1/prices/005930");
    let text = until("the metrics tell of it", async || {
        let text = http::get(&address, "/metrics")?.body;
        let lines = ["sise_leading 1", "sise_fresh_ratio 1", "sise_sweeps_total "];
        lines.iter().all(|line| text.contains(line)).then_some(text)
    })
    .await;
    let described = described();
    let mut kinds = BTreeMap::new();
    let mut helps = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => drop(kinds.insert(name, kind)),
            (Some("#"), Some("HELP"), Some(name), Some(help)) => drop(helps.insert(name, help)),
            _ => {}
        }
    }
    let is_ours = |name: &str| !name.starts_with("process_");
    for (name, kind) in kinds.iter().filter(|(name, _)| is_ours(name)) {
        let (known, help) = described
            .get(*name)
            .unwrap_or_else(|| panic!("{name} is unknown"));
        assert_eq!(known, kind, "{name}");
        assert_eq!(helps.get(name), Some(&help.as_str()), "{name}");
    }
    // A rate over a counter that appears with its first event misses that event.
    let events = [
        "sise_cache_",
        "sise_http_requests",
        "sise_missing",
        "sise_price_age",
        "sise_rows_refused",
        "sise_task_failures",
        // Where a feed is set up.
        "sise_feed_connected",
    ];
    for (name, (kind, _)) in &described {
        let is_by_event = kind == "histogram" || events.iter().any(|start| name.starts_with(start));
        assert!(
            is_by_event || kinds.contains_key(name.as_str()),
            "{name} is not there"
        );
    }
    for name in [
        "sise_market_open",
        "sise_call_limit_per_second",
        "sise_price_age_seconds",
    ] {
        assert!(kinds.contains_key(name), "{name} is not there");
    }
    daemon.signal("TERM");
    daemon.end().await.exits(143);
}
