//! Pipeline files: from text to a checked description of what is to run. Runs nothing, and knows of faces no
//! more than that tables may hold them.
//!
//! A file goes through steps that stand beside each other: [`load`] puts together the file, the environment and
//! `--set`; [`keys`] refuses unknown keys; [`file`] gives it types; [`substitute`] fills in `${parameters}`.
//! Batch graphs, from a file or from one [`line`], are checked and put in order by [`dag`].

pub mod dag;
pub mod file;
pub mod keys;
pub mod line;
pub mod load;
pub mod substitute;
pub mod value;

pub use file::{DirectoryTable, PipelineFile, StreamTable};
pub use load::load;

use std::path::PathBuf;

use thiserror::Error;

use keys::suggestion;

/// What somebody else found wrong.
pub type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// What is wrong with a pipeline file. Each names the file and the way out.
#[derive(Debug, Error)]
pub enum GraphError {
    /// Cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, or a value of the wrong type.
    #[error("{}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// A key nobody reads.
    #[error("{}: unknown key `{key}`{}; known here: {known}", path.display(), suggestion(nearest))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key with its path.
        key: String,
        /// The most similar known key, when one is similar enough.
        nearest: Option<String>,
        /// All known keys in that place.
        known: String,
    },
    /// `--set` without `=`.
    #[error("--set {0}: write key=value, for example --set input=clip.mp4")]
    BadSet(String),
    /// Something else where the file has true or false.
    #[error("{}: `{key}` is true or false, and --set or the environment has `{text}`", path.display())]
    NoBoolean {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What it should become.
        text: String,
    },
    /// A placeholder without a parameter.
    #[error("{}: `${{{name}}}` in `{key}` is no parameter{}; add it to [parameters]; known: {known}", path.display(), suggestion(nearest))]
    UnknownParameter {
        /// The file.
        path: PathBuf,
        /// Where it is used.
        key: String,
        /// The name between the braces.
        name: String,
        /// The most similar parameter.
        nearest: Option<String>,
        /// All parameters.
        known: String,
    },
    /// A parameter without a value.
    #[error("{}: the parameter `{name}` has no value: give one with --set {name}=...", path.display())]
    MissingValue {
        /// The file.
        path: PathBuf,
        /// The parameter.
        name: String,
    },
    /// An asset that is not in the cache or not in the manifest.
    #[error("{}: `${{asset:{name}}}`: {reason}", path.display())]
    Asset {
        /// The file.
        path: PathBuf,
        /// The asset.
        name: String,
        /// What the store said.
        reason: BoxedError,
    },
    /// Neither streams, nor a directory, nor nodes.
    #[error("{}: nothing to run: add a [stream.NAME] with `launch = \"...\"`, a [directory], or a [node.NAME] with `use = \"...\"`", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A batch graph that cannot be.
    #[error("{}: {reason}", path.display())]
    Dag {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: Box<dag::DagError>,
    },
    /// A graph string that cannot be read.
    #[error("the graph: {0}")]
    Line(line::LineError),
    /// A node whose parameters its kind does not take.
    #[error("{}: node `{node}`: {reason}", path.display())]
    Parameters {
        /// The file.
        path: PathBuf,
        /// The node.
        node: String,
        /// Why.
        reason: String,
    },
}
