//! Provenance: what is known of how a result was made.

use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::{ingredients::Ingredients, machine::Machine};

/// The file of a result with its record.
pub const RECORD: &str = "record.json";
/// The file of a result with times that a stage has measured. It is no part of the digest, since it differs
/// from run to run.
pub const TIMES: &str = "times.json";

/// How a result was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The node that made it first.
    pub node: String,
    /// The hash of its ingredients.
    pub key: String,
    /// The hash of its files: what stages that read it depend on.
    pub digest: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// What it is made of: kind, versions, parameters with seeds, inputs, files.
    pub ingredients: Ingredients,
    /// When it was begun: the time in UTC as RFC 3339 has it. An attempt that was killed began earlier.
    pub started: String,
    /// How long it took, in seconds; of a stage that was killed and resumed, the last attempt.
    pub seconds: f64,
    /// Threads that it was given.
    pub workers: usize,
    /// Most memory of the whole process by then, in bytes.
    pub peak_memory: Option<u64>,
    /// Where it was made.
    pub machine: Machine,
}

impl Record {
    /// Reads the record of a result.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(RECORD);
        let text = std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    /// Writes it beside the result.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        crate::atomic::write(&folder.join(RECORD), &serde_json::to_vec_pretty(self)?)
    }
}
