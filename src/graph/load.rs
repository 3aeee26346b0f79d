//! Puts a pipeline file together: the file, then the environment, then `--set`.
//!
//! `FERROFLOW_A__B=value` sets the key `a.b`; `FERROFLOW_NAME=value` sets the parameter `name` where the file has it.
//! `--set key=value` sets a key by its path, or a parameter by its bare name. Where the file has text, the
//! value is text; elsewhere it is read as TOML where it is TOML, else as text.

use std::{env, fs, path::Path};

use super::{GraphError, PipelineFile, keys, value};

const PREFIX: &str = "FERROFLOW_";

/// Loads a file with what the environment and `sets` (each `key=value`) change in it.
pub fn load(path: &Path, sets: &[String]) -> Result<PipelineFile, GraphError> {
    let text =
        fs::read_to_string(path).map_err(|source| GraphError::Read { path: path.to_owned(), source })?;
    parse(path, &text, environment(), sets)
}

/// The environment's variables. Those that are no text can set nothing.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
}

/// As [`load`], from text; `path` is for messages and for the default name.
pub fn parse(
    path: &Path,
    text: &str,
    environment: impl Iterator<Item = (String, String)>,
    sets: &[String],
) -> Result<PipelineFile, GraphError> {
    let syntax = |error: &dyn std::fmt::Display| GraphError::Syntax {
        path: path.to_owned(),
        reason: value::in_words(error.to_string().trim_end()),
    };
    // Parsed here first: this error has line and column, and the file's parameters decide what names mean.
    let own: toml::Value = toml::from_str(text).map_err(|error| syntax(&error))?;
    keys::check(path, &own, &keys::PIPELINE_FILE, "")?;
    let is_parameter = |name: &str| own.get("parameters").and_then(|table| table.get(name)).is_some();
    let typed = |target: &str, text: &str| {
        let now = target.split('.').try_fold(&own, |table, key| table.get(key));
        let value = value::read_beside(text, now);
        // Text would be as good as true where nodes are left out by it.
        if now.is_some_and(toml::Value::is_bool) && !value.is_bool() {
            let (key, text) = (target.trim_start_matches("parameters.").to_owned(), text.to_owned());
            return Err(GraphError::NoBoolean { path: path.to_owned(), key, text });
        }
        Ok(value_kind(value))
    };
    let mut builder =
        config::Config::builder().add_source(config::File::from_str(text, config::FileFormat::Toml));
    for (key, value) in environment {
        let Some(name) = key.strip_prefix(PREFIX).map(str::to_ascii_lowercase) else { continue };
        let target = if name.contains("__") {
            name.replace("__", ".").replace('_', "-")
        } else if is_parameter(&name) {
            format!("parameters.{name}")
        } else {
            continue;
        };
        let value = typed(&target, &value)?;
        builder = builder.set_override(target, value).map_err(|error| syntax(&error))?;
    }
    for set in sets {
        let (key, value) = set.split_once('=').ok_or_else(|| GraphError::BadSet(set.clone()))?;
        let key = key.trim();
        let target = if is_parameter(key) { format!("parameters.{key}") } else { key.to_owned() };
        has_place(path, &own, &target)?;
        let value = typed(&target, value)?;
        builder = builder.set_override(target, value).map_err(|error| syntax(&error))?;
    }
    let merged = builder.build().map_err(|error| syntax(&error))?;
    let merged: toml::Value = merged.try_deserialize().map_err(|error| syntax(&error))?;
    keys::check(path, &merged, &keys::PIPELINE_FILE, "")?;
    let mut file: PipelineFile = merged.try_into().map_err(|error| syntax(&error))?;
    if file.name.is_empty() {
        file.name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    }
    if file.stream.is_empty() && file.directory.is_none() && file.node.is_empty() {
        return Err(GraphError::Empty { path: path.to_owned() });
    }
    Ok(file)
}

/// Refuses what the file has no place for: a bare name that is no parameter, a stream or node that is not there.
fn has_place(path: &Path, own: &toml::Value, target: &str) -> Result<(), GraphError> {
    let names = |table: &str| {
        let table = own.get(table).and_then(toml::Value::as_table);
        table.into_iter().flat_map(toml::Table::keys).map(String::as_str).collect::<Vec<_>>()
    };
    let (key, known) = match target.split_once('.') {
        None => (target, [names("parameters"), keys::PIPELINE_FILE.names()].concat()),
        Some((table @ ("parameters" | "stream" | "node"), rest)) => {
            (rest.split('.').next().unwrap_or(rest), names(table))
        }
        Some(_) => return Ok(()),
    };
    if known.contains(&key) {
        return Ok(());
    }
    Err(GraphError::UnknownKey {
        path: path.to_owned(),
        key: target.to_owned(),
        nearest: keys::nearest(key, known.iter().copied()),
        known: if known.is_empty() { "nothing".to_owned() } else { known.join(", ") },
    })
}

fn value_kind(value: toml::Value) -> config::ValueKind {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(value_kind).collect::<Vec<_>>().into(),
        toml::Value::Table(table) => {
            let pairs = table.into_iter().map(|(key, value)| (key, value_kind(value)));
            pairs.collect::<config::Map<_, _>>().into()
        }
    }
}
