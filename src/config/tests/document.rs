//! The settings as documents: the settings file with its comments, and the tables of
//! `docs/settings.md`. Both are made from the table of settings.
//!
//! `SISE_WRITE=1 cargo test --lib config::tests::document` writes them anew.

use std::fs;
use std::path::Path;

use super::super::keys::{KEYS, Key, SECTIONS, Section};

/// Width of the comments in the settings file.
const WIDTH: usize = 100;

const HEAD: &str = "\
Settings of sise. Every setting is here with its default, commented out. The environment wins over \
this file, and flags win over the environment. Each setting has a variable SISE__SECTION__KEY \
(SISE__STORE__TTL); some have a fixed variable too. `sise config` prints the settings in force and \
the source of each.";

fn keys_of(section: &Section) -> impl Iterator<Item = &'static Key> {
    let name = section.name;
    KEYS.iter().filter(move |key| {
        let (section, _) = key.name.split_once('.').unwrap();
        section == name
    })
}

/// A text as comment lines.
fn comment(text: &str) -> String {
    let mut lines = vec!["#".to_owned()];
    for word in text.split(' ') {
        let line = lines.last_mut().unwrap();
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(format!("# {word}"));
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

/// The settings file.
fn file() -> String {
    let mut file = comment(HEAD);
    for section in SECTIONS {
        file += &format!("\n{}[{}]\n", comment(section.about), section.name);
        for key in keys_of(section) {
            let variable = key
                .variable
                .map_or_else(String::new, |variable| format!(" Variable {variable}."));
            let (_, name) = key.name.split_once('.').unwrap();
            let is_bare = key.default.parse::<u64>().is_ok() || key.default.parse::<bool>().is_ok();
            let default = match is_bare {
                true => key.default.to_owned(),
                false => format!("\"{}\"", key.default),
            };
            file += &comment(&format!("{}{variable}", key.about));
            file += &format!("#{name} = {default}\n");
        }
    }
    file
}

/// The tables of the page.
fn tables() -> String {
    let mut tables = String::new();
    for section in SECTIONS {
        tables += &format!("\n## {}\n\n{}\n\n", section.name, section.about);
        tables += "| setting | variable | default | meaning |\n|---|---|---|---|\n";
        for key in keys_of(section) {
            let code = |text: &str| match text {
                "" => String::new(),
                text => format!("`{text}`"),
            };
            let general = key.general_variable();
            let variable = key.variable.unwrap_or(&general);
            let secret = if key.is_secret { " (secret)" } else { "" };
            tables += &format!(
                "| `{}`{secret} | `{variable}` | {} | {} |\n",
                key.name,
                code(key.default),
                key.about.replace('|', "\\|"),
            );
        }
    }
    tables + "\n"
}

/// Checks that the document at `path` is `wanted`, or writes it.
fn is_written(path: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("SISE_WRITE").is_some() {
        fs::write(&path, wanted).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert!(
        written == wanted,
        "{} is not what the table of settings says: SISE_WRITE=1 cargo test --lib config::tests::document \
         writes it anew",
        path.display()
    );
}

#[test]
fn the_settings_file_says_what_the_table_says() {
    is_written("config/sise.toml", &file());
}

#[test]
fn the_page_of_settings_says_what_the_table_says() {
    const BEGIN: &str = "<!-- settings -->\n";
    const END: &str = "<!-- end of settings -->\n";
    let path = "docs/settings.md";
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = [before, BEGIN, &tables(), END, after].concat();
    is_written(path, &wanted);
}

#[test]
fn every_setting_is_in_a_section_and_explained() {
    let listed: usize = SECTIONS
        .iter()
        .map(|section| keys_of(section).count())
        .sum();
    assert_eq!(listed, KEYS.len());
    for key in KEYS {
        assert!(key.about.ends_with('.'), "{}", key.name);
    }
}
