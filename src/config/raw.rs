//! The raw of the settings: defaults, file, `.env`, environment, flags. Later raw win.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::keys::{KEYS, Key};
use super::{ConfigError, dot_env, strangers};

/// The settings file that is read if none is named.
const USUAL_FILE: &str = "config/sise.toml";

/// The variable that names the settings file.
pub(super) const CONFIG: &str = "SISE_CONFIG";

/// The variables of a process or of its `.env` file.
pub type Environment = BTreeMap<String, String>;

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is not set.
    Default,
    /// A settings file.
    File(PathBuf),
    /// A variable of the `.env` file.
    DotEnv(String),
    /// A variable of the environment.
    Variable(String),
    /// A flag, or a call of the builder.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::DotEnv(variable) => write!(f, ".env {variable}"),
            Self::Variable(variable) => write!(f, "environment {variable}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// The text and origin of every setting.
#[derive(Clone)]
pub struct RawSettings {
    pub(super) values: BTreeMap<&'static str, (String, Origin)>,
    environment: Environment,
    strangers: Vec<String>,
}

impl RawSettings {
    /// Returns the defaults alone. The environment only decides about the place for state.
    #[must_use]
    pub fn unset() -> Self {
        Self::with_defaults(variables_of_process().unwrap_or_default())
    }

    pub(super) fn with_defaults(environment: Environment) -> Self {
        let default = |key: &Key| (key.name, (key.default.to_owned(), Origin::Default));
        Self {
            values: KEYS.iter().map(default).collect(),
            environment,
            strangers: Vec::new(),
        }
    }

    /// Reads file, `.env` and environment of the process, in its working directory.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read or a key does not exist.
    pub fn of_process() -> Result<Self, ConfigError> {
        Self::read(Path::new(""), variables_of_process()?)
    }

    /// Like [`RawSettings::of_process`], with `file` instead of the default settings file.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read or a key does not exist.
    pub fn of_process_with_file(file: &Path) -> Result<Self, ConfigError> {
        let mut environment = variables_of_process()?;
        environment.insert(CONFIG.to_owned(), file.display().to_string());
        Self::read(Path::new(""), environment)
    }

    /// Reads the files in `folder` and lays `environment` over them.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read or a key does not exist.
    pub fn read(folder: &Path, environment: Environment) -> Result<Self, ConfigError> {
        let mut raw = Self::with_defaults(environment.clone());
        let dot_env = read_dot_env(&folder.join(".env"))?;
        let named = [&environment, &dot_env]
            .into_iter()
            .find_map(|variables| variables.get(CONFIG))
            .filter(|path| !path.is_empty());
        match named {
            Some(path) => raw.lay_file(&folder.join(path))?,
            None if folder.join(USUAL_FILE).exists() => raw.lay_file(&folder.join(USUAL_FILE))?,
            None => {}
        }
        raw.lay_variables(&dot_env, Origin::DotEnv)?;
        raw.lay_variables(&environment, Origin::Variable)?;
        raw.strangers =
            strangers::look([(&dot_env, Origin::DotEnv), (&environment, Origin::Variable)])?;
        Ok(raw)
    }

    /// Sets a value from a flag.
    pub fn set(&mut self, key: &'static str, value: impl Into<String>) {
        self.values.insert(key, (value.into(), Origin::Flag));
    }

    /// Returns the origin of a setting.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.values.get(key).map(|(_, origin)| origin)
    }

    /// Returns every setting as people may see it: key, value (secrets redacted), origin.
    pub fn shown(&self) -> impl Iterator<Item = (&'static Key, String, &Origin)> {
        KEYS.iter().filter_map(|key| {
            let (_, origin) = self.values.get(key.name)?;
            Some((key, self.shown_value(key.name), origin))
        })
    }

    /// Returns notes about ignored variables that look like settings.
    #[must_use]
    pub fn strangers(&self) -> &[String] {
        &self.strangers
    }

    /// Returns a variable of the environment that is not a setting.
    pub(super) fn variable(&self, name: &str) -> Option<&String> {
        self.environment.get(name).filter(|value| !value.is_empty())
    }

    fn lay_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let trouble = |trouble: String| ConfigError::File {
            path: path.display().to_string(),
            trouble,
        };
        let bytes = std::fs::read(path).map_err(|error| trouble(error.to_string()))?;
        let text = utf8(&bytes).map_err(trouble)?;
        self.lay_text(text, path)
    }

    /// Lays the text of the settings file at `path` over the raw so far.
    pub(super) fn lay_text(&mut self, text: &str, path: &Path) -> Result<(), ConfigError> {
        let trouble = |trouble: String| ConfigError::File {
            path: path.display().to_string(),
            trouble,
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let line = |span: std::ops::Range<usize>| {
            let before = text.bytes().take(span.start);
            before.filter(|byte| *byte == b'\n').count() + 1
        };
        // No message quotes the line, which may contain a secret.
        let table = toml::de::DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(0, line);
            trouble(format!("line {line}: {}", error.message()))
        })?;
        let origin = Origin::File(path.to_owned());
        for (section, values) in table.get_ref() {
            let Some(entries) = values.get_ref().as_table() else {
                let place = format!("{origin} line {}", line(section.span()));
                return Err(unknown(section.get_ref(), &place));
            };
            for (name, value) in entries {
                let line = line(name.span());
                let full = format!("{}.{}", section.get_ref(), name.get_ref());
                let key = Key::of(&full)
                    .ok_or_else(|| unknown(&full, &format!("{origin} line {line}")))?;
                let text = match value.get_ref() {
                    DeValue::String(text) => text.to_string(),
                    DeValue::Integer(number) if !key.is_secret => number.to_string(),
                    DeValue::Float(number) if !key.is_secret => number.to_string(),
                    DeValue::Boolean(yes) if !key.is_secret => yes.to_string(),
                    DeValue::Array(_) | DeValue::Table(_) => {
                        return Err(trouble(format!("line {line}: {full} must be one value")));
                    }
                    // As a number, a secret would lose its leading zeros, and a time its form.
                    _ => {
                        return Err(trouble(format!("line {line}: {full} must be in quotes")));
                    }
                };
                self.values.insert(key.name, (text, origin.clone()));
            }
        }
        Ok(())
    }

    pub(super) fn lay_variables(
        &mut self,
        variables: &Environment,
        origin: impl Fn(String) -> Origin,
    ) -> Result<(), ConfigError> {
        for key in KEYS {
            // An empty variable counts as unset, because compose files pass unset ones that way.
            let fixed = key
                .variable
                .filter(|name| variables.get(*name).is_some_and(|value| !value.is_empty()));
            let general = key.general_variable();
            let general = Some(general.as_str()).filter(|name| variables.contains_key(*name));
            if let (Some(fixed), Some(general)) = (fixed, general)
                && variables.get(fixed) != variables.get(general)
            {
                let (fixed, general) = (origin(fixed.to_owned()), origin(general.to_owned()));
                return Err(ConfigError::Combination(format!(
                    "{fixed} and {general} are the same setting and differ: keep only one of them"
                )));
            }
            if let Some(name) = fixed.or(general)
                && let Some(value) = variables.get(name)
            {
                let from = origin(name.to_owned());
                self.values.insert(key.name, (value.clone(), from));
            }
        }
        let is_known = |name: &String| Key::of_variable(name).is_some();
        match variables
            .keys()
            .find(|name| name.starts_with("SISE__") && !is_known(name))
        {
            Some(name) => Err(unknown(name, &origin(name.clone()).to_string())),
            None => Ok(()),
        }
    }
}

/// Returns the text of a file, or a message with the line that is not UTF-8.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.iter().take(error.valid_up_to());
        let line = good.filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line}: not UTF-8; save the file as UTF-8")
    })
}

/// Returns the variables of this process. Those of other programs need not be UTF-8.
fn variables_of_process() -> Result<Environment, ConfigError> {
    let mut variables = Environment::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else {
            continue;
        };
        match value.into_string() {
            Ok(value) => {
                variables.insert(name, value);
            }
            Err(_) if Key::of_variable(&name).is_some() || name == CONFIG => {
                return Err(ConfigError::Combination(format!(
                    "environment {name} is refused: it is not UTF-8; set it again in UTF-8"
                )));
            }
            Err(_) => {}
        }
    }
    Ok(variables)
}

fn read_dot_env(path: &Path) -> Result<Environment, ConfigError> {
    match std::fs::read(path) {
        Ok(text) => dot_env::read(&text, path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Environment::new()),
        Err(error) => Err(ConfigError::File {
            path: path.display().to_string(),
            trouble: error.to_string(),
        }),
    }
}

fn unknown(written: &str, place: &str) -> ConfigError {
    let plain = written
        .trim_start_matches("SISE__")
        .to_lowercase()
        .replace("__", ".");
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let near = KEYS.iter().find(|key| last(key.name) == last(&plain));
    let near = near.or_else(|| {
        KEYS.iter().find(|key| {
            key.name
                .starts_with(plain.get(..plain.len().min(8)).unwrap_or_default())
        })
    });
    ConfigError::Unknown {
        key: written.to_owned(),
        origin: place.to_owned(),
        hint: near.map_or_else(
            || ": `sise config` lists all settings".to_owned(),
            |key| format!(": did you mean {}?", key.name),
        ),
    }
}

impl fmt::Debug for RawSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.shown().map(|(key, value, _)| (key.name, value));
        f.debug_map().entries(shown).finish()
    }
}
