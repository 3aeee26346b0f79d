//! Source: faces out of videos, by the live engine.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use anyhow::{Context as _, bail};
use crossbeam_channel::Sender;
use ferroflow_vision::{
    align::{Alignment, Crop},
    detect::DetectorKind,
    face::{Face, FrameFaces},
    frame::Frame,
    inference::{Device, KeepOpen},
    sample::{ImageSpec, Sampler},
};
use indicatif::ProgressBar;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::device;
use crate::{
    batch::{
        Context, Facts, Needs, Stage,
        data::{
            classes,
            columns::GROUP,
            faces::{FacesWriter, NewFace, TRAIN},
            picture::{self, Gray},
        },
    },
    graph::dag::{Port, PortType},
    stream::{
        self,
        directory::{
            Settings, chain,
            process::{self, Failure, Take},
            scan,
        },
    },
};

/// Faces that wait between GStreamer and the table.
const WAITING: usize = 64;

/// Harvests faces from a directory of videos or pictures with the live engine, for data sets of your own cameras.
///
/// Each face is cut out, turned level by its landmarks, made gray and shrunk to `size`. Of one track, at most
/// one face in `every` seconds is taken, and `most-of-track` in all. The label is that of the folder that a
/// video lies in, where that is called like a class (`happy/a.mp4`), else there is none. `source` is the
/// video, and `group` as well, which `split` and `cross-validate` never divide; a picture's path has frame
/// and track.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VideoFaces {
    /// A directory, searched with all below it, or a video or picture.
    path: PathBuf,
    /// The detector: yunet, scrfd, mtcnn, ssd or haar.
    #[serde(default = "detector")]
    detector: String,
    /// Where it runs: auto, cpu, cuda or cuda:N. One that is asked for and missing is an error.
    #[serde(default)]
    #[schemars(with = "String")]
    device: Device,
    /// Least confidence of a face, 0 to 1.
    #[serde(default = "threshold")]
    threshold: f64,
    /// Seconds between two faces of a track.
    #[serde(default = "half")]
    every: f64,
    /// Most faces of a track.
    #[serde(default = "most_of_track")]
    most_of_track: usize,
    /// Least side of a face's box, in pixels of the video.
    #[serde(default = "least_side")]
    least_side: f32,
    /// Share of the box that is added on each side.
    #[serde(default)]
    padding: f32,
    /// Pixels of a side of the pictures.
    #[serde(default = "size")]
    size: usize,
    /// The classes; FER2013's unless given.
    #[serde(default = "classes::fer2013")]
    classes: Vec<String>,
}

fn detector() -> String {
    "yunet".into()
}

fn threshold() -> f64 {
    0.6
}

fn half() -> f64 {
    0.5
}

fn most_of_track() -> usize {
    20
}

fn least_side() -> f32 {
    40.0
}

fn size() -> usize {
    48
}

/// A face that was cut out.
struct Harvested {
    picture: Gray,
    name: String,
}

impl Stage for VideoFaces {
    const NAME: &'static str = "video-faces";
    const VERSION: u32 = 7;
    const INPUTS: &'static [Port] = &[];
    const OUTPUT: PortType = PortType::Faces;
    const PATHS: &'static [&'static str] = &["path"];

    fn check(&self) -> Result<(), String> {
        if !(1..=1024).contains(&self.size) {
            return Err(format!("`size` is {}, and must be from 1 to 1024 pixels", self.size));
        }
        for (name, value, most) in [
            ("threshold", self.threshold, 1.0),
            ("every", self.every, f64::MAX),
            ("least-side", self.least_side.into(), f64::MAX),
            ("padding", self.padding.into(), 2.0),
        ] {
            if !(0.0..=most).contains(&value) {
                let most = if most < f64::MAX { format!("from 0 to {most}") } else { "0 or more".to_owned() };
                return Err(format!("`{name}` is {value}, and must be {most}"));
            }
        }
        self.detector.parse::<DetectorKind>().map_err(|error| format!("`detector`: {error}"))?;
        Ok(())
    }

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let found = scan::scan(std::slice::from_ref(&self.path), Path::new(""));
        if !self.path.exists() {
            bail!("{} does not exist", self.path.display());
        }
        stream::init()?;
        let mut files: Vec<_> = found.files.into_iter().map(|file| file.path).collect();
        files.extend(chain::models(&self.launch())?);
        Ok(files)
    }

    // The folder that a video lies in is its label, also where that is the folder that is read.
    fn names_below(&self) -> Option<&Path> {
        let folder = if self.path.is_dir() { Some(self.path.as_path()) } else { self.path.parent() };
        folder.map(|folder| folder.parent().unwrap_or(folder))
    }

    fn needs(&self) -> Needs {
        Needs { device: device::needed(self.device), ..Needs::all_cores(256 << 20) }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        stream::init()?;
        let found = scan::scan(std::slice::from_ref(&self.path), Path::new(""));
        let mut writer = FacesWriter::with_text(&context.table(), &self.classes, &["source", GROUP])?;
        context.progress.begin(found.files.len(), "videos");
        let (mut row, mut videos, mut unlabelled) = (0, 0, 0);
        let mut nearly = BTreeSet::new();
        let mut failed: Vec<String> = Vec::new();
        // A video's models are the next one's.
        let _models_stay = KeepOpen::new();
        for (path, reason) in &found.unreadable {
            tracing::warn!("{} is left out: {reason}", path.display());
            failed.push(format!("{}: {reason}", path.display()));
        }
        for file in &found.files {
            let source = file.relative.to_string_lossy().into_owned();
            let folder =
                file.path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
            let label = folder.as_ref().and_then(|name| self.classes.iter().position(|class| class == name));
            if let Some(folder) = folder.filter(|_| label.is_none()) {
                let is_like = |class: &&String| class.eq_ignore_ascii_case(&folder);
                nearly.extend(self.classes.iter().find(is_like).map(|class| (folder.clone(), class.clone())));
            }
            let (send, harvested) = crossbeam_channel::bounded(WAITING);
            let processed = std::thread::scope(|scope| {
                let job = scope.spawn(|| self.harvest(&file.path, &source, send, context));
                let written = harvested.iter().try_for_each(|face: Harvested| {
                    let image = picture::encode_png(&face.picture)?;
                    let new = NewFace { image: &image, path: &face.name, label, split: TRAIN, row };
                    row += 1;
                    unlabelled += i64::from(label.is_none());
                    context.progress.message(format!("{row} faces"));
                    writer.add(&new, &[&source, &source])
                });
                // A table that cannot be written ends the video as well.
                drop(harvested);
                let processed =
                    job.join().unwrap_or_else(|_| Err(Failure::Video(anyhow::anyhow!("a bug: it panicked"))));
                written.map(|()| processed)
            })?;
            match processed {
                Ok(()) => videos += 1,
                Err(Failure::Interrupted) => return Err(crate::batch::Interrupted.into()),
                Err(Failure::Output(error)) => return Err(error),
                Err(Failure::Video(error)) => {
                    tracing::warn!("{source} is left out from where it fails: {error:#}");
                    failed.push(format!("{source}: {error:#}"));
                }
            }
            context.progress.advance(1);
        }
        writer.finish()?;
        if row == 0 {
            let why = if failed.is_empty() { String::new() } else { format!(": {}", failed.join("; ")) };
            bail!("no face was found in {}{why}", self.path.display());
        }
        for (folder, class) in nearly {
            tracing::warn!("faces from the folder `{folder}` have no label: did you mean `{class}`?");
        }
        let facts = Facts::default().with("rows", row).with("unlabelled", unlabelled).with("videos", videos);
        Ok(if failed.is_empty() { facts } else { facts.with("failed", failed) })
    }
}

impl VideoFaces {
    fn launch(&self) -> String {
        let Self { detector, device, threshold, .. } = self;
        format!("ferfacedetect detector={detector} device={device} threshold={threshold} ! fertrack")
    }

    /// Runs one video and sends what is cut out of it.
    fn harvest(
        &self,
        path: &Path,
        source: &str,
        send: Sender<Harvested>,
        context: &Context,
    ) -> Result<(), Failure> {
        let settings = Settings {
            input: vec![path.to_owned()],
            output: context.out.clone(),
            jobs: 1,
            annotate: false,
            launch: self.launch(),
            force: false,
        };
        let harvest = Harvest {
            settings: self.clone(),
            source: source.to_owned(),
            send,
            sampler: Sampler::default(),
            values: Vec::new(),
            tracks: HashMap::new(),
        };
        let harvest = Arc::new(Mutex::new(harvest));
        process::process(path, &settings, "harvest", &harvest, &ProgressBar::hidden(), context.interrupted)?;
        Ok(())
    }
}

/// Cuts faces out of frames.
struct Harvest {
    settings: VideoFaces,
    source: String,
    send: Sender<Harvested>,
    sampler: Sampler,
    values: Vec<f32>,
    /// Of each track, how many faces were taken, and when the last, in nanoseconds.
    tracks: HashMap<u64, (usize, u64)>,
}

impl Take for Harvest {
    fn frame(
        &mut self,
        faces: &FrameFaces,
        buffer: &gst::BufferRef,
        info: &gst_video::VideoInfo,
    ) -> anyhow::Result<()> {
        let now = faces.pts.unwrap_or(0);
        for face in &faces.faces {
            let is_wanted = self.is_wanted(face, now);
            if let (true, Some(track)) = (is_wanted, face.track_id) {
                let cut = gstferroflow::frame::with_frame(buffer, info, |frame| self.cut(frame, face));
                let picture = cut.map_err(|error| anyhow::anyhow!("a frame cannot be read: {error}"))?;
                let name = format!("{}/{:06}-{track}.png", self.source, faces.frame);
                self.send.send(Harvested { picture, name }).context("the table is gone")?;
                let (count, last) = self.tracks.entry(track).or_default();
                (*count, *last) = (*count + 1, now);
            }
        }
        Ok(())
    }
}

impl Harvest {
    fn is_wanted(&self, face: &Face, now: u64) -> bool {
        let bounds = &face.detection.box_in_frame;
        let pause = (self.settings.every.max(0.0) * 1e9) as u64;
        let of_track = face.track_id.and_then(|track| self.tracks.get(&track));
        bounds.width.min(bounds.height) >= self.settings.least_side
            && of_track.is_none_or(|&(count, last)| {
                count < self.settings.most_of_track && now.saturating_sub(last) >= pause
            })
    }

    /// Cuts a face out, level and gray, as classifiers are shown faces of a live stream.
    fn cut(&mut self, frame: &Frame<'_>, face: &Face) -> Gray {
        let side = self.settings.size;
        let crop = Crop::of(&face.detection, Alignment::Level, self.settings.padding);
        let spec = ImageSpec::gray(side, side);
        self.values.resize(spec.len(), 0.0);
        self.sampler.sample_crop(frame, &crop, &spec, &mut self.values);
        let pixels = self.values.iter().map(|value| value.round().clamp(0.0, 255.0) as u8).collect();
        Gray { width: side, height: side, pixels }
    }
}
