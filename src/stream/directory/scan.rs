//! Finds what may be a video below a directory.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::summary::{DATA, PAGE};

/// A file to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Its path below the directory; the name alone for a single file.
    pub relative: PathBuf,
}

/// Files in a lasting order, and what could not be looked into.
#[derive(Debug, Default)]
pub struct Scan {
    /// The files.
    pub files: Vec<Found>,
    /// Directories and links that could not be read, with the reason.
    pub unreadable: Vec<(PathBuf, String)>,
}

/// Walks each of `inputs`, following links but not in circles, and leaves out hidden files and all below `output`.
/// Where two inputs hold files of one relative path, the first has it and the others are reported.
pub fn scan(inputs: &[PathBuf], output: &Path) -> Scan {
    let mut found = Scan::default();
    for input in inputs {
        walk(input, output, &mut found);
    }
    let mut names = std::collections::HashSet::new();
    let (files, doubles): (Vec<_>, Vec<_>) =
        found.files.into_iter().partition(|file| names.insert(file.relative.clone()));
    found.files = files;
    let reason = |file: Found| {
        (file.path, "another input has a file of this path, and results would collide".to_owned())
    };
    found.unreadable.extend(doubles.into_iter().map(reason));
    let is_ours = |file: &Found| [PAGE, DATA].iter().any(|name| file.relative == Path::new(name));
    let (ours, files) = found.files.into_iter().partition(is_ours);
    found.files = files;
    let reason = |file: Found| (file.path, "the page of the run has this name".to_owned());
    found.unreadable.extend(Vec::into_iter(ours).map(reason));
    found
}

fn walk(input: &Path, output: &Path, found: &mut Scan) {
    if input.is_file() {
        let relative = input.file_name().map(PathBuf::from).unwrap_or_default();
        found.files.push(Found { path: input.to_owned(), relative });
        return;
    }
    let output = output.canonicalize().ok();
    let is_hidden = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with('.');
    let walk = WalkDir::new(input).follow_links(true).sort_by_file_name().into_iter();
    let wanted = walk.filter_entry(|entry| {
        let is_output = || output.is_some() && entry.path().canonicalize().ok() == output;
        entry.depth() == 0 || !(is_hidden(entry.file_name()) || (entry.file_type().is_dir() && is_output()))
    });
    for entry in wanted {
        match entry {
            Ok(entry) if entry.file_type().is_file() => {
                let relative = entry.path().strip_prefix(input).unwrap_or(entry.path()).to_owned();
                found.files.push(Found { path: entry.into_path(), relative });
            }
            Ok(_) => {}
            Err(error) => {
                let path = error.path().unwrap_or(input).to_owned();
                let reason = match error.io_error() {
                    Some(error) => error.to_string(),
                    None => "a link that leads back to a directory above it".to_owned(),
                };
                found.unreadable.push((path, reason));
            }
        }
    }
}
