//! Hashes of files outside the store, remembered by length and time of change.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::{
    atomic,
    fingerprint::{self, Content},
};

/// Files of so many bytes take long enough to read that it is told.
const LARGE: u64 = 1 << 30;

/// What files were at last.
#[derive(Debug)]
pub struct Fingerprints {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    contents: BTreeMap<PathBuf, Content>,
    is_changed: bool,
}

impl Fingerprints {
    /// The hashes that are remembered in the store at `root`.
    pub fn open(root: &Path) -> Self {
        let path = root.join("fingerprints.json");
        // Only a memory: where it cannot be read, files are.
        let contents = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Self { path, known: Mutex::new(Known { contents: contents.unwrap_or_default(), is_changed: false }) }
    }

    /// BLAKE3 of a file's content.
    pub fn of(&self, path: &Path) -> anyhow::Result<String> {
        let absolute = std::path::absolute(path)?;
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = lock().contents.get(&absolute).cloned();
        let is_large = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() >= LARGE);
        if before.is_none() && is_large {
            tracing::info!("{}: reading it once, to know it again", path.display());
        }
        let content = fingerprint::content(path, before.as_ref())?;
        let hash = content.blake3.clone();
        if before.as_ref() != Some(&content) {
            let mut known = lock();
            known.contents.insert(absolute, content);
            known.is_changed = true;
        }
        Ok(hash)
    }

    /// Remembers them for the next run.
    pub fn save(&self) -> anyhow::Result<()> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_changed {
            known.contents.retain(|path, _| path.exists());
            atomic::write(&self.path, &serde_json::to_vec(&known.contents)?)?;
            known.is_changed = false;
        }
        Ok(())
    }
}
