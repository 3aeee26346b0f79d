//! What is kept of a video: `faces.jsonl`, `faces.csv`, `faces.parquet`, perhaps `annotated.mp4`, and
//! `done.json`, all in a folder that gets its name only when all of it is whole and on disk.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use ferroflow_vision::{face::FrameFaces, record};
use serde::{Deserialize, Serialize};

use super::{DATA, LOCK, process::Take, table::FacesTable, timeline::Timeline};
use crate::{atomic, fingerprint::Content};

/// Begins the names of folders that are not finished.
const PARTIAL: &str = ".partial-";
/// The file that says what a result is of.
const DONE: &str = "done.json";

/// The video with its faces drawn in.
const ANNOTATED: &str = "annotated.mp4";

/// What is known of a finished video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// The video's path as it was given.
    pub source: String,
    /// Its content.
    pub content: Content,
    /// Key of elements, models and program version.
    pub settings: String,
    /// Frames that the decoder gave.
    pub frames_decoded: u64,
    /// Frames in the result.
    pub frames: u64,
    /// Faces in the result.
    pub faces: u64,
    /// Identities given.
    pub tracks: u64,
    /// Frame size of the first frame.
    pub resolution: (u32, u32),
    /// Length in seconds of what was decoded.
    pub seconds: f64,
    /// Time that it took.
    pub elapsed: Duration,
    /// Expression over time.
    pub timeline: Timeline,
}

/// The result of an earlier run in this folder, if there is a whole one.
pub fn done(folder: &Path) -> Option<Done> {
    serde_json::from_slice(&fs::read(folder.join(DONE)).ok()?).ok()
}

/// Whether a result has what is asked for; more does no harm.
pub fn has_all(folder: &Path, annotate: bool) -> bool {
    !annotate || folder.join(ANNOTATED).is_file()
}

/// Whether a run keeps its results in this folder.
pub fn is_folder_of_results(folder: &Path) -> bool {
    [LOCK, DATA].iter().all(|name| folder.join(name).is_file())
}

/// Whether something else than a result lies where one is to be: it must not be lost.
pub fn is_taken(target: &Path) -> bool {
    fs::symlink_metadata(target).is_ok() && !target.join(DONE).is_file()
}

/// Removes what earlier runs left unfinished below `output`. Only for who holds the lock on it.
pub fn sweep(output: &Path) {
    let entries = walkdir::WalkDir::new(output).into_iter().filter_map(Result::ok);
    let is_partial = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(PARTIAL);
    let partial: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_dir() && is_partial(entry.file_name()))
        .map(walkdir::DirEntry::into_path)
        .collect();
    for folder in partial {
        if let Err(error) = fs::remove_dir_all(&folder) {
            tracing::warn!("{} is left of an earlier run and cannot be removed: {error}", folder.display());
        }
    }
}

/// A result that is being written. Dropped before [`ResultWriter::publish`], it leaves nothing behind.
pub struct ResultWriter {
    partial: PathBuf,
    /// Where an older result goes while it is removed.
    older: PathBuf,
    target: PathBuf,
    json: BufWriter<File>,
    csv: BufWriter<File>,
    table: Option<FacesTable>,
    line: Vec<u8>,
    /// Scratch: identities that came with this frame.
    new_tracks: Vec<u64>,
    timeline: Timeline,
    counts: Counts,
}

/// What has been written so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Frames.
    pub frames: u64,
    /// Faces.
    pub faces: u64,
    /// Identities.
    pub tracks: u64,
    newest_track: u64,
    /// Frame size of the first frame.
    pub resolution: (u32, u32),
}

impl ResultWriter {
    /// Begins the result that will have the name `target`.
    pub fn create(target: &Path) -> anyhow::Result<Self> {
        // Not the name itself, which may be as long as names can be and need not be text.
        let name = blake3::hash(target.file_name().unwrap_or_default().as_encoded_bytes()).to_hex();
        let beside = |end: &str| target.with_file_name(format!("{PARTIAL}{}{end}", &name[..16]));
        let (partial, older) = (beside(""), beside("-old"));
        let make = || -> anyhow::Result<Self> {
            fs::create_dir_all(&partial)?;
            let open = |name: &str| File::create(partial.join(name)).map(BufWriter::new);
            let mut csv = open("faces.csv")?;
            csv.write_all(record::csv::HEADER.as_bytes())?;
            Ok(Self {
                json: open("faces.jsonl")?,
                csv,
                table: Some(FacesTable::create(&partial.join("faces.parquet"))?),
                partial: partial.clone(),
                older: older.clone(),
                target: target.to_owned(),
                line: Vec::new(),
                new_tracks: Vec::new(),
                timeline: Timeline::default(),
                counts: Counts::default(),
            })
        };
        make().with_context(|| format!("results cannot be written to {}", partial.display()))
    }

    /// What has been written so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Adds a frame.
    fn add(&mut self, frame: &FrameFaces) -> anyhow::Result<()> {
        let write = |this: &mut Self| -> anyhow::Result<()> {
            this.line.clear();
            record::json::write_line(frame, &mut this.line);
            this.json.write_all(&this.line)?;
            this.line.clear();
            record::csv::write_rows(frame, &mut this.line);
            this.csv.write_all(&this.line)?;
            if let Some(table) = &mut this.table {
                table.add(frame)?;
            }
            Ok(())
        };
        write(self).with_context(|| format!("results cannot be written to {}", self.partial.display()))?;
        self.timeline.add(frame);
        let counts = &mut self.counts;
        if counts.frames == 0 {
            counts.resolution = (frame.width, frame.height);
        }
        counts.frames += 1;
        counts.faces += frame.faces.len() as u64;
        // Trackers count upwards, so identities are new that are higher than all of the frames before.
        self.new_tracks.clear();
        let ids = frame.faces.iter().filter_map(|face| face.track_id);
        self.new_tracks.extend(ids.filter(|id| *id > counts.newest_track));
        self.new_tracks.sort_unstable();
        self.new_tracks.dedup();
        counts.tracks += self.new_tracks.len() as u64;
        counts.newest_track = self.new_tracks.last().copied().unwrap_or(counts.newest_track);
        Ok(())
    }

    /// Completes the files, writes `done.json`, and gives the folder its name, in place of an older result.
    pub fn publish(mut self, complete: impl FnOnce(Counts, Timeline) -> Done) -> anyhow::Result<Done> {
        let finish = |this: &mut Self| -> anyhow::Result<Done> {
            for file in [&mut this.json, &mut this.csv] {
                file.flush()?;
                file.get_ref().sync_all()?;
            }
            if let Some(table) = this.table.take() {
                table.finish()?;
            }
            let done = complete(this.counts, std::mem::take(&mut this.timeline));
            atomic::write(&this.partial.join(DONE), &serde_json::to_vec_pretty(&done)?)?;
            Ok(done)
        };
        let done = finish(&mut self)
            .with_context(|| format!("results cannot be completed in {}", self.partial.display()))?;
        if is_taken(&self.target) {
            bail!("{} has been put there meanwhile and is no result: move it away", self.target.display());
        }
        atomic::replace_folder(&self.partial, &self.target, &self.older)?;
        Ok(done)
    }
}

impl Take for ResultWriter {
    fn frame(
        &mut self,
        faces: &FrameFaces,
        _: &gst::BufferRef,
        _: &gst_video::VideoInfo,
    ) -> anyhow::Result<()> {
        self.add(faces)
    }

    fn annotated(&self) -> Option<PathBuf> {
        Some(self.partial.join(ANNOTATED))
    }
}

impl Drop for ResultWriter {
    fn drop(&mut self) {
        // After `publish` there is no such folder; else nothing half-written is left.
        let _ = fs::remove_dir_all(&self.partial);
    }
}
