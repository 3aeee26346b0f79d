//! Measures detectors: average precision on annotated pictures, speed on frames.

use std::time::{Duration, Instant};

use anyhow::Context;
use ferroflow_vision::{
    detect::{self, Backend, DetectError, DetectorConfig, DetectorKind, FaceDetector},
    face::Detection,
    geometry::Rect,
    inference::{Device, InferenceError, SessionOptions},
};
use gstferroflow::frame::with_frame;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{
    annotated::{AnnotatedFace, AnnotatedImage, AnnotatedSet, Level},
    average_precision::{Face, Judge, Point},
    frames::Frames,
    picture::Picture,
};

/// The least confidence of detections that are judged: low enough for the whole curve, as WIDER FACE's
/// evaluations have it.
const LEAST_CONFIDENCE: f32 = 0.02;

/// Most detections of a picture; WIDER FACE has pictures of more than a thousand faces.
const MAX_DETECTIONS: usize = 2000;

/// How far points of a curve in the report lie apart, in precision or recall: less than a pixel of a plot.
const CURVE_STEP: f64 = 0.0025;

/// Sizes of the frames on which speed is measured.
const SIZES: [(usize, usize); 2] = [(640, 360), (1280, 720)];

/// How long the speed of one detector on one size is measured, and the least number of frames.
const SPEED: (Duration, usize) = (Duration::from_secs(3), 5);

/// What is measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which detectors.
    pub detectors: Vec<DetectorKind>,
    /// Whose code; what a back-end does not have is left out.
    pub backends: Vec<Backend>,
    /// CPU threads of one detection; 0 takes one for each core.
    pub threads: usize,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Ferroflow's version.
    pub version: &'static str,
    /// CPU threads of one detection.
    pub threads: usize,
    /// What average precision was measured on.
    pub data: Option<Data>,
    /// What the frames showed on which speed was measured.
    pub frames: String,
    /// One entry for each detector on each device.
    pub results: Vec<Measured>,
    /// Detectors that failed, and why.
    pub failures: Vec<Failure>,
}

/// The pictures of a report.
#[derive(Debug, Serialize)]
pub struct Data {
    /// The folder.
    pub folder: String,
    /// Pictures that were judged.
    pub images: usize,
    /// Pictures that could not be read.
    pub unreadable: usize,
}

/// One detector of one back-end on one device.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// The detector's name.
    pub detector: &'static str,
    /// Whose code it is: `native` or `opencv`.
    pub backend: &'static str,
    /// The device that ran it.
    pub device: String,
    /// How good it is, level by level; empty without annotated pictures.
    pub accuracy: Vec<Accuracy>,
    /// How fast it is, size by size.
    pub speed: Vec<Speed>,
}

impl Measured {
    /// The detector's name, and its back-end's where it is not ours.
    pub fn name(&self) -> String {
        if self.backend == "native" {
            self.detector.to_owned()
        } else {
            format!("{} ({})", self.detector, self.backend)
        }
    }
}

/// How good a detector is at one level.
#[derive(Debug, Serialize)]
pub struct Accuracy {
    /// Which faces count.
    pub level: Level,
    /// How many they are.
    pub faces: usize,
    /// Area under the curve, 0 to 1; none without faces.
    pub average_precision: Option<f64>,
    /// Where the detector stands on the curve with its own threshold; none if it finds nothing there.
    pub operating_point: Option<Point>,
    /// Precision and recall by falling confidence.
    pub curve: Vec<Point>,
}

/// How fast a detector is on frames of one size.
#[derive(Debug, Serialize)]
pub struct Speed {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Frames that were timed.
    pub frames: usize,
    /// Median time of a frame in milliseconds.
    pub median_ms: f64,
    /// Frames by the time they took together.
    pub frames_per_second: f64,
}

/// A detector that could not be measured.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// The detector's name.
    pub detector: &'static str,
    /// Why.
    pub reason: String,
    /// True when its model or the runtime is not there.
    pub missing: bool,
}

/// A detector that is being measured.
struct Contestant {
    kind: DetectorKind,
    backend: Backend,
    device: Device,
    detector: Box<dyn FaceDetector>,
    /// The least confidence that it would answer with on its own.
    threshold: f32,
    judges: Vec<(Level, Judge)>,
}

/// Measures. Detectors that fail are left out and listed.
pub fn measure(settings: &Settings, data: Option<(&str, &AnnotatedSet)>) -> anyhow::Result<Report> {
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        threads: match settings.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        },
        data: None,
        frames: String::new(),
        results: Vec::new(),
        failures: Vec::new(),
    };
    let mut contestants = Vec::new();
    for &backend in &settings.backends {
        for &kind in &settings.detectors {
            match open(kind, backend, settings.threads) {
                Ok(opened) => contestants.extend(opened),
                Err(error) => report.failures.push(failure(kind, &error.into())),
            }
        }
    }
    if let Some((folder, set)) = data {
        let unreadable = judge(&mut contestants, set, &mut report.failures)?;
        let images = set.images.len() - unreadable;
        report.data = Some(Data { folder: folder.to_owned(), images, unreadable });
    }
    let sizes = SIZES.map(|(width, height)| Frames::of_size(width, height));
    let sizes: Vec<Frames> =
        sizes.into_iter().collect::<Result<_, _>>().context("frames to measure speed on")?;
    if let Some(frames) = sizes.first() {
        report.frames.clone_from(&frames.source);
    }
    let bar = bar(contestants.len() * sizes.len(), "speed");
    for contestant in contestants {
        match contestant.finish(&sizes, &bar, settings.threads) {
            Ok(measured) => report.results.push(measured),
            Err(failure) => report.failures.push(failure),
        }
    }
    bar.finish_and_clear();
    Ok(report)
}

/// A detector on every device that can run it; on none where the back-end has no such detector.
fn open(kind: DetectorKind, backend: Backend, threads: usize) -> Result<Vec<Contestant>, DetectError> {
    let (config, threshold) = whole_curve(kind, backend);
    let open = |device| {
        let session = SessionOptions { device, threads, ..SessionOptions::default() };
        detect::open(&DetectorConfig { session, ..config.clone() })
    };
    let contestant = |device, detector| {
        let judges = Vec::new();
        Contestant { kind, backend, device, detector, threshold, judges }
    };
    let detector = match open(Device::Cpu) {
        Err(DetectError::NoReference(_)) => return Ok(Vec::new()),
        detector => detector?,
    };
    let mut contestants = vec![contestant(Device::Cpu, detector)];
    // What takes CUDA by itself has CUDA.
    let detector = open(Device::Auto)?;
    if detector.describe().contains(" on cuda:") {
        contestants.push(contestant(Device::Cuda(0), detector));
    }
    Ok(contestants)
}

/// The settings at which a detector answers with all it has, and the confidence at which it would stop by default.
fn whole_curve(kind: DetectorKind, backend: Backend) -> (DetectorConfig, f32) {
    let default = DetectorConfig { backend, ..DetectorConfig::new(kind) };
    let mut config =
        DetectorConfig { threshold: LEAST_CONFIDENCE, max_detections: MAX_DETECTIONS, ..default.clone() };
    let mut threshold = default.threshold;
    if kind == DetectorKind::Haar {
        // More windows than `min-neighbors` must agree.
        config.min_neighbors = 1;
        threshold = detect::haar::confidence(default.min_neighbors + 1);
    }
    (config, threshold)
}

/// Shows all pictures to all detectors and answers how many pictures could not be read.
fn judge(
    contestants: &mut Vec<Contestant>,
    set: &AnnotatedSet,
    failures: &mut Vec<Failure>,
) -> anyhow::Result<usize> {
    for contestant in contestants.iter_mut() {
        contestant.judges = set.levels.iter().map(|&level| (level, Judge::default())).collect();
    }
    let bar = bar(set.images.len(), "pictures");
    let mut unreadable = 0;
    for image in &set.images {
        match Picture::read(&image.path) {
            Err(error) => {
                unreadable += 1;
                bar.suspend(|| tracing::warn!("{} is left out: {error:#}", image.path.display()));
            }
            Ok(picture) => contestants.retain_mut(|contestant| match contestant.see(image, &picture) {
                Ok(()) => true,
                Err(error) => {
                    failures.push(failure(contestant.kind, &error.context(image.path.display().to_string())));
                    false
                }
            }),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    anyhow::ensure!(
        unreadable < set.images.len(),
        "none of the {} annotated pictures could be read",
        set.images.len()
    );
    Ok(unreadable)
}

fn failure(kind: DetectorKind, error: &anyhow::Error) -> Failure {
    let cause = error.downcast_ref::<DetectError>();
    let missing = matches!(
        cause,
        Some(
            DetectError::Model(_)
                | DetectError::NoOpenCv
                | DetectError::Inference(InferenceError::Runtime(_) | InferenceError::NoProvider(_))
        )
    );
    Failure { detector: kind.name(), reason: format!("{error:#}"), missing }
}

impl Contestant {
    /// Judges the faces it finds in a picture.
    fn see(&mut self, image: &AnnotatedImage, picture: &Picture) -> anyhow::Result<()> {
        let frame = picture.frame()?;
        let mut detections = Vec::new();
        self.detector.detect(&frame, &mut detections)?;
        if let Some((width, height)) = image.size {
            let (x, y) = (width / frame.width() as f32, height / frame.height() as f32);
            detections.iter_mut().for_each(|face| face.box_in_frame = stretched(&face.box_in_frame, x, y));
        }
        for (level, judge) in &mut self.judges {
            let face = |face: &AnnotatedFace| Face {
                box_in_image: face.box_in_image,
                counts: face.levels.contains(level),
            };
            judge.add(&detections, &image.faces.iter().map(face).collect::<Vec<_>>());
        }
        Ok(())
    }

    /// Measures its speed as it is set by default, and sums up.
    fn finish(mut self, sizes: &[Frames], bar: &ProgressBar, threads: usize) -> Result<Measured, Failure> {
        let accuracy = self.judges.iter().map(|(level, judge)| {
            let curve = judge.curve();
            Accuracy {
                level: *level,
                faces: curve.faces,
                average_precision: curve.average_precision(),
                operating_point: curve.at(self.threshold),
                curve: curve.thinned(CURVE_STEP),
            }
        });
        let accuracy = accuracy.collect();
        let session = SessionOptions { device: self.device, threads, ..SessionOptions::default() };
        let measure = || -> anyhow::Result<Vec<Speed>> {
            self.detector = detect::open(&DetectorConfig {
                session,
                backend: self.backend,
                ..DetectorConfig::new(self.kind)
            })?;
            let mut speeds = Vec::new();
            for frames in sizes {
                bar.set_message(format!(
                    "{} on {}, {}x{}",
                    self.kind.name(),
                    self.device,
                    frames.width,
                    frames.height
                ));
                speeds.push(speed(self.detector.as_mut(), frames)?);
                bar.inc(1);
            }
            Ok(speeds)
        };
        let speed = measure().map_err(|error| failure(self.kind, &error))?;
        let backend = match self.backend {
            Backend::Native => "native",
            Backend::OpenCv => "opencv",
        };
        let (detector, device) = (self.kind.name(), self.device.to_string());
        Ok(Measured { detector, backend, device, accuracy, speed })
    }
}

fn stretched(rect: &Rect, x: f32, y: f32) -> Rect {
    Rect::new(rect.x * x, rect.y * y, rect.width * x, rect.height * y)
}

/// Times detection on frames, going round them, after two to warm up.
fn speed(detector: &mut dyn FaceDetector, frames: &Frames) -> anyhow::Result<Speed> {
    let mut faces: Vec<Detection> = Vec::new();
    let mut times: Vec<Duration> = Vec::new();
    let (limit, least) = SPEED;
    let mut total = Duration::ZERO;
    for (index, (buffer, info)) in frames.buffers.iter().cycle().enumerate() {
        let started = Instant::now();
        with_frame(buffer, info, |frame| detector.detect(frame, &mut faces))
            .map_err(|error| anyhow::anyhow!("{error}"))??;
        let took = started.elapsed();
        if index < 2 {
            continue;
        }
        total += took;
        times.push(took);
        if times.len() >= least && total >= limit {
            break;
        }
    }
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok(Speed {
        width: frames.width,
        height: frames.height,
        frames: times.len(),
        median_ms: median.as_secs_f64() * 1e3,
        frames_per_second: times.len() as f64 / total.as_secs_f64().max(1e-9),
    })
}

fn bar(length: usize, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    let style = ProgressStyle::with_template("{prefix:>10} {bar:30.cyan/dim} {pos}/{len}  {msg}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(what);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
