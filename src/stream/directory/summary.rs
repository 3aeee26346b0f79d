//! What a run did with each file of a directory.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Serialize, Serializer};

use super::results::Done;

/// Names of files need not be text; what is none of it is replaced.
fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

fn each_as_text<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
}

/// What became of one file.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Outcome {
    /// It has a result now.
    Done(Box<Done>),
    /// It had one of the same content and settings.
    Skipped(Box<Done>),
    /// It has none.
    Failed {
        /// Why.
        reason: String,
    },
}

/// One file of the summary.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its path below the directory.
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What a run did.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The directories and videos.
    #[serde(serialize_with = "each_as_text")]
    pub input: Vec<PathBuf>,
    /// Where results are.
    #[serde(serialize_with = "as_text")]
    pub output: PathBuf,
    /// Every file that was looked at, in the order of the directory.
    pub entries: Vec<Entry>,
    /// Files that were left out, since by their names they are no videos.
    pub others: usize,
    /// Time the run took.
    pub elapsed: Duration,
    /// True when it was stopped before the end.
    pub interrupted: bool,
}

impl Summary {
    /// How many files are done, skipped and failed.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |is: fn(&Outcome) -> bool| self.entries.iter().filter(|entry| is(&entry.outcome)).count();
        (
            count(|outcome| matches!(outcome, Outcome::Done(_))),
            count(|outcome| matches!(outcome, Outcome::Skipped(_))),
            count(|outcome| matches!(outcome, Outcome::Failed { .. })),
        )
    }
}
