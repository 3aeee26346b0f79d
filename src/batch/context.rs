//! What a stage is given to run.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use super::{data::Table, progress::StageProgress};

/// The file with a result's table.
pub const TABLE: &str = "data.parquet";
/// The file with a result's facts.
pub const FACTS: &str = "facts.json";

/// What is worth telling of a result: the same whenever the result is the same, so no times and no paths.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Facts(pub serde_json::Map<String, serde_json::Value>);

impl Facts {
    /// What a structure has.
    pub fn of(value: &impl Serialize) -> anyhow::Result<Self> {
        Ok(serde_json::from_value(serde_json::to_value(value)?)?)
    }

    /// Adds one.
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// A fact that is a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.0.get(name).and_then(serde_json::Value::as_f64)
    }

    /// The plain ones in a line: "rows 35887, dropped 1853".
    pub fn line(&self) -> String {
        let plain = self.0.iter().filter(|(_, value)| value.is_number() || value.is_string());
        let one = |(name, value): (&String, &serde_json::Value)| match (value.as_str(), value.as_f64()) {
            (Some(text), _) => format!("{name} {text}"),
            (_, Some(number)) if value.is_f64() => format!("{name} {number:.4}"),
            _ => format!("{name} {value}"),
        };
        plain.map(one).collect::<Vec<_>>().join(", ")
    }
}

/// A result that comes in at a port.
#[derive(Clone, Debug)]
pub struct Input {
    /// The port.
    pub port: &'static str,
    /// The kind of the node that made it.
    pub kind: &'static str,
    /// Its folder in the store.
    pub folder: PathBuf,
}

impl Input {
    /// Its table.
    pub fn table(&self) -> anyhow::Result<Table> {
        Table::open(&self.folder.join(TABLE)).with_context(|| format!("the result of `{}`", self.kind))
    }

    /// Its facts as a structure; `from` is the kind of node that has such.
    pub fn facts_of<T: DeserializeOwned>(&self, from: &str) -> anyhow::Result<T> {
        if self.kind != from {
            bail!("`{}` takes results of `{from}`, and got one of `{}`", self.port, self.kind);
        }
        let facts = serde_json::Value::Object(self.facts()?.0);
        serde_json::from_value(facts).with_context(|| format!("the result of `{from}` is damaged"))
    }

    /// Its facts.
    pub fn facts(&self) -> anyhow::Result<Facts> {
        let path = self.folder.join(FACTS);
        let text = std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
    }
}

/// The run was stopped from outside.
#[derive(Clone, Copy, Debug, Error)]
#[error("stopped")]
pub struct Interrupted;

/// What a stage is given to run.
pub struct Context<'a> {
    /// Results that come in, in the order of the ports.
    pub inputs: Vec<Input>,
    /// The folder that becomes the result. It is empty at first.
    pub out: PathBuf,
    /// A folder that outlives a kill: what is in it when a stage begins is from an earlier attempt at the
    /// same result.
    pub checkpoints: PathBuf,
    /// Threads that it may use.
    pub workers: usize,
    /// Its bar.
    pub progress: StageProgress,
    /// Becomes true when the run is to stop.
    pub interrupted: &'a AtomicBool,
}

impl Context<'_> {
    /// The only or first result at a port.
    pub fn input(&self, port: &str) -> anyhow::Result<&Input> {
        self.optional(port).with_context(|| format!("nothing at input `{port}`"))
    }

    /// The same, where there may be none.
    pub fn optional(&self, port: &str) -> Option<&Input> {
        self.inputs.iter().find(|input| input.port == port)
    }

    /// The result's table.
    pub fn table(&self) -> PathBuf {
        self.out.join(TABLE)
    }

    /// An error when the run is to stop. To be asked now and then in long loops.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.interrupted.load(Ordering::SeqCst) { Err(Interrupted.into()) } else { Ok(()) }
    }
}

/// Writes facts beside the table.
pub fn write_facts(folder: &Path, facts: &Facts) -> anyhow::Result<()> {
    crate::atomic::write(&folder.join(FACTS), &serde_json::to_vec_pretty(facts)?)
}
