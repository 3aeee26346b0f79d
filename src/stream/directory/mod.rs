//! Directories of video files: the job that people leave running overnight.
//!
//! [`scan`] finds the files; [`job`] hands them to workers; [`process`] runs one through GStreamer, by way of
//! the elements of a [`chain`]; [`results`] keeps what comes out, so that it is whole or not there; its
//! content and [`settings_key`] tell whether it is there already. [`summary`] is what was done.

pub mod chain;
pub mod job;
pub mod process;
pub mod progress;
pub mod results;
pub mod scan;
pub mod settings_key;
pub mod summary;
pub mod table;
pub mod timeline;
mod upright;

use std::path::PathBuf;

use crate::graph::DirectoryTable;

/// The page of a run, in the folder of results.
pub const PAGE: &str = "index.html";
/// The same as data.
pub const DATA: &str = "summary.json";
/// Held by whoever writes to a folder of results.
const LOCK: &str = ".lock";

/// What is to be done with a directory.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directories and single videos.
    pub input: Vec<PathBuf>,
    /// Where results go.
    pub output: PathBuf,
    /// Videos at once.
    pub jobs: usize,
    /// Write each video with its faces drawn in.
    pub annotate: bool,
    /// The elements between decoder and results.
    pub launch: String,
    /// Do again what is done.
    pub force: bool,
}

impl From<&DirectoryTable> for Settings {
    fn from(table: &DirectoryTable) -> Self {
        Self {
            input: table.input.clone(),
            output: table.output.clone(),
            jobs: table.jobs,
            annotate: table.annotate,
            launch: table.launch.clone(),
            force: false,
        }
    }
}
