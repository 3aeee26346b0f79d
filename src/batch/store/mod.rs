//! The result store: `results/KEY/` holds finished results, `work/KEY/` what is being made, with checkpoints
//! that outlive a kill, `graphs/` what each node of each graph was made of last.
//!
//! A result appears by a rename, so that it is whole or not there. Whoever makes one holds the lock
//! `work/KEY.lock`; whoever runs a graph holds a share of the lock `in-use`, and who prunes holds it alone.

mod attempt;
mod history;
mod prune;

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use walkdir::WalkDir;

pub use attempt::Attempt;
pub use history::History;
pub use prune::{Age, Pruned, Which, prune};

use super::record::{RECORD, Record, TIMES};

/// The file whose lock who runs graphs shares, and who prunes holds alone: what a store is known by.
const IN_USE: &str = "in-use";

/// A store that is open for running graphs.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Our share of the lock against pruning.
    _in_use: File,
}

/// A finished result.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its folder.
    pub folder: PathBuf,
    /// How it was made.
    pub record: Record,
}

/// Where the store is unless told otherwise: `$FERROFLOW_STORE`, else below `$FERROFLOW_HOME` or the user's cache.
pub fn default_root() -> anyhow::Result<PathBuf> {
    match std::env::var_os("FERROFLOW_STORE").filter(|root| !root.is_empty()) {
        Some(root) => Ok(root.into()),
        None => Ok(ferroflow_vision::model::store::home()?.join("store")),
    }
}

impl Store {
    /// Opens the store in this folder, which is made if there is none.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("the result store {} cannot be written", root.display());
        for folder in ["results", "work", "graphs"] {
            fs::create_dir_all(root.join(folder)).with_context(cannot)?;
        }
        let in_use = lock_file(&root.join(IN_USE)).with_context(cannot)?;
        match in_use.try_lock_shared() {
            Ok(()) => Ok(Self { root: root.to_owned(), _in_use: in_use }),
            Err(TryLockError::WouldBlock) => {
                bail!("the result store {} is being pruned: wait for that", root.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(cannot),
        }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The result of this key, if there is one with all its files.
    pub fn result(&self, key: &str) -> Option<Stored> {
        let stored = stored(&self.root.join("results").join(key))?;
        let (folder, promised) = (&stored.folder, stored.record.bytes);
        let found: u64 =
            files(folder).filter_map(Result::ok).filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        if found != promised {
            let folder = folder.display();
            tracing::warn!(
                "{folder} has {found} of {promised} bytes: this result does not count and is made again"
            );
            return None;
        }
        Some(stored)
    }

    /// Whether an attempt at this result was stopped after it had written checkpoints.
    pub fn has_checkpoints(&self, key: &str) -> bool {
        has_checkpoints(&self.root.join("work").join(key))
    }

    /// All results, the newest first.
    pub fn results(&self) -> Vec<Stored> {
        results(&self.root)
    }

    /// The result whose key begins with this, when there is just one.
    pub fn find(&self, prefix: &str) -> anyhow::Result<Stored> {
        let mut found = self.results();
        found.retain(|stored| stored.record.key.starts_with(prefix));
        match found.len() {
            0 => bail!("no result has a key that begins with `{prefix}`; `ferroflow store list` shows all"),
            1 => Ok(found.remove(0)),
            count => bail!("{count} results have keys that begin with `{prefix}`: write more of it"),
        }
    }
}

/// Whether this folder is a result store.
pub fn is_store(root: &Path) -> bool {
    root.join(IN_USE).is_file()
}

/// Whether this attempt has something to go on from.
fn has_checkpoints(attempt: &Path) -> bool {
    fs::read_dir(attempt.join("checkpoints")).is_ok_and(|mut entries| entries.next().is_some())
}

fn results(root: &Path) -> Vec<Stored> {
    let entries = fs::read_dir(root.join("results")).into_iter().flatten().filter_map(Result::ok);
    let mut all: Vec<_> = entries.filter_map(|entry| stored(&entry.path())).collect();
    all.sort_by(|a, b| b.record.started.cmp(&a.record.started).then(a.record.key.cmp(&b.record.key)));
    all
}

/// A folder with a record that can be read. One of an older layout is as good as none: it is made again.
fn stored(folder: &Path) -> Option<Stored> {
    if !folder.join(RECORD).is_file() {
        return None;
    }
    match Record::read(folder) {
        Ok(record) => Some(Stored { folder: folder.to_owned(), record }),
        Err(error) => {
            tracing::warn!("{error:#}: this result does not count and is made again when needed");
            None
        }
    }
}

/// The files that a result is, in the order of their names: not its record, and not times that were measured.
fn files(folder: &Path) -> impl Iterator<Item = walkdir::Result<walkdir::DirEntry>> {
    WalkDir::new(folder).sort_by_file_name().into_iter().filter(move |entry| {
        let Ok(entry) = entry else { return true };
        let is_aside = entry.depth() == 1 && [RECORD, TIMES].iter().any(|name| entry.file_name() == *name);
        entry.file_type().is_file() && !is_aside
    })
}

fn lock_file(path: &Path) -> std::io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(path)
}
