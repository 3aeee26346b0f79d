//! Copies a result out of the store to where the user wants it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use walkdir::WalkDir;

use super::{record::RECORD, store::Stored};
use crate::atomic;

/// Says in a copy of which result it is one.
const MARK: &str = ".ferroflow-result";

/// Whether the folder holds a copy of this result.
pub fn is_there(stored: &Stored, destination: &Path) -> bool {
    fs::read_to_string(destination.join(MARK)).is_ok_and(|mark| mark.trim() == stored.record.digest)
}

/// Puts a copy there, whole or not at all. A folder with something else in it is left alone, and an error.
pub fn deliver(stored: &Stored, destination: &Path) -> anyhow::Result<()> {
    if is_there(stored, destination) {
        return Ok(());
    }
    let cannot = || format!("{} cannot be written", destination.display());
    let is_foreign = match fs::read_dir(destination) {
        Ok(mut entries) => entries.next().is_some() && !destination.join(MARK).is_file(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(error).with_context(cannot),
    };
    if is_foreign {
        bail!(
            "{} holds something that is no result of ours, and is left alone: name another folder, or move it away",
            destination.display()
        );
    }
    let name = destination.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.with_context(|| format!("{} is no name for a folder", destination.display()))?;
    let parent = destination.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(cannot)?;
    // Two processes may bring the same result at the same time. The lock is on the folder itself, so that it leaves no
    // file behind; a file system that knows no such locks is taken to have one user.
    let folder = fs::File::open(parent).with_context(cannot)?;
    let _ = folder.lock();
    if is_there(stored, destination) {
        return Ok(());
    }
    let partial = Partial(parent.join(format!(".partial-{name}")));
    let older = parent.join(format!(".partial-.{name}"));
    for leftover in [&partial.0, &older].into_iter().filter(|leftover| leftover.exists()) {
        fs::remove_dir_all(leftover).with_context(cannot)?;
    }
    for entry in WalkDir::new(&stored.folder).sort_by_file_name() {
        let entry = entry.with_context(|| format!("{} cannot be read", stored.folder.display()))?;
        let relative = entry.path().strip_prefix(&stored.folder).unwrap_or(entry.path());
        let target = partial.0.join(relative);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target).with_context(cannot)?;
        } else if relative != Path::new(RECORD) {
            fs::copy(entry.path(), &target).with_context(cannot)?;
            fs::File::open(&target).and_then(|file| file.sync_all()).with_context(cannot)?;
        }
    }
    atomic::write(&partial.0.join(MARK), stored.record.digest.as_bytes())?;
    atomic::replace_folder(&partial.0, destination, &older)
}

/// A copy under way, which leaves nothing behind when it fails.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
