//! Where values come from: defaults, file, `.env`, environment, flags. The later wins.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::ConfigError;
use super::keys::{KEYS, Key};

/// The file that is read when none is named.
const USUAL_FILE: &str = "config/sise.toml";

/// The variables of a process, and its `.env` file.
pub type Environment = BTreeMap<String, String>;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
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

/// Every setting's text and origin.
#[derive(Clone)]
pub struct Layers {
    pub(super) values: BTreeMap<&'static str, (String, Origin)>,
    environment: Environment,
}

impl Layers {
    /// Defaults alone. Of the environment only the place for state is taken.
    #[must_use]
    pub fn unset() -> Self {
        Self::with_defaults(variables_of_process())
    }

    pub(super) fn with_defaults(environment: Environment) -> Self {
        let default = |key: &Key| (key.name, (key.default.to_owned(), Origin::Default));
        Self {
            values: KEYS.iter().map(default).collect(),
            environment,
        }
    }

    /// Reads file, `.env` and environment of the process, in the folder where it runs.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or a key does not exist.
    pub fn of_process() -> Result<Self, ConfigError> {
        Self::read(Path::new(""), variables_of_process())
    }

    /// As [`Layers::of_process`], with `file` instead of the usual settings file.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or a key does not exist.
    pub fn of_process_with_file(file: &Path) -> Result<Self, ConfigError> {
        let mut environment = variables_of_process();
        environment.insert("SISE_CONFIG".to_owned(), file.display().to_string());
        Self::read(Path::new(""), environment)
    }

    /// Reads the files below `folder` and lays `environment` over them.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or a key does not exist.
    pub fn read(folder: &Path, environment: Environment) -> Result<Self, ConfigError> {
        let mut layers = Self::with_defaults(environment.clone());
        let dot_env = read_dot_env(&folder.join(".env"))?;
        let named = [&environment, &dot_env]
            .into_iter()
            .find_map(|variables| variables.get("SISE_CONFIG"))
            .filter(|path| !path.is_empty());
        match named {
            Some(path) => layers.lay_file(&folder.join(path))?,
            None if folder.join(USUAL_FILE).exists() => {
                layers.lay_file(&folder.join(USUAL_FILE))?
            }
            None => {}
        }
        layers.lay_variables(&dot_env, Origin::DotEnv)?;
        layers.lay_variables(&environment, Origin::Variable)?;
        Ok(layers)
    }

    /// Sets a value from a flag.
    pub fn set(&mut self, key: &'static str, value: impl Into<String>) {
        self.values.insert(key, (value.into(), Origin::Flag));
    }

    /// Where a setting came from.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.values.get(key).map(|(_, origin)| origin)
    }

    /// Every setting for people: name, value (secrets redacted), origin.
    pub fn shown(&self) -> impl Iterator<Item = (&'static Key, String, &Origin)> {
        KEYS.iter().filter_map(|key| {
            let (_, origin) = self.values.get(key.name)?;
            Some((key, self.shown_value(key.name), origin))
        })
    }

    /// A variable of the environment that is no setting.
    pub(super) fn variable(&self, name: &str) -> Option<&String> {
        self.environment.get(name).filter(|value| !value.is_empty())
    }

    fn lay_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::File {
            path: path.display().to_string(),
            trouble: error.to_string(),
        })?;
        self.lay_text(&text, path)
    }

    /// Lays the text of the settings file at `path`.
    pub(super) fn lay_text(&mut self, text: &str, path: &Path) -> Result<(), ConfigError> {
        let trouble = |trouble: String| ConfigError::File {
            path: path.display().to_string(),
            trouble,
        };
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            // The message quotes no line: it may be the one with the secret.
            let line = error.span().map_or(0, |span| {
                text.bytes()
                    .take(span.start)
                    .filter(|byte| *byte == b'\n')
                    .count()
                    + 1
            });
            trouble(format!("line {line}: {}", error.message()))
        })?;
        let origin = Origin::File(path.to_owned());
        for (section, values) in table {
            let Some(values) = values.as_table() else {
                return Err(unknown(&section, &origin));
            };
            for (name, value) in values {
                let full = format!("{section}.{name}");
                let key = Key::of(&full).ok_or_else(|| unknown(&full, &origin))?;
                let text = match value {
                    toml::Value::String(text) => text.clone(),
                    // A secret of digits would lose its leading zeros.
                    _ if key.is_secret => {
                        return Err(trouble(format!("{full} must stand in quotes")));
                    }
                    toml::Value::Integer(number) => number.to_string(),
                    toml::Value::Float(number) => number.to_string(),
                    toml::Value::Boolean(yes) => yes.to_string(),
                    _ => return Err(trouble(format!("{full} must be one value"))),
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
            // The fixed name wins: it is the one that other programs know too.
            let general = key.general_variable();
            for name in [Some(general.as_str()), key.variable].into_iter().flatten() {
                if let Some(value) = variables.get(name)
                    // A fixed name set to nothing, as compose files do, is not set.
                    && !(value.is_empty() && key.variable == Some(name))
                {
                    let from = origin(name.to_owned());
                    self.values.insert(key.name, (value.clone(), from));
                }
            }
        }
        let known: Vec<String> = KEYS.iter().map(Key::general_variable).collect();
        match variables
            .keys()
            .find(|name| name.starts_with("SISE__") && !known.contains(name))
        {
            Some(name) => Err(unknown(name, &origin(name.clone()))),
            None => Ok(()),
        }
    }
}

fn variables_of_process() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn read_dot_env(path: &Path) -> Result<Environment, ConfigError> {
    if !path.exists() {
        return Ok(Environment::new());
    }
    let text = std::fs::read(path).map_err(|error| ConfigError::File {
        path: path.display().to_string(),
        trouble: error.to_string(),
    })?;
    dot_env(&text, path)
}

/// The variables in the text of the `.env` file at `path`.
pub(super) fn dot_env(text: &[u8], path: &Path) -> Result<Environment, ConfigError> {
    dotenvy::from_read_iter(text)
        .map(|pair| {
            // The message would quote the line, and it may be the one with the secret.
            pair.map_err(|_| ConfigError::File {
                path: path.display().to_string(),
                trouble: "a line that is not NAME=VALUE".to_owned(),
            })
        })
        .collect()
}

fn unknown(written: &str, origin: &Origin) -> ConfigError {
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
        origin: origin.to_string(),
        hint: near.map_or_else(
            || ": `sise config` lists all settings".to_owned(),
            |key| format!(": did you mean {}?", key.name),
        ),
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.shown().map(|(key, value, _)| (key.name, value));
        f.debug_map().entries(shown).finish()
    }
}
