//! Finds what may be a video below a directory.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::results;

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
    /// How many files are left out, since by their names they are no videos.
    pub others: usize,
}

/// What the names of files end in that are neither videos nor pictures. All else is tried.
const OTHERS: &str = "7z aac ass bz2 cfg conf csv db doc docx flac gz h5 htm html ini ipynb js json jsonl lock log m4a md mp3 nfo npy npz \
     odt onnx opus parquet part pdf py rar rst rtf sh sqlite srt ssa sub tar tgz toml tsv txt url vtt wav xls xlsx xml xz yaml yml zip zst";

fn is_no_video(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| OTHERS.split_whitespace().any(|other| other == ending))
}

/// Walks each of `inputs`, following links but not in circles, and leaves out hidden files, files that are no
/// videos by their names, and all below `output` and other folders with results. Where two inputs hold files
/// of one relative path, the first has it and the others are reported.
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
        (file.path, "left out: another input has a file of this path, and their results would have one place: give the folder above both".to_owned())
    };
    found.unreadable.extend(doubles.into_iter().map(reason));
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
        let is_left_out = || is_output() || results::is_folder_of_results(entry.path());
        entry.depth() == 0 || !(is_hidden(entry.file_name()) || (entry.file_type().is_dir() && is_left_out()))
    });
    for entry in wanted {
        match entry {
            Ok(entry) if entry.file_type().is_file() && is_no_video(entry.path()) => found.others += 1,
            Ok(entry) if entry.file_type().is_file() => {
                let relative = entry.path().strip_prefix(input).unwrap_or(entry.path()).to_owned();
                found.files.push(Found { path: entry.into_path(), relative });
            }
            Ok(_) => {}
            // A link that leads nowhere, say, of an editor.
            Err(error) if error.path().is_some_and(|path| path.file_name().is_some_and(is_hidden)) => {}
            Err(error) if error.path().is_some_and(is_no_video) => found.others += 1,
            Err(error) => {
                let path = error.path().unwrap_or(input).to_owned();
                let reason = match error.io_error() {
                    Some(error) => format!("cannot be looked into: {error}"),
                    None => {
                        "cannot be looked into: a link that leads back to a directory above it".to_owned()
                    }
                };
                found.unreadable.push((path, reason));
            }
        }
    }
}
