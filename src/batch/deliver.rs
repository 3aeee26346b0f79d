//! Copies a result out of the store to where the user wants it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use super::{record::RECORD, store::Stored};
use crate::atomic;

/// Says in a copy of which result it is one, and what belongs to it.
const MARK: &str = ".ferroflow-result";

#[derive(Serialize, Deserialize)]
struct Mark {
    /// The digest of the result.
    digest: String,
    /// Bytes of each file, by its path in the folder.
    files: BTreeMap<PathBuf, u64>,
}

impl Mark {
    fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(MARK)).ok()?).ok()
    }

    /// What in the folder is not as it was delivered: a file that is not listed here, or has another length.
    fn foreign(&self, folder: &Path) -> Option<PathBuf> {
        let files = WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
        let mut names = files.filter(|entry| !entry.file_type().is_dir()).filter_map(|entry| {
            let name = entry.path().strip_prefix(folder).ok()?.to_owned();
            let is_ours = self.files.get(&name).copied() == entry.metadata().ok().map(|file| file.len());
            (!is_ours && name != Path::new(MARK)).then_some(name)
        });
        names.next()
    }
}

/// Whether the folder holds a copy of this result, with all its files.
pub fn is_there(stored: &Stored, destination: &Path) -> bool {
    let is_whole = |(name, bytes): (&PathBuf, &u64)| {
        fs::metadata(destination.join(name)).is_ok_and(|file| file.len() == *bytes)
    };
    Mark::read(destination)
        .is_some_and(|mark| mark.digest == stored.record.digest && mark.files.iter().all(is_whole))
}

/// Puts a copy there, whole or not at all. What in the folder is not of an earlier copy is left alone, and an error.
pub fn deliver(stored: &Stored, destination: &Path) -> anyhow::Result<()> {
    if is_there(stored, destination) {
        return Ok(());
    }
    let cannot = || format!("{} cannot be written", destination.display());
    let destination = &atomic::followed(destination)?;
    let name = destination.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.with_context(|| format!("{} is no name for a folder", destination.display()))?;
    let parent = destination.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(cannot)?;
    // Two processes may bring the same result at the same time. The lock is on the folder itself, so that it
    // leaves no file behind; a file system that knows no such locks is taken to have one user.
    let folder = fs::File::open(parent).with_context(cannot)?;
    let _ = folder.lock();
    if is_there(stored, destination) {
        return Ok(());
    }
    check_place(destination)?;
    let partial = Partial(parent.join(format!(".partial-{name}")));
    let older = parent.join(format!(".partial-.{name}"));
    for leftover in [&partial.0, &older].into_iter().filter(|leftover| leftover.exists()) {
        fs::remove_dir_all(leftover).with_context(cannot)?;
    }
    let mut mark = Mark { digest: stored.record.digest.clone(), files: BTreeMap::new() };
    for entry in WalkDir::new(&stored.folder).sort_by_file_name() {
        let entry = entry.with_context(|| format!("{} cannot be read", stored.folder.display()))?;
        let relative = entry.path().strip_prefix(&stored.folder).unwrap_or(entry.path());
        let target = partial.0.join(relative);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target).with_context(cannot)?;
        } else if relative != Path::new(RECORD) {
            let bytes = fs::copy(entry.path(), &target).with_context(cannot)?;
            fs::File::open(&target).and_then(|file| file.sync_all()).with_context(cannot)?;
            mark.files.insert(relative.to_owned(), bytes);
        }
    }
    atomic::write(&partial.0.join(MARK), &serde_json::to_vec(&mark)?)?;
    atomic::replace_folder(&partial.0, destination, &older)
}

/// Refuses a folder with something in it that would be lost.
fn check_place(destination: &Path) -> anyhow::Result<()> {
    let place = destination.display();
    let advice = "is left alone: name another folder, or move it away";
    let is_empty = match fs::read_dir(destination) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(error).with_context(|| format!("{place} cannot be written")),
    };
    match Mark::read(destination) {
        _ if is_empty => Ok(()),
        None => bail!("{place} holds something that is no result of ours, and {advice}"),
        Some(mark) => match mark.foreign(destination) {
            None => Ok(()),
            Some(name) => bail!(
                "{place} holds `{}`, which was put there or changed since a result was copied to it, and {advice}",
                name.display()
            ),
        },
    }
}

/// A copy under way, which leaves nothing behind when it fails.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
