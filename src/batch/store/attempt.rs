//! A result that is being made.

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::Context;

use super::{Store, Stored, files, lock_file};
use crate::{
    atomic,
    batch::{Interrupted, record::Record},
};

/// Where the result that another takes the place of goes, until it is removed.
const OLD: &str = "old";

/// The right to make one result. Dropped before [`Attempt::publish`], it leaves only checkpoints behind.
#[derive(Debug)]
pub struct Attempt {
    _lock: File,
    folder: PathBuf,
    target: PathBuf,
    /// Becomes the result.
    pub out: PathBuf,
    /// Outlives a kill.
    pub checkpoints: PathBuf,
}

impl Store {
    /// Begins a result. Where another process makes the same, waits for it; `None` when that has made it meanwhile.
    ///
    /// `again` makes it in any case, without the checkpoints of earlier attempts.
    pub fn begin(
        &self,
        key: &str,
        again: bool,
        interrupted: &AtomicBool,
        waiting: impl FnOnce(),
    ) -> anyhow::Result<Option<Attempt>> {
        let folder = self.root.join("work").join(key);
        let cannot = || format!("the result store {} cannot be written", self.root.display());
        let (lock, has_waited) = acquire(&lock_path(&folder), interrupted, waiting)?;
        if self.result(key).is_some() && (!again || has_waited) {
            return Ok(None);
        }
        let (out, old, checkpoints) = (folder.join("out"), folder.join(OLD), folder.join("checkpoints"));
        let leftovers = [Some(&out), Some(&old), again.then_some(&checkpoints)];
        for leftover in leftovers.into_iter().flatten().filter(|leftover| leftover.exists()) {
            fs::remove_dir_all(leftover).with_context(cannot)?;
        }
        fs::create_dir_all(&out).with_context(cannot)?;
        fs::create_dir_all(&checkpoints).with_context(cannot)?;
        let target = self.root.join("results").join(key);
        Ok(Some(Attempt { _lock: lock, folder, target, out, checkpoints }))
    }
}

/// The file whose lock is the right to make the result that is made in a folder.
fn lock_path(folder: &Path) -> PathBuf {
    folder.with_extension("lock")
}

/// The lock on a file that still is in its place, and whether that took waiting.
fn acquire(path: &Path, interrupted: &AtomicBool, waiting: impl FnOnce()) -> anyhow::Result<(File, bool)> {
    let mut waiting = Some(waiting);
    loop {
        let file = lock_file(path).with_context(|| format!("{} cannot be written", path.display()))?;
        match file.try_lock() {
            Ok(()) => {
                // Who prunes may have removed it between opening and locking.
                let inode = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
                let ours = file.metadata().map(inode).ok();
                if ours.is_some() && ours == fs::metadata(path).map(inode).ok() {
                    return Ok((file, waiting.is_none()));
                }
            }
            Err(TryLockError::WouldBlock) => {
                if let Some(waiting) = waiting.take() {
                    waiting();
                }
                if interrupted.load(Ordering::SeqCst) {
                    return Err(Interrupted.into());
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("{} cannot be locked", path.display()));
            }
        }
    }
}

impl Attempt {
    /// Makes the result's files last, completes the record with their digest, and gives the folder its name.
    pub fn publish(self, complete: impl FnOnce(String, u64) -> Record) -> anyhow::Result<Stored> {
        let (digest, bytes) = digest(&self.out)?;
        let record = complete(digest, bytes);
        record.write(&self.out)?;
        let _ = File::open(&self.out).and_then(|folder| folder.sync_all());
        atomic::replace_folder(&self.out, &self.target, &self.folder.join(OLD))?;
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!("{} is done with and cannot be removed: {error}", self.folder.display());
        }
        Ok(Stored { folder: self.target.clone(), record })
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // After `publish` there is no such folder. Checkpoints stay, and what they lie in.
        let _ = fs::remove_dir_all(&self.out);
        let _ = fs::remove_dir(&self.checkpoints).and_then(|()| fs::remove_dir(&self.folder));
        // Ours until the lock is dropped; who waits for it finds another in its place, or none, and tries again.
        let _ = fs::remove_file(lock_path(&self.folder));
    }
}

/// BLAKE3 over names and contents of all files in the order of their names, and their bytes. Each is on disk after
/// this. The record, and times that were measured, are left out.
pub fn digest(folder: &Path) -> anyhow::Result<(String, u64)> {
    let (mut all, mut bytes) = (blake3::Hasher::new(), 0);
    for entry in files(folder) {
        let entry = entry.with_context(|| format!("{} cannot be read", folder.display()))?;
        let path = entry.path();
        let name = path.strip_prefix(folder).unwrap_or(path).to_string_lossy();
        let cannot = || format!("{} cannot be read", path.display());
        let file = File::open(path).with_context(cannot)?;
        file.sync_all().with_context(cannot)?;
        let mut hasher = blake3::Hasher::new();
        bytes += hasher.update_reader(file).with_context(cannot)?.count();
        all.update(name.as_bytes()).update(&[0]).update(hasher.finalize().as_bytes());
    }
    Ok((all.finalize().to_hex().to_string(), bytes))
}
