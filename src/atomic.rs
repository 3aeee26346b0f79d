//! Files that appear whole or not at all.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context;

/// Writes a file beside its name, makes sure that it is on disk, and gives it its name. A link leads to the
/// file that is written; what is there and no file, such as a pipe, is written into.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let what = || format!("{} cannot be written", path.display());
    // Before links are followed: that to standard output leads to something without a name.
    if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return fs::write(path, bytes).with_context(what);
    }
    let path = &followed(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Readable for all, as far as the user's umask lets it be: results are there to be read.
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let mut temporary =
        tempfile::Builder::new().permissions(permissions).tempfile_in(folder).with_context(what)?;
    temporary.write_all(bytes).with_context(what)?;
    temporary.as_file().sync_all().with_context(what)?;
    temporary.persist(path).map_err(|error| error.error).with_context(what)?;
    sync_folder(folder);
    Ok(())
}

/// Where a link leads; any other path as it is.
pub fn followed(path: &Path) -> anyhow::Result<PathBuf> {
    if !path.is_symlink() {
        return Ok(path.to_owned());
    }
    path.canonicalize().with_context(|| format!("the link {} leads nowhere", path.display()))
}

/// Renames a folder or file and makes sure that the new name lasts.
pub fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::rename(from, to)
        .with_context(|| format!("{} cannot be renamed to {}", from.display(), to.display()))?;
    if let Some(folder) = to.parent() {
        sync_folder(folder);
    }
    Ok(())
}

/// Gives a folder its name. An older one of that name goes `away` in one step and is removed then: a kill
/// leaves the new one, the old one or none, never a part. A failure leaves the old one.
pub fn replace_folder(folder: &Path, target: &Path, away: &Path) -> anyhow::Result<()> {
    let replaces = target.exists();
    if replaces {
        rename(target, away)?;
    }
    rename(folder, target).inspect_err(|_| {
        if replaces {
            // The failure itself is what is told.
            let _ = fs::rename(away, target);
        }
    })?;
    if replaces && let Err(error) = fs::remove_dir_all(away) {
        tracing::warn!("{} is an older result and cannot be removed: {error}", away.display());
    }
    Ok(())
}

/// Not every file system can sync a folder; those that cannot have nothing to sync.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn links_stay_links_and_what_is_no_file_is_written_into() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "before").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, b"after").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"after");
        // As root, a rename would put a file in its place.
        let null = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &null).unwrap();
        write(&null, b"nowhere").unwrap();
        assert!(null.is_symlink() && !fs::metadata("/dev/null").unwrap().is_file());
        fs::remove_file(&file).unwrap();
        let error = write(&link, b"lost").unwrap_err().to_string();
        assert!(error.contains("leads nowhere"), "{error}");
    }
}
