//! The types of a pipeline file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::Deserialize;

/// A whole pipeline file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineFile {
    /// A short name; the file's own where it has none.
    pub name: String,
    /// One line for `ferroflow plan`.
    pub description: String,
    /// Values that `${name}` stands for, with their defaults; an empty string means that one must be given.
    pub parameters: BTreeMap<String, toml::Value>,
    /// Live streams, each a pipeline of its own.
    pub stream: BTreeMap<String, StreamTable>,
    /// A directory of video files.
    pub directory: Option<DirectoryTable>,
    /// Nodes of a batch graph: `use`, inputs by name, parameters; `when` leaves a node out where it is empty
    /// or false.
    pub node: BTreeMap<String, toml::Table>,
    /// Nodes that their `when` left out.
    #[serde(skip)]
    pub left_out: BTreeSet<String>,
}

/// One live stream.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StreamTable {
    /// The pipeline in gst-launch's syntax.
    pub launch: String,
    /// How often the whole stream is built again after it failed.
    #[serde(default)]
    pub restarts: u32,
}

/// A directory of video files and what is done with each.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DirectoryTable {
    /// Directories, searched with all that is below them, and single videos; one may stand without brackets.
    #[serde(deserialize_with = "one_or_many")]
    pub input: Vec<PathBuf>,
    /// Where results go, a folder for each video.
    pub output: PathBuf,
    /// Videos at once.
    #[serde(default = "one")]
    pub jobs: usize,
    /// Write each video with its faces drawn in.
    #[serde(default)]
    pub annotate: bool,
    /// The elements between decoder and results, in gst-launch's syntax.
    pub launch: String,
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(PathBuf),
        Many(Vec<PathBuf>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(path) => vec![path],
        OneOrMany::Many(paths) => paths,
    })
}

fn one() -> usize {
    1
}
